// SPDX-License-Identifier: Apache-2.0

import Primitives

/// What a transaction block is made of, and what administration needs: iteration, suspension,
/// emptying.
extension ActivityLog {
    /// One change of a transaction: `slot` will hold `extent`.
    package struct Update: Hashable, Sendable, BitwiseCopyable {
        /// The number of the slot.
        package var slot: UInt16
        /// The extent that becomes hot in it.
        package var extent: UInt32

        /// Creates the change that puts `extent` into `slot`.
        package init(slot: UInt16, extent: UInt32) {
            self.slot = slot
            self.extent = extent
        }
    }

    /// Change number `index`, below ``updateCount``, of the planned transaction.
    package func update(at index: Int) -> Update {
        invariant(index >= 0 && index < self.updateCount, "index of a planned change")
        let slot = self.updates[index]
        return Update(slot: slot, extent: self.slots[Int(slot)].pendingExtent)
    }

    /// The number of slots whose context the next block carries, from ``contextStart``.
    package var contextCount: Int {
        min(Self.contextPerTransaction, self.slotCount - self.contextStart)
    }

    /// What slot ``contextStart`` + `index` held before the planned transaction; ``noExtent`` if
    /// free.
    package func context(at index: Int) -> UInt32 {
        invariant(index >= 0 && index < self.contextCount, "index of a context slot")
        return self.slots[self.contextStart + index].extent
    }

    /// The number of planned changes that evict an extent.
    package var evictedCount: Int {
        var count = 0
        for index in 0..<self.updateCount where self.evictedExtent(at: index) != nil { count += 1 }
        return count
    }

    /// The extent that change number `index` evicts; nil if its slot was free.
    package func evictedExtent(at index: Int) -> UInt32? {
        invariant(index >= 0 && index < self.updateCount, "index of a planned change")
        let extent = self.slots[Int(self.updates[index])].extent
        return extent == Self.noExtent ? nil : extent
    }

    /// The number of slots in use, those of the planned transaction included.
    package var usedSlotCount: Int { self.freshSlots }

    /// The number of extents that requests refer to or that are being made hot for them.
    package var referencedCount: Int { self.freshSlots - self.idleCount }

    /// The number of requests that wait.
    package var waitingCount: Int { self.tail - self.head - self.gapCount }

    /// The extent in `slot` that the log on disk names; nil if the slot is free.
    ///
    /// Over all slots this is the set to mark out of sync when a Primary loses its disk.
    package func hotExtent(inSlot slot: Int) -> UInt32? {
        invariant(slot >= 0 && slot < self.slotCount, "number of an activity-log slot")
        let extent = self.slots[slot].extent
        return extent == Self.noExtent ? nil : extent
    }

    /// The number of references to `extent`; 0 if it is cold.
    package func referenceCount(of extent: UInt32) -> UInt32 {
        guard let slot = self.table.slot(of: extent) else { return 0 }
        return self.slots[slot].references
    }

    /// Whether no extent has a reference and no transaction is planned or running.
    package var isQuiet: Bool { self.phase == .collecting && self.referencedCount == 0 }

    // MARK: Administration

    /// Makes all new requests wait and plans no further transaction; what is in flight goes on.
    package mutating func suspend() {
        if self.phase == .collecting { self.closeScan() }
        self.isSuspended = true
    }

    /// Ends ``suspend()``.
    package mutating func resume() { self.isSuspended = false }

    /// Makes every extent cold, at a clean detach or before `al-updates` changes; false if not
    /// allowed.
    ///
    /// Only in memory: the blocks on disk stay. Allowed when the log is quiet and a flush has
    /// covered every write. Before the log on disk may be taken for empty the caller also writes
    /// all dirty bitmap pages, then stores a superblock that says so (PRIMARY_IND cleared).
    package mutating func markAllCold(flushes: FlushClock) -> Bool {
        guard self.isQuiet else { return false }
        for slot in 0..<self.freshSlots where !flushes.covers(self.slots[slot].mark) {
            return false
        }
        self.table.removeAll()
        self.slots.update(repeating: Slot(), count: self.freshSlots)
        self.freshSlots = 0
        self.idleCount = 0
        self.oldestIdle = -1
        self.youngestIdle = -1
        return true
    }

    /// Switches `al-updates`.
    ///
    /// Traps unless every extent is cold: the log on disk is not kept up otherwise.
    package mutating func setWritesUpdates(_ writesUpdates: Bool) {
        invariant(self.isQuiet && self.freshSlots == 0, "al-updates changes while all is cold")
        self.writesUpdates = writesUpdates
    }

    /// Has `count` transactions without changes written before anything else, also while suspended.
    ///
    /// As many as the ring has blocks fill a new activity log after the size or place of the
    /// metadata has changed.
    package mutating func writeEmptyTransactions(_ count: Int) {
        invariant(count >= 0, "number of transactions")
        self.emptyTransactions += count
    }

    /// Whether transactions of ``writeEmptyTransactions(_:)`` are still to be written.
    package var writesEmptyTransactions: Bool {
        self.emptyTransactions > 0 || (self.phase == .writing && self.updateCount == 0)
    }
}
