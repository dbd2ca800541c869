// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// What the log tells an administrator of disks and connections that were lost.
@Suite(.serialized) struct FailureLogTests {
    private func waitForLog(_ sites: TwoSites, _ node: TwoSites.Node, _ text: String) {
        let isThere = waitUntil(within: .seconds(30)) { sites.engine(node).log.contains(text) }
        #expect(isThere, "no '\(text)' in\n\(sites.engine(node).log)")
    }

    @Test("why a connection was lost: the peer is gone, silent, or was told to disconnect")
    func connections() throws {
        let sites = try TwoSites()
        try sites.replicate()
        try sites.run("bsradm", .beta, "disconnect r0")
        self.waitForLog(sites, .alpha, "to beta lost: the peer's administrator disconnected")
        try sites.run("bsradm", .beta, "connect r0")
        try sites.waitForStatus(.alpha, sites.healthy(.alpha))
        let beta = try #require(sites.engine(.beta).identifier)
        kill(beta, SIGSTOP)
        self.waitForLog(sites, .alpha, "to beta lost: no answer to a ping for ping-timeout = ")
        kill(beta, SIGCONT)
        try sites.waitForStatus(.alpha, sites.healthy(.alpha))
        try sites.engine(.beta).kill()
        let isThere = waitUntil(within: .seconds(30)) {
            ["was closed by the peer", "failed: Connection reset by peer (104)"].contains {
                sites.engine(.alpha).log.contains("to beta lost: the data socket \($0)")
                    || sites.engine(.alpha).log.contains("to beta lost: the meta socket \($0)")
            }
        }
        #expect(isThere, "\(sites.engine(.alpha).log)")
    }

    @Test(
        "why a disk was given up: the operation, the sector and the error, or the administrator",
        .enabled(if: Tool.prlimit.isPresent, "needs prlimit (Debian: util-linux)")
    )
    func disks() throws {
        let sites = try TwoSites()
        try sites.replicate()
        try sites.run("bsradm", .beta, "detach r0")
        self.waitForLog(
            sites,
            .beta,
            "resource r0 volume 0: the disk was given up: the administrator detached it"
        )
        try sites.run("bsradm", .beta, "attach r0")
        try sites.waitForStatus(.alpha, sites.healthy(.alpha))
        func write(_ pattern: Int) throws {
            let line = "write -P \(pattern) 8M 64k"
            _ = try Tool.qemuIO.run(["-f", "raw", "-c", line, sites.uri(.alpha)])
        }
        // The extent is in the activity log from now on.
        try write(1)
        let alpha = try #require(sites.engine(.alpha).identifier)
        let limit = try Tool.prlimit.run(["--pid", "\(alpha)", "--fsize=4194304"])
        #expect(limit.exitCode == 0, "\(limit.everything)")
        try write(2)
        self.waitForLog(
            sites,
            .alpha,
            "resource r0 volume 0: the disk was given up: a write for the application of 128 "
                + "sectors at sector 16384 failed: File too large (27)"
        )
    }
}
