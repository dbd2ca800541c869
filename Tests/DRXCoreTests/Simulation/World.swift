// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Time that moves from event to event, ordered by due time and then by insertion.
final class World {
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    var random: SeededRandom
    private var heap: [Entry] = []
    private var sequence: UInt64 = 0

    private struct Entry {
        let due: Instant
        let sequence: UInt64
        let work: () -> Void

        func precedes(_ other: Entry) -> Bool {
            (self.due, self.sequence) < (other.due, other.sequence)
        }
    }

    init(seed: UInt64) { self.random = SeededRandom(seed: seed) }

    func at(_ due: Instant, _ work: @escaping () -> Void) {
        self.sequence += 1
        self.heap.append(Entry(due: max(due, self.now), sequence: self.sequence, work: work))
        var child = self.heap.count - 1
        while child > 0, self.heap[child].precedes(self.heap[(child - 1) / 2]) {
            self.heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    func after(_ span: TimeSpan, _ work: @escaping () -> Void) { self.at(self.now + span, work) }

    /// Runs for `span`, or until `condition` holds after an event; whether it did.
    @discardableResult
    func run(for span: TimeSpan, until condition: () -> Bool = { false }) -> Bool {
        let end = self.now + span
        while let first = self.heap.first, first.due <= end {
            self.now = first.due
            self.removeFirst()
            first.work()
            if condition() { return true }
        }
        self.now = end
        return condition()
    }

    func milliseconds(_ range: ClosedRange<UInt64>) -> TimeSpan {
        .milliseconds(
            range.lowerBound + self.random.below(range.upperBound - range.lowerBound + 1)
        )
    }

    private func removeFirst() {
        let last = self.heap.removeLast()
        guard !self.heap.isEmpty else { return }
        self.heap[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < self.heap.count {
                if self.heap[child].precedes(self.heap[least]) { least = child }
            }
            if least == parent { return }
            self.heap.swapAt(parent, least)
            parent = least
        }
    }
}
