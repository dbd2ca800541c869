// SPDX-License-Identifier: Apache-2.0

package import EngineCore
package import Wire

/// All that status and events tell about a resource, as the engine has it at one moment.
///
/// Sizes and transfer counters are KiB (1024 bytes), times milliseconds.
package struct ResourceStatus: Codable, Sendable, Hashable {
    /// The name.
    package var name: String
    /// The own node id.
    package var nodeID: Int
    /// The own role.
    package var role: Role
    /// Why application I/O is held, if it is.
    package var suspension = SuspensionStatus()
    /// Whether I/O is failed on purpose after quorum was lost.
    package var forcesIOFailures = false
    /// How writes are ordered.
    package var writeOrdering = WriteOrdering.none
    /// Application requests under way (bsr's `req-pending:`).
    package var pendingRequests: UInt64?
    /// The volumes, by number.
    package var devices: [DeviceStatus] = []
    /// The connections.
    package var connections: [ConnectionStatus] = []

    /// Creates the status of a resource without volumes and connections.
    package init(name: String, nodeID: Int, role: Role = .secondary) {
        self.name = name
        self.nodeID = nodeID
        self.role = role
    }
}

/// The reasons for which application I/O is held, in the order of output.
package struct SuspensionStatus: Codable, Sendable, Hashable {
    /// The administrator asked for it.
    package var user = false
    /// No UpToDate data can be reached.
    package var noData = false
    /// The peer has to be fenced first.
    package var fencing = false
    /// There is no quorum.
    package var quorum = false

    /// Creates the reasons, by default none.
    package init(
        user: Bool = false,
        noData: Bool = false,
        fencing: Bool = false,
        quorum: Bool = false
    ) {
        self.user = user
        self.noData = noData
        self.fencing = fencing
        self.quorum = quorum
    }

    /// The reasons that the engine core knows.
    package init(_ suspension: Suspension) {
        self.init(
            user: suspension.contains(.user),
            noData: suspension.contains(.noData),
            fencing: suspension.contains(.fencing)
        )
    }

    /// Whether there is a reason.
    package var isSuspended: Bool { self.user || self.noData || self.fencing || self.quorum }

    /// The value of `suspended:`.
    package var text: String {
        Self.list([
            (self.user, "user"), (self.noData, "no-data"), (self.fencing, "fencing"),
            (self.quorum, "quorum"),
        ])
    }

    /// The words whose flag is set, joined by commas; `no` if there is none.
    static func list(_ words: [(isSet: Bool, word: String)]) -> String {
        let set = words.filter(\.isSet).map(\.word)
        return set.isEmpty ? "no" : set.joined(separator: ",")
    }
}

/// A volume of this node.
package struct DeviceStatus: Codable, Sendable, Hashable {
    /// The volume number.
    package var volume: Int
    /// The minor number.
    package var minor: Int
    /// The state of the own disk.
    package var disk: DiskState
    /// Whether the volume is meant to have no disk.
    package var client = ClientState.no
    /// The path of the own disk.
    package var backingDevice: String?
    /// Whether enough nodes agree; true unless quorum is configured.
    package var hasQuorum = true
    /// Failed disk requests since the disk was attached (bsr's `io-error:`).
    package var diskErrors: UInt64?
    /// Counters; nil if nothing is known.
    package var statistics: DeviceStatistics?

    /// Creates the status of a volume.
    package init(volume: Int, minor: Int, disk: DiskState = .diskless) {
        self.volume = volume
        self.minor = minor
        self.disk = disk
    }
}

/// What a volume has done since it was made.
package struct DeviceStatistics: Codable, Sendable, Hashable {
    /// The usable size, KiB.
    package var size: UInt64 = 0
    /// Read from the disk, KiB.
    package var read: UInt64 = 0
    /// Written to the disk, KiB.
    package var written: UInt64 = 0
    /// Transactions of the activity log.
    package var activityLogWrites: UInt64 = 0
    /// Writes of bitmap pages.
    package var bitmapWrites: UInt64 = 0
    /// Application requests not yet completed.
    package var upperPending: UInt64 = 0
    /// Disk requests not yet completed.
    package var lowerPending: UInt64 = 0
    /// Whether the activity log takes no new extents.
    package var isActivityLogSuspended = false
    /// Whether requests from above have to wait.
    package var isUpperBlocked = false
    /// Whether the disk has to wait.
    package var isLowerBlocked = false
    /// Extents of the activity log in use (bsr's `al-used:`).
    package var activityLogUsed: UInt64?

    /// Creates counters that are zero.
    package init() {}

    /// The value of `blocked:`.
    package var blocked: String {
        SuspensionStatus.list([(self.isUpperBlocked, "upper"), (self.isLowerBlocked, "lower")])
    }
}

/// A connection to a peer.
package struct ConnectionStatus: Codable, Sendable, Hashable {
    /// The peer's node id.
    package var peerNodeID: Int
    /// The connection's name, normally the peer's host name.
    package var name: String
    /// The state.
    package var state: ConnectionState
    /// Why it stands alone, if the reason is a known one.
    package var problem: ConnectionProblem?
    /// The peer's role.
    package var peerRole: Role = .unknown
    /// Whether the send queue is full.
    package var isCongested = false
    /// Application writes sent and not acknowledged, KiB.
    package var applicationInFlight: UInt64 = 0
    /// Resync requests sent and not answered, KiB.
    package var resyncInFlight: UInt64 = 0
    /// The volumes as seen towards this peer, by number.
    package var peerDevices: [PeerDeviceStatus] = []
    /// The address pairs.
    package var paths: [PathStatus] = []

    /// Creates the status of a connection.
    package init(peerNodeID: Int, name: String, state: ConnectionState = .standAlone) {
        self.peerNodeID = peerNodeID
        self.name = name
        self.state = state
    }
}

/// An address pair of a connection.
package struct PathStatus: Codable, Sendable, Hashable {
    /// The own address as `ipv4:A:P` or `ipv6:[A]:P`.
    package var local: String
    /// The peer's address, alike.
    package var peer: String
    /// Whether the connection runs over it.
    package var isEstablished = false

    /// Creates the status of a path.
    package init(local: String, peer: String, isEstablished: Bool = false) {
        self.local = local
        self.peer = peer
        self.isEstablished = isEstablished
    }
}

/// The reasons for which a resync is paused, in the order of output.
package struct ResyncSuspensionStatus: Codable, Sendable, Hashable {
    /// The administrator asked for it.
    package var user = false
    /// The peer has a reason.
    package var peer = false
    /// Another resync comes first.
    package var dependency = false

    /// Creates the reasons, by default none.
    package init(user: Bool = false, peer: Bool = false, dependency: Bool = false) {
        self.user = user
        self.peer = peer
        self.dependency = dependency
    }

    /// The reasons that the engine core knows.
    package init(_ pause: ResyncPause) {
        self.init(
            user: pause.contains(.user),
            peer: pause.contains(.peer),
            dependency: pause.contains(.dependency)
        )
    }

    /// Whether there is a reason.
    package var isSuspended: Bool { self.user || self.peer || self.dependency }

    /// The value of `resync-suspended:`.
    package var text: String {
        SuspensionStatus.list([
            (self.user, "user"), (self.peer, "peer"), (self.dependency, "dependency"),
        ])
    }
}
