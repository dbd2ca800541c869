// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// A resource from `create-md` to `down`, by the commands an administrator types.
@Suite(.serialized) struct LifeTests {
    @Test("TOOL-01 TOOL-16 TOOL-18 TOOL-30 ROLE-13 a resource from create-md to down")
    func life() throws {
        let sites = try TwoSites()
        try sites.bringUp()
        try sites.run("bsradm", .alpha, "up all")
        try sites.waitForStatus(
            .alpha,
            """
            r0 role:Secondary
              disk:Inconsistent
              beta role:Secondary
                peer-disk:Inconsistent


            """
        )
        try sites.run("bsradm", .alpha, "primary --force r0")
        try sites.run("bsradm", .beta, "wait-sync r0")
        try sites.waitForStatus(.alpha, sites.healthy(.alpha))
        try sites.waitForStatus(.beta, sites.healthy(.beta))
        try sites.run("bsradm", .alpha, "down r0")
        #expect(
            try sites.run("bsradm", .alpha, "status") == "# No currently configured DRBD found.\n"
        )
        try sites.waitForStatus(
            .beta,
            """
            r0 role:Secondary
              disk:UpToDate
              alpha connection:Connecting


            """
        )
        try sites.run("bsradm", .alpha, "up r0")
        try sites.run("bsradm", .alpha, "wait-connect r0")
        try sites.run("bsradm", .beta, "primary r0")
        try sites.waitForStatus(
            .beta,
            """
            r0 role:Primary
              disk:UpToDate
              alpha role:Secondary
                peer-disk:UpToDate


            """
        )
        try sites.engine(.alpha).stop()
        try sites.engine(.beta).stop()
        #expect(try sites.areLeftBehind() == false)
    }

    @Test(
        "TOOL-05 a refused change of state says why, with drbdsetup's exit codes",
        arguments: [
            (
                "primary r0", 11,
                "State change failed: (-1) Multiple primaries not allowed by config"
            ),
            (
                "primary --force r0", 11,
                "State change failed: (-1) Multiple primaries not allowed by config"
            ),
        ]
    )
    func refusals(_ line: String, _ exitCode: Int32, _ sentence: String) throws {
        let sites = try TwoSites()
        try sites.replicate()
        let output = try sites.tool("bsradm", .beta, line)
        #expect(output.exitCode == exitCode)
        #expect(output.errors.contains(sentence), "\(output.errors)")
        try sites.waitForStatus(.beta, sites.healthy(.beta))
    }

    @Test("ROLE-14 TOOL-17 a node without UpToDate data is not promoted")
    func promotionNeedsData() throws {
        let sites = try TwoSites()
        try sites.bringUp()
        let fresh = try sites.tool("bsradm", .alpha, "primary r0")
        #expect(fresh.exitCode == 17)
        #expect(
            fresh.errors.hasPrefix("r0: State change failed: (-2) Need access to UpToDate data\n"),
            "\(fresh.errors)"
        )
        #expect(fresh.errors.contains("bsradm primary --force r0"), "\(fresh.errors)")
        try sites.run("bsradm", .alpha, "primary --force r0")
        try sites.waitForStatus(.beta, sites.healthy(.beta))
        try sites.run("bsradm", .alpha, "secondary r0")
        try sites.run("bsradm", .beta, "disconnect r0")
        try sites.run("bsradm", .beta, "outdate r0")
        let outdated = try sites.tool("bsradm", .beta, "primary r0")
        #expect(outdated.exitCode == 17)
        #expect(!outdated.errors.contains("--force"), "\(outdated.errors)")
    }

    @Test("TOOL-26 SYNC-07 TOOL-23 disconnect, connect, invalidate and invalidate-remote")
    func connections() throws {
        let sites = try TwoSites()
        try sites.replicate()
        try sites.run("bsradm", .beta, "disconnect r0")
        try sites.waitForStatus(
            .beta,
            """
            r0 role:Secondary
              disk:Outdated
              alpha connection:StandAlone


            """
        )
        try sites.run("bsradm", .beta, "connect r0")
        try sites.waitForStatus(.beta, sites.healthy(.beta))
        try sites.run("bsradm", .beta, "invalidate r0")
        try sites.run("bsradm", .beta, "wait-sync r0")
        try sites.waitForStatus(.beta, sites.healthy(.beta))
        try sites.run("bsradm", .alpha, "invalidate-remote r0")
        try sites.run("bsradm", .beta, "wait-sync r0")
        try sites.waitForStatus(.alpha, sites.healthy(.alpha))
        #expect(try sites.areEqual())
    }

    @Test("RES-04 SYNC-08 a resource of three volumes is copied and shown volume by volume")
    func volumes() throws {
        let sites = try TwoSites(TwoSites.Layout(volumes: [8 << 20, 4 << 20, 6 << 20]))
        try sites.replicate()
        try sites.waitForStatus(.beta, sites.healthy(.beta))
        for volume in 0..<3 { #expect(try sites.areEqual(volume)) }
    }

    @Test("ROLE-09 a device in use is not demoted, --force disconnects its clients")
    func demotionInUse() throws {
        let sites = try TwoSites()
        try sites.replicate()
        let client = DaemonProcess(name: "client", folder: sites.folder.path)
        try client.start(
            Tool.qemuNBD.path ?? "",
            ["-t", "-f", "raw", "-k", sites.folder.file("again.sock"), sites.uri(.alpha)],
            endsWithInput: false
        ) { FileManager.default.fileExists(atPath: sites.folder.file("again.sock")) }
        let refused = try sites.tool("bsradm", .alpha, "secondary r0")
        #expect(refused.exitCode == 11)
        #expect(
            refused.errors.contains("(-12) Device is held open by someone"),
            "\(refused.errors)"
        )
        #expect(refused.errors.contains("bsradm secondary --force r0"), "\(refused.errors)")
        try sites.run("bsradm", .alpha, "secondary --force r0")
        try sites.run("bsradm", .beta, "primary r0")
        try client.kill()
    }
}
