// SPDX-License-Identifier: Apache-2.0

import Testing

/// The rules' own readers, on texts that must and must not be found.
struct SelfTests {
    @Test(
        arguments: [
            ("a // b", "a     "),
            ("a /* b /* c */ d */ e", "a                   e"),
            (#"f("x // y")"#, #"f("      ")"#),
            (#"f("a\"b")"#, #"f("    ")"#),
            (#"f("a\(g("b!"))c!")"#, #"f("  (g("  "))  ")"#),
            ("f(\"\"\"\n x\n \"\"\")", "f(\"\"\"\n  \n \"\"\")"),
            ("f(#\"a\"b\"#)", "f(#\"   \"#)"),
            ("func `a \"b\"`()", "func `     `()"),
        ]
    )
    func `comments and literals are blanked`(text: String, code: String) {
        let file = SwiftFile(path: "a.swift", text: text)
        #expect(String(decoding: file.code, as: UTF8.self) == code)
    }

    @Test func `words are found as whole names only`() {
        let file = SwiftFile(path: "a.swift", text: "usleep(1); sleep(2) // sleep(3)\nx.sleep(4)")
        #expect(file.places(of: "sleep(") == [11, 34])
        #expect(file.line(of: 34) == 2)
    }

    @Test func `imports are read with every modifier`() {
        let text = """
            package import Wire
            @preconcurrency import struct Foundation.Data
            import Glibc
            let import_ = 1 // import No
            """
        let imports = SwiftFile(path: "a.swift", text: text).imports
        #expect(imports.map(\.module) == ["Wire", "Foundation", "Glibc"])
        #expect(imports.map(\.line) == [1, 2, 3])
    }

    @Test func `functions are measured from their first line to the closing brace`() {
        let text = """
            protocol P {
                func bodiless(x: Int) -> Int
                init()
            }
            struct S {
                var stored = { 1 }()
                var computed: Int {
                    1
                }
                init(
                    a: Int = [1].map { $0 }[0],
                    b: Int
                )
                    throws
                {
                    self.init(a)
                }
                static func == (a: S, b: S) -> Bool { "{" == "{" }
                func generic<T>(_ t: T) -> Int
                where T: P {
                    func inner() { _ = 1 }
                    return 1
                }
            }
            """
        let functions = SwiftFile(path: "a.swift", text: text).functions
        #expect(
            functions.sorted { $0.firstLine < $1.firstLine } == [
                FunctionExtent(firstLine: 7, lineCount: 3),
                FunctionExtent(firstLine: 10, lineCount: 8),
                FunctionExtent(firstLine: 18, lineCount: 1),
                FunctionExtent(firstLine: 19, lineCount: 5),
                FunctionExtent(firstLine: 21, lineCount: 1),
            ]
        )
    }

    @Test(
        arguments: [
            ("x!", true), ("f()!.y", true), ("a[1]! + 2", true), ("var x: T!", true),
            ("a != b", false), ("!x", false), ("f(!x)", false), ("a && !b", false),
            ("x!=y", false),
        ]
    )
    func `a force unwrap is told from a negation`(line: String, found: Bool) {
        #expect(hasForceUnwrap(Array(line.utf8)) == found)
    }

    @Test func `table cells keep escaped borders`() {
        #expect(tableCells("| a \\| b | `c` |") == ["a \\| b", "`c`"])
        #expect(codeSpans("x `y` z `w`") == ["y", "w"])
    }

    @Test func `an exception excuses what it covers, and is reported if that is nothing`() {
        let file = Allowance(rule: .trap, path: "A/B.swift", reason: "")
        let folder = Allowance(rule: .trap, path: "C/", reason: "")
        let other = Allowance(rule: .output, path: "A/B.swift", reason: "")
        let found = ["A/B.swift", "C/D.swift", "E.swift"].map {
            Finding(path: $0, line: 1, message: "")
        }
        let exceptions = [file, folder, other]
        #expect(unexcused(found, by: .trap, exceptions).map(\.path) == ["E.swift"])
        #expect(unexcused([], by: .trap, exceptions).count == 2)
        #expect(unexcused([], by: .sleep, exceptions).isEmpty)
    }
}
