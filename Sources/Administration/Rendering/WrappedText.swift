// SPDX-License-Identifier: Apache-2.0

/// Text of tokens with a blank between them, wrapped at a width.
///
/// A token that would pass the width starts a new line with an indentation of its own.
struct WrappedText {
    /// What was written.
    private(set) var text = ""
    private let width: Int
    private let isColored: Bool
    private var column = 0

    init(width: Int, isColored: Bool) {
        self.width = width
        self.isColored = isColored
    }

    /// Writes `label` and `value`; colour goes around the value and counts nothing.
    mutating func token(
        _ label: String,
        _ value: String = "",
        _ highlight: Highlight? = nil,
        indent: Int
    ) {
        let length = label.count + value.count
        if self.column > 0, self.column + 1 + length > self.width { self.endLine() }
        if self.column == 0 {
            self.text += String(repeating: " ", count: indent)
            self.column = indent
        } else {
            self.text += " "
            self.column += 1
        }
        let shown = self.isColored ? highlight?.around(value) : nil
        self.text += label + (shown ?? value)
        self.column += length
    }

    /// Ends the line if there is one.
    mutating func endLine() {
        guard self.column > 0 else { return }
        self.text += "\n"
        self.column = 0
    }

    /// Writes an empty line.
    mutating func emptyLine() {
        self.endLine()
        self.text += "\n"
    }
}
