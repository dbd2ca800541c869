// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// What the driver reads out of the core: metadata to write, and what `status` shows.
extension Resource {
    /// What the superblock of a volume has to say now.
    package func superblockContent(_ index: UInt16) -> SuperblockContent {
        let state = self.volumes[index].state
        let view = state.metadataView
        return SuperblockContent(
            generations: self.volumes[index].generationsOnDisk,
            agreedSectors: self.volumes[index].sizes.exposedSectors,
            isConsistent: self.volumes[index].recordedDisk > .inconsistent,
            wasUpToDate: self.volumes[index].recordedDisk > .outdated,
            isPrimary: view.isPrimary,
            crashedPrimary: view.isPrimary || self.volumes[index].crashedPrimary,
            isConnected: view.isConnected,
            peerIsOutdated: view.peerIsOutdated,
            peerSeen: view.peerSeen,
            needsFullSync: self.volumes[index].needsFullSync,
            activityLogExtents: self.volumes[index].activityLogSlots
        )
    }

    /// Lends the activity log whose planned transaction is to be written.
    ///
    /// Traps without a disk.
    package func withActivityLog<Result>(
        _ index: UInt16,
        _ body: (borrowing ActivityLog) -> Result
    ) -> Result {
        switch self.volumes[index].activityLog {
        case .some(let log): return body(log)
        case .none: invariantBroken("a volume with an activity log")
        }
    }

    /// Lends the words of a volume's bitmap, of which a page is to be written.
    ///
    /// Traps without a disk.
    package func withBitmapWords<Result>(
        _ index: UInt16,
        _ body: (UnsafeBufferPointer<UInt64>) -> Result
    ) -> Result {
        switch self.volumes[index].bitmap {
        case .some(let bitmap): return bitmap.withWords(body)
        case .none: invariantBroken("a volume with a bitmap")
        }
    }

    /// The indices of all volumes, lowest first.
    package var volumeIndices: [UInt16] { Array(self.volumes.indices) }

    /// The index of volume `number`; nil if there is none.
    package func volumeIndex(ofNumber number: UInt16) -> UInt16? {
        self.volumes.index(ofNumber: number)
    }

    /// What is known of a volume now.
    package func volumeSnapshot(_ index: UInt16) -> VolumeSnapshot {
        VolumeSnapshot(
            number: self.volumes[index].number,
            minor: self.volumes[index].minor,
            state: self.volumes[index].state,
            sizes: self.volumes[index].sizes,
            statistics: self.volumes[index].statistics,
            generations: self.volumes[index].generations,
            outOfSyncBits: self.volumes[index].outOfSyncBits,
            resyncTotal: self.volumes[index].resyncTotal,
            resyncFailed: self.volumes[index].walk.failedBlocks
                + self.volumes[index].failedResyncBlocks,
            operationsInFlight: self.volumes[index].operationsInFlight,
            hasDisk: self.volumes[index].hasDisk,
            diskEnd: self.volumes[index].diskEnd,
            lastPlan: self.volumes[index].lastPlan
        )
    }

    /// Requests of the application that are admitted, and that wait.
    package var requestCount: Int { self.requests.count + self.waiting.count }

    /// Whether another packet of the data socket may be read: there is room for what it may ask.
    package var acceptsPeerRequests: Bool {
        self.peerRequests.count + 64 < self.peerRequests.capacity
    }

    /// What the peer has asked for and is not over.
    package var peerRequestCount: Int { self.peerRequests.count }

    /// Writes sent and not confirmed by a barrier acknowledgement.
    package var unconfirmedWrites: Int { self.transferLog.count }
}

/// One volume, for status and tests.
package struct VolumeSnapshot: Hashable, Sendable {
    package var number: UInt16
    package var minor: UInt32
    package var state: VolumeState
    package var sizes: VolumeSizes
    package var statistics: VolumeStatistics
    package var generations: Generations
    package var outOfSyncBits: UInt64
    /// Blocks that differed when the running resync began; 0 without one.
    package var resyncTotal: UInt64
    package var resyncFailed: UInt64
    package var operationsInFlight: Int
    package var hasDisk: Bool
    /// Why the disk was given up; nil while it is in use.
    package var diskEnd: DiskEnd?
    /// What the last handshake decided, and why.
    package var lastPlan: SyncPlan?
}
