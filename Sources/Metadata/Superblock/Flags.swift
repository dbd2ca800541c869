// SPDX-License-Identifier: Apache-2.0

/// What a superblock says of the device as a whole.
package struct DeviceFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The data is consistent: the disk state was above Inconsistent.
    package static let consistent = Self(rawValue: 1 << 0)
    /// A node is or was Primary: the activity log counts after a crash.
    package static let primary = Self(rawValue: 1 << 1)
    /// v08 only: replication was established.
    ///
    /// In v09 ``PeerFlags/connected``.
    package static let legacyConnected = Self(rawValue: 1 << 2)
    /// v08 only: every bit is to be set.
    ///
    /// In v09 ``PeerFlags/fullSync``.
    package static let legacyFullSync = Self(rawValue: 1 << 3)
    /// The disk state was above Outdated.
    package static let wasUpToDate = Self(rawValue: 1 << 4)
    /// v08 only: the peer's disk was outdated.
    ///
    /// In v09 ``PeerFlags/outdated``.
    package static let legacyPeerOutdated = Self(rawValue: 1 << 5)
    /// The node crashed while Primary and has not met its peers since.
    package static let crashedPrimary = Self(rawValue: 1 << 6)
    /// The activity log has been applied: the disk may be attached.
    package static let activityLogClean = Self(rawValue: 1 << 7)
    /// The activity log was not kept: after a crash everything counts as changed.
    package static let activityLogDisabled = Self(rawValue: 1 << 8)
    /// The node was Primary when it lost quorum.
    package static let primaryLostQuorum = Self(rawValue: 1 << 9)
    /// The node had quorum.
    package static let haveQuorum = Self(rawValue: 1 << 10)
    /// bsr: the node was the last Primary.
    package static let lastPrimary = Self(rawValue: 1 << 16)
    /// bsr: an I/O error was seen on the disk.
    package static let ioError = Self(rawValue: 1 << 17)
    /// bsr: the node was Primary before it failed.
    package static let wasPrimary = Self(rawValue: 1 << 18)
    /// bsr: a verify found blocks that differ.
    package static let verifyMismatch = Self(rawValue: 1 << 19)
}

/// What a v09 superblock says of one peer.
package struct PeerFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Replication was established.
    package static let connected = Self(rawValue: 1 << 0)
    /// The peer's disk was Inconsistent or Outdated.
    package static let outdated = Self(rawValue: 1 << 1)
    /// A fencing policy is configured.
    package static let fencing = Self(rawValue: 1 << 2)
    /// Every bit of the peer's slot is to be set at the next attach.
    package static let fullSync = Self(rawValue: 1 << 3)
    /// The peer once had a backing device.
    package static let deviceSeen = Self(rawValue: 1 << 4)
    /// bsr: the peer's current generation differs.
    package static let differentCurrentGeneration = Self(rawValue: 1 << 5)
    /// bsr: work of a crashed Primary is pending.
    package static let crashedPrimaryWorkPending = Self(rawValue: 1 << 6)
    /// The node is known to exist in the cluster.
    package static let nodeExists = Self(rawValue: 1 << 16)
    /// bsr: the initial synchronisation has begun.
    package static let initialSyncBegun = Self(rawValue: 1 << 17)
    /// bsr: a synchronisation is in progress.
    package static let syncInProgress = Self(rawValue: 1 << 18)
    /// bsr: the peer had an I/O error while Primary.
    package static let primaryIOError = Self(rawValue: 1 << 19)
    /// bsr: a synchronisation within one generation is incomplete.
    package static let incompleteSyncWithSameGeneration = Self(rawValue: 1 << 20)
}
