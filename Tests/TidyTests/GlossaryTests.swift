// SPDX-License-Identifier: Apache-2.0

import Testing

struct GlossaryTests {
    @Test func `every type of the glossary exists`() throws {
        let glossary = try Project.file("Docs/internals/glossary.md")
        let declared = Set(Project.swift(below: "Sources").flatMap(\.declaredTypes))
        let findings = glossary.lines.enumerated().flatMap { index, line -> [Finding] in
            guard line.hasPrefix("| "), tableCells(line).count > 2 else { return [] }
            return codeSpans(tableCells(line)[2])
                .map { String($0.prefix { $0 != "." }) }
                .filter { $0.first?.isUppercase == true && !declared.contains($0) }
                .map { Finding(path: glossary.path, line: index + 1, message: "no type \($0)") }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `declared types are found`() {
        let text = "package struct A: B {\n    enum C {}\n}\nfinal class D {} // class E"
        #expect(SwiftFile(path: "a.swift", text: text).declaredTypes == ["A", "D", "C"])
    }
}

extension SwiftFile {
    /// The names of the structures, classes, enumerations and aliases of the file, nested ones too.
    var declaredTypes: [String] {
        ["struct", "class", "enum", "protocol", "actor", "typealias"].flatMap { word in
            self.places(of: word).map { place in
                let name = self.code[(place + word.utf8.count)...].dropFirst().prefix(while: isName)
                return String(decoding: name, as: UTF8.self)
            }
        }
    }
}
