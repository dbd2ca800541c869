// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// `bsradm` running backend tools, which here are scripts that note their arguments and answer as
/// they are told.
struct BsradmExecutionTests {
    private static let file = """
        resource r0 { device minor 1; disk /dev/a;
        on alpha { node-id 0; address 10.0.0.1:7789; }
        on beta { node-id 1; address 10.0.0.2:7789; } }
        resource r1 { volume 0 { device minor 2; disk /dev/b; }
        volume 1 { device minor 3; disk /dev/c; }
        on alpha { node-id 0; address 10.0.0.1:7790; }
        on beta { node-id 1; address 10.0.0.2:7790; } }
        """

    /// The backend tools, which answer the calls that match a pattern with an exit code.
    private struct Site {
        let folder: TemporaryFolder

        init(
            _ answers: [(pattern: String, exitCode: Int)],
            show: String = "",
            states: [String: String] = [:],
            lines: String = ""
        ) throws {
            self.folder = try TemporaryFolder()
            let text = BsradmExecutionTests.file.replacing(
                "resource r0 {",
                with: "resource r0 { " + lines
            )
            try Self.write(text, self.folder.file("t.res"))
            try Self.write(show, self.folder.file("show"))
            for tool in ["bsrsetup", "bsrmeta"] {
                var script = "#!/bin/sh\necho \"\(tool) $*\" >> '\(self.folder.file("log"))'\n"
                script += "case \"\(tool) $*\" in\n"
                for answer in answers {
                    script += "*\"\(answer.pattern)\"*) echo \"\(tool) says no\" >&2; "
                    script += "exit \(answer.exitCode);;\n"
                }
                for (minor, state) in states {
                    script += "*' dstate \(minor)') echo '\(state)';;\n"
                }
                script += "*' show '*) cat '\(self.folder.file("show"))';;\nesac\n"
                try Self.write(script, self.folder.file(tool))
                try FileManager.default.setAttributes(
                    [.posixPermissions: 0o755],
                    ofItemAtPath: self.folder.file(tool)
                )
            }
        }

        private static func write(_ text: String, _ path: String) throws {
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }

        /// Runs `bsradm` and returns what the backend was called with.
        func run(_ line: String) throws -> (result: Oracle.Output, calls: [String]) {
            let arguments = [
                "-c", self.folder.file("t.res"), "--node", "alpha", "--run-dir", "/run/x", "-s",
                self.folder.file("bsrsetup"), "-m", self.folder.file("bsrmeta"),
            ]
            let words = line.split(separator: " ").map(String.init)
            let result = try Oracle.bsradm(arguments + words)
            let log = try? String(contentsOfFile: self.folder.file("log"), encoding: .utf8)
            let calls = (log ?? "").split(separator: "\n").map(String.init)
            return (result, calls)
        }
    }

    private static let global = "bsrsetup --run-dir /run/x --node alpha "

    @Test("TOOL-02 bsradm passes run directory and node to bsrsetup, and the device to bsrmeta")
    func passesOptions() throws {
        let (result, calls) = try Site([]).run("attach r0")
        #expect(result.exitCode == 0)
        #expect(
            calls == [
                Self.global + "dstate 1", "bsrmeta 1 v09 /dev/a internal apply-al",
                Self.global + "attach 1 /dev/a /dev/a internal",
            ]
        )
    }

    @Test
    func `attach of a volume that has its disk is the engine's to refuse`() throws {
        let site = try Site([("attach 2", 10)], states: ["2": "UpToDate/DUnknown"])
        let (result, calls) = try site.run("attach r1")
        #expect(result.exitCode == 10)
        #expect(
            calls.filter { !$0.contains(" dstate ") } == [
                Self.global + "attach 2 /dev/b /dev/b internal",
                "bsrmeta 3 v09 /dev/c internal apply-al",
                Self.global + "attach 3 /dev/c /dev/c internal",
            ]
        )
    }

    @Test("TOOL-03 a dry run calls nothing")
    func dryRun() throws {
        let (result, calls) = try Site([]).run("-d up all")
        #expect(result.exitCode == 0)
        #expect(result.text.split(separator: "\n").count == 17)
        #expect(calls.isEmpty)
    }

    @Test("TOOL-15 up creates everything, stage by stage over all resources")
    func up() throws {
        let (result, calls) = try Site([("role r", 10)]).run("up all")
        #expect(result.exitCode == 0)
        let verbs = calls.filter { !$0.contains(" role ") }.map { call in
            call.replacing(Self.global, with: "").split(separator: " ").prefix(2)
                .joined(separator: " ")
        }
        #expect(
            verbs == [
                "new-resource r0", "new-resource r1", "new-minor r0", "new-minor r1",
                "new-minor r1", "new-peer r0", "new-peer r1", "new-path r0", "new-path r1",
                "bsrmeta 1", "attach 1", "bsrmeta 2", "attach 2", "bsrmeta 3", "attach 3",
                "connect r0", "connect r1",
            ]
        )
    }

    @Test("TOOL-15 up of a resource that runs only adjusts it")
    func upAgain() throws {
        let show = """
            resource "r0" { _this_host { node-id 0; volume 0 { device minor 1; disk "/dev/a";
            meta-disk internal; } } connection { _peer_node_id 1; _is_standalone;
            path { _this_host ipv4 10.0.0.1:7789; _remote_host ipv4 10.0.0.2:7789; }
            net { _name "beta"; } } }
            """
        let (result, calls) = try Site([], show: show).run("up r0")
        #expect(result.exitCode == 0)
        #expect(calls.last == Self.global + "connect r0 1")
        let changes = calls.filter { !$0.contains(" role ") && !$0.contains(" show ") }
        #expect(changes.count == 1)
    }

    @Test
    func `a resource that fails does not keep the others down`() throws {
        let site = try Site([("role r", 10), ("new-minor r0", 10)])
        let (result, calls) = try site.run("up all")
        #expect(result.exitCode == 10)
        #expect(!calls.contains { $0.contains("new-peer r0") || $0.contains("attach 1") })
        #expect(calls.contains { $0.contains("attach 3") })
        #expect(calls.last == Self.global + "connect r1 1")
        #expect(result.errors.contains("'bsrsetup new-minor r0 1 0' terminated with exit code 10"))
        #expect(result.errors.contains("r0: not carried out completely"))
        #expect(!result.errors.contains("r1: not"))
    }

    @Test
    func `a resource that up refuses, or that can not be compared, leaves the others alone`() throws
    {
        let refused = try Site([("role r", 10)], lines: "options { persist-role yes; }")
        let (first, calls) = try refused.run("up all")
        #expect(first.exitCode == 10)
        #expect(first.errors.contains("r0: persist-role yes is not supported yet"))
        #expect(!calls.contains { $0.contains("new-resource r0") })
        #expect(calls.last == Self.global + "connect r1 1")

        let unreadable = try Site([("role r1", 10)], show: "resource {")
        let (second, later) = try unreadable.run("adjust all")
        #expect(second.exitCode == 20)
        #expect(second.errors.contains("r0: bsrsetup show:1: Parse error"))
        #expect(later.last == Self.global + "connect r1 1")
    }

    @Test
    func `up and adjust name what has no effect yet, in one line`() throws {
        let site = try Site([("role r", 10)], lines: "net { max-buffers 8k; tcp-cork no; }")
        for line in ["up all", "adjust all"] {
            let (result, _) = try site.run(line)
            #expect(result.exitCode == 0)
            #expect(
                result.errors
                    == "resource r0: accepted, without effect yet: tcp-cork, max-buffers\n"
            )
        }
        #expect(try site.run("-d up all").result.errors == "")
    }

    @Test
    func `no attach without metadata, but the other volume is attached`() throws {
        let site = try Site([("bsrmeta 2 ", 20), ("role r", 10)])
        let (result, calls) = try site.run("up r1")
        #expect(result.exitCode == 20)
        #expect(!calls.contains { $0.contains("attach 2") })
        #expect(calls.contains { $0.contains("attach 3") })
        #expect(!calls.contains { $0.contains("connect") })
    }

    @Test(arguments: [10, 11, 16, 17, 20])
    func `the backend's exit code is passed on`(code: Int) throws {
        let (result, calls) = try Site([("primary r0", code)]).run("primary r0")
        #expect(Int(result.exitCode) == code)
        #expect(calls.count == 1)
        #expect(result.errors.contains("bsrsetup says no"))
    }

    @Test
    func `bsrmeta acts if the engine does not have the volume`() throws {
        let (result, calls) = try Site([("bsrsetup --run-dir", 10)]).run("outdate r0")
        #expect(result.exitCode == 0)
        #expect(calls.last == "bsrmeta 1 v09 /dev/a internal outdate")
        #expect(!result.errors.contains("says no"))
    }

    @Test(arguments: [11, 17])
    func `bsrmeta does not act against the engine's decision`(code: Int) throws {
        let (result, calls) = try Site([("outdate r0", code)]).run("outdate r0")
        #expect(Int(result.exitCode) == code)
        #expect(calls.count == 1)
        #expect(result.errors.contains("bsrsetup says no"))
    }

    @Test
    func `both reasons are told if neither tool could act`() throws {
        let (result, _) = try Site([("outdate", 20)]).run("outdate r0")
        #expect(result.exitCode == 20)
        #expect(result.errors.contains("bsrsetup says no"))
        #expect(result.errors.contains("bsrmeta says no"))
    }

    @Test
    func `adjust changes nothing if the engine's state can not be read`() throws {
        let (result, calls) = try Site([], show: "resource {").run("adjust r0")
        #expect(result.exitCode == 20)
        #expect(result.errors.contains("bsrsetup show:1: Parse error"))
        #expect(calls.allSatisfy { $0.contains(" role ") || $0.contains(" show ") })
    }

    @Test
    func `a missing backend tool is named`() throws {
        let site = try Site([])
        try FileManager.default.removeItem(atPath: site.folder.file("bsrsetup"))
        let (result, _) = try site.run("primary r0")
        #expect(result.exitCode == 20)
        #expect(result.errors.contains("Can not exec"))
        #expect(result.errors.contains("bsrsetup"))
    }

    @Test("TOOL-29 sh-dev prints the NBD address of each volume")
    func shellDevice() throws {
        let (result, calls) = try Site([]).run("sh-dev r1 r0/0")
        #expect(
            result.text == """
                nbd+unix:///r1/0?socket=/run/x/nbd.sock
                nbd+unix:///r1/1?socket=/run/x/nbd.sock
                nbd+unix:///r0/0?socket=/run/x/nbd.sock

                """
        )
        #expect(calls.isEmpty)
    }

    @Test
    func `help and version work without any file`() throws {
        let help = try Oracle.bsradm(["--help"])
        #expect(help.exitCode == 0)
        #expect(help.text.hasPrefix("USAGE: bsradm"))
        #expect(try Oracle.bsradm(["help", "primary"]).text.contains("--force"))
        #expect(try Oracle.bsradm(["--version"]).text.hasPrefix("bsradm"))
        let missing = try Oracle.bsradm(["-c", "/nonexistent/bsr.conf", "up", "r0"])
        #expect(missing.exitCode == 20)
        #expect(missing.errors.contains("Can not open '/nonexistent/bsr.conf': No such file"))
    }
}
