// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

@Suite struct OutOfSyncBitmapTests {
    private static func sectors(_ start: UInt64, _ count: UInt64) -> SectorRange {
        SectorRange(start: start, count: count)
    }

    @Test("AL-07 one bit covers 4 KiB; marking rounds outward, clearing inward")
    func rounding() {
        var bitmap = OutOfSyncBitmap(sectorCount: 100)
        let set = bitmap.set(Self.sectors(7, 2))
        #expect(set == 2)
        let partly = bitmap.clear(Self.sectors(1, 14))
        #expect(partly == 0)
        let first = bitmap.clear(Self.sectors(0, 15))
        #expect(first == 1)
        let left = bitmap.next(from: 0)
        #expect(left == 1)
        let all = bitmap.setAll()
        #expect(all == 12)
        let last = bitmap.clear(Self.sectors(96, 4))
        #expect(last == 1)
        let beforeEnd = bitmap.clear(Self.sectors(80, 15))
        #expect(beforeEnd == 1)
    }

    @Test func `ranges beyond the volume change nothing, and never trap`() {
        var bitmap = OutOfSyncBitmap(sectorCount: 100)
        let beyond = bitmap.set(Self.sectors(100, 8))
        let wrapped = bitmap.set(Self.sectors(.max - 3, 8))
        let empty = bitmap.set(Self.sectors(5, 0))
        let clipped = bitmap.set(Self.sectors(90, .max))
        #expect([beyond, wrapped, empty, clipped] == [0, 0, 0, 2])
        let any = bitmap.containsAny(in: Self.sectors(.max - 3, 8))
        #expect(!any)
    }

    @Test("AL-09 pages follow the interleave of peers", arguments: [1, 2, 3, 7, 31])
    func interleave(peers: Int) {
        for slot in 0..<peers {
            var bitmap = OutOfSyncBitmap(
                sectorCount: 8 * 64 * 5_000,
                interleave: .init(slot: slot, peers: peers)
            )
            for bit in stride(from: 0, to: bitmap.bitCount, by: 977) {
                _ = bitmap.set(bits: bit..<bit + 1)
                // Byte position of the metadata format: ((b >> 5) · peers + s) · 4 + …
                let page = ((bit >> 5) * peers + slot) * 4 / 4096
                let dirty = bitmap.nextDirtyPage(from: 0)
                #expect(dirty == page)
                let change = bitmap.beginWrite(page: page)
                #expect(change == .set)
                let during = bitmap.isDurable(page: page)
                #expect(!during)
                bitmap.endWrite(page: page)
                let after = bitmap.isDurable(page: page)
                let covers = bitmap.pages(ofExtent: bit / 1024).contains(page)
                #expect(after && covers)
            }
        }
    }

    @Test func `cleared bits alone do not make a page urgent`() {
        var bitmap = OutOfSyncBitmap(sectorCount: 8 * 100_000)
        bitmap.loadWords { $0.update(repeating: .max) }
        let loaded = bitmap.nextDirtyPage(from: 0)
        let count = bitmap.count
        #expect(loaded == nil && count == 100_000)
        _ = bitmap.clear(Self.sectors(0, 800))
        let lazy = bitmap.nextDirtyPage(from: 0)
        let urgent = bitmap.nextDirtyPage(from: 0, atLeast: .set)
        let durable = bitmap.isDurable(page: 0)
        #expect(lazy == 0 && urgent == nil && durable)
        _ = bitmap.set(Self.sectors(0, 8))
        let now = bitmap.isDurable(page: 0)
        #expect(!now)
        let change = bitmap.beginWrite(page: 0)
        _ = bitmap.set(Self.sectors(8, 8))
        let running = bitmap.nextDirtyPage(from: 0)
        #expect(change == .set && running == nil)
        bitmap.endWrite(page: 0)
        let again = bitmap.nextDirtyPage(from: 0, atLeast: .set)
        #expect(again == 0)
    }

    @Test func `merging a peer's bits counts them and dirties their pages`() {
        var bitmap = OutOfSyncBitmap(sectorCount: 8 * 70_000 - 3)
        _ = bitmap.set(Self.sectors(0, 8))
        _ = bitmap.beginWrite(page: 0)
        bitmap.endWrite(page: 0)
        bitmap.mergeWords {
            $0[0] |= 1
            $0[600] |= 6
            $0[$0.count - 1] = .max
        }
        let count = bitmap.count
        #expect(count == 1 + 2 + 70_000 % 64)
        let first = bitmap.nextDirtyPage(from: 0)
        let second = bitmap.nextDirtyPage(from: 2)
        #expect(first == 1 && second == 2)
    }

    @Test func `growing marks new sectors or leaves them, shrinking drops the rest`() {
        var bitmap = OutOfSyncBitmap(sectorCount: 8 * 1000 + 3)
        _ = bitmap.set(Self.sectors(80, 8))
        bitmap.resize(sectorCount: 8 * 3000, newBlocks: true)
        let grown = bitmap.count
        #expect(grown == 1 + 2000)
        let partial = bitmap.contains(1000)
        let dirty = bitmap.nextDirtyPage(from: 0, atLeast: .set)
        #expect(partial && dirty == 0)
        bitmap.resize(sectorCount: 8 * 2000, newBlocks: true)
        let shrunk = bitmap.count
        #expect(shrunk == 1 + 1000)
        bitmap.resize(sectorCount: 8 * 4000, newBlocks: false)
        let clean = bitmap.count
        let behind = bitmap.next(from: 2000)
        #expect(clean == shrunk && behind == nil)
    }

    @Test(arguments: 0..<40)
    func `agrees with a plain array of blocks`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let sectorCount = 1 + random.below([60, 600, 9_000, 200_000][Int(random.below(4))])
        let peers = 1 + Int(random.below(5))
        var bitmap = OutOfSyncBitmap(
            sectorCount: sectorCount,
            interleave: .init(slot: Int(random.below(UInt64(peers))), peers: peers)
        )
        var model = Array(repeating: false, count: Int((sectorCount + 7) / 8))
        // What a reader of the written pages would find.
        var disk = model
        for _ in 0..<600 {
            let range = Self.sectors(
                random.below(sectorCount + 9),
                random.below(sectorCount / 2 + 20)
            )
            switch random.below(5) {
            case 0:
                let changed = Self.set(range, in: &model, sectorCount: sectorCount)
                let result = bitmap.set(range)
                #expect(result == changed)
            case 1:
                let changed = Self.clear(range, in: &model, sectorCount: sectorCount)
                let result = bitmap.clear(range)
                #expect(result == changed)
            case 2:
                let bit = Int(random.below(UInt64(model.count)))
                let next = bitmap.next(from: bit)
                let contains = bitmap.contains(bit)
                let any = bitmap.containsAny(in: range)
                #expect(contains == model[bit])
                #expect(next == model[bit...].firstIndex(of: true))
                let touched = model.indices.contains {
                    model[$0] && UInt64($0) * 8 < range.end && range.start < UInt64($0) * 8 + 8
                        && range.count > 0 && range.start < sectorCount
                }
                #expect(any == touched)
            case 3:
                guard let page = bitmap.nextDirtyPage(from: Int(random.below(3))) else { continue }
                let change = bitmap.beginWrite(page: page)
                #expect(change > .nothing)
                for bit in model.indices where bitmap.interleave.page(ofWord: bit / 32) == page {
                    disk[bit] = model[bit]
                }
                bitmap.endWrite(page: page)
            default:
                let count = bitmap.count
                #expect(count == model.count { $0 })
                for extent in 0..<bitmap.extentCount {
                    let slice = model[extent * 1024..<min(model.count, extent * 1024 + 1024)]
                    let marks = bitmap.count(ofExtent: extent)
                    #expect(marks == slice.count { $0 })
                }
                for bit in model.indices {
                    let page = bitmap.interleave.page(ofWord: bit / 32)
                    let change = bitmap.change(ofPage: page)
                    let durable = bitmap.isDurable(page: page)
                    if change == .nothing { #expect(disk[bit] == model[bit]) }
                    if durable && model[bit] { #expect(disk[bit], "a set bit is on disk") }
                }
            }
        }
    }

    /// Marks every block that `range` touches; the number of those that were not marked.
    private static func set(
        _ range: SectorRange,
        in model: inout [Bool],
        sectorCount: UInt64
    ) -> Int {
        guard range.count > 0, range.start < sectorCount else { return 0 }
        var changed = 0
        for bit in model.indices
        where UInt64(bit) * 8 < range.end && range.start < UInt64(bit) * 8 + 8 && !model[bit] {
            model[bit] = true
            changed += 1
        }
        return changed
    }

    /// Unmarks every block that `range` covers whole; the number of those that were marked.
    private static func clear(
        _ range: SectorRange,
        in model: inout [Bool],
        sectorCount: UInt64
    ) -> Int {
        var changed = 0
        for bit in model.indices where model[bit] {
            let end = min(UInt64(bit) * 8 + 8, sectorCount)
            guard range.start <= UInt64(bit) * 8, end <= range.end else { continue }
            model[bit] = false
            changed += 1
        }
        return changed
    }
}
