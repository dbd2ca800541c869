// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// What is refused, with a sentence that says what is wrong, and harms nothing.
@Suite(.serialized) struct RefusalTests {
    @Test("RES-10 a disk in use is refused to a second engine and to bsrmeta")
    func locks() throws {
        let sites = try TwoSites()
        try sites.bringUp()
        try sites.run("bsradm", .beta, "down r0")
        let text = try String(contentsOfFile: sites.configuration, encoding: .utf8)
            .replacingOccurrences(of: sites.disk(.beta), with: sites.disk(.alpha))
        try text.write(toFile: sites.configuration, atomically: true, encoding: .utf8)
        let second = try sites.tool("bsradm", .beta, "up r0")
        #expect(second.exitCode != 0)
        #expect(second.errors.contains(sites.disk(.alpha)), "\(second.errors)")
        let disk = sites.disk(.alpha)
        // As with drbdmeta, only --force shows what a running engine may change meanwhile.
        for verb in ["dump-md", "--force apply-al", "--force wipe-md", "--force create-md 1"] {
            let words = verb.split(separator: " ").map(String.init)
            let output = try Program.run(
                Program.own("bsrmeta"),
                words.filter { $0 == "--force" } + ["1", "v09", disk, "internal"]
                    + words.filter { $0 != "--force" }
            )
            #expect(output.exitCode == 20, "\(verb): \(output.everything)")
            #expect(output.errors.contains(disk), "\(verb): \(output.errors)")
        }
        try sites.run("bsradm", .alpha, "down r0")
        try sites.run("bsradm", .alpha, "up r0")
    }

    @Test("attaching a disk that lacks what the application has seen says what to do")
    func outdatedDisk() throws {
        let sites = try TwoSites()
        try sites.replicate()
        try sites.run("bsradm", .alpha, "detach r0")
        let written = try Tool.qemuIO.run([
            "-f", "raw", "-c", "write -P 7 0 64k", sites.uri(.alpha),
        ])
        #expect(written.exitCode == 0, "\(written.everything)")
        try sites.engine(.beta).kill()
        let waited = try sites.tool("bsradm", .alpha, "disconnect r0 --force")
        #expect(waited.exitCode == 0, "\(waited.everything)")
        let refused = try sites.tool("bsradm", .alpha, "attach r0")
        #expect(refused.exitCode == 10)
        for part in ["(150)", "newer data", "bsradm connect r0", "bsradm secondary r0"] {
            #expect(refused.errors.contains(part), "\(refused.errors)")
        }
        try sites.run("bsradm", .alpha, "secondary r0")
        try sites.run("bsradm", .alpha, "attach r0/0")
    }

    @Test("metadata that is not found is no reason to make new one over data")
    func truncatedDisk() throws {
        let sites = try TwoSites()
        try sites.bringUp()
        try sites.run("bsradm", .alpha, "detach r0")
        let disk = sites.disk(.alpha)
        truncate(disk, 8 << 20)
        let refused = try sites.tool("bsradm", .alpha, "attach r0")
        #expect(refused.exitCode != 0)
        #expect(refused.errors.contains("found on \(disk)"), "\(refused.errors)")
        #expect(
            refused.errors.contains("if it held data, do not: check its size"),
            "\(refused.errors)"
        )
        let attached = try sites.tool("bsrsetup", .alpha, "attach 1 \(disk) \(disk) internal")
        #expect(attached.exitCode == 10)
        #expect(
            attached.errors.contains("if it held data, do not: check its size"),
            "\(attached.errors)"
        )
    }

    @Test(
        "TOOL-06 what is not supported yet is refused by up, and named",
        arguments: [
            ("net { data-integrity-alg crc32c; }", "data-integrity-alg"),
            ("net { csums-alg crc32c; }", "csums-alg"),
            ("net { verify-alg crc32c; }", "verify-alg"),
            ("net { after-sb-0pri discard-zero-changes; }", "after-sb-0pri"),
            ("net { allow-two-primaries yes; }", "allow-two-primaries"),
            ("options { quorum majority; }", "quorum"),
            ("options { on-no-data-accessible suspend-io; }", "on-no-data-accessible"),
            ("options { auto-promote yes; }", "auto-promote"),
            ("options { persist-role yes; }", "persist-role"),
            ("disk { disk-timeout 10; }", "disk-timeout"),
            ("disk { al-updates no; }", "al-updates"),
            ("disk { on-io-error call-local-io-error; }", "on-io-error"),
        ]
    )
    func unsupported(_ lines: String, _ option: String) throws {
        let sites = try TwoSites(TwoSites.Layout(lines: lines))
        try sites.startEngine(.alpha)
        try sites.run("bsradm", .alpha, "create-md r0")
        let output = try sites.tool("bsradm", .alpha, "up r0")
        #expect(output.exitCode != 0)
        #expect(output.errors.contains(option), "\(output.errors)")
    }

    @Test("the engine refuses options by itself, and logs which have no effect")
    func unsupportedByEngine() throws {
        let sites = try TwoSites()
        try sites.startEngine(.alpha)
        try sites.run("bsrsetup", .alpha, "new-resource r9 0 --cpu-mask=3")
        let notice = "resource r9: accepted, without effect yet: cpu-mask"
        #expect(sites.engine(.alpha).log.contains(notice))
        try sites.run("bsrsetup", .alpha, "new-minor r9 9 0")
        try sites.run("bsrsetup", .alpha, "new-peer r9 1 --_name=beta")
        let disk = sites.disk(.alpha)
        for (line, option) in [
            ("resource-options r9 --persist-role=yes", "persist-role yes"),
            ("new-resource r8 0 --quorum=majority", "quorum majority"),
            ("attach 9 \(disk) \(disk) internal --al-updates=no", "al-updates no"),
            ("disk-options 9 --disk-timeout=10", "disk-timeout 10"),
            ("net-options r9 1 --fencing=resource-only", "fencing resource-only"),
        ] {
            let output = try sites.tool("bsrsetup", .alpha, line)
            #expect(output.exitCode == 10, "\(line): \(output.everything)")
            #expect(output.errors.contains("\(option) is not supported yet"), "\(output.errors)")
        }
        let line =
            "net-options r9 1 --fencing=resource-only --verify-alg=md5 --after-sb-1pri=consensus"
        let output = try sites.tool("bsrsetup", .alpha, line)
        #expect(output.exitCode == 10)
        for option in ["fencing resource-only", "verify-alg md5", "after-sb-1pri consensus"] {
            #expect(output.errors.contains("\(option) is not supported yet"), "\(output.errors)")
        }
    }

    @Test("TOOL-23 invalidate refuses another source, and to keep the bitmap, and changes nothing")
    func invalidateOptions() throws {
        let sites = try TwoSites()
        try sites.replicate()
        for (tool, line, reason) in [
            ("bsradm", "invalidate r0 --sync-from-peer-node-id=7", "r0: no peer has node id 7"),
            ("bsradm", "invalidate r0 --reset-bitmap=no", "--reset-bitmap=no is not supported"),
            (
                "bsradm", "invalidate-remote r0 --reset-bitmap=no",
                "--reset-bitmap=no is not supported"
            ),
            (
                "bsrsetup", "invalidate 1 --sync-from-peer-node-id=7",
                "r0 cannot be copied from node 7: its peer is node 0"
            ),
            ("bsrsetup", "invalidate 1 --reset-bitmap=no", "--reset-bitmap=no is not supported"),
            (
                "bsrsetup", "invalidate-remote r0 0 0 --reset-bitmap=no",
                "--reset-bitmap=no is not supported"
            ),
        ] {
            let output = try sites.tool(tool, .beta, line)
            #expect(output.exitCode == 10, "\(line): \(output.everything)")
            #expect(output.errors.contains(reason), "\(output.errors)")
        }
        try sites.waitForStatus(.alpha, sites.healthy(.alpha))
        try sites.run(
            "bsradm",
            .beta,
            "invalidate r0 --sync-from-peer-node-id=0 --reset-bitmap=yes"
        )
        try sites.waitForStatus(.alpha, sites.healthy(.alpha))
    }

    /// What is in the disk's place, and what `up` says about it besides the path.
    enum BadDisk: String, CaseIterable {
        case nothing, folder, tooSmall, held, withoutMetadata

        var says: [String] {
            switch self {
            case .nothing: ["No such file or directory", "create it, or correct 'disk'"]
            case .folder: ["neither a block device nor a regular file", "correct 'disk'"]
            case .tooSmall: ["only 1000 bytes", "at least 69632", "correct 'disk'"]
            case .held: ["is configured", "take the volume down or detach it first"]
            case .withoutMetadata: ["bsradm create-md r0", "if it held data, do not"]
            }
        }
    }

    @Test("TOOL-06 up says what is wrong with a disk, and what to do", arguments: BadDisk.allCases)
    func badDisk(_ what: BadDisk) throws {
        let sites = try TwoSites()
        let disk = sites.disk(.alpha)
        var held: Int32 = -1
        defer { close(held) }
        switch what {
        case .nothing: unlink(disk)
        case .folder:
            unlink(disk)
            mkdir(disk, 0o700)
        case .tooSmall: truncate(disk, 1000)
        case .held:
            held = open(disk, O_RDWR | O_CLOEXEC)
            #expect(flock(held, LOCK_EX | LOCK_NB) == 0)
        case .withoutMetadata: break
        }
        try sites.startEngine(.alpha)
        let output = try sites.tool("bsradm", .alpha, "up r0")
        #expect(output.exitCode != 0)
        for part in what.says + [disk, "once that is mended: bsradm adjust r0"] {
            #expect(output.errors.contains(part), "no '\(part)' in \(output.errors)")
        }
    }

    @Test("without metadata, or with a disk too small, up says what to do")
    func noMetadata() throws {
        let sites = try TwoSites()
        try sites.startEngine(.alpha)
        let output = try sites.tool("bsradm", .alpha, "up r0")
        #expect(output.exitCode != 0)
        #expect(output.errors.contains("run: bsradm create-md r0"), "\(output.errors)")
        try sites.run("bsradm", .alpha, "create-md r0")
        try sites.run("bsradm", .alpha, "up r0")
    }

    @Test("TOOL-14 a tool without its daemon says so")
    func noDaemon() throws {
        let sites = try TwoSites()
        for (tool, daemon) in [("bsrsetup", "bsrd"), ("drxctl", "drxd")] {
            let output = try sites.tool(tool, .alpha, "status")
            #expect(output.exitCode == 20, "\(output.everything)")
            #expect(output.errors.contains("cannot reach \(daemon) at"), "\(output.errors)")
        }
    }

    @Test("a second daemon on the same run directory is refused, the first one goes on")
    func secondDaemon() throws {
        let sites = try TwoSites()
        try sites.startEngine(.alpha)
        let second = try Program.run(
            Program.own("bsrd"),
            ["--run-dir", sites.runDirectory(.alpha)]
        )
        #expect(second.exitCode == 20)
        #expect(second.errors.contains("another bsrd is running"), "\(second.errors)")
        try sites.run("bsrsetup", .alpha, "status")
        #expect(FileManager.default.fileExists(atPath: sites.runDirectory(.alpha) + "/nbd.sock"))
    }
}
