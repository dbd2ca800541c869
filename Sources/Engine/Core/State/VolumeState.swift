// SPDX-License-Identifier: Apache-2.0

package import Wire

/// The state of one volume towards its peer, as protocol 86 to 101 sees it.
///
/// A plain value. The rules that belong to it are in extensions: ``sanitized(from:in:)`` adds what
/// a change implies, ``validity(in:)`` says which states may not be requested, and
/// ``evaluate(_:_:in:)`` is the one door for a change. Source: the state rules of DRBD
/// 8.4.
package struct VolumeState: Hashable, Sendable, BitwiseCopyable {
    /// The own role.
    package var role: Role
    /// The peer's role; unknown while not connected.
    package var peerRole: Role
    /// The connection or replication state.
    package var connection: ConnectionCode
    /// The own disk.
    package var disk: DiskState
    /// The peer's disk as far as known.
    package var peerDisk: DiskState
    /// Why application I/O is held, if it is.
    package var suspension: Suspension
    /// Why a resync is paused, if it is.
    package var resyncPause: ResyncPause

    /// Creates a state; by default that of a volume that was just configured.
    package init(
        role: Role = .secondary,
        peerRole: Role = .unknown,
        connection: ConnectionCode = .standAlone,
        disk: DiskState = .diskless,
        peerDisk: DiskState = .unknown,
        suspension: Suspension = [],
        resyncPause: ResyncPause = []
    ) {
        self.role = role
        self.peerRole = peerRole
        self.connection = connection
        self.disk = disk
        self.peerDisk = peerDisk
        self.suspension = suspension
        self.resyncPause = resyncPause
    }
}

/// The reasons for which application I/O is held.
package struct Suspension: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The administrator asked for it.
    package static let user = Self(rawValue: 1)
    /// No UpToDate data can be reached, and `on-no-data-accessible` is `suspend-io`.
    package static let noData = Self(rawValue: 2)
    /// The peer has to be fenced first.
    package static let fencing = Self(rawValue: 4)
}

/// The reasons for which a resync is paused.
package struct ResyncPause: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Another resync has to end first (`aftr_isp`).
    package static let dependency = Self(rawValue: 1)
    /// The peer has a reason of its own (`peer_isp`).
    package static let peer = Self(rawValue: 2)
    /// The administrator asked for it (`user_isp`).
    package static let user = Self(rawValue: 4)
}

/// What the rules have to know beside the state itself.
package struct StateContext: Hashable, Sendable, BitwiseCopyable {
    /// Who has to be outdated before a lone Primary may write.
    package enum Fencing: UInt8, Hashable, Sendable, CaseIterable, BitwiseCopyable {
        case dontCare
        case resourceOnly
        case resourceAndStonith
    }

    /// What `attach` found for a disk that is still Negotiating.
    package struct AttachedDisks: Hashable, Sendable, BitwiseCopyable {
        /// The own disk by its metadata.
        package var disk: DiskState
        /// The peer's disk by our metadata.
        package var peerDisk: DiskState

        /// Creates the pair.
        package init(disk: DiskState, peerDisk: DiskState) {
            self.disk = disk
            self.peerDisk = peerDisk
        }
    }

    /// The `allow-two-primaries` option.
    package var allowTwoPrimaries = false
    /// Whether the peer is Primary in another volume of the resource.
    package var peerIsPrimaryElsewhere = false
    /// Whether a client has the export in use.
    package var deviceInUse = false
    /// The `fencing` option.
    package var fencing = Fencing.dontCare
    /// Whether `on-no-data-accessible` is `suspend-io`.
    package var suspendWithoutData = false
    /// Whether `verify-alg` is set.
    package var hasVerifyAlgorithm = false
    /// The agreed protocol version; meaningless while not connected.
    package var agreedVersion: UInt32 = 101
    /// Whether the first P_STATE of the handshake was sent and the handshake has not ended.
    package var handshakeRunning = false
    /// What a Negotiating disk becomes when the connection is lost; nil if the data on it is not
    /// what the volume was using, so that it has to be dropped.
    package var attachedDisks: AttachedDisks?

    /// Creates the context of a volume with default options.
    package init() {}
}
