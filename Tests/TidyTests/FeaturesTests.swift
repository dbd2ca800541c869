// SPDX-License-Identifier: Apache-2.0

import Testing

/// `Docs/features.md` against the display names of the tests.
struct FeaturesTests {
    private static let document = "Docs/features.md"
    private static let hint = "run Scripts/update-features"

    /// How many rows each family has; a row is never removed.
    private static let families = [
        "AL": 14, "ARC": 25, "BDR": 31, "CONG": 21, "CONN": 8, "DISK": 20, "DRX": 44, "ERR": 6,
        "FLUSH": 4, "HA": 7, "INTG": 21, "MON": 14, "PERS": 7, "PROT": 12, "RATE": 22, "REPL": 15,
        "RES": 18, "ROLE": 16, "SB": 4, "SYNC": 32, "TIME": 8, "TOOL": 36,
    ]

    @Test func `every ID of the catalogue has one row`() throws {
        let rows = try Self.rows().map(\.id).sorted()
        let expected = Self.families.flatMap { family, count in
            (1...count).map { family + ($0 < 10 ? "-0\($0)" : "-\($0)") }
        }
        #expect(rows == expected.sorted())
    }

    @Test func `every test that names an ID names one of the catalogue`() throws {
        let known = Set(try Self.rows().map(\.id))
        let findings = Self.proofs().filter { !known.contains($0.id) }
            .map { Finding(path: $0.path, line: $0.line, message: "no row \($0.id)") }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `every row lists the tests that name it, and no other`() throws {
        let proofs = Dictionary(grouping: Self.proofs(), by: \.id)
        let findings = try Self.rows().compactMap { row -> Finding? in
            let listed = Set(row.entries.filter { $0.hasPrefix("`") })
            let named = Set(proofs[row.id, default: []].map(\.entry))
            guard listed != named else { return nil }
            let wrong = named.symmetricDifference(listed).sorted().joined(separator: "; ")
            return Finding(
                path: Self.document,
                line: row.line,
                message: "\(row.id): \(Self.hint): \(wrong)"
            )
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `a row without a test says why`() throws {
        let findings = try Self.rows().compactMap { row -> Finding? in
            let tests = row.entries.count { $0.hasPrefix("`") }
            let others = row.entries.filter { !$0.hasPrefix("`") }
            let isSaid =
                others == ["not yet"]
                ? tests == 0
                : others.allSatisfy { entry in
                    entry.hasPrefix("out of scope: ") || entry.hasPrefix("documented: [")
                }
            guard !isSaid || row.entries.isEmpty else { return nil }
            return Finding(path: Self.document, line: row.line, message: "\(row.id): \(others)")
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test(
        arguments: [
            ("AL-07 one bit", ["AL-07"], "one bit"),
            ("SYNC-08 PROT-06 a copy", ["SYNC-08", "PROT-06"], "a copy"),
            ("a copy, see AL-07 there", [], "a copy, see AL-07 there"),
            ("UTF-8 is read", [], "UTF-8 is read"),
        ]
    )
    func `IDs are what a name starts with`(name: String, ids: [String], rest: String) {
        let split = Self.split(name[...])
        #expect(split.ids.map(String.init) == ids)
        #expect(split.rest == rest)
    }

    @Test func `display names are found behind line ends, but not in comments`() {
        let text = """
            @Test("A-1") func a() {}
            // @Test("A-2")
            @Test(
                "A \\"3\\"",
                arguments: ["A-4"]
            )
            func b() {}
            @Test(arguments: ["A-5"]) func c() {}
            @Test func `d`() {}
            """
        let names = SwiftFile(path: "a.swift", text: text).displayNames
        #expect(names.map(\.name) == ["A-1", "A \\\"3\\\""])
        #expect(names.map(\.line) == [1, 3])
    }

    private struct Row {
        let id: String
        let line: Int
        /// What the last column holds.
        let entries: [String]
    }

    private struct Proof {
        let id: String
        let path: String
        let line: Int
        /// As the last column has it.
        let entry: String
    }

    private static func rows() throws -> [Row] {
        try Project.file(self.document).lines.enumerated().compactMap { index, line in
            guard line.hasPrefix("| ") else { return nil }
            let cells = tableCells(line)
            guard cells.count == 3, self.isID(cells[0]) else { return nil }
            let entries = String(cells[2]).split(separator: "<br>").map(String.init)
            return Row(id: String(cells[0]), line: index + 1, entries: entries)
        }
    }

    private static func proofs() -> [Proof] {
        Project.swift(below: "Tests").filter { !$0.path.hasPrefix("Tests/TidyTests/") }
            .flatMap { file in
                file.displayNames.flatMap { name, line in
                    let (ids, rest) = self.split(name[...])
                    let target = file.path.split(separator: "/")[1]
                    let text = rest.replacing("|", with: "\\|")
                    return ids.map {
                        Proof(
                            id: String($0),
                            path: file.path,
                            line: line,
                            entry: "`\(target)`: \(text)"
                        )
                    }
                }
            }
    }

    /// The IDs that a display name starts with, and what is behind them.
    private static func split(_ name: Substring) -> (ids: [Substring], rest: Substring) {
        var ids: [Substring] = []
        var rest = name
        while let space = rest.firstIndex(of: " "), self.isID(rest[..<space]) {
            ids.append(rest[..<space])
            rest = rest[rest.index(after: space)...]
        }
        return (ids, rest)
    }

    /// Whether `word` is capital letters, a hyphen and two digits.
    private static func isID(_ word: Substring) -> Bool {
        let parts = word.split(separator: "-", omittingEmptySubsequences: false)
        return parts.count == 2 && !parts[0].isEmpty && parts[1].count == 2
            && parts[0].allSatisfy { $0.isASCII && $0.isUppercase }
            && parts[1].allSatisfy { $0.isASCII && $0.isNumber }
    }
}

extension SwiftFile {
    /// The display names of the tests, as they are spelt, with the lines of their attributes.
    var displayNames: [(name: String, line: Int)] {
        self.places(of: "@Test").compactMap { place in
            let blank: Set<UInt8> = [newline, UInt8(ascii: " ")]
            var rest = self.code[(place + "@Test".utf8.count)...]
            guard rest.popFirst() == UInt8(ascii: "(") else { return nil }
            rest = rest.drop(while: blank.contains)
            guard rest.popFirst() == UInt8(ascii: "\""),
                let end = rest.firstIndex(of: UInt8(ascii: "\""))
            else { return nil }
            let name = String(decoding: self.text[rest.startIndex..<end], as: UTF8.self)
            return (name, self.line(of: place))
        }
    }
}
