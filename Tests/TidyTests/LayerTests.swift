// SPDX-License-Identifier: Apache-2.0

import Testing

/// The table of targets in the architecture, against what the sources import.
struct LayerTests {
    @Test func `every source file belongs to a target of the architecture's table`() throws {
        let layers = try Layers()
        let findings = Project.swift(below: "Sources").filter { layers.target(of: $0.path) == nil }
            .map { Finding(path: $0.path, line: 0, message: "no row in \(Layers.document)") }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `a target imports only targets above it`() throws {
        let layers = try Layers()
        let findings = Project.swift(below: "Sources").flatMap { file -> [Finding] in
            guard let own = layers.target(of: file.path) else { return [] }
            return file.imports.filter { layers.rows[own].names.contains($0.module) == false }
                .compactMap { module, line in
                    guard let other = layers.rows.firstIndex(where: { $0.names.contains(module) }),
                        other > own
                    else { return nil }
                    return Finding(
                        path: file.path,
                        line: line,
                        message:
                            "\(module) is below \(layers.rows[own].names.joined()) in the table"
                    )
                }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `a target without system calls imports nothing from outside`() throws {
        let layers = try Layers()
        let findings = Project.swift(below: "Sources").flatMap { file -> [Finding] in
            guard let own = layers.target(of: file.path), layers.rows[own].isPure else { return [] }
            return file.imports.filter { layers.isOwn($0.module) == false }
                .map {
                    Finding(
                        path: file.path,
                        line: $0.line,
                        message: "\(layers.rows[own].names.joined()) is pure; \($0.module) is not"
                    )
                }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `other modules from outside are the known ones`() throws {
        // A new dependency is a decision: it is named here and in Docs/decisions.
        let known: Set<String> = [
            "Foundation", "Glibc", "Dispatch", "Synchronization", "ArgumentParser", "Logging",
        ]
        let layers = try Layers()
        let findings = Project.swift(below: "Sources").flatMap { file in
            file.imports.filter { !layers.isOwn($0.module) && !known.contains($0.module) }
                .map { Finding(path: file.path, line: $0.line, message: "imports \($0.module)") }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `the table names the pure targets`() throws {
        let pure = try Layers().rows.filter(\.isPure).flatMap(\.names)
        #expect(pure == ["Primitives", "Wire", "Metadata", "EngineCore", "DRXCore", "Simulation"])
    }
}

/// The table of targets, topmost first.
struct Layers {
    static let document = "Docs/internals/architecture.md"

    struct Row {
        let names: [String]
        /// Below `Sources`, ends in `/`.
        let folder: String
        let isPure: Bool
    }

    let rows: [Row]

    /// Reads the table whose first column is "Target".
    init() throws {
        let lines = try Project.file(Layers.document).lines
        let table = lines.drop { !$0.hasPrefix("| Target |") }.prefix { $0.hasPrefix("|") }
        self.rows = table.dropFirst(2).map { line in
            let cells = tableCells(line)
            let folder = codeSpans(cells[1]).first.map(String.init) ?? ""
            let folders = folder.prefix { $0 != "…" && $0 != "<" }
            return Row(
                names: codeSpans(cells[0]).map(String.init),
                folder: folders.hasSuffix("/") ? String(folders) : "\(folders)/",
                isPure: cells[3] == "no"
            )
        }
    }

    /// The row of the target that holds the file at `path`.
    func target(of path: String) -> Int? {
        self.rows.firstIndex { path.hasPrefix("Sources/\($0.folder)") }
    }

    func isOwn(_ module: String) -> Bool { self.rows.contains { $0.names.contains(module) } }
}

/// The cells of a line of a Markdown table, trimmed; `\|` is not a border.
func tableCells(_ line: Substring) -> [Substring] {
    var cells: [Substring] = []
    var start = line.index(after: line.startIndex)
    for index in line.indices.dropFirst() where line[index] == "|" {
        if line[line.index(before: index)] == "\\" { continue }
        cells.append(trimmed(line[start..<index]))
        start = line.index(after: index)
    }
    return cells
}

/// The contents of the `code spans` of `text`.
func codeSpans(_ text: Substring) -> [Substring] {
    text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
        .filter { $0.offset % 2 == 1 }.map(\.element)
}

func trimmed(_ text: Substring) -> Substring {
    let front = text.drop { $0 == " " }
    return front[..<(front.lastIndex { $0 != " " }.map(front.index(after:)) ?? front.startIndex)]
}
