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

    /// The number of extents that requests refer to or that are being made hot for them.
    package var referencedCount: Int { self.freshSlots - self.idleCount }

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
}
