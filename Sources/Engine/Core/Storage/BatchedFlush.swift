// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Holds back what may leave only after a data flush: acknowledgements of writes that clear bits,
/// barrier acknowledgements, clients' flushes.
///
/// Items are released in the order in which they were added, as soon as a flush has completed that
/// started after their writes did. While a flush runs, further items gather and share the next one.
/// All memory is found at creation; a full queue is backpressure. Owned by one thread.
package struct BatchedFlush<Item: BitwiseCopyable>: ~Copyable {
    private struct Entry: BitwiseCopyable {
        let item: Item
        let mark: UInt64
    }

    private let entries: UnsafeMutablePointer<Entry>
    private let mask: Int
    private var head = 0
    private var tail = 0
    private var highestMark: UInt64 = 0
    /// How many items fit.
    package let capacity: Int

    /// Creates an empty queue for `capacity` items.
    package init(capacity: Int) {
        invariant(capacity > 0, "room for an item")
        self.capacity = capacity
        var size = 1
        while size < capacity { size *= 2 }
        self.entries = .allocate(capacity: size)
        self.mask = size - 1
    }

    deinit { self.entries.deallocate() }

    /// The number of items held back.
    package var count: Int { self.tail - self.head }

    /// Whether no further item fits.
    package var isFull: Bool { self.count == self.capacity }

    /// Adds an item whose writes have completed by now.
    ///
    /// Traps when the queue is full.
    package mutating func append(_ item: Item, flushes: FlushClock) {
        self.append(item, mark: flushes.mark)
    }

    /// Adds an item whose writes are covered by flush number `mark`; 0 if it only keeps its place.
    ///
    /// Traps when the queue is full.
    package mutating func append(_ item: Item, mark: UInt64) {
        invariant(!self.isFull, "room for an item")
        (self.entries + (self.tail & self.mask)).initialize(to: Entry(item: item, mark: mark))
        self.tail += 1
        self.highestMark = max(self.highestMark, mark)
    }

    /// Whether an item waits for a flush that has not started.
    package func needsFlush(_ flushes: FlushClock) -> Bool {
        self.count > 0 && !flushes.willCover(self.highestMark)
    }

    /// Removes and returns the oldest item if a completed flush covers it.
    package mutating func popReleased(_ flushes: FlushClock) -> Item? {
        guard self.count > 0 else { return nil }
        let entry = self.entries[self.head & self.mask]
        guard flushes.covers(entry.mark) else { return nil }
        self.head += 1
        return entry.item
    }

    /// Forgets all items, when the one they would go to is gone.
    package mutating func removeAll() {
        self.head = self.tail
        self.highestMark = 0
    }
}
