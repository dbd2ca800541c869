// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A page of `Docs/man`, as far as the tests read mdoc.
struct ManualPage {
    /// What one `.It` of a list describes.
    struct Item {
        /// The macro of the head: `Ic` of a verb, `Fl` of an option, `Cm` of a configured option.
        let macro: String
        /// The words of the head behind the macro.
        let head: [String]
        /// Head and text as one line, macros taken out.
        let text: String
        /// The long options that head and text name.
        let options: Set<String>
        /// Those of the head.
        let headOptions: Set<String>
    }

    /// A run of lines below one `.Ss` or `.Sh`.
    struct Section {
        let title: String
        var items: [Item] = []
    }

    /// The file's name, such as `bsrd.8`.
    let name: String
    let sections: [Section]
    /// Every long option that the page names, without dashes.
    let options: Set<String>
    /// Every word that the page marks as a verb.
    let verbs: Set<String>
    /// The pages to which it refers, as `bsrd.8`.
    let references: Set<String>

    /// The folder of the pages.
    static let folder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Docs/man")

    /// The names of all pages.
    static var names: [String] {
        get throws {
            try FileManager.default.contentsOfDirectory(atPath: Self.folder.path).sorted()
        }
    }

    init(_ name: String) throws {
        let path = Self.folder.appendingPathComponent(name)
        self.init(name: name, text: try String(contentsOf: path, encoding: .utf8))
    }

    init(name: String, text: String) {
        self.name = name
        let lines = text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix(".\\\"") }
        self.options = Self.options(of: lines)
        self.verbs = Set(lines.filter(Self.isMacro).flatMap { Self.words(behind: "Ic", in: $0) })
        self.references = Set(
            lines.compactMap { line in
                let words = line.split(separator: " ")
                guard words.count > 2, words[0] == ".Xr" || words[1] == "Xr" else { return nil }
                let start = words[0] == ".Xr" ? 1 : 2
                return "\(words[start]).\(words[start + 1])"
            }
        )
        var sections: [Section] = []
        var item: [String] = []
        for line in lines {
            let isHeading = line.hasPrefix(".Ss ") || line.hasPrefix(".Sh ")
            let isEnd = isHeading || line.hasPrefix(".It ") || line.hasPrefix(".El")
            if isEnd, !item.isEmpty, !sections.isEmpty {
                sections[sections.count - 1].items.append(Self.item(item))
            }
            if isEnd { item = [] }
            if isHeading { sections.append(Section(title: String(line.dropFirst(4)))) }
            if line.hasPrefix(".It ") || !item.isEmpty { item.append(line) }
        }
        self.sections = sections
    }

    /// The long options that have an item of their own.
    var explainedOptions: Set<String> {
        self.items("Fl").reduce(into: []) { $0.formUnion($1.headOptions) }
    }

    /// The items whose heads begin with `macro`.
    func items(_ macro: String) -> [Item] {
        self.sections.flatMap(\.items).filter { $0.macro == macro }
    }

    private static func isMacro(_ line: String) -> Bool { line.hasPrefix(".") }

    private static func item(_ lines: [String]) -> Item {
        let words = lines[0].split(separator: " ").map(String.init)
        let text = lines.map { line in
            guard Self.isMacro(line) else { return line }
            return line.split(separator: " ").filter { !Self.macros.contains(String($0)) }
                .joined(separator: " ")
        }
        return Item(
            macro: words.count > 1 ? words[1] : "",
            head: Array(words.dropFirst(2)),
            text: text.joined(separator: " "),
            options: Self.options(of: lines),
            headOptions: Self.options(of: [lines[0]])
        )
    }

    private static let macros: Set<String> = [
        ".It", ".Cm", ".Ar", ".Nm", ".Xr", ".Fl", ".Pa", ".Ic", ".Ql", ".Ev", "Cm", "Ar", "Xr",
        "Fl",
    ]

    /// The words that follow `macro` on a line, up to the next macro.
    private static func words(behind macro: String, in line: String) -> [String] {
        let words = line.split(separator: " ").map(String.init)
        return words.indices.filter { words[$0] == macro || words[$0] == "." + macro }
            .compactMap { index in
                index + 1 < words.count ? words[index + 1] : nil
            }
    }

    /// The long options behind `Fl`: those words that begin with the second dash.
    private static func options(of lines: [String]) -> Set<String> {
        var names: Set<String> = []
        for line in lines where Self.isMacro(line) {
            var isFlag = false
            for word in line.split(separator: " ") {
                switch word {
                case "Fl", ".Fl": isFlag = true
                case "|", ",", "c", "h", "d", "v", "s", "m", "W", "V", "f", "D", "j": continue
                default:
                    if isFlag, word.hasPrefix("-"), word.count > 1 {
                        names.insert(String(word.dropFirst()))
                    } else {
                        isFlag = false
                    }
                }
            }
        }
        return names
    }
}
