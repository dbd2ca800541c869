// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Whom a deadline belongs to.
package enum TimerOwner: BitwiseCopyable {
    /// The deadline of the connection in this slot, to connect or to finish closing.
    case connection(slot: UInt32)
    /// The pause of the listener in this slot.
    case listener(slot: UInt32)
}

/// All deadlines of a reactor in a binary heap, ordered by time, then by the order of arming.
///
/// Arming, re-arming and disarming cost O(log n) and never allocate. Owned by one thread; a value
/// of pointers, freed by ``deallocate()``.
package struct TimerHeap {
    struct Timer: BitwiseCopyable {
        let owner: TimerOwner
        var deadline: Instant = .distantFuture
        var order: UInt64 = 0
        /// The place in the heap; below 0 while the timer is off.
        var position = -1
    }

    let timers: HandleTable<Timer>
    private let heap: UnsafeMutablePointer<UInt32>
    private let counters: UnsafeMutablePointer<(count: Int, order: UInt64)>

    package init(capacity: Int) {
        self.timers = HandleTable(capacity: capacity)
        self.heap = .allocate(capacity: capacity)
        self.counters = .allocate(capacity: 1)
        self.counters.initialize(to: (0, 0))
    }

    package func deallocate() {
        self.timers.deallocate()
        self.heap.deallocate()
        self.counters.deallocate()
    }

    /// Makes a timer that is off; nil if there are as many as the capacity.
    package func take(_ owner: TimerOwner) -> UInt32? { self.timers.take(Timer(owner: owner)) }

    /// The earliest deadline; `distantFuture` when no timer is armed.
    package var nextDeadline: Instant {
        self.counters.pointee.count == 0
            ? .distantFuture : self.timers[self.heap[0]].pointee.deadline
    }

    /// Sets or moves the deadline of `slot`.
    package func arm(_ slot: UInt32, at deadline: Instant) {
        self.disarm(slot)
        guard deadline < .distantFuture else { return }
        let timer = self.timers[slot]
        self.counters.pointee.order += 1
        timer.pointee.order = self.counters.pointee.order
        timer.pointee.deadline = deadline
        let position = self.counters.pointee.count
        self.counters.pointee.count += 1
        self.place(slot, at: position)
        self.rise(position)
    }

    /// Turns `slot` off.
    package func disarm(_ slot: UInt32) {
        let timer = self.timers[slot]
        let position = timer.pointee.position
        guard position >= 0 else { return }
        timer.pointee.position = -1
        timer.pointee.deadline = .distantFuture
        self.counters.pointee.count -= 1
        let last = self.counters.pointee.count
        guard position < last else { return }
        self.place(self.heap[last], at: position)
        self.sink(position)
        self.rise(position)
    }

    /// Takes the earliest timer whose deadline is not after `now`; nil if there is none.
    package func popExpired(at now: Instant) -> UInt32? {
        guard self.counters.pointee.count > 0, self.nextDeadline <= now else { return nil }
        let slot = self.heap[0]
        self.disarm(slot)
        return slot
    }

    private func place(_ slot: UInt32, at position: Int) {
        (self.heap + position).initialize(to: slot)
        self.timers[slot].pointee.position = position
    }

    private func isEarlier(_ left: UInt32, _ right: UInt32) -> Bool {
        let a = self.timers[left]
        let b = self.timers[right]
        return a.pointee.deadline == b.pointee.deadline
            ? a.pointee.order < b.pointee.order : a.pointee.deadline < b.pointee.deadline
    }

    private func rise(_ start: Int) {
        var position = start
        while position > 0 {
            let parent = (position - 1) / 2
            guard self.isEarlier(self.heap[position], self.heap[parent]) else { return }
            self.swap(position, parent)
            position = parent
        }
    }

    private func sink(_ start: Int) {
        var position = start
        let count = self.counters.pointee.count
        while true {
            var least = position
            for child in (2 * position + 1)...(2 * position + 2)
            where child < count && self.isEarlier(self.heap[child], self.heap[least]) {
                least = child
            }
            guard least != position else { return }
            self.swap(position, least)
            position = least
        }
    }

    private func swap(_ left: Int, _ right: Int) {
        let slot = self.heap[left]
        self.place(self.heap[right], at: left)
        self.place(slot, at: right)
    }
}
