// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// `./quickstart --down` on what an earlier run has left.
@Suite struct QuickstartTests {
    @Test
    func `--down ends the playground's daemons and no process that has got a number of theirs`()
        throws
    {
        let folder = try TemporaryFolder()
        // The script knows its folder without a doubled slash.
        let top = URL(fileURLWithPath: folder.path).standardizedFileURL.path
        let script = top + "/quickstart"
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("quickstart").path
        try FileManager.default.copyItem(atPath: source, toPath: script)
        let run = top + "/playground/alpha/run"
        try FileManager.default.createDirectory(
            atPath: run,
            withIntermediateDirectories: true
        )
        let stranger = Process()
        stranger.executableURL = URL(fileURLWithPath: "/bin/sleep")
        stranger.arguments = ["100"]
        try stranger.run()
        defer { kill(stranger.processIdentifier, SIGKILL) }
        let own = DaemonProcess(name: "own", folder: folder.path)
        try own.start(
            Program.own("bsrd"),
            ["--node", "alpha", "--run-dir", run],
            endsWithInput: false
        ) { FileManager.default.fileExists(atPath: run + "/nbd.sock") }
        // The same program for another playground, and another program.
        let other = DaemonProcess(name: "other", folder: folder.path)
        let otherRun = top + "/run"
        try other.start(
            Program.own("bsrd"),
            ["--node", "alpha", "--run-dir", otherRun],
            endsWithInput: false
        ) { FileManager.default.fileExists(atPath: otherRun + "/nbd.sock") }
        for (place, name, number) in [
            ("alpha", "bsrd", own.identifier), ("beta", "bsrd", other.identifier),
            ("link", "drxsim", stranger.processIdentifier),
        ] {
            let path = "\(top)/playground/\(place)"
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true
            )
            try "\(try #require(number))\n".write(
                toFile: "\(path)/\(name).pid",
                atomically: true,
                encoding: .utf8
            )
        }
        let output = try Program.run(script, ["--down"], in: top)
        #expect(output.exitCode == 0, "\(output.everything)")
        #expect(!FileManager.default.fileExists(atPath: "\(top)/playground"))
        #expect(stranger.isRunning)
        try other.kill()
        #expect(waitUntil(within: .seconds(5)) { !own.hasProcess })
        // Takes its status: a child that nobody waits for keeps the testing library busy.
        try own.kill()
    }
}
