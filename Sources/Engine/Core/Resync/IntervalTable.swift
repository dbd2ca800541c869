// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Knows the sector ranges that are in flight, and answers quickly whether a range overlaps any.
///
/// Used for application writes, peer writes and resync requests. A counter per hashed 32 KiB
/// granule answers "none" without looking at any range; otherwise only the ranges whose start lies
/// in the same 1 MiB are compared, exactly. Ranges longer than 1 MiB are chained apart. All memory
/// is found at creation; a full table is backpressure. Owned by one thread.
package struct IntervalTable: ~Copyable {
    /// One range in flight.
    package struct Interval: Hashable, Sendable, BitwiseCopyable {
        /// The sectors.
        package let range: SectorRange
        /// What the owner calls it, a request slot for example.
        package let tag: UInt32

        package init(range: SectorRange, tag: UInt32) {
            self.range = range
            self.tag = tag
        }
    }

    private struct Node: BitwiseCopyable {
        let interval: Interval
        /// Counts the insertions: the larger, the newer.
        let order: UInt64
        let chain: Int32
        var next: Int32
        var previous: Int32
    }

    private static var sectorsPerGranule: UInt64 { 64 }
    private static var sectorsPerBucket: UInt64 { 2048 }
    /// Queries longer than this skip the granule counters: looking at the chains is cheaper.
    private static var granulesPerQuery: UInt64 { 40 }

    private var nodes: SlotTable<Node>
    private let granules: UnsafeMutablePointer<UInt32>
    private let granuleMask: UInt64
    /// First nodes of the chains by 1 MiB of the start; the last chain holds the longer ranges.
    private let chains: UnsafeMutablePointer<Int32>
    private let chainMask: UInt64
    private let longChain: Int
    private var longCount = 0
    private var insertions: UInt64 = 0

    /// Creates an empty table for at most `capacity` ranges.
    package init(capacity: Int) {
        self.nodes = SlotTable(capacity: capacity)
        var size: UInt64 = 64
        while size < UInt64(capacity) * 8 { size *= 2 }
        self.granuleMask = size - 1
        self.granules = .allocate(capacity: Int(size))
        self.granules.initialize(repeating: 0, count: Int(size))
        self.chainMask = size / 4 - 1
        self.longChain = Int(size / 4)
        self.chains = .allocate(capacity: self.longChain + 1)
        self.chains.initialize(repeating: -1, count: self.longChain + 1)
    }

    deinit {
        self.granules.deallocate()
        self.chains.deallocate()
    }

    /// The number of ranges in the table.
    package var count: Int { self.nodes.count }

    /// Whether no further range fits.
    package var isFull: Bool { self.nodes.isFull }

    /// Adds `range`, which has a length, and returns its slot; nil when the table is full.
    package mutating func insert(_ range: SectorRange, tag: UInt32 = 0) -> UInt32? {
        invariant(range.count > 0, "a range in flight has a length")
        let isLong = range.count > Self.sectorsPerBucket
        let chain = isLong ? self.longChain : self.chain(of: range.start / Self.sectorsPerBucket)
        let node = Node(
            interval: Interval(range: range, tag: tag),
            order: self.insertions,
            chain: Int32(chain),
            next: self.chains[chain],
            previous: -1
        )
        guard let slot = self.nodes.take(node) else { return nil }
        if node.next >= 0 { self.nodes[UInt32(node.next)].previous = Int32(slot) }
        self.chains[chain] = Int32(slot)
        self.insertions += 1
        if isLong { self.longCount += 1 } else { self.count(range, by: 1) }
        return slot
    }

    /// Removes the range in `slot`.
    ///
    /// Traps if the slot is free.
    package mutating func remove(_ slot: UInt32) {
        let node = self.nodes[slot]
        if node.previous >= 0 {
            self.nodes[UInt32(node.previous)].next = node.next
        } else {
            self.chains[Int(node.chain)] = node.next
        }
        if node.next >= 0 { self.nodes[UInt32(node.next)].previous = node.previous }
        self.nodes.release(slot)
        if Int(node.chain) == self.longChain {
            self.longCount -= 1
        } else {
            self.count(node.interval.range, by: -1)
        }
    }

    /// The range in `slot`.
    ///
    /// Traps if the slot is free.
    package subscript(slot: UInt32) -> Interval { self.nodes[slot].interval }

    /// Whether `range` shares a sector with any range in the table.
    package func overlaps(_ range: SectorRange) -> Bool {
        self.visit(range) { _, _ in true }
    }

    /// Calls `body` with slot and interval of each range that shares a sector with `range`.
    package func forEachOverlap(of range: SectorRange, _ body: (UInt32, Interval) -> Void) {
        _ = self.visit(range) { slot, interval in
            body(slot, interval)
            return false
        }
    }

    /// The newest range that shares a sector with `range`, of those older than the one in `slot`.
    ///
    /// Each chain begins with its newest range, so many ranges in one place cost no more than few.
    package func newestOverlap(of range: SectorRange, olderThan slot: UInt32? = nil) -> Interval? {
        guard self.nodes.count > 0 && range.count > 0 else { return nil }
        let limit = slot.map { self.nodes[$0].order } ?? .max
        var newest: Node?
        if self.longCount > 0 { self.findNewest(&newest, self.longChain, range, limit) }
        guard self.mayOverlapShort(range) else { return newest?.interval }
        let first = range.start / Self.sectorsPerBucket
        let last = (range.end - 1) / Self.sectorsPerBucket
        if last - first < self.chainMask {
            for bucket in (first == 0 ? 0 : first - 1)...last {
                self.findNewest(&newest, self.chain(of: bucket), range, limit)
            }
        } else {
            for chain in 0..<self.longChain { self.findNewest(&newest, chain, range, limit) }
        }
        return newest?.interval
    }

    /// Looks in one chain for an overlapping range that is newer than `newest`.
    private func findNewest(
        _ newest: inout Node?,
        _ chain: Int,
        _ range: SectorRange,
        _ limit: UInt64
    ) {
        var index = self.chains[chain]
        while index >= 0 {
            let node = self.nodes[UInt32(index)]
            if let newest, node.order <= newest.order { return }
            if node.order < limit, node.interval.range.overlaps(range) { return newest = node }
            index = node.next
        }
    }

    /// Calls `body` for overlapping ranges until it returns true; whether it did.
    private func visit(_ range: SectorRange, _ body: (UInt32, Interval) -> Bool) -> Bool {
        guard self.nodes.count > 0 && range.count > 0 else { return false }
        if self.longCount > 0 && self.visit(chain: self.longChain, range, nil, body) { return true }
        guard self.mayOverlapShort(range) else { return false }
        // A range of at most 1 MiB that reaches into this one starts at most one bucket before it.
        let first = range.start / Self.sectorsPerBucket
        let last = (range.end - 1) / Self.sectorsPerBucket
        guard last - first < self.chainMask else { return self.visitAllShort(range, body) }
        for bucket in (first == 0 ? 0 : first - 1)...last
        where self.visit(chain: self.chain(of: bucket), range, bucket, body) {
            return true
        }
        return false
    }

    private func visitAllShort(_ range: SectorRange, _ body: (UInt32, Interval) -> Bool) -> Bool {
        for chain in 0..<self.longChain where self.visit(chain: chain, range, nil, body) {
            return true
        }
        return false
    }

    /// Visits one chain; with `bucket` only the ranges that start in it, for others share the
    /// chain.
    private func visit(
        chain: Int,
        _ range: SectorRange,
        _ bucket: UInt64?,
        _ body: (UInt32, Interval) -> Bool
    ) -> Bool {
        var index = self.chains[chain]
        while index >= 0 {
            let node = self.nodes[UInt32(index)]
            let start = node.interval.range.start / Self.sectorsPerBucket
            if bucket == nil || bucket == start, node.interval.range.overlaps(range),
                body(UInt32(index), node.interval)
            {
                return true
            }
            index = node.next
        }
        return false
    }

    private func mayOverlapShort(_ range: SectorRange) -> Bool {
        let first = range.start / Self.sectorsPerGranule
        let last = (range.end - 1) / Self.sectorsPerGranule
        if last - first >= Self.granulesPerQuery { return true }
        for granule in first...last where self.granules[self.index(of: granule)] > 0 { return true }
        return false
    }

    private mutating func count(_ range: SectorRange, by step: Int) {
        let first = range.start / Self.sectorsPerGranule
        let last = (range.end - 1) / Self.sectorsPerGranule
        for granule in first...last {
            let index = self.index(of: granule)
            self.granules[index] = UInt32(Int(self.granules[index]) + step)
        }
    }

    private func index(of granule: UInt64) -> Int {
        Int((granule ^ (granule >> 16)) & self.granuleMask)
    }

    private func chain(of bucket: UInt64) -> Int {
        Int((bucket ^ (bucket >> 12)) & self.chainMask)
    }
}
