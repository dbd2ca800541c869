// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// What all programs have in common on their command lines.
struct CommandLineTests {
    private static let programs = [
        "bsrd", "drxd", "bsradm", "bsrsetup", "bsrmeta", "drxctl", "drxsim", "bsr-sim",
    ]

    @Test("every program says its version in one form", arguments: programs)
    func version(_ name: String) throws {
        for option in ["--version", "-V"] {
            let output = try Program.run(Program.own(name), [option])
            #expect(output.exitCode == 0, "\(output.everything)")
            #expect(output.text == "\(name) (bsr) 0.1.0\n")
        }
    }

    @Test(
        "a wrong command line has one exit code in each family of tools",
        arguments: [
            ("bsrd", 64), ("drxd", 64), ("drxctl status", 64), ("drxsim", 64), ("bsr-sim", 64),
            ("bsradm up", 1), ("bsrsetup", 20), ("bsrmeta", 20),
        ]
    )
    func usage(_ line: String, _ exitCode: Int32) throws {
        let words = line.split(separator: " ").map(String.init)
        let output = try Program.run(
            Program.own(words[0]),
            words.dropFirst() + ["--no-such-option"]
        )
        #expect(output.exitCode == exitCode, "\(output.everything)")
        #expect(output.errors.contains("no-such-option"), "\(output.errors)")
        #expect(output.text == "")
    }

    @Test(
        "TOOL-02 the simulators take the common options in front of the verb, too",
        arguments: ["-c", "--config", "--config-file"]
    )
    func commonOptions(_ option: String) throws {
        let common = [option, "/nowhere", "--node", "alpha", "--run-dir", "/nowhere"]
        let folder = try TemporaryFolder()
        let link = try Program.run(
            Program.own("drxsim"),
            common + ["control", folder.file("none"), "counters"]
        )
        #expect(link.exitCode == 1, "\(link.everything)")
        #expect(link.errors.contains("no link answers at"), "\(link.errors)")
        let world = try Program.run(Program.own("bsr-sim"), common + ["--seed", "1"])
        #expect(world.text.contains("1 worlds"), "\(world.everything)")
    }

    @Test("a write beyond ulimit -f is an error of bsrmeta, not its end")
    func metadataBeyondLimit() throws {
        let folder = try TemporaryFolder()
        let disk = folder.file("disk")
        _ = FileManager.default.createFile(atPath: disk, contents: nil)
        truncate(disk, 16 << 20)
        let words =
            Program.limitingFiles(toBlocks: 2048) + [
                Program.own("bsrmeta"), "--state-dir", folder.path, "1", "v09", disk, "internal",
                "create-md", "1",
            ]
        let output = try Program.run(words[0], Array(words.dropFirst()))
        #expect(output.exitCode == 10, "\(output.everything)")
        #expect(output.errors.contains("pwrite(\(disk)) failed: File too large"))
    }
}
