// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import Testing
import Wire

struct StatusTextTests {
    private func text(
        _ resource: ResourceStatus,
        verbosity: Int = 0,
        statistics: Bool = false
    ) -> String {
        var options = StatusOptions()
        options.verbosity = verbosity
        options.showsStatistics = statistics
        return StatusText.render([resource], options)
    }

    @Test func `a healthy resource`() {
        #expect(
            self.text(Samples.healthy) == """
                drbd0 role:Primary
                  disk:UpToDate
                  host2.example.com role:Secondary
                    peer-disk:UpToDate


                """
        )
    }

    @Test func `verbose`() {
        #expect(
            self.text(Samples.healthy, verbosity: 1) == """
                drbd0 node-id:0 role:Primary suspended:no force-io-failures:no
                  volume:0 minor:1 disk:UpToDate backing_dev:/dev/vg/r0_0 quorum:yes blocked:no
                  host2.example.com node-id:1 connection:Connected role:Secondary congested:no
                      ap-in-flight:0 rs-in-flight:0
                    volume:0 replication:Established peer-disk:UpToDate resync-suspended:no


                """
        )
    }

    @Test func `verbose with statistics during a resync`() {
        #expect(
            self.text(Samples.resyncing, verbosity: 1, statistics: true) == """
                drbd0 node-id:0 role:Secondary suspended:no force-io-failures:no
                    write-ordering:flush
                  volume:0 minor:1 disk:Inconsistent backing_dev:/dev/vg/r0_0 quorum:yes
                      size:1048508 read:2048 written:4096 al-writes:3 bm-writes:7
                      upper-pending:0 lower-pending:0 al-suspended:no blocked:no
                  host2.example.com node-id:1 connection:Connected role:Primary congested:no
                      ap-in-flight:0 rs-in-flight:1024
                    volume:0 replication:SyncTarget peer-disk:UpToDate done:52.31
                        resync-suspended:no
                        received:1024 sent:2048 out-of-sync:500000 pending:0 unacked:0
                        dbdt1:21.70 eta:22


                """
        )
    }

    @Test func `two volumes and a peer that is away`() {
        #expect(
            self.text(Samples.twoVolumes) == """
                drbd0 role:Primary
                  volume:0 disk:UpToDate
                  volume:1 disk:UpToDate
                  host2.example.com role:Secondary
                    volume:0 peer-disk:UpToDate
                    volume:1 replication:PausedSyncS peer-disk:Inconsistent done:75.00
                        resync-suspended:dependency
                  host3 connection:Connecting


                """
        )
    }

    @Test func `suspended without quorum`() {
        var resource = Samples.healthy
        resource.suspension = SuspensionStatus(noData: true, quorum: true)
        resource.devices[0].hasQuorum = false
        resource.connections[0].state = .connecting
        #expect(
            self.text(resource) == """
                drbd0 role:Primary suspended:no-data,quorum
                  disk:UpToDate quorum:no
                  host2.example.com connection:Connecting


                """
        )
    }

    @Test func `statistics alone`() {
        #expect(
            self.text(Samples.healthy, statistics: true) == """
                drbd0 role:Primary
                  disk:UpToDate
                      read:2048 written:4096
                  host2.example.com role:Secondary
                    peer-disk:UpToDate
                        received:1024 sent:2048


                """
        )
    }

    @Test func `bsr's own keys come last and only when there is something to say`() {
        var resource = Samples.healthy
        resource.devices[0].diskErrors = 3
        resource.connections[0].state = .standAlone
        resource.connections[0].problem = .splitBrain
        #expect(
            self.text(resource) == """
                drbd0 role:Primary
                  disk:UpToDate io-error:3
                  host2.example.com connection:StandAlone error:split-brain


                """
        )
    }

    @Test func `a terminal shows no client key and colours only on demand`() {
        var resource = Samples.healthy
        resource.devices[0].disk = .diskless
        var options = StatusOptions()
        #expect(StatusText.render([resource], options).contains("  disk:Diskless client:no\n"))
        options.isTerminal = true
        options.isColored = true
        let text = StatusText.render([resource], options)
        #expect(text.contains("role:\u{1B}[1;36mPrimary\u{1B}[0m\n"))
        #expect(text.contains("  disk:\u{1B}[1;31mDiskless\u{1B}[0m\n"))
        #expect(text.contains("peer-disk:\u{1B}[32mUpToDate\u{1B}[0m\n"))
    }

    @Test func `no line is wider than the terminal if its tokens allow`() {
        for width in 40...120 {
            var options = StatusOptions()
            options.verbosity = 2
            options.showsStatistics = true
            options.width = width
            let text = StatusText.render([Samples.resyncing, Samples.twoVolumes], options)
            #expect(text.split(separator: "\n").allSatisfy { $0.count <= width })
        }
    }

    @Test func `nothing configured`() {
        #expect(
            StatusText.render([], StatusOptions()) == "# No currently configured DRBD found.\n"
        )
    }

    @Test func `JSON to the letter`() {
        let expected = """
            [
            {
              "name": "drbd0",
              "node-id": 0,
              "role": "Primary",
              "suspended": false,
              "suspended-user": false,
              "suspended-no-data": false,
              "suspended-fencing": false,
              "suspended-quorum": false,
              "force-io-failures": false,
              "write-ordering": "flush",
              "devices": [
                {
                  "volume": 0,
                  "minor": 1,
                  "disk-state": "UpToDate",
                  "client": false,
                  "quorum": true,
                  "size": 1048508,
                  "read": 2048,
                  "written": 4096,
                  "al-writes": 3,
                  "bm-writes": 7,
                  "upper-pending": 0,
                  "lower-pending": 0
                } ],
              "connections": [
                {
                  "peer-node-id": 1,
                  "name": "host2.example.com",
                  "connection-state": "Connected",\u{20}
                  "congested": false,
                  "peer-role": "Secondary",
                  "ap-in-flight": 0,
                  "rs-in-flight": 0,
                  "peer_devices": [
                    {
                      "volume": 0,
                      "replication-state": "Established",
                      "peer-disk-state": "UpToDate",
                      "peer-client": false,
                      "resync-suspended": "no",
                      "received": 1024,
                      "sent": 2048,
                      "out-of-sync": 0,
                      "pending": 0,
                      "unacked": 0,
                      "has-sync-details": false,
                      "has-online-verify-details": false,
                      "percent-in-sync": 100.00
                    } ]
                } ]
            }
            ]


            """
        #expect(StatusJSON.render([Samples.healthy]) == expected)
    }

    @Test func `JSON is JSON, also of strange names and of nothing`() throws {
        var odd = Samples.resyncing
        odd.name = "a \"quoted\" \\ \n ü"
        odd.connections[0].peerDevices[0].statistics?.resync?.window1 = RateWindow()
        for resources in [[], [odd, Samples.twoVolumes]] {
            let data = Data(StatusJSON.render(resources).utf8)
            let parsed = try JSONSerialization.jsonObject(with: data) as? [[String: Any]]
            #expect(parsed?.count == resources.count)
            if let name = parsed?.first?["name"] { #expect(name as? String == odd.name) }
        }
        #expect(StatusJSON.render([odd]).contains("\"estimated-seconds-to-finish\": 987654321,"))
    }

    @Test func `lines that recordings of DRBD 8.4 share with ours are equal`() {
        // c-basic, node a after the first resync: `drbdsetup status --verbose --statistics`.
        var resource = ResourceStatus(name: "r0", nodeID: 0, role: .primary)
        resource.writeOrdering = .flush
        var device = DeviceStatus(volume: 0, minor: 0, disk: .upToDate)
        device.statistics = DeviceStatistics()
        device.statistics?.size = 984
        device.statistics?.read = 984
        device.statistics?.activityLogWrites = 8
        resource.devices = [device]
        var peer = PeerDeviceStatus(volume: 0)
        peer.replication = .established
        peer.disk = .upToDate
        peer.statistics = PeerDeviceStatistics()
        peer.statistics?.sent = 984
        var connection = ConnectionStatus(peerNodeID: 0, name: "peer", state: .connected)
        connection.peerDevices = [peer]
        resource.connections = [connection]
        let recorded = """
                write-ordering:flush
                  size:984 read:984 written:0 al-writes:8 bm-writes:0 upper-pending:0
                  lower-pending:0 al-suspended:no blocked:no
                volume:0 replication:Established peer-disk:UpToDate resync-suspended:no
                    received:0 sent:984 out-of-sync:0 pending:0 unacked:0
            """
        let lines = self.text(resource, verbosity: 1, statistics: true).split(separator: "\n")
        for line in recorded.split(separator: "\n") { #expect(lines.contains(line)) }
    }
}
