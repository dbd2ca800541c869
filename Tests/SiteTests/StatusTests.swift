// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// What scripts and people read of a running pair.
@Suite(.serialized) struct StatusTests {
    @Test("TOOL-31 TOOL-32 TOOL-33 status in all its forms")
    func status() throws {
        let sites = try TwoSites()
        try sites.replicate()
        #expect(try sites.run("bsrsetup", .alpha, "status r0") == sites.healthy(.alpha))
        #expect(try sites.run("bsradm", .beta, "status r0") == sites.healthy(.beta))
        // Long lines are wrapped.
        let verbose = try sites.run("bsradm", .beta, "status r0 --verbose")
            .split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for word in [
            "r0 node-id:1 role:Secondary suspended:no",
            "volume:0 minor:1 disk:UpToDate backing_dev:\(sites.disk(.beta)) quorum:yes",
            "alpha node-id:0 connection:Connected role:Primary congested:no",
            "volume:0 replication:Established peer-disk:UpToDate resync-suspended:no",
        ] {
            #expect(verbose.contains(word), "\(verbose)")
        }
        let resource = try #require(try Self.json(sites, .alpha))
        #expect(resource["name"] as? String == "r0")
        #expect(resource["role"] as? String == "Primary")
        let device = try #require((resource["devices"] as? [[String: Any]])?.first)
        #expect(device["disk-state"] as? String == "UpToDate")
        #expect(device["minor"] as? Int == 1)
        let connection = try #require((resource["connections"] as? [[String: Any]])?.first)
        #expect(connection["connection-state"] as? String == "Connected")
        #expect(connection["peer-role"] as? String == "Secondary")
        let peer = try #require((connection["peer_devices"] as? [[String: Any]])?.first)
        #expect(peer["replication-state"] as? String == "Established")
        #expect(peer["peer-disk-state"] as? String == "UpToDate")
        #expect(peer["out-of-sync"] as? Int == 0)
        #expect(peer["sent"] as? Int == device["size"] as? Int)
    }

    @Test("TOOL-34 MON-09 MON-10 MON-11 MON-12 MON-13 MON-14 events2 --now")
    func events() throws {
        let sites = try TwoSites()
        try sites.replicate()
        let text = try sites.run("bsrsetup", .alpha, "events2 --now r0")
        let lines = text.split(separator: "\n").map(String.init)
        let starts = [
            "exists resource name:r0 role:Primary suspended:no",
            "exists connection name:r0 peer-node-id:1 conn-name:beta connection:Connected "
                + "role:Secondary",
            "exists device name:r0 volume:0 minor:1 backing_dev:\(sites.disk(.alpha)) "
                + "disk:UpToDate",
            "exists peer-device name:r0 peer-node-id:1 conn-name:beta volume:0 "
                + "replication:Established peer-disk:UpToDate",
            "exists path name:r0 peer-node-id:1 conn-name:beta local:ipv4:127.0.0.1:",
            "exists -",
        ]
        #expect(lines.count == starts.count, "\(text)")
        for (line, start) in zip(lines, starts) {
            #expect(line.hasPrefix(start), "\(line)")
        }
    }

    @Test("CONN-06 DISK-20 events2 follows a connection and its resync")
    func changes() throws {
        let sites = try TwoSites()
        try sites.bringUp()
        let listener = DaemonProcess(name: "events2", folder: sites.folder.path)
        try listener.start(
            Program.own("bsrsetup"),
            ["--run-dir", sites.runDirectory(.beta), "events2", "r0"],
            endsWithInput: false
        ) { listener.log.contains("exists -") }
        try sites.run("bsradm", .alpha, "primary --force r0")
        try sites.waitForStatus(.beta, sites.healthy(.beta))
        try sites.run("bsradm", .beta, "down r0")
        let isOver = waitUntil(within: .seconds(10)) {
            listener.log.contains("destroy resource name:r0")
        }
        #expect(isOver)
        let wanted = [
            "role:Primary", "replication:SyncTarget", "disk:UpToDate", "connection:StandAlone",
            "destroy device name:r0 volume:0", "destroy resource name:r0",
        ]
        var rest = Substring(listener.log)
        for line in wanted {
            guard let found = rest.range(of: line) else {
                Issue.record("\(line) does not come, or not in order: \(listener.log)")
                break
            }
            rest = rest[found.upperBound...]
        }
        try? listener.kill()
    }

    private static func json(_ sites: TwoSites, _ node: TwoSites.Node) throws -> [String: Any]? {
        let text = try sites.run("bsrsetup", node, "status r0 --json --statistics")
        let resources = try JSONSerialization.jsonObject(with: Data(text.utf8))
        return (resources as? [[String: Any]])?.first
    }
}
