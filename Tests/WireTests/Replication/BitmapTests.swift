// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing
import Wire

/// Every packet of the transfer of `words`, with the bytes that trail it.
func transferred(
    _ words: [UInt64],
    _ bitCount: UInt64,
    compresses: Bool,
    under agreement: WireAgreement = WireAgreement(version: 101, features: .announced)
) -> [(packet: Packet, bytes: [UInt8])] {
    var sender = BitmapSender(bitCount: bitCount, compresses: compresses, under: agreement)
    var packets: [(packet: Packet, bytes: [UInt8])] = []
    // No packet of a transfer is longer.
    var memory = [UInt8](repeating: 0xaa, count: 4088)
    while let next = memory.withUnsafeMutableBytes({ sender.next(of: words.span, into: $0) }) {
        packets.append((next.packet, Array(memory[..<next.trailing])))
    }
    return packets
}

/// A bitmap of `runs`: lengths of runs of equal bits, clear ones first.
func bitmap(ofRuns runs: [UInt64]) -> (words: [UInt64], bitCount: UInt64) {
    let bitCount = runs.reduce(0, +)
    var words = [UInt64](repeating: 0, count: Int((bitCount + 63) / 64))
    var position: UInt64 = 0
    for (index, run) in runs.enumerated() {
        if index % 2 == 1 {
            for bit in position..<position + run { words[Int(bit / 64)] |= 1 << (bit % 64) }
        }
        position += run
    }
    return (words, bitCount)
}

@Suite("Bitmap transfer")
struct BitmapTests {
    private let agreement = WireAgreement(version: 101, features: .announced)

    private func received(
        _ packets: [(packet: Packet, bytes: [UInt8])],
        _ bitCount: UInt64,
        into start: [UInt64]? = nil
    ) throws -> (words: [UInt64], receiver: BitmapReceiver) {
        var words = start ?? [UInt64](repeating: 0, count: Int((bitCount + 63) / 64))
        var receiver = BitmapReceiver(bitCount: bitCount, under: self.agreement)
        for (packet, bytes) in packets {
            var span = words.mutableSpan
            try receiver.receive(packet, trailing: bytes.span.bytes, into: &span)
        }
        return (words, receiver)
    }

    @Test func `encodes the reference's vectors`() throws {
        let full = bitmap(ofRuns: [0, 262_144])
        let packets = transferred(full.words, full.bitCount, compresses: true)
        #expect(packets.count == 1)
        #expect(
            packets[0].packet
                == .compressedBitmap(CompressedBitmapHeader(startsWithSetBits: true, padBits: 3))
        )
        #expect(packets[0].bytes == [0x7f, 0xcf, 0xde, 0x03])
        #expect(
            encodedPacket(packets[0].packet, trailing: packets[0].bytes, under: self.agreement)
                == [0x86, 0x20, 0xec, 0x20, 0, 0, 0, 0x24, 0, 0, 0, 5, 0, 0, 0, 0]
                + [0xb2, 0x7f, 0xcf, 0xde, 0x03]
        )

        let mixed = bitmap(ofRuns: [100, 3, 1, 7, 1000, 261_033])
        let mixedPackets = transferred(mixed.words, mixed.bitCount, compresses: true)
        #expect(mixedPackets.count == 1)
        #expect(
            mixedPackets[0].packet
                == .compressedBitmap(CompressedBitmapHeader(startsWithSetBits: false, padBits: 6))
        )
        #expect(
            mixedPackets[0].bytes
                == [0xdf, 0x4c, 0x98, 0x3f, 0xb7, 0xe2, 0x0f, 0x4f, 0x7b, 0x00]
        )
        #expect(try self.received(mixedPackets, mixed.bitCount).words == mixed.words)
    }

    /// A run alone in a packet shows its code: pad bits give the number of bits.
    @Test(arguments: [
        (1, 0x0, 2), (2, 0x2, 2), (3, 0x1, 3), (4, 0x5, 3), (5, 0x3, 5), (8, 0x1b, 5), (9, 0x7, 7),
        (16, 0x77, 7), (17, 0xf, 10), (48, 0x3ef, 10), (49, 0x1f, 14), (304, 0x3fdf, 14),
        (305, 0x3f, 21), (8496, 0x1f_ff3f, 21), (8497, 0x7f, 29), (1_000_000, 0xf21_0f7f, 29),
        (2_105_648, 0x1fff_ff7f, 29), (2_105_649, 0xbf, 42),
    ])
    func `codes a run as in the table`(_ run: Int, _ code: Int, _ bits: Int) throws {
        // A run shorter than its code is sent plain, so a long run follows where that is needed.
        let tail: UInt64 = run < 64 ? 1 << 20 : 0
        let map = bitmap(ofRuns: [UInt64(run), tail])
        let packets = transferred(map.words, map.bitCount, compresses: true)
        #expect(packets.count == 1)
        var value: UInt64 = 0
        for (index, byte) in packets[0].bytes.prefix(8).enumerated() {
            value |= UInt64(byte) << (8 * UInt64(index))
        }
        #expect(value & (1 << UInt64(bits) - 1) == UInt64(code))
        if tail == 0 {
            guard case .compressedBitmap(let header) = packets[0].packet else {
                Issue.record("a long run must be compressed")
                return
            }
            #expect(packets[0].bytes.count * 8 - Int(header.padBits) == bits)
        }
        #expect(try self.received(packets, map.bitCount).words == map.words)
    }

    @Test func `decodes the codes of runs longer than any test can hold`() throws {
        // 64 bits: the longest code; it does not fit the device and is refused, not wrapped.
        let header = CompressedBitmapHeader(startsWithSetBits: true, padBits: 0)
        let longest = [UInt8](repeating: 0xff, count: 8)
        #expect(throws: BitmapError.runBehindEnd(position: 0, length: 72_057_611_219_902_768)) {
            try self.received([(.compressedBitmap(header), longest)], 64)
        }
        let bits42: [UInt8] = [0xbf, 0xff, 0xff, 0xff, 0xff, 0x03]
        let padded = CompressedBitmapHeader(startsWithSetBits: true, padBits: 6)
        #expect(throws: BitmapError.runBehindEnd(position: 0, length: 17_181_974_832)) {
            try self.received([(.compressedBitmap(padded), bits42)], 64)
        }
    }

    @Test func `sends plain packets of the exact sizes and an empty one at the end`() throws {
        let words = [UInt64](repeating: 0x0123_4567_89ab_cdef, count: 600)
        let bitCount: UInt64 = 600 * 64 - 10
        let packets = transferred(words, bitCount, compresses: false)
        #expect(packets.map(\.packet) == [.bitmap, .bitmap, .bitmap])
        #expect(packets.map(\.bytes.count) == [4080, 720, 0])
        #expect(
            Array(packets[0].bytes.prefix(8)) == [0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01]
        )
        #expect(packets[1].bytes.suffix(2) == [0x23, 0x00], "bits behind the last are sent as 0")

        let old = WireAgreement(version: 90, features: [])
        #expect(
            transferred(words, bitCount, compresses: false, under: old).map(\.bytes.count)
                == [4088, 712, 0]
        )
        let oldest = WireAgreement(version: 89, features: [])
        #expect(
            transferred(words, bitCount, compresses: true, under: oldest).map(\.packet)
                == [.bitmap, .bitmap, .bitmap]
        )
    }

    @Test func `an empty bitmap is one empty packet`() throws {
        for compresses in [true, false] {
            let packets = transferred([], 0, compresses: compresses)
            #expect(packets.map(\.packet) == [.bitmap])
            #expect(packets[0].bytes.isEmpty)
            #expect(try self.received(packets, 0).receiver.isFinished)
        }
    }

    @Test func `falls back to plain where runs do not pay and goes on from a word's start`() throws
    {
        // Alternating bits cost two bits each; the second half is one run.
        let noise = [UInt64](repeating: 0xaaaa_aaaa_aaaa_aaaa, count: 600)
        let words = noise + [UInt64](repeating: 0, count: 600)
        let packets = transferred(words, 1200 * 64, compresses: true)
        #expect(packets[0].packet == .bitmap)
        #expect(packets[0].bytes.count == 4080)
        #expect(packets.count > 1)
        guard case .compressedBitmap = packets[packets.count - 1].packet else {
            Issue.record("the last packet ends the transfer at the last bit")
            return
        }
        #expect(try self.received(packets, 1200 * 64).words == words)

        // A compressed packet that ends inside a word, then noise: the plain one repeats the word.
        var runs = [UInt64](repeating: 40, count: 4000)
        runs += [UInt64](repeating: 1, count: 70_000)
        let mixed = bitmap(ofRuns: runs)
        let mixedPackets = transferred(mixed.words, mixed.bitCount, compresses: true)
        #expect(Set(mixedPackets.map(\.packet.command)) == [.bitmap, .compressedBitmap])
        let result = try self.received(mixedPackets, mixed.bitCount)
        #expect(result.words == mixed.words)
        #expect(result.receiver.isFinished)
    }

    @Test func `any bitmap arrives as it was sent, merged into what was there`() throws {
        var random = SeededRandom(seed: 90)
        for _ in 0..<60 {
            let longest = [1, 4, 70, 3000][Int(random.below(4))]
            var runs: [UInt64] = []
            var total: UInt64 = 0
            while total < 60_000 {
                runs.append(random.below(UInt64(longest)) + 1)
                total += runs[runs.count - 1]
            }
            let map = bitmap(ofRuns: runs)
            let bitCount = map.bitCount - random.below(64)
            let dirtyTail = map.words.count - Int((bitCount + 63) / 64)
            let words = Array(map.words.dropLast(dirtyTail))
            let before = words.map { _ in random.next() & random.next() }
            for compresses in [true, false] {
                let packets = transferred(words, bitCount, compresses: compresses)
                let (merged, receiver) = try self.received(packets, bitCount, into: before)
                #expect(receiver.isFinished)
                var expected = zip(words, before).map { $0 | $1 }
                if bitCount % 64 != 0 {
                    let mask: UInt64 = 1 << (bitCount % 64) - 1
                    let last = words.count - 1
                    expected[last] = words[last] & mask | before[last]
                }
                #expect(merged == expected)
                let gained = zip(merged, before).reduce(0) {
                    $0 + UInt64(($1.0 & ~$1.1).nonzeroBitCount)
                }
                #expect(receiver.newlySetCount == gained)
                for (packet, bytes) in packets {
                    if case .compressedBitmap = packet { #expect(1...4079 ~= bytes.count) }
                }
            }
        }
    }

    @Test func `refuses what is not the next packet of a transfer`() throws {
        let head = CompressedBitmapHeader(startsWithSetBits: true, padBits: 0)
        #expect(throws: BitmapError.unexpected(.ping)) {
            try self.received([(.ping, [])], 128)
        }
        #expect(throws: BitmapError.length(8, expected: 16)) {
            try self.received([(.bitmap, [UInt8](repeating: 0, count: 8))], 128)
        }
        #expect(throws: BitmapError.length(0, expected: 4079)) {
            try self.received([(.compressedBitmap(head), [])], 128)
        }
        #expect(throws: BitmapError.length(4080, expected: 4079)) {
            try self.received(
                [(.compressedBitmap(head), [UInt8](repeating: 0, count: 4080))],
                1 << 20
            )
        }
        #expect(throws: BitmapError.cutCode(bits: 2, needed: 3)) {
            // Runs of 1, 1, 1, then the first two bits of a code of three.
            try self.received([(.compressedBitmap(head), [0b0100_0000])], 128)
        }
        #expect(throws: BitmapError.runBehindEnd(position: 2, length: 1)) {
            try self.received([(.compressedBitmap(head), [0])], 2)
        }
        let all = transferred([.max, .max], 128, compresses: true)
        #expect(throws: BitmapError.alreadyComplete) { try self.received(all + all, 128) }
        // A plain packet that reaches the end still wants the empty one, and nothing else.
        let plain = transferred([1, 2], 128, compresses: false)
        let end = CompressedBitmapHeader(startsWithSetBits: true, padBits: 6)
        #expect(throws: BitmapError.runBehindEnd(position: 128, length: 1)) {
            try self.received([plain[0], (.compressedBitmap(end), [0])], 128)
        }
    }

    @Test func `never sets a bit behind the end, whatever comes`() {
        var random = SeededRandom(seed: 4)
        for _ in 0..<30_000 {
            let bitCount = random.below(700)
            let wordCount = Int((bitCount + 63) / 64)
            var words = [UInt64](repeating: 0, count: wordCount + 1)
            var receiver = BitmapReceiver(bitCount: bitCount, under: self.agreement)
            for _ in 0..<4 where !receiver.isFinished {
                let isPlain = random.chance(1, in: 3)
                let count =
                    isPlain && random.chance(3, in: 4)
                    ? wordCount * 8 : Int(random.below(12))
                let bytes = (0..<count).map { _ in
                    UInt8(truncatingIfNeeded: random.next() & random.next())
                }
                let header = CompressedBitmapHeader(
                    startsWithSetBits: random.chance(1, in: 2),
                    padBits: UInt8(random.below(8))
                )
                var span = words.mutableSpan
                do throws(BitmapError) {
                    try receiver.receive(
                        isPlain ? .bitmap : .compressedBitmap(header),
                        trailing: bytes.span.bytes,
                        into: &span
                    )
                } catch {
                    break
                }
            }
            #expect(words[wordCount] == 0)
            if bitCount % 64 != 0 { #expect(words[wordCount - 1] >> (bitCount % 64) == 0) }
        }
    }
}
