// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

@Suite struct IntervalTableTests {
    @Test func `neighbours do not overlap, a shared sector does`() {
        var table = IntervalTable(capacity: 4)
        let slot = table.insert(SectorRange(start: 2040, count: 16), tag: 7)
        let before = table.overlaps(SectorRange(start: 2032, count: 8))
        let behind = table.overlaps(SectorRange(start: 2056, count: 8))
        let first = table.overlaps(SectorRange(start: 2033, count: 8))
        let last = table.overlaps(SectorRange(start: 2055, count: 8))
        #expect([before, behind, first, last] == [false, false, true, true])
        if let slot { table.remove(slot) }
        let gone = table.overlaps(SectorRange(start: 2040, count: 16))
        #expect(slot != nil && !gone)
    }

    @Test func `a full table refuses`() {
        var table = IntervalTable(capacity: 2)
        let taken = (0..<3).map { table.insert(SectorRange(start: UInt64($0), count: 1)) }
        #expect(taken[0] != nil && taken[1] != nil && taken[2] == nil)
    }

    @Test(arguments: 0..<20)
    func `the newest overlapping range is found, of all or of the older ones`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let space = [2_000, 40_000, 1 << 40][Int(random.below(3))] as UInt64
        var table = IntervalTable(capacity: 300)
        var model: [(slot: UInt32, interval: IntervalTable.Interval)] = []
        for step in 0..<2_000 {
            let length = 1 + random.below([8, 2048, 9000, 3 << 21][Int(random.below(4))])
            let range = SectorRange(start: random.below(space), count: length)
            if model.count < 300, random.below(2) == 0 {
                guard let slot = table.insert(range, tag: UInt32(step)) else { continue }
                model.append((slot, IntervalTable.Interval(range: range, tag: UInt32(step))))
            } else if !model.isEmpty {
                table.remove(model.remove(at: Int(random.below(UInt64(model.count)))).slot)
            }
            let newest = table.newestOverlap(of: range)
            #expect(newest == model.last { $0.interval.range.overlaps(range) }?.interval)
            guard !model.isEmpty else { continue }
            let limit = Int(random.below(UInt64(model.count)))
            let older = table.newestOverlap(of: range, olderThan: model[limit].slot)
            let expected = model.prefix(limit).last { $0.interval.range.overlaps(range) }
            #expect(older == expected?.interval)
        }
    }

    @Test(arguments: 0..<40)
    func `agrees with a plain list of ranges`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let capacity = 1 + Int(random.below(200))
        let space = [4_000, 100_000, 10_000_000, 1 << 45][Int(random.below(4))] as UInt64
        var table = IntervalTable(capacity: capacity)
        var model: [UInt32: IntervalTable.Interval] = [:]
        for step in 0..<4_000 {
            let lengths: [UInt64] = [1, 8, 64, 2048, 2049, 9000, 400_000]
            let length = 1 + random.below(lengths[Int(random.below(7))])
            let range = SectorRange(start: random.below(space), count: length)
            switch random.below(4) {
            case 0:
                let slot = table.insert(range, tag: UInt32(step))
                #expect((slot == nil) == (model.count == capacity))
                if let slot { model[slot] = table[slot] }
            case 1:
                if let slot = model.keys.sorted().randomElement(using: &random) {
                    model[slot] = nil
                    table.remove(slot)
                }
            default:
                let expected = model.filter { $0.value.range.overlaps(range) }
                let overlaps = table.overlaps(range)
                #expect(overlaps == !expected.isEmpty)
                var found: [UInt32: IntervalTable.Interval] = [:]
                table.forEachOverlap(of: range) { slot, interval in
                    #expect(found[slot] == nil, "named once")
                    found[slot] = interval
                }
                #expect(found == expected)
            }
            let count = table.count
            #expect(count == model.count)
        }
    }
}
