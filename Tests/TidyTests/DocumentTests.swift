// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Links and titles of the documents, and what tracked files must not name.
struct DocumentTests {
    private static let documents = Project.files.filter(\.isMarkdown)

    @Test func `a document begins with its only title`() {
        let findings = Self.documents.flatMap { document -> [Finding] in
            let titles = prose(document).filter { $0.text.hasPrefix("# ") }
            if titles.map(\.line) == [1] { return [] }
            return [Finding(path: document.path, line: 0, message: "\(titles.count) titles")]
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `relative links lead to a file, and to a heading of it`() throws {
        let findings = try Self.documents.flatMap { document in
            try links(of: document).compactMap { link -> Finding? in
                guard let fault = try fault(of: link.target, in: document) else { return nil }
                return Finding(path: document.path, line: link.line, message: fault)
            }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `Docs/README.md leads to every document`() throws {
        let index = try Project.file("Docs/README.md")
        let listed = Set(links(of: index).map { resolved($0.target, from: index.path).path })
        let findings = Self.documents
            .filter { $0.path.hasPrefix("Docs/") && $0.path != index.path }
            .filter { !listed.contains($0.path) }
            .map { Finding(path: $0.path, line: 0, message: "not linked from Docs/README.md") }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `decisions are numbered without a gap or a double`() {
        let numbers = Self.documents.filter { $0.path.hasPrefix("Docs/decisions/") }
            .compactMap { Int($0.path.dropFirst("Docs/decisions/".count).prefix(4)) }
        #expect(Set(numbers).count == numbers.count)
        #expect(numbers.min() == 1)
    }

    @Test func `no file names a folder of the machine it was written on`() {
        // Spelt in halves: this file is among those that are searched.
        let folders = ["/wo" + "rk/", "/ro" + "ot/", "/fa" + "rm/", "/tmp/" + "w/", "/ho" + "me/"]
        let findings = Project.files.flatMap { file in
            file.lines.enumerated().flatMap { index, line in
                folders.filter(line.contains).map {
                    Finding(path: file.path, line: index + 1, message: "names \($0)")
                }
            }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `addresses lead to known hosts only`() {
        // No package mirror or other host of one machine's network gets in unseen.
        let known: Set<String> = [
            "github.com", "www.swift.org", "swift.org", "www.apache.org", "linbit.com",
            "www.kernel.org", "www.rfc-editor.org", "example.org", "localhost", "127.0.0.1",
        ]
        let findings = Project.files.flatMap { file in
            file.lines.enumerated().flatMap { index, line in
                line.matches(of: /(?:https?|ftp):\/\/([A-Za-z0-9.\-]+)/)
                    .filter { !known.contains(String($0.output.1)) }
                    .map {
                        Finding(
                            path: file.path,
                            line: index + 1,
                            message: "\($0.output.1) is not among the known hosts"
                        )
                    }
            }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }
}

/// The lines of `document` outside of fenced code, counted from 1.
private func prose(_ document: TextFile) -> [(text: Substring, line: Int)] {
    var isCode = false
    var lines: [(Substring, Int)] = []
    for (index, line) in document.lines.enumerated() {
        if line.drop(while: { $0 == " " }).hasPrefix("```") {
            isCode.toggle()
        } else if !isCode {
            lines.append((line, index + 1))
        }
    }
    return lines
}

/// The targets of the inline links of `document`; `code spans` hold none.
private func links(of document: TextFile) -> [(target: String, line: Int)] {
    prose(document).flatMap { text, line in
        let outside = text.split(separator: "`", omittingEmptySubsequences: false).enumerated()
            .map { $0.offset % 2 == 0 ? String($0.element) : "x" }.joined()
        return outside.matches(of: /\]\(([^)\s]+)\)/).map { (String($0.output.1), line) }
    }
}

/// The file, and the heading if any, that `target` means in the document at `path`.
private func resolved(_ target: String, from path: String) -> (path: String, heading: String?) {
    let parts = target.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
    let heading = parts.count > 1 ? String(parts[1]) : nil
    guard let file = parts.first, !file.isEmpty else { return (path, heading) }
    var folders = path.split(separator: "/").dropLast()
    for step in file.split(separator: "/") {
        switch step {
        case ".": continue
        case "..": folders = folders.dropLast()
        default: folders.append(step)
        }
    }
    return (folders.joined(separator: "/"), heading)
}

/// What is wrong with a link's target, nil if nothing.
private func fault(of target: String, in document: TextFile) throws -> String? {
    if target.contains("://") || target.hasPrefix("mailto:") { return nil }
    let (path, heading) = resolved(target, from: document.path)
    let file = Project.root.appending(path: path).path(percentEncoded: false)
    guard FileManager.default.fileExists(atPath: file) else { return "\(path) does not exist" }
    guard let heading else { return nil }
    let other = try Project.file(path)
    let headings = prose(other).filter { $0.text.hasPrefix("#") }.map { anchor($0.text) }
    return headings.contains(heading) ? nil : "\(path) has no heading #\(heading)"
}

/// The name by which GitHub's renderer lets a heading be linked.
private func anchor(_ heading: Substring) -> String {
    let words = heading.drop { $0 == "#" }.drop { $0 == " " }.lowercased()
    return String(
        words.compactMap { letter -> Character? in
            if letter == " " { return "-" }
            return letter.isLetter || letter.isNumber || letter == "-" || letter == "_"
                ? letter : nil
        }
    )
}
