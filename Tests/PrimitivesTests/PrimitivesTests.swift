// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing

@Suite struct ActionQueueTests {
    @Test func `keeps the order while it grows`() {
        var queue = ActionQueue<Int>(capacity: 2)
        var random = SeededRandom(seed: 1)
        var next = 0
        var expected = 0
        for _ in 0..<10_000 {
            if random.chance(3, in: 5) {
                queue.append(next)
                next += 1
            } else if let value = queue.popFirst() {
                #expect(value == expected)
                expected += 1
            }
        }
        let count = queue.count
        #expect(count == next - expected)
    }

    @Test func `an empty queue has no first value`() {
        var queue = ActionQueue<Int>()
        let first = queue.popFirst()
        #expect(first == nil)
    }
}

@Suite struct SlotTableTests {
    @Test func `gives each slot once until it is released`() {
        var table = SlotTable<Int>(capacity: 3)
        let slots = (0..<4).map { table.take($0) }
        #expect(Set(slots.compactMap { $0 }).count == 3)
        #expect(slots[3] == nil)
        if let slot = slots[1] {
            table[slot] += 10
            let value = table[slot]
            #expect(value == 11)
            table.release(slot)
            let inUse = table.contains(slot)
            #expect(!inUse)
        }
        let again = table.take(7)
        #expect(again == slots[1])
    }
}

@Suite struct InstantTests {
    @Test func `time saturates instead of wrapping`() {
        #expect(Instant.distantFuture + .seconds(1) == .distantFuture)
        #expect(Instant(nanoseconds: 5).since(Instant(nanoseconds: 9)) == .zero)
    }
}

@Suite struct SectorRangeTests {
    @Test(arguments: [
        (0, 8, 8, 8, false), (0, 9, 8, 8, true), (8, 8, 0, 8, false), (2, 1, 0, 8, true),
        (0, 0, 0, 8, false),
    ])
    func `overlap is about shared sectors`(
        start: UInt64,
        count: UInt64,
        otherStart: UInt64,
        otherCount: UInt64,
        expected: Bool
    ) {
        let one = SectorRange(start: start, count: count)
        #expect(one.overlaps(SectorRange(start: otherStart, count: otherCount)) == expected)
    }
}
