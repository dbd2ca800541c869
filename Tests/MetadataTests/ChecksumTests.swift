// SPDX-License-Identifier: Apache-2.0

import CChecksum
import Primitives
import Testing

struct ChecksumTests {
    @Test func `has the published check values of both variants`() {
        let text = Array("123456789".utf8)
        #expect(bsr_crc32c(0, text, text.count) == 0xE306_9283)
        #expect(bsr_crc32c_update(0, text, text.count) == 0x58E3_FA20)
        #expect(bsr_crc32c_update_by_table(0, text, text.count) == 0x58E3_FA20)
    }

    @Test func `is the same by table, by instruction and bit by bit, in one piece and in two`() {
        var random = SeededRandom(seed: 1)
        for length in 0..<300 {
            let bytes = (0..<length).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let cut = Int(random.below(UInt64(length) + 1))
            let expected = Self.bitwise(bytes)
            #expect(bsr_crc32c_update(0, bytes, length) == expected)
            #expect(bsr_crc32c_update_by_table(0, bytes, length) == expected)
            let head = bsr_crc32c(0, bytes, cut)
            let tail = Array(bytes[cut...])
            #expect(bsr_crc32c(head, tail, tail.count) == bsr_crc32c(0, bytes, length))
        }
    }

    /// The definition: one bit at a time, reflected polynomial 0x82F63B78, start 0.
    private static func bitwise(_ bytes: [UInt8]) -> UInt32 {
        var state: UInt32 = 0
        for byte in bytes {
            state ^= UInt32(byte)
            for _ in 0..<8 { state = state >> 1 ^ (state & 1 == 1 ? 0x82F6_3B78 : 0) }
        }
        return state
    }
}
