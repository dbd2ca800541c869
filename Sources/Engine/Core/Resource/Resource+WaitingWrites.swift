// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Writes that overlap another one, or a block of the resync, wait until it has ended.
///
/// A write waits behind one other, the newest that it overlaps, and is looked at again only when
/// that one has ended: an older write always starts before a younger one that overlaps it.
extension Resource {
    mutating func beginWaiting(_ slot: UInt32) {
        guard !self.requests[slot].flags.contains(.waits) else { return }
        let index = self.requests[slot].client.volume
        let interval = self.volumes[index].waitingWrites.insert(
            self.requests[slot].range,
            tag: slot
        )
        guard let interval else { invariantBroken("a waiting write fits as the requests do") }
        self.requests[slot].interval = interval
        self.requests[slot].flags.insert(.waits)
    }

    /// Has the write wait for an older one that waits itself.
    ///
    /// Whatever is older still and overlaps a write that `older` covers overlaps `older` too, and
    /// has ended when `older` has.
    mutating func wait(_ slot: UInt32, behind older: IntervalTable.Interval) {
        let range = self.requests[slot].range
        if older.range.start <= range.start, range.end <= older.range.end {
            self.requests[slot].flags.remove(.mayWaitAgain)
        } else {
            self.requests[slot].flags.insert(.mayWaitAgain)
        }
        self.appendWaiter(slot, of: older.tag)
    }

    private mutating func appendWaiter(_ slot: UInt32, of other: UInt32) {
        var waiters = self.requests[other].waiters
        waiters.append(slot, in: &self.requests)
        self.requests[other].waiters = waiters
    }

    /// Starts a write that no older waiting one overlaps, or has it wait for what is in flight.
    mutating func startUnlessBlocked(_ slot: UInt32, at now: Instant) {
        let index = self.requests[slot].client.volume
        let range = self.requests[slot].range
        if let other = self.volumes[index].writesInFlight.newestOverlap(of: range) {
            self.beginWaiting(slot)
            self.appendWaiter(slot, of: other.tag)
        } else if self.volumes[index].overlapsResync(range) {
            self.beginWaiting(slot)
            self.volumes[index].awaitingResync.append(slot)
        } else {
            if self.requests[slot].flags.contains(.waits) {
                self.volumes[index].waitingWrites.remove(self.requests[slot].interval)
                self.requests[slot].flags.remove([.waits, .mayWaitAgain])
            }
            self.startWrite(slot, at: now)
        }
    }

    /// The write is no longer in flight: starts those that waited for it.
    mutating func releaseWaiters(of slot: UInt32, at now: Instant) {
        let index = self.requests[slot].client.volume
        var waiters = self.requests[slot].waiters
        guard !waiters.isEmpty else { return }
        self.requests[slot].waiters = RequestList()
        while let waiter = waiters.popFirst(in: &self.requests) {
            self.volumes[index].unblocked.append(waiter)
        }
        self.startUnblocked(index, at: now)
    }

    /// A block of the resync is no longer under way, or none is: starts the writes that waited for
    /// it.
    mutating func releaseWritesAwaitingResync(
        of range: SectorRange?,
        in index: UInt16,
        at now: Instant
    ) {
        for _ in 0..<self.volumes[index].awaitingResync.count {
            guard let slot = self.volumes[index].awaitingResync.popFirst() else { break }
            if range?.overlaps(self.requests[slot].range) ?? true {
                self.volumes[index].unblocked.append(slot)
            } else {
                self.volumes[index].awaitingResync.append(slot)
            }
        }
        self.startUnblocked(index, at: now)
    }

    /// A write that ends at once releases others: the outermost call starts them all.
    private mutating func startUnblocked(_ index: UInt16, at now: Instant) {
        guard !self.volumes[index].isStartingUnblocked else { return }
        self.volumes[index].isStartingUnblocked = true
        while let slot = self.volumes[index].unblocked.popFirst() {
            self.waitingWritesChecked += 1
            if self.requests[slot].flags.contains(.mayWaitAgain),
                let older = self.volumes[index].waitingWrites.newestOverlap(
                    of: self.requests[slot].range,
                    olderThan: self.requests[slot].interval
                )
            {
                self.wait(slot, behind: older)
            } else {
                self.startUnlessBlocked(slot, at: now)
            }
        }
        self.volumes[index].isStartingUnblocked = false
    }
}
