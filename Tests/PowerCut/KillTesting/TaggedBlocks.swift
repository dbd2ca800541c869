// SPDX-License-Identifier: Apache-2.0

import Primitives

/// The parts of the volume that the load writes: one chunk in each extent of the activity log, so
/// that there are more extents than the log has slots.
enum TaggedArea {
    static let chunkCount = 320
    static let sectorsPerChunk = 128
    static let sectorsPerExtent = 8192
    static let sectorCount = chunkCount * sectorsPerChunk
    /// The size of the volume.
    static let byteCount = chunkCount * sectorsPerExtent * 512

    /// The byte where chunk `number` begins; not aligned to blocks of 4 KiB.
    static func offset(ofChunk number: Int) -> UInt64 {
        var random = SeededRandom(seed: UInt64(number))
        let room = UInt64(Self.sectorsPerExtent - Self.sectorsPerChunk)
        return (UInt64(number * Self.sectorsPerExtent) + random.below(room)) * 512
    }

    /// The 4 KiB blocks that the sectors (counted over all chunks) lie in.
    static let blocks: [Int] = (0..<Self.chunkCount).flatMap { chunk in
        let first = Int(Self.offset(ofChunk: chunk)) / 512
        return (first..<first + Self.sectorsPerChunk).map { $0 / BlockSet.sectorsPerBlock }
    }

    /// The content of sector `sector` (counted over all chunks) after its write number `sequence`:
    /// every byte follows from the two.
    static func content(_ sector: Int, _ sequence: UInt32, into bytes: inout [UInt8]) {
        var random = SeededRandom(seed: UInt64(sector) << 32 | UInt64(sequence))
        withUnsafeBytes(of: UInt32(sector).littleEndian) { bytes += $0 }
        withUnsafeBytes(of: sequence.littleEndian) { bytes += $0 }
        for _ in 0..<63 { withUnsafeBytes(of: random.next()) { bytes += $0 } }
    }

    /// The number of the write that `bytes`, read from sector `sector`, come from; 0 for zeroes,
    /// nil for anything else.
    static func sequence(in bytes: ArraySlice<UInt8>, of sector: Int) -> UInt32? {
        if bytes.allSatisfy({ $0 == 0 }) { return 0 }
        let sequence = bytes.withUnsafeBytes {
            UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        }
        var expected: [UInt8] = []
        expected.reserveCapacity(512)
        Self.content(sector, sequence, into: &expected)
        return expected[...] == bytes ? sequence : nil
    }
}

/// What is known of one sector: the numbers of its writes.
struct SectorHistory {
    /// The newest write that was sent.
    var sent: UInt32 = 0
    /// The newest one that was acknowledged, or was seen on the volume.
    var acknowledged: UInt32 = 0
    /// The newest one that an acknowledged flush or FUA covers: it must never be lost.
    var covered: UInt32 = 0
    /// The newest one that an acknowledged flush covers: while connected, the peer has confirmed
    /// it.
    var flushed: UInt32 = 0
    /// The newest one that was of zeroes.
    var zeroed: UInt32 = 0

    /// Whether the sector may hold what write `found` has left; 0 stands for zeroes.
    func allows(_ found: UInt32) -> Bool {
        if found == 0 { return self.covered == 0 || self.zeroed >= self.covered }
        return found >= self.covered && found <= self.sent
    }
}
