// SPDX-License-Identifier: Apache-2.0

import Metadata
import Primitives
import Testing

struct BitmapTests {
    @Test("AL-07 one bit covers 4 KiB, one extent 1024 bits of each slot")
    func granularity() throws {
        #expect(BitmapGeometry.bitCount(forSectors: 0) == 0)
        #expect(BitmapGeometry.bitCount(forSectors: 1) == 1)
        #expect(BitmapGeometry.bitCount(forSectors: 8) == 1)
        #expect(BitmapGeometry.bitCount(forSectors: 9) == 2)
        #expect(BitmapGeometry.bitCount(forSectors: .max) == 1 << 61)
        let three = try #require(BitmapGeometry(slotCount: 3))
        #expect(three.byteRange(ofExtent: 2) == 768..<1152)
        #expect(three.pages(ofExtent: 10) == 0...1)
        for slots in [1, 3, 31] {
            let geometry = try #require(BitmapGeometry(slotCount: slots))
            for extent in UInt32(0)..<50 {
                let range = geometry.byteRange(ofExtent: extent)
                for bit in [UInt64(extent) * 1024, UInt64(extent) * 1024 + 1023] {
                    for slot in 0..<slots {
                        #expect(range.contains(geometry.location(ofBit: bit, slot: slot).byte))
                    }
                }
            }
        }
    }

    @Test("AL-09 slots are interleaved word by word")
    func interleave() throws {
        let geometry = try #require(BitmapGeometry(slotCount: 3))
        let first = geometry.location(ofBit: 0, slot: 1)
        #expect(first.byte == 4 && first.mask == 1)
        let later = geometry.location(ofBit: 32 + 9, slot: 2)
        #expect(later.byte == (1 * 3 + 2) * 4 + 1 && later.mask == 2)
        #expect(BitmapGeometry(slotCount: 0) == nil)
        #expect(BitmapGeometry(slotCount: 32) == nil)
    }

    @Test("AL-08 pages carry the bits of every slot to disk and back", arguments: [1, 2, 3, 7, 31])
    func pages(slots: Int) throws {
        let geometry = try #require(BitmapGeometry(slotCount: slots))
        var random = SeededRandom(seed: UInt64(slots))
        for _ in 0..<4 {
            let bits = 1 + random.below(60_000)
            let words = Int((bits + 63) / 64)
            let memory = (0..<slots).map { _ in
                (0..<words).map { index in
                    let word = random.next() & random.next()
                    let used = bits - UInt64(index) * 64
                    return used >= 64 ? word : word & ((1 << used) - 1)
                }
            }
            let area = Self.area(memory, geometry, bits)
            for (slot, expected) in memory.enumerated() {
                for _ in 0..<300 {
                    let bit = random.below(bits)
                    let place = geometry.location(ofBit: bit, slot: slot)
                    let isSet = expected[Int(bit / 64)] >> (bit % 64) & 1 == 1
                    #expect((area[Int(place.byte)] & place.mask != 0) == isSet)
                }
                let (read, count) = Self.read(area, geometry, slot: slot, bits: bits)
                #expect(read == expected)
                #expect(count == expected.reduce(0) { $0 + $1.nonzeroBitCount })
            }
        }
    }

    @Test func `bits beyond the end of the volume are neither read nor counted`() throws {
        let geometry = try #require(BitmapGeometry(slotCount: 2))
        let area = [UInt8](repeating: 0xFF, count: 4096)
        for bits in [UInt64(1), 31, 32, 33, 64, 246] {
            let (read, count) = Self.read(area, geometry, slot: 1, bits: bits)
            #expect(count == Int(bits))
            #expect(read.reduce(0) { $0 + $1.nonzeroBitCount } == Int(bits))
        }
    }

    @Test func `setting all bits counts those that were clear`() {
        var bytes: [UInt8] = [0, 0xFF, 0xF0, 1]
        let added = bytes.withUnsafeMutableBytes { BitmapGeometry.setAll(in: $0) }
        #expect(added == 8 + 0 + 4 + 7)
        #expect(bytes == [0xFF, 0xFF, 0xFF, 0xFF])
    }

    /// The whole area of `memory`, page by page.
    private static func area(
        _ memory: [[UInt64]],
        _ geometry: BitmapGeometry,
        _ bits: UInt64
    ) -> [UInt8] {
        let byteCount = geometry.byteCount(forSectors: bits * 8)
        var area: [UInt8] = []
        for page in 0..<byteCount / 4096 {
            area += block { target in
                target.initializeMemory(as: UInt8.self, repeating: 0)
                for (slot, words) in memory.enumerated() {
                    words.withUnsafeBufferPointer {
                        geometry.encode($0, slot: slot, page: page, into: target)
                    }
                }
            }
        }
        return area
    }

    private static func read(
        _ area: [UInt8],
        _ geometry: BitmapGeometry,
        slot: Int,
        bits: UInt64
    ) -> (words: [UInt64], count: Int) {
        var words = [UInt64](repeating: 0, count: Int((bits + 63) / 64))
        for page in 0..<UInt64(area.count / 4096) {
            let bytes = Array(area[Int(page) * 4096..<Int(page + 1) * 4096])
            words.withUnsafeMutableBufferPointer {
                geometry.decode(bytes.span.bytes, slot: slot, page: page, bitCount: bits, into: $0)
            }
        }
        return (words, words.reduce(0) { $0 + $1.nonzeroBitCount })
    }
}
