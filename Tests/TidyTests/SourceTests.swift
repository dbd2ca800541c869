// SPDX-License-Identifier: Apache-2.0

import Testing

/// Sizes, first lines and words of the Swift files.
struct SourceTests {
    private static let sources = Project.swift(below: "Sources")
    private static let tests = Project.swift(below: "Tests")
    private static let all = sources + tests

    @Test func `the project's files are found`() throws {
        #expect(Self.sources.count > 100)
        #expect(Self.tests.count > 50)
        _ = try Project.file("Package.swift")
        _ = try Project.file(".ci/run")
    }

    @Test func `every Swift file begins with its licence`() {
        let findings = Self.all.filter {
            !$0.text.starts(with: "// SPDX-License-Identifier: Apache-2.0\n".utf8)
        }
        .map { Finding(path: $0.path, line: 1, message: "no SPDX line on top") }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `a file has at most 700 lines`() {
        let findings = Self.all.compactMap { file -> Finding? in
            let count = file.text.count { $0 == newline }
            guard count > 700 else { return nil }
            return Finding(path: file.path, line: 0, message: "\(count) lines")
        }
        let left = unexcused(findings, by: .fileLength)
        #expect(left.isEmpty, "\(left.report)")
    }

    @Test func `a function has at most 70 lines`() {
        let findings = Self.all.flatMap { file in
            file.functions.filter { $0.lineCount > 70 }
                .map {
                    Finding(
                        path: file.path,
                        line: $0.firstLine,
                        message: "\($0.lineCount) lines from here to the closing brace"
                    )
                }
        }
        let left = unexcused(findings, by: .functionLength)
        #expect(left.isEmpty, "\(left.report)")
    }

    @Test func `a line has at most 100 columns`() {
        let files = Project.files.filter { $0.path.hasSuffix(".swift") }
        let findings = files.flatMap { file in
            file.lines.enumerated().filter { $0.element.unicodeScalars.count > 100 }
                .map { index, line in
                    Finding(
                        path: file.path,
                        line: index + 1,
                        message: "\(line.unicodeScalars.count) columns (try Scripts/format)"
                    )
                }
        }
        let left = unexcused(findings, by: .lineLength)
        #expect(left.isEmpty, "\(left.report)")
    }

    @Test func `nothing is left to do`() {
        // Spelt in halves: this file is among those that are searched.
        let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
        let findings = Project.files.filter { $0.path != "CONTRIBUTING.md" }.flatMap { file in
            file.lines.enumerated().flatMap { index, line in
                words.filter { word in line.split { !$0.isLetter }.contains { $0 == word } }
                    .map { Finding(path: file.path, line: index + 1, message: "\($0)") }
            }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    @Test func `sources trap only by invariant`() {
        let calls = ["fatalError(", "preconditionFailure(", "assertionFailure(", "try!", "as!"]
        let left = unexcused(Self.places(of: calls, in: Self.sources), by: .trap)
        #expect(left.isEmpty, "\(left.report)")
    }

    @Test func `sources unwrap nothing by force`() {
        let findings = Self.sources.flatMap { file in
            file.codeLines.enumerated().filter { hasForceUnwrap(Array($0.element.utf8)) }
                .map { Finding(path: file.path, line: $0.offset + 1, message: "force unwrap") }
        }
        let left = unexcused(findings, by: .forceUnwrap)
        #expect(left.isEmpty, "\(left.report)")
    }

    @Test func `only tools print`() {
        let files = Self.sources.filter { !$0.path.hasPrefix("Sources/Tools/") }
        let calls = ["print(", "debugPrint(", "NSLog(", "puts(", "printf("]
        let left = unexcused(Self.places(of: calls, in: files), by: .output)
        #expect(left.isEmpty, "\(left.report)")
    }

    @Test func `no test sleeps for luck`() {
        let calls = ["sleep(", "usleep(", "nanosleep(", "Thread.sleep", "Task.sleep"]
        let left = unexcused(Self.places(of: calls, in: Self.tests), by: .sleep)
        #expect(left.isEmpty, "\(left.report)")
    }

    @Test func `what the compiler does not check has a comment on the line before`() {
        let findings = Self.places(
            of: ["@unchecked Sendable", "nonisolated(unsafe)"],
            in: Self.all
        )
        .filter { finding in
            guard let file = try? Project.file(finding.path), finding.line > 1 else { return true }
            return !file.lines[finding.line - 2].drop { $0 == " " }.hasPrefix("//")
        }
        let left = unexcused(findings, by: .unchecked)
        #expect(left.isEmpty, "\(left.report)")
    }

    @Test func `unsafe code is where decision 0001 has it`() throws {
        let decision = try Project.file("Docs/decisions/0001-one-settings-list.md")
        let places = decision.lines.filter { $0.hasPrefix("| `") }
            .compactMap { codeSpans(tableCells($0)[0]).first.map { "Sources/\($0)" } }
        #expect(places.count > 10)
        let users = Self.sources.filter(\.usesUnsafe).map(\.path)
        let findings = users.filter { user in !places.contains { user.hasPrefix($0) } }
            .map { Finding(path: $0, line: 0, message: "unsafe code, not in \(decision.path)") }
        // C is not read here.
        let needless = places.dropFirst()
            .filter { place in !users.contains { $0.hasPrefix(place) } }
            .map { Finding(path: decision.path, line: 0, message: "\($0) has no unsafe code") }
        let all = findings + needless
        #expect(all.isEmpty, "\(all.report)")
    }

    @Test func `a test that needs a program says so in the words that ./test knows`() {
        let findings = Self.tests.flatMap { file in
            file.places(of: "isPresent").filter { place in
                // `Tool.name.isPresent, "needs name (Debian: package)"`, perhaps on two lines.
                let behind = String(decoding: file.text[place...].prefix(160), as: UTF8.self)
                return file.path != "Tests/TestSupport/Tools.swift"
                    && !file.path.hasPrefix("Tests/TidyTests/")
                    && behind.prefixMatch(of: needsProgram) == nil
            }
            .map {
                Finding(
                    path: file.path,
                    line: file.line(of: $0),
                    message: "the comment is not \"needs PROGRAM (Debian: PACKAGE)\""
                )
            }
        }
        #expect(findings.isEmpty, "\(findings.report)")
    }

    /// Where `files` use one of `words`.
    private static func places(of words: [String], in files: [SwiftFile]) -> [Finding] {
        files.flatMap { file in
            words.flatMap { word in
                file.places(of: word).map {
                    Finding(path: file.path, line: file.line(of: $0), message: word)
                }
            }
        }
    }
}

// A regex is not Sendable; this one is only read.
nonisolated(unsafe) private let needsProgram =
    /isPresent,\s+"(needs|wants) [A-Za-z0-9_.-]+ \(Debian: [a-z0-9.+-]+\)"/

/// Whether a line of code holds an exclamation mark behind a value or a type.
func hasForceUnwrap(_ line: [UInt8]) -> Bool {
    line.indices.dropFirst().contains { index in
        guard line[index] == UInt8(ascii: "!") else { return false }
        let isValue = isName(line[index - 1]) || [UInt8](")]\"`>".utf8).contains(line[index - 1])
        let isInequality = index + 1 < line.count && line[index + 1] == UInt8(ascii: "=")
        return isValue && !isInequality
    }
}
