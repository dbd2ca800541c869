// SPDX-License-Identifier: Apache-2.0

import Administration
import Wire

/// The states behind the samples of `reference/drbd-metadata.md` §9.
enum Samples {
    static let peerName = "host2.example.com"

    /// A healthy Primary with one volume.
    static var healthy: ResourceStatus {
        var resource = ResourceStatus(name: "drbd0", nodeID: 0, role: .primary)
        resource.writeOrdering = .flush
        var device = DeviceStatus(volume: 0, minor: 1, disk: .upToDate)
        device.backingDevice = "/dev/vg/r0_0"
        device.statistics = DeviceStatistics()
        device.statistics?.size = 1_048_508
        device.statistics?.read = 2048
        device.statistics?.written = 4096
        device.statistics?.activityLogWrites = 3
        device.statistics?.bitmapWrites = 7
        resource.devices = [device]
        var peer = PeerDeviceStatus(volume: 0)
        peer.replication = .established
        peer.disk = .upToDate
        peer.statistics = PeerDeviceStatistics()
        peer.statistics?.received = 1024
        peer.statistics?.sent = 2048
        var connection = ConnectionStatus(peerNodeID: 1, name: Self.peerName, state: .connected)
        connection.peerRole = .secondary
        connection.peerDevices = [peer]
        resource.connections = [connection]
        return resource
    }

    /// A Secondary that is being resynced.
    static var resyncing: ResourceStatus {
        var resource = Self.healthy
        resource.role = .secondary
        resource.devices[0].disk = .inconsistent
        resource.connections[0].peerRole = .primary
        resource.connections[0].resyncInFlight = 1024
        resource.connections[0].peerDevices[0].replication = .syncTarget
        // 52.31 % of 2096856 sectors done, 500000 KiB left: 2096856 - 1000000 is 52.309 %.
        var details = ResyncDetails(total: 2_096_856)
        details.runningTime = 25_000
        details.window0 = RateWindow(time: 3000, sectors: 133_300)
        details.window1 = RateWindow(time: 6000, sectors: 266_700)
        resource.connections[0].peerDevices[0].statistics?.outOfSync = 500_000
        resource.connections[0].peerDevices[0].statistics?.resync = details
        return resource
    }

    /// Two volumes, one of them behind, and a second peer that is away.
    static var twoVolumes: ResourceStatus {
        var resource = Self.healthy
        resource.devices.append(DeviceStatus(volume: 1, minor: 2, disk: .upToDate))
        var peer = PeerDeviceStatus(volume: 1)
        peer.replication = .pausedSyncS
        peer.disk = .inconsistent
        peer.resyncSuspension.dependency = true
        peer.statistics = PeerDeviceStatistics()
        peer.statistics?.outOfSync = 1000
        peer.statistics?.resync = ResyncDetails(total: 8000)
        resource.connections[0].peerDevices.append(peer)
        var away = ConnectionStatus(peerNodeID: 2, name: "host3", state: .connecting)
        away.peerDevices = [PeerDeviceStatus(volume: 0), PeerDeviceStatus(volume: 1)]
        resource.connections.append(away)
        return resource
    }
}
