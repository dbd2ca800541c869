// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Two sites with a relay each and a link between the relays.
@Suite(
    .serialized,
    .enabled(if: Tool.qemuIO.isPresent, "needs qemu-io (Debian: qemu-utils)")
)
struct RelayTests {
    private static let layout = TwoSites.Layout(
        lines: "net { protocol A; } proxy { memlimit 16M; plugin { compressor zstd level 1; } }",
        hasRelays: true
    )

    @Test(
        "TOOL-35 DRX-01 DRX-37 DRX-41 replication through two relays, and what drxctl shows of it"
    )
    func replication() throws {
        let sites = try TwoSites(Self.layout)
        try sites.replicate()
        let write = try Tool.qemuIO.run([
            "-f", "raw", "-c", "write -P 7 1M 4M", "-c", "flush", sites.uri(.alpha),
        ])
        #expect(write.exitCode == 0, "\(write.everything)")
        let table = try sites.run("drxctl", .alpha, "status")
        // Which channel each node dials is left to chance.
        let rows = table.split(separator: "\n").map {
            $0.split(separator: " ").joined(separator: " ")
        }
        #expect(rows[1] == "Name Type local-bsr-ip State local-drx-ip State remote-drx-ip")
        // A node that is faster than the other dials both: one channel carries them then.
        let carriesBoth = rows.contains { $0.hasPrefix("r0-beta-alpha both ") }
        for channel in carriesBoth ? ["both"] : ["data", "meta"] {
            let row = try #require(
                rows.first { $0.hasPrefix("r0-beta-alpha \(channel) ") },
                "\(table)"
            )
            #expect(row.contains("established") && row.contains("bridged"), "\(row)")
        }
        #expect(rows.last == "All connections : 2, Established : \(carriesBoth ? 1 : 2)")
        try sites.run("drxctl", .alpha, "up")
        try sites.run("drxctl", .alpha, "adjust")
        #expect(try sites.run("drxctl", .alpha, "status") == table)
        try sites.run("bsradm", .alpha, "secondary r0")
        try sites.run("bsradm", .beta, "primary r0")
        #expect(try sites.areEqual())
    }

    @Test("a relay that was killed and started again carries on")
    func killedRelay() throws {
        let sites = try TwoSites(Self.layout)
        try sites.replicate()
        for node in TwoSites.Node.allCases {
            try sites.killRelay(node)
            let write = try Tool.qemuIO.run([
                "-f", "raw", "-c", "write -P 9 2M 1M", sites.uri(.alpha),
            ])
            #expect(write.exitCode == 0, "\(write.everything)")
            try sites.startRelay(node)
            try sites.run("drxctl", node, "up")
            try sites.waitForStatus(.alpha, sites.healthy(.alpha))
        }
        try sites.run("bsradm", .alpha, "secondary r0")
        try sites.run("bsradm", .beta, "primary r0")
        #expect(try sites.areEqual())
    }
}
