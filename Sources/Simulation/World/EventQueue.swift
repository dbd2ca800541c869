// SPDX-License-Identifier: Apache-2.0

import Primitives

/// What will happen in a world, by its time; events of one instant in the order of their
/// scheduling.
struct EventQueue {
    private struct Event {
        let at: Instant
        let serial: UInt64
        let body: () -> Void

        func isBefore(_ other: Event) -> Bool {
            self.at == other.at ? self.serial < other.serial : self.at < other.at
        }
    }

    private var heap: [Event] = []
    private var serial: UInt64 = 0

    var isEmpty: Bool { self.heap.isEmpty }

    /// When the next event is due.
    var next: Instant { self.heap.first?.at ?? .distantFuture }

    mutating func schedule(at instant: Instant, _ body: @escaping () -> Void) {
        self.serial += 1
        self.heap.append(Event(at: instant, serial: self.serial, body: body))
        var child = self.heap.count - 1
        while child > 0, self.heap[child].isBefore(self.heap[(child - 1) / 2]) {
            self.heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func popFirst() -> (() -> Void)? {
        guard let first = self.heap.first else { return nil }
        let last = self.heap.removeLast()
        guard !self.heap.isEmpty else { return first.body }
        self.heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < self.heap.count && self.heap[child].isBefore(self.heap[least]) {
                least = child
            }
            if least == parent { return first.body }
            self.heap.swapAt(least, parent)
            parent = least
        }
    }
}
