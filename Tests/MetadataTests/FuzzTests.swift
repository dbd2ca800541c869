// SPDX-License-Identifier: Apache-2.0

import Metadata
import Primitives
import Testing

/// No bytes from a disk or a file may trap a decoder; what is accepted is encoded back alike.
struct FuzzTests {
    private static let rounds = 100_000

    @Test func `100,000 mutated superblocks are refused or understood`() throws {
        var random = SeededRandom(seed: 8)
        let layout = try layout(.internal, bytes: 64 << 20, peers: 3)
        let samples: [(FormatVersion, [UInt8])] = [
            (.v09, block { AnySuperblock(creating: layout, version: .v09).encode(into: $0) }),
            (.v08, block { AnySuperblock(creating: layout, version: .v08).encode(into: $0) }),
        ]
        var accepted = 0
        for round in 0..<Self.rounds {
            let (version, sample) = samples[round % 2]
            var bytes = sample
            for _ in 0..<1 + random.below(3) {
                // Most changes go where the fields are.
                let place = Int(random.below(random.chance(9, in: 10) ? 140 : 4096))
                bytes[place] = random.chance(1, in: 2) ? UInt8(random.below(256)) : bytes[place] ^ 1
            }
            if random.chance(1, in: 50) { bytes.removeLast(Int(random.below(4096))) }
            guard
                let found = try? StoredMetadata(
                    decoding: bytes.span.bytes,
                    version: version,
                    placement: .internal,
                    deviceBytes: 64 << 20
                )
            else { continue }
            accepted += 1
            let again = block { found.superblock.encode(into: $0) }
            let decoded = try AnySuperblock(decoding: again.span.bytes, version: version)
            #expect(decoded == found.superblock)
            #expect(found.bitmapBytes <= found.layout.bitmapCapacity)
        }
        #expect(accepted > 1000)
    }

    @Test func `every single-bit change and truncation of a superblock is refused or understood`()
        throws
    {
        let layout = try layout(.internal, bytes: 64 << 20, peers: 3)
        var random = SeededRandom(seed: 9)
        let whole = block { random.superblock(layout).encode(into: $0) }
        for bit in 0..<4096 * 8 {
            var bytes = whole
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            _ = try? StoredMetadata(
                decoding: bytes.span.bytes,
                version: .v09,
                placement: .internal,
                deviceBytes: 64 << 20
            )
        }
        for count in 0..<4096 {
            #expect(throws: SuperblockFault.truncated(count)) {
                try Superblock(decoding: Array(whole[..<count]).span.bytes)
            }
        }
    }

    @Test func `100,000 mutated blocks of an activity log are replayed`() {
        var random = SeededRandom(seed: 10)
        let samples = (0..<64).map { _ in Self.transactionBlock(&random) }
        var unused = [UInt8](repeating: 0, count: 4096)
        unused.withUnsafeMutableBytes { ActivityLogBlock.encodeInitialised(into: $0) }
        var replayed = 0
        for round in 0..<Self.rounds / 8 {
            var ring: [UInt8] = []
            for place in 0..<8 {
                switch random.below(8) {
                case 0...5: ring += unused
                case 6: ring += samples[Int(random.below(64))]
                default:
                    ring += samples[Int(random.below(64))]
                    ring[place * 4096 + Int(random.below(4096))] ^= 1 << UInt8(random.below(8))
                }
            }
            if round % 10 == 0 { ring.removeLast(Int(random.below(UInt64(ring.count)))) }
            let replay = ActivityLogReplay(ring: ring.span.bytes, geometry: .standard)
            guard case .replayed(_, let hot) = replay.outcome else { continue }
            replayed += 1
            let isAscending = zip(hot, hot.dropFirst()).allSatisfy { $0 < $1 }
            #expect(isAscending && replay.warnings.count <= ActivityLogReplay.warningLimit)
        }
        #expect(replayed > 1000)
    }

    /// A transaction of any numbers with a right checksum; most write few slots, to be quick.
    private static func transactionBlock(_ random: inout SeededRandom) -> [UInt8] {
        let slotCount = 1 + Int(random.below(random.chance(1, in: 32) ? 65534 : 900))
        return transaction(
            UInt32(truncatingIfNeeded: random.next()),
            (0..<random.below(65)).map { _ in
                (
                    UInt16(random.below(random.chance(1, in: 20) ? 65536 : 500)),
                    UInt32(random.below(1 << 32))
                )
            },
            slotCount: slotCount,
            contextStart: Int(random.below(UInt64(slotCount))),
            context: (0..<random.below(20)).map { _ in UInt32(random.below(1 << 32)) }
        )
    }

    @Test func `100,000 mutated dumps are refused with a line or understood`() throws {
        var random = SeededRandom(seed: 11)
        let short = Array(try DumpTests.freshText(.v08).utf8)
        let long = Array(try DumpTests.freshText(.v09).utf8)
        let pieces = [
            "{", "}", ";", "[", "\"", "times", "0x", "-", "#", "\n", "9", "bm", "\0", "\u{FF}",
        ]
        var accepted = 0
        for round in 0..<Self.rounds {
            let version: FormatVersion = round % 20 == 0 ? .v09 : .v08
            var text = version == .v09 ? long : short
            for _ in 0..<1 + random.below(3) {
                let place = Int(random.below(UInt64(text.count)))
                switch random.below(4) {
                case 0: text[place] = UInt8(random.below(256))
                case 1: text.remove(at: place)
                case 2:
                    text.insert(contentsOf: pieces[Int(random.below(14))].utf8, at: place)
                default: text.removeLast(Int(random.below(3)))
                }
            }
            do {
                _ = try ParsedDump(text, version: version)
                accepted += 1
            } catch { #expect(!error.description.isEmpty) }
        }
        #expect(accepted > 100)
    }
}
