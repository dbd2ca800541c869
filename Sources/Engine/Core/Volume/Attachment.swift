// SPDX-License-Identifier: Apache-2.0

import Wire

/// What attaching found in a volume's superblock, in the core's terms.
package struct Attachment: Hashable, Sendable, BitwiseCopyable {
    package var generations: Generations
    /// The disk's content is of one point in time.
    package var isConsistent: Bool
    /// It was not known to be older than the peer's.
    package var wasUpToDate: Bool
    /// This node went down while Primary and has not met its peer since.
    package var crashedPrimary: Bool
    /// The peer's disk was known to be older than this one.
    package var peerWasOutdated: Bool
    /// All bits of the bitmap have to be set: an earlier full resync was not recorded in it.
    package var needsFullSync: Bool
    /// The size that was last agreed on; 0 if never.
    package var agreedSectors: UInt64
    /// What the disk has room for.
    package var diskSectors: UInt64
    /// The bitmap's place on disk: its slot among how many.
    package var bitmapSlot: Int
    package var bitmapSlots: Int
    /// The most activity-log slots that the layout on disk has room for.
    package var activityLogSlotMaximum: UInt32

    package init(diskSectors: UInt64) {
        self.generations = Generations()
        self.isConsistent = false
        self.wasUpToDate = false
        self.crashedPrimary = false
        self.peerWasOutdated = false
        self.needsFullSync = false
        self.agreedSectors = 0
        self.diskSectors = diskSectors
        self.bitmapSlot = 0
        self.bitmapSlots = 1
        self.activityLogSlotMaximum = 6433
    }

    /// The disk state that the flags mean for a node that is not connected.
    var disk: DiskState {
        if !self.isConsistent { return .inconsistent }
        return self.wasUpToDate ? .upToDate : .outdated
    }
}

/// What the superblock has to say about a volume now; the driver adds the layout.
package struct SuperblockContent: Hashable, Sendable, BitwiseCopyable {
    package var generations: Generations
    package var agreedSectors: UInt64
    package var isConsistent: Bool
    package var wasUpToDate: Bool
    /// This node is Primary: the activity log means something after a crash.
    package var isPrimary: Bool
    package var crashedPrimary: Bool
    package var isConnected: Bool
    package var peerIsOutdated: Bool
    package var peerSeen: Bool
    /// All bits have to be set at the next attach.
    package var needsFullSync: Bool
    package var activityLogExtents: UInt32

    package init(
        generations: Generations,
        agreedSectors: UInt64,
        isConsistent: Bool,
        wasUpToDate: Bool,
        isPrimary: Bool,
        crashedPrimary: Bool,
        isConnected: Bool,
        peerIsOutdated: Bool,
        peerSeen: Bool,
        needsFullSync: Bool,
        activityLogExtents: UInt32
    ) {
        self.generations = generations
        self.agreedSectors = agreedSectors
        self.isConsistent = isConsistent
        self.wasUpToDate = wasUpToDate
        self.isPrimary = isPrimary
        self.crashedPrimary = crashedPrimary
        self.isConnected = isConnected
        self.peerIsOutdated = peerIsOutdated
        self.peerSeen = peerSeen
        self.needsFullSync = needsFullSync
        self.activityLogExtents = activityLogExtents
    }
}
