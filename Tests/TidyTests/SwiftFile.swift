// SPDX-License-Identifier: Apache-2.0

/// A Swift file and the same text with comments and the contents of literals blanked.
///
/// Bytes of `code` and of the text are at the same places; line ends stay. Good enough for the
/// rules here, which look for words; it is not a parser.
struct SwiftFile: Sendable {
    let path: String
    let text: [UInt8]
    let code: [UInt8]

    init(_ file: TextFile) { self.init(path: file.path, text: file.text) }

    init(path: String, text: String) {
        self.path = path
        self.text = Array(text.utf8)
        var blanking = Blanking(text: self.text)
        blanking.run()
        self.code = blanking.code
    }

    /// The lines of the code, comments and literals blanked.
    var codeLines: [Substring] {
        String(decoding: self.code, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
    }

    /// The line of the byte at `place`, counted from 1.
    func line(of place: Int) -> Int { self.code[..<place].count { $0 == newline } + 1 }

    /// Where each `word` of the code begins: the bytes with no letter of a name around them.
    func places(of word: String) -> [Int] {
        let word = Array(word.utf8)
        guard self.code.count >= word.count, let first = word.first, let last = word.last else {
            return []
        }
        return (0...(self.code.count - word.count)).filter { place in
            guard self.code[place] == first,
                self.code[place..<(place + word.count)].elementsEqual(word)
            else { return false }
            let end = place + word.count
            let joinsBefore = place > 0 && isName(first) && isName(self.code[place - 1])
            let joinsAfter = end < self.code.count && isName(last) && isName(self.code[end])
            return !joinsBefore && !joinsAfter
        }
    }

    /// Whether the code uses pointers or other names that the standard library calls unsafe.
    var usesUnsafe: Bool {
        let code = String(decoding: self.code, as: UTF8.self)
            .replacing("nonisolated(unsafe)", with: "")
        return ["Unsafe", "unsafe", "Unmanaged", "OpaquePointer"].contains(where: code.contains)
    }

    /// The modules that the file imports, with the line of each.
    var imports: [(module: String, line: Int)] {
        self.codeLines.enumerated().compactMap { index, line in
            let words = line.split(separator: " ")
            guard let place = words.firstIndex(of: "import"),
                words[..<place].allSatisfy({ importModifiers.contains(String($0)) }),
                let name = words.last
            else { return nil }
            return (String(name.prefix { $0 != "." }), index + 1)
        }
    }
}

private let importModifiers: Set<String> = [
    "public", "package", "internal", "fileprivate", "private", "@preconcurrency", "@_exported",
]

let newline = UInt8(ascii: "\n")

/// Whether `byte` may be part of a name.
func isName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
        true
    default:
        false
    }
}

/// Blanks comments, the contents of string literals and of names in backticks.
///
/// Interpolated code stays.
private struct Blanking {
    let text: [UInt8]
    private(set) var code: [UInt8]
    private var place = 0

    init(text: [UInt8]) {
        self.text = text
        self.code = text
    }

    mutating func run() {
        while self.place < self.text.count { self.element() }
    }

    /// One byte of code, or one whole comment or literal.
    private mutating func element() {
        if self.sees("//") {
            self.blank { !$0.sees("\n") }
        } else if self.sees("/*") {
            self.comment()
        } else if self.sees("`") {
            self.place += 1
            self.blank { !$0.sees("`") && !$0.sees("\n") }
            self.place += 1
        } else if let hashes = self.hashesBeforeQuote() {
            self.literal(hashes: hashes)
        } else {
            self.place += 1
        }
    }

    private mutating func comment() {
        var depth = 0
        repeat {
            let isMark = self.sees("/*") || self.sees("*/")
            if isMark { depth += self.sees("/*") ? 1 : -1 }
            self.blank(count: isMark ? 2 : 1)
        } while depth > 0 && self.place < self.text.count
    }

    private mutating func literal(hashes: Int) {
        let rawMark = String(repeating: "#", count: hashes)
        self.place += hashes
        let quotes = self.sees("\"\"\"") ? "\"\"\"" : "\""
        self.place += quotes.utf8.count
        while self.place < self.text.count {
            if self.sees(quotes + rawMark) {
                self.place += quotes.utf8.count + hashes
                return
            } else if self.sees("\\\(rawMark)(") {
                self.blank(count: 1 + hashes)
                self.interpolation()
            } else if self.sees("\\\(rawMark)") {
                self.blank(count: 2 + hashes)
            } else {
                self.blank(count: 1)
            }
        }
    }

    /// From the opening parenthesis behind the closing one.
    private mutating func interpolation() {
        var depth = 0
        repeat {
            if self.sees("(") { depth += 1 }
            if self.sees(")") { depth -= 1 }
            self.element()
        } while depth > 0 && self.place < self.text.count
    }

    /// The number of `#` before a quote here, nil if this is not the beginning of a literal.
    private func hashesBeforeQuote() -> Int? {
        let hashes = self.text[self.place...].prefix { $0 == UInt8(ascii: "#") }.count
        let quote = self.place + hashes
        return quote < self.text.count && self.text[quote] == UInt8(ascii: "\"") ? hashes : nil
    }

    private func sees(_ mark: String) -> Bool {
        self.text[self.place...].starts(with: mark.utf8)
    }

    private mutating func blank(while condition: (Blanking) -> Bool) {
        while self.place < self.text.count, condition(self) { self.blank(count: 1) }
    }

    private mutating func blank(count: Int) {
        for place in self.place..<min(self.place + count, self.text.count)
        where self.code[place] != newline {
            self.code[place] = UInt8(ascii: " ")
        }
        self.place = min(self.place + count, self.text.count)
    }
}
