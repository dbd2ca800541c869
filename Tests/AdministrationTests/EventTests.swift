// SPDX-License-Identifier: Apache-2.0

import Administration
import Testing
import Wire

/// A client of `events2` in the tests.
private struct Watcher {
    var text = EventText()
    var differ: EventDiffer
    private let time = EventTime(microseconds: 0)

    init(statistics: Bool = false, full: Bool = false) {
        var options = EventDiffer.Options()
        options.showsStatistics = statistics
        options.isFull = full
        self.differ = EventDiffer(options)
    }

    mutating func see(_ resource: ResourceStatus) -> [String] {
        self.differ.receive(.status(TimedStatus(resource, at: self.time))).map(self.text.line)
    }

    mutating func end() -> [String] {
        self.differ.receive(.initialStateEnd(time: self.time)).map(self.text.line)
    }

    mutating func remove(_ name: String) -> [String] {
        self.differ.receive(.removed(name: name, time: self.time)).map(self.text.line)
    }
}

struct EventTests {
    private static let local = "ipv4:1.2.3.4:7789"
    private static let peer = "ipv4:5.6.7.8:7790"
    private static let peerKeys = "name:some-resource peer-node-id:1 conn-name:some-peer"

    private var bare: ResourceStatus {
        var resource = ResourceStatus(name: "some-resource", nodeID: 0)
        resource.devices = [DeviceStatus(volume: 0, minor: 1000)]
        return resource
    }

    private var configured: ResourceStatus {
        var resource = self.bare
        var connection = ConnectionStatus(peerNodeID: 1, name: "some-peer")
        connection.peerDevices = [PeerDeviceStatus(volume: 0)]
        connection.paths = [PathStatus(local: Self.local, peer: Self.peer)]
        resource.connections = [connection]
        return resource
    }

    private var attached: ResourceStatus {
        var resource = self.configured
        resource.devices[0].disk = .upToDate
        resource.devices[0].backingDevice = "/dev/sda"
        return resource
    }

    private var syncing: ResourceStatus {
        var resource = self.attached
        resource.connections[0].state = .connected
        resource.connections[0].peerRole = .secondary
        resource.connections[0].peerDevices[0].replication = .syncSource
        resource.connections[0].peerDevices[0].disk = .inconsistent
        var statistics = PeerDeviceStatistics()
        statistics.received = 5
        statistics.sent = 10
        statistics.outOfSync = 2500
        statistics.pending = 30
        statistics.unacknowledged = 40
        statistics.resync = ResyncDetails(total: 8000)
        statistics.resync?.window1 = RateWindow(time: 1000, sectors: 500)
        resource.connections[0].peerDevices[0].statistics = statistics
        return resource
    }

    private func watching(_ resource: ResourceStatus, statistics: Bool = false) -> Watcher {
        var watcher = Watcher(statistics: statistics)
        _ = watcher.see(resource)
        _ = watcher.end()
        return watcher
    }

    @Test func `the initial state ends with a mark`() {
        var watcher = Watcher()
        #expect(watcher.see(self.bare).isEmpty)
        #expect(
            watcher.end() == [
                "exists resource name:some-resource role:Secondary suspended:no "
                    + "force-io-failures:no may_promote:no promotion_score:0",
                "exists device name:some-resource volume:0 minor:1000 backing_dev:none "
                    + "disk:Diskless client:no quorum:yes",
                "exists -",
            ]
        )
    }

    @Test func `a new connection comes with its peer device and path`() {
        var watcher = self.watching(self.bare)
        #expect(
            watcher.see(self.configured) == [
                "create connection \(Self.peerKeys) connection:StandAlone role:Unknown",
                "create peer-device \(Self.peerKeys) volume:0 replication:Off "
                    + "peer-disk:DUnknown peer-client:no resync-suspended:no",
                "create path \(Self.peerKeys) local:\(Self.local) peer:\(Self.peer) "
                    + "established:no",
            ]
        )
    }

    @Test func `promotability is told before the line that changes it`() {
        var watcher = self.watching(self.configured)
        #expect(
            watcher.see(self.attached) == [
                "change resource name:some-resource may_promote:yes promotion_score:10101",
                "change device name:some-resource volume:0 minor:1000 backing_dev:/dev/sda "
                    + "disk:UpToDate client:no quorum:yes",
            ]
        )
    }

    @Test func `a change tells only what has changed`() {
        var watcher = self.watching(self.attached)
        var next = self.attached
        next.connections[0].paths[0].isEstablished = true
        #expect(
            watcher.see(next) == [
                "change path \(Self.peerKeys) local:\(Self.local) peer:\(Self.peer) "
                    + "established:yes"
            ]
        )
        let syncing = watcher.see(self.syncing)
        #expect(
            syncing.prefix(2) == [
                "change connection \(Self.peerKeys) connection:Connected role:Secondary",
                "change peer-device \(Self.peerKeys) volume:0 replication:SyncSource "
                    + "peer-disk:Inconsistent peer-client:no done:37.50",
            ]
        )
        #expect(watcher.see(self.syncing).isEmpty)
    }

    @Test func `a role change carries its own promotability`() {
        var before = self.syncing
        before.connections[0].peerDevices[0].disk = .upToDate
        var watcher = self.watching(before)
        var after = before
        after.role = .primary
        #expect(
            watcher.see(after) == [
                "change resource name:some-resource role:Primary may_promote:no "
                    + "promotion_score:10102"
            ]
        )
    }

    @Test func `a resource goes from the leaves to the root`() {
        var watcher = self.watching(self.syncing)
        #expect(
            watcher.remove("some-resource") == [
                "destroy path \(Self.peerKeys) local:\(Self.local) peer:\(Self.peer)",
                "destroy peer-device \(Self.peerKeys) volume:0",
                "destroy connection \(Self.peerKeys)",
                "destroy device name:some-resource volume:0",
                "destroy resource name:some-resource",
            ]
        )
        #expect(watcher.remove("some-resource").isEmpty)
    }

    @Test func `with statistics`() {
        var watcher = Watcher(statistics: true)
        _ = watcher.end()
        var resource = self.configured
        resource.connections[0].paths = []
        resource.connections[0].applicationInFlight = 10
        resource.connections[0].resyncInFlight = 20
        var device = DeviceStatistics()
        device.size = 5
        device.read = 10
        device.written = 15
        device.activityLogWrites = 40
        device.bitmapWrites = 50
        device.upperPending = 60
        device.lowerPending = 70
        resource.devices[0].statistics = device
        var idle = self.syncing.connections[0].peerDevices[0].statistics
        idle?.outOfSync = 0
        idle?.resync = nil
        resource.connections[0].peerDevices[0].statistics = idle
        let lines = watcher.see(resource)
        #expect(
            lines == [
                "create resource name:some-resource role:Secondary suspended:no "
                    + "force-io-failures:no write-ordering:none may_promote:no promotion_score:0",
                "create connection \(Self.peerKeys) connection:StandAlone role:Unknown "
                    + "congested:no ap-in-flight:10 rs-in-flight:20",
                "create device name:some-resource volume:0 minor:1000 backing_dev:none "
                    + "disk:Diskless client:no quorum:yes size:5 read:10 written:15 al-writes:40 "
                    + "bm-writes:50 upper-pending:60 lower-pending:70 al-suspended:no blocked:no",
                "create peer-device \(Self.peerKeys) volume:0 replication:Off "
                    + "peer-disk:DUnknown peer-client:no resync-suspended:no received:5 sent:10 "
                    + "out-of-sync:0 pending:30 unacked:40",
            ]
        )
        resource.connections[0].peerDevices[0] = self.syncing.connections[0].peerDevices[0]
        #expect(
            watcher.see(resource).last
                == "change peer-device \(Self.peerKeys) volume:0 replication:SyncSource "
                + "peer-disk:Inconsistent peer-client:no done:37.50 received:5 sent:10 "
                + "out-of-sync:2500 pending:30 unacked:40 dbdt1:0.24 eta:10"
        )
    }

    @Test func `old values on demand`() {
        var watcher = self.watching(self.attached)
        watcher.text.showsOldValues = true
        var next = self.attached
        next.role = .primary
        #expect(
            watcher.see(next) == [
                "change resource name:some-resource role:Secondary->Primary "
                    + "may_promote:yes->no promotion_score:10101->10101"
            ]
        )
    }

    @Test func `all attributes on demand`() {
        var watcher = Watcher(full: true)
        _ = watcher.see(self.configured)
        _ = watcher.end()
        var next = self.configured
        next.connections[0].state = .unconnected
        #expect(
            watcher.see(next) == [
                "change connection \(Self.peerKeys) connection:Unconnected role:Unknown"
            ]
        )
    }

    @Test func `handlers and lost events`() {
        var helper = HelperEvent(
            "before-resync-target",
            of: "some-resource",
            at: EventTime(microseconds: 0)
        )
        helper.peer = HelperPeer(nodeID: 1, name: "some-peer")
        helper.volume = 0
        var differ = EventDiffer()
        let text = EventText()
        let call = "helper \(Self.peerKeys) volume:0 helper:before-resync-target"
        #expect(differ.receive(.helper(helper)).map(text.line) == ["call " + call])
        helper.status = 1
        #expect(
            differ.receive(.helper(helper)).map(text.line) == ["response \(call) status:1"]
        )
        #expect(text.line(skipped: 7, at: helper.time) == "- skipped 7")
    }

    @Test func `timestamps have microseconds and the zone`() throws {
        var text = EventText()
        text.showsTimestamps = true
        let line = text.line(skipped: 1, at: EventTime(microseconds: 1_795_217_295_515_945))
        let form = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.515945[+-]\d\d:\d\d - skipped 1/
        #expect(line.wholeMatch(of: form) != nil)
    }

    @Test func `a volume without UpToDate data anywhere cannot be promoted`() {
        var resource = self.attached
        resource.devices.append(DeviceStatus(volume: 1, minor: 1001, disk: .inconsistent))
        #expect(Promotability(resource).score == 0)
        #expect(!Promotability(resource).mayPromote)
        resource.devices[1].disk = .upToDate
        #expect(Promotability(resource).score == 10_201)
        resource.devices[0].hasQuorum = false
        #expect(Promotability(resource).score == 0)
    }

    @Test func `a diskless node may be promoted with a stable UpToDate peer`() {
        var resource = self.syncing
        resource.devices[0].disk = .diskless
        resource.connections[0].peerDevices[0].disk = .upToDate
        resource.connections[0].peerDevices[0].replication = .established
        #expect(Promotability(resource).mayPromote)
        #expect(Promotability(resource).score == 1)
        resource.connections[0].state = .connecting
        #expect(!Promotability(resource).mayPromote)
    }
}
