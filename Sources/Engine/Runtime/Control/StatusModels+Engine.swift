// SPDX-License-Identifier: Apache-2.0

import Administration
import EngineCore
import Primitives
import Wire

extension ResourceStatus {
    /// The status of a resource as the loop saw it.
    init(_ snapshot: ResourceSnapshot, _ resource: ConfiguredResource) {
        self.init(name: snapshot.name, nodeID: resource.nodeID, role: snapshot.role)
        self.pendingRequests = UInt64(snapshot.requestCount)
        self.writeOrdering = .flush
        if let state = snapshot.volumes.first?.snapshot.state {
            self.suspension = SuspensionStatus(state.suspension)
        }
        self.devices = snapshot.volumes.map { DeviceStatus($0, snapshot) }
        if let peer = resource.peer {
            self.connections = [ConnectionStatus(snapshot, peer)]
        }
    }
}

extension DeviceStatus {
    fileprivate init(_ report: VolumeReport, _ resource: ResourceSnapshot) {
        let volume = report.snapshot
        self.init(
            volume: Int(volume.number),
            minor: Int(volume.minor),
            disk: volume.state.disk
        )
        self.backingDevice = report.dataPath
        var statistics = DeviceStatistics()
        statistics.size = volume.sizes.exposedSectors / 2
        statistics.read = volume.statistics.read / 2
        statistics.written = volume.statistics.written / 2
        statistics.activityLogWrites = volume.statistics.activityLogWrites
        statistics.bitmapWrites = volume.statistics.bitmapWrites
        statistics.upperPending = UInt64(resource.requestCount)
        statistics.lowerPending = UInt64(volume.operationsInFlight)
        self.statistics = statistics
    }
}

extension ConnectionStatus {
    fileprivate init(_ snapshot: ResourceSnapshot, _ peer: ConfiguredPeer) {
        self.init(peerNodeID: peer.nodeID, name: peer.name, state: snapshot.connectionState)
        // A volume that was added to a Primary is Secondary at first.
        let roles = snapshot.volumes.map(\.snapshot.state.peerRole)
        self.peerRole = roles.contains(.primary) ? .primary : roles.first ?? .unknown
        if case .refused(.data(.splitBrain))? = snapshot.lastLoss, snapshot.link == .standAlone {
            self.problem = .splitBrain
        }
        self.peerDevices = snapshot.volumes.map { PeerDeviceStatus($0.snapshot) }
        if let local = peer.local, let remote = peer.remote {
            self.paths = [
                PathStatus(
                    local: local,
                    peer: remote,
                    isEstablished: snapshot.link == .established
                )
            ]
        }
    }
}

extension ResourceSnapshot {
    /// The connection's state as status names it.
    var connectionState: ConnectionState {
        switch self.link {
        case .standAlone: .standAlone
        case .unconnected, .closing: .unconnected
        case .connecting, .handshaking: .connecting
        case .established: .connected
        }
    }
}

extension PeerDeviceStatus {
    fileprivate init(_ volume: VolumeSnapshot) {
        self.init(volume: Int(volume.number))
        self.replication = ReplicationState(volume.state.connection)
        self.disk = volume.state.peerDisk
        self.resyncSuspension = ResyncSuspensionStatus(volume.state.resyncPause)
        var statistics = PeerDeviceStatistics()
        statistics.received = volume.statistics.received / 2
        statistics.sent = volume.statistics.sent / 2
        statistics.outOfSync = volume.outOfSyncBits * 4
        if volume.state.connection.isResyncing {
            var details = ResyncDetails(total: volume.resyncTotal * 8)
            details.failed = volume.resyncFailed * 8
            statistics.resync = details
        }
        self.statistics = statistics
    }
}

extension GenerationStatus {
    /// The identifiers and flags of a volume.
    init(_ volume: VolumeSnapshot) {
        self.init(
            current: volume.generations.current.rawValue,
            bitmap: volume.generations.bitmap.rawValue,
            history: [
                volume.generations.history0.rawValue, volume.generations.history1.rawValue,
            ]
        )
        self.diskFlags.isConsistent = volume.state.disk > .inconsistent
        self.diskFlags.wasUpToDate = volume.state.disk > .outdated
        self.diskFlags.isPrimary = volume.state.role == .primary
        self.peerFlags.isConnected = volume.state.connection >= .connected
        self.peerFlags.isOutdated =
            volume.state.peerDisk >= .inconsistent && volume.state.peerDisk <= .outdated
    }
}

extension ResourceConfiguration {
    /// What is configured for a resource, for `show`.
    init(_ snapshot: ResourceSnapshot, _ resource: ConfiguredResource) {
        self.init(name: resource.name, nodeID: resource.nodeID)
        self.options = resource.options.map { ShownOption($0.name, $0.value) }
        self.volumes = resource.volumes.values.sorted { $0.number < $1.number }.map { volume in
            var backing = VolumeConfiguration.Backing.none
            let hasDisk = snapshot.volumes.first { $0.index == volume.index }?.snapshot.hasDisk
            if let attached = volume.attached, hasDisk == true {
                backing = .disk(
                    path: attached.disk,
                    metaDisk: .init(attached),
                    options: volume.diskOptions.map { ShownOption($0.name, $0.value) }
                )
            }
            return VolumeConfiguration(
                volume: volume.number,
                minor: volume.minor,
                backing: backing
            )
        }
        guard let peer = resource.peer else { return }
        var connection = ConnectionConfiguration(peerNodeID: peer.nodeID)
        connection.isStandalone = snapshot.link == .standAlone
        if let local = peer.local, let remote = peer.remote {
            connection.paths = [PathStatus(local: local, peer: remote)]
        }
        connection.options = peer.options.map {
            ShownOption($0.name, $0.value, isQuoted: $0.name == "_name")
        }
        connection.volumes = peer.peerDeviceOptions.mapValues { options in
            options.map { ShownOption($0.name, $0.value) }
        }
        self.connections = [connection]
    }
}

extension VolumeConfiguration.MetaDisk {
    /// Where `attach` was told that the metadata is.
    fileprivate init(_ arguments: AttachArguments) {
        if let index = Int(arguments.index) {
            self = .indexed(path: arguments.metaDisk, index: index)
        } else if arguments.index == "internal" {
            self = .internal
        } else {
            self = .flexible(path: arguments.metaDisk)
        }
    }
}
