// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Changes of the resource file that `bsradm adjust` brings to a running pair.
@Suite(.serialized) struct ChangeTests {
    @Test("TOOL-27 adjust adds a volume to a connected resource, and it gets its copy")
    func addVolume() throws {
        let sites = try TwoSites()
        try sites.replicate()
        for node in TwoSites.Node.allCases {
            _ = FileManager.default.createFile(atPath: sites.disk(node, 1), contents: nil)
            truncate(sites.disk(node, 1), 16 << 20)
        }
        try sites.edit { text in
            var text = text.replacingOccurrences(
                of: "volume 0 { device",
                with: "volume 1 { device minor 2; meta-disk internal; }\nvolume 0 { device"
            )
            for node in TwoSites.Node.allCases {
                text = text.replacingOccurrences(
                    of: "volume 0 { disk \(sites.disk(node)); }",
                    with: "volume 0 { disk \(sites.disk(node)); }\n"
                        + "volume 1 { disk \(sites.disk(node, 1)); }"
                )
            }
            return text
        }
        try sites.run("bsradm", .alpha, "create-md r0/1")
        try sites.run("bsradm", .alpha, "adjust r0")
        // Not yet of the peer, and not yet of an application.
        let early = try Tool.qemuIO.run(
            ["-f", "raw", "-c", "write 0 4k", sites.uri(.alpha, 1)]
        )
        #expect(
            early.errors.contains("r0/1 was added while r0 was Primary"),
            "\(early.everything)"
        )
        let refused = try sites.tool("bsradm", .alpha, "primary r0")
        #expect(refused.exitCode == 17, "\(refused.everything)")
        try sites.run("bsradm", .beta, "create-md r0/1")
        try sites.run("bsradm", .beta, "adjust r0")
        try sites.run("bsradm", .alpha, "primary --force r0")
        let healthy = """
            r0 role:Primary
              volume:0 disk:UpToDate
              volume:1 disk:UpToDate
              beta role:Secondary
                volume:0 peer-disk:UpToDate
                volume:1 peer-disk:UpToDate


            """
        try sites.waitForStatus(.alpha, healthy)
        let write = try Tool.qemuIO.run(
            ["-f", "raw", "-c", "write -P 7 1M 64k", "-c", "flush", sites.uri(.alpha, 1)]
        )
        #expect(write.exitCode == 0 && !write.text.contains("failed"), "\(write.everything)")
        #expect(try sites.areEqual(1))
        let log = sites.engine(.alpha).log
        #expect(!log.contains("to beta lost:") && !log.contains("StandAlone:"), "\(log)")
        // A new connection knows both.
        try sites.run("bsradm", .beta, "disconnect r0")
        try sites.run("bsradm", .beta, "connect r0")
        try sites.run("bsradm", .alpha, "connect r0")
        try sites.waitForStatus(.alpha, healthy)
    }

    @Test("adjust refuses another size of a running volume before it does anything")
    func size() throws {
        let sites = try TwoSites()
        try sites.replicate()
        let shown = try sites.run("bsrsetup", .alpha, "show r0")
        try sites.edit {
            $0.replacingOccurrences(
                of: "meta-disk internal;",
                with: "meta-disk internal; disk { size 8M; al-extents 67; }"
            ).replacingOccurrences(of: "protocol C;", with: "protocol C; ping-timeout 7;")
        }
        for verb in ["adjust", "up"] {
            let output = try sites.tool("bsradm", .alpha, "\(verb) r0")
            #expect(output.exitCode == 10, "\(output.everything)")
            #expect(output.errors.contains("r0: minor 1: 'size'"), "\(output.errors)")
            #expect(output.errors.contains("Nothing was changed of it."), "\(output.errors)")
        }
        #expect(try sites.run("bsrsetup", .alpha, "show r0") == shown)
        #expect(try sites.run("bsradm", .alpha, "--dry-run adjust r0").contains("resize 1"))
    }

    @Test("a command that waits for a peer holds up no other resource")
    func otherResources() throws {
        let sites = try TwoSites()
        try sites.replicate()
        let beta = try #require(sites.engine(.beta).identifier)
        kill(beta, SIGSTOP)
        defer { kill(beta, SIGCONT) }
        let waiting = Process()
        waiting.executableURL = URL(fileURLWithPath: Program.own("bsrsetup"))
        waiting.arguments = ["--run-dir", sites.runDirectory(.alpha), "disconnect", "r0", "1"]
        waiting.standardError = FileHandle.nullDevice
        try waiting.run()
        let begin = ContinuousClock.now
        for verb in [
            "new-resource other 0", "new-minor other 9 0", "del-minor 9", "del-resource other",
        ] {
            try sites.run("bsrsetup", .alpha, verb)
        }
        #expect(waiting.isRunning, "the others were not held up: \(ContinuousClock.now - begin)")
        kill(beta, SIGCONT)
        waiting.waitUntilExit()
        #expect(waiting.terminationStatus == 0)
    }

    @Test("wait-sync and wait-connect say what they wait for")
    func waiting() throws {
        let sites = try TwoSites()
        try sites.replicate()
        try sites.engine(.beta).kill()
        for verb in ["wait-sync-resource", "wait-connect-resource"] {
            let output = try sites.tool("bsrsetup", .alpha, "\(verb) r0 --wfc-timeout=1")
            #expect(output.exitCode == 5)
            #expect(
                output.errors.contains("r0: waits: beta is not connected ("),
                "\(output.errors)"
            )
            #expect(output.errors.contains("gave up after 1 s (--wfc-timeout)"))
        }
        try sites.run("bsradm", .alpha, "disconnect r0")
        let output = try sites.tool("bsrsetup", .alpha, "wait-sync-resource r0")
        #expect(output.exitCode == 5)
        #expect(output.errors.contains("bsradm connect r0"), "\(output.errors)")
    }
}
