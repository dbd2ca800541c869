// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// Turns a bitmap into the packets of one transfer, one packet at a time (§6).
///
/// Compressed packets as long as they are smaller than plain ones, byte for byte those of DRBD 8.4.
/// The bitmap is an array of 64-bit words, bit n in word n / 64 at place n mod 64; bits behind the
/// last may have any value. It must not change between the first and the last packet.
package struct BitmapSender: Hashable, Sendable, BitwiseCopyable {
    /// The number of bits: one for each 4 KiB of the agreed device size.
    package let bitCount: UInt64
    /// Everything before this bit has been sent.
    ///
    /// A plain packet ends at a multiple of 64, which may lie behind the last bit.
    package private(set) var position: UInt64 = 0
    /// Whether the transfer's last packet has been made.
    package private(set) var isFinished = false
    private let compresses: Bool
    private let byteLimit: Int

    /// Creates the sender of a transfer; `compresses` is the option `use-rle`.
    package init(bitCount: UInt64, compresses: Bool, under agreement: WireAgreement) {
        self.bitCount = bitCount
        self.compresses = compresses && agreement.version >= 90
        self.byteLimit = BitmapTransfer.byteLimit(under: agreement)
    }

    /// Writes the bytes that trail the next packet to the start of `memory`; nil after the last
    /// packet.
    ///
    /// Traps if `memory` has fewer than 4088 bytes or `words` fewer than `bitCount` bits.
    package mutating func next(
        of words: Span<UInt64>,
        into memory: UnsafeMutableRawBufferPointer
    ) -> BitmapPacket? {
        invariant(memory.count >= self.byteLimit, "memory for a bitmap packet")
        invariant(
            UInt64(words.count) >= BitmapTransfer.wordCount(of: self.bitCount),
            "words for every bit"
        )
        guard !self.isFinished else { return nil }
        if self.compresses, self.position < self.bitCount,
            let packet = self.nextCompressed(of: words, into: memory)
        {
            return packet
        }
        return self.nextPlain(of: words, into: memory)
    }

    /// Nil if a plain packet would not be larger.
    private mutating func nextCompressed(
        of words: Span<UInt64>,
        into memory: UnsafeMutableRawBufferPointer
    ) -> BitmapPacket? {
        var codes = BitWriter(memory, byteLimit: self.byteLimit - 1)
        var position = self.position
        let startsWithSetBits = words.bit(at: position)
        var isSet = startsWithSetBits
        while position < self.bitCount {
            let end = words.endOfRun(from: position, limit: self.bitCount, isSet: isSet)
            let code = RunLengthCode(length: end - position)
            guard codes.append(code.bits, count: code.count) else { break }
            position = end
            isSet.toggle()
        }
        guard position - self.position >= UInt64(codes.byteCount * 8) else { return nil }
        self.position = position
        self.isFinished = position == self.bitCount
        let header = CompressedBitmapHeader(
            startsWithSetBits: startsWithSetBits,
            padBits: UInt8(codes.byteCount * 8 - codes.bitCount)
        )
        return BitmapPacket(packet: .compressedBitmap(header), trailing: codes.byteCount)
    }

    private mutating func nextPlain(
        of words: Span<UInt64>,
        into memory: UnsafeMutableRawBufferPointer
    ) -> BitmapPacket {
        let first = self.position / 64
        let left = BitmapTransfer.wordCount(of: self.bitCount) - first
        let count = min(UInt64(self.byteLimit / 8), left)
        var writer = PacketWriter(memory)
        for index in first..<first + count {
            let mask = BitmapTransfer.maskOfWord(index, bitCount: self.bitCount)
            writer.littleEndian(words[Int(index)] & mask)
        }
        self.position = (first + count) * 64
        self.isFinished = count == 0
        return BitmapPacket(packet: .bitmap, trailing: Int(count) * 8)
    }
}

/// One packet of a bitmap transfer: its head, and how many bytes follow it.
package struct BitmapPacket: Hashable, Sendable, BitwiseCopyable {
    package var packet: Packet
    package var trailing: Int
}

/// The sizes that both ends of a transfer compute alike.
enum BitmapTransfer {
    /// The room behind the header of one packet.
    static func byteLimit(under agreement: WireAgreement) -> Int {
        let format = agreement.headerFormat(length: 0)
        return Int(ReplicationLimits.controlPacketByteCount - format.byteCount)
    }

    static func wordCount(of bitCount: UInt64) -> UInt64 {
        bitCount / 64 + (bitCount % 64 == 0 ? 0 : 1)
    }

    /// The bits of word `index` that belong to the bitmap.
    static func maskOfWord(_ index: UInt64, bitCount: UInt64) -> UInt64 {
        let bits = bitCount - index * 64
        return bits >= 64 ? .max : 1 << bits - 1
    }
}

extension Span<UInt64> {
    func bit(at position: UInt64) -> Bool {
        self[Int(position / 64)] >> (position % 64) & 1 == 1
    }

    /// The place of the first bit from `start` whose value is not `isSet`; `limit` if there is none
    /// before it.
    func endOfRun(from start: UInt64, limit: UInt64, isSet: Bool) -> UInt64 {
        var index = Int(start / 64)
        var differing = (isSet ? ~self[index] : self[index]) & (.max << (start % 64))
        while differing == 0 {
            index += 1
            guard UInt64(index) * 64 < limit else { return limit }
            differing = isSet ? ~self[index] : self[index]
        }
        return Swift.min(limit, UInt64(index) * 64 + UInt64(differing.trailingZeroBitCount))
    }
}
