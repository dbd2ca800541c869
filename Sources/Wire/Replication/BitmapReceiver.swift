// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// Merges the packets of one bitmap transfer into a bitmap (§6).
///
/// Any bytes are safe: bits are only ever added, only within the bitmap, and packets that DRBD
/// would not send are errors. The bitmap has the layout that ``BitmapSender`` describes.
package struct BitmapReceiver: Hashable, Sendable, BitwiseCopyable {
    /// The number of bits: one for each 4 KiB of the agreed device size.
    package let bitCount: UInt64
    /// Everything before this bit has been received.
    ///
    /// A plain packet ends at a multiple of 64, which may lie behind the last bit.
    package private(set) var position: UInt64 = 0
    /// How many bits have become set that were clear before.
    package private(set) var newlySetCount: UInt64 = 0
    /// Whether the transfer's last packet has come.
    package private(set) var isFinished = false
    private let byteLimit: Int

    /// Creates the receiver of a transfer.
    package init(bitCount: UInt64, under agreement: WireAgreement) {
        self.bitCount = bitCount
        self.byteLimit = BitmapTransfer.byteLimit(under: agreement)
    }

    /// Merges `packet`, which the bytes `trailing` follow, into `words`.
    ///
    /// After an error bits of the packet may have been merged, and the connection ends; that they
    /// are set errs on the safe side. Traps if `words` has fewer than `bitCount` bits.
    ///
    /// - Throws: ``BitmapError`` for everything that is not the next packet of a transfer.
    package mutating func receive(
        _ packet: Packet,
        trailing: RawSpan,
        into words: inout MutableSpan<UInt64>
    ) throws(BitmapError) {
        invariant(
            UInt64(words.count) >= BitmapTransfer.wordCount(of: self.bitCount),
            "words for every bit"
        )
        guard !self.isFinished else { throw .alreadyComplete }
        if case .compressedBitmap(let header) = packet {
            try self.merge(header, trailing, into: &words)
        } else if case .bitmap = packet {
            try self.merge(trailing, into: &words)
        } else {
            throw .unexpected(packet.command)
        }
    }

    private mutating func merge(
        _ header: CompressedBitmapHeader,
        _ codes: RawSpan,
        into words: inout MutableSpan<UInt64>
    ) throws(BitmapError) {
        guard !codes.isEmpty, codes.byteCount < self.byteLimit else {
            throw .length(codes.byteCount, expected: self.byteLimit - 1)
        }
        var reader = BitReader(codes, bitCount: codes.byteCount * 8 - Int(header.padBits))
        var isSet = header.startsWithSetBits
        while reader.remaining > 0 {
            let run = RunLengthCode.decode(reader.peek())
            guard run.count <= reader.remaining else {
                throw .cutCode(bits: reader.remaining, needed: run.count)
            }
            guard self.position < self.bitCount, run.length <= self.bitCount - self.position else {
                throw .runBehindEnd(position: self.position, length: run.length)
            }
            reader.drop(run.count)
            if isSet { self.set(from: self.position, count: run.length, in: &words) }
            self.position += run.length
            isSet.toggle()
        }
        self.isFinished = self.position == self.bitCount
    }

    private mutating func merge(
        _ bytes: RawSpan,
        into words: inout MutableSpan<UInt64>
    ) throws(BitmapError) {
        let first = self.position / 64
        let left = BitmapTransfer.wordCount(of: self.bitCount) - first
        let count = min(UInt64(self.byteLimit / 8), left)
        guard bytes.byteCount == Int(count) * 8 else {
            throw .length(bytes.byteCount, expected: Int(count) * 8)
        }
        let reader = PacketReader(bytes)
        for index in first..<first + count {
            let mask = BitmapTransfer.maskOfWord(index, bitCount: self.bitCount)
            let bits = reader.littleEndian64(at: Int(index - first) * 8) & mask
            self.add(bits, toWord: index, of: &words)
        }
        self.position = (first + count) * 64
        self.isFinished = count == 0
    }

    private mutating func set(
        from start: UInt64,
        count: UInt64,
        in words: inout MutableSpan<UInt64>
    ) {
        let end = start + count
        var index = start / 64
        while index * 64 < end {
            var bits: UInt64 = .max
            if index * 64 < start { bits <<= start - index * 64 }
            if end - index * 64 < 64 { bits &= 1 << (end - index * 64) - 1 }
            self.add(bits, toWord: index, of: &words)
            index += 1
        }
    }

    private mutating func add(
        _ bits: UInt64,
        toWord index: UInt64,
        of words: inout MutableSpan<UInt64>
    ) {
        let old = words[Int(index)]
        self.newlySetCount += UInt64((bits & ~old).nonzeroBitCount)
        words[Int(index)] = old | bits
    }
}

/// Why a packet is not the next one of a bitmap transfer.
///
/// Each ends the connection.
package enum BitmapError: Error, Hashable, Sendable, BitwiseCopyable {
    /// Another packet came before the transfer was complete.
    case unexpected(PacketCommand)
    /// A packet came after the last one.
    case alreadyComplete
    /// A plain packet must have exactly the expected length, a compressed one 1 byte to that many.
    case length(Int, expected: Int)
    /// The last code of a packet is not complete.
    case cutCode(bits: Int, needed: Int)
    /// A run reaches behind the last bit.
    case runBehindEnd(position: UInt64, length: UInt64)
}

extension BitmapError: CustomStringConvertible {
    /// A sentence for the log: what, the value, the rule.
    package var description: String {
        switch self {
        case .unexpected(let command):
            "\(command.name) in the middle of a bitmap, only bitmap packets may come there"
        case .alreadyComplete:
            "a bitmap packet after the bitmap was complete"
        case .length(let length, let expected):
            "a bitmap packet with \(length) bytes, it must have \(expected) (at most that many if"
                + " compressed)"
        case .cutCode(let bits, let needed):
            "a compressed bitmap ends after \(bits) of the \(needed) bits of a code"
        case .runBehindEnd(let position, let length):
            "a compressed bitmap has a run of \(length) bits at bit \(position), behind the"
                + " bitmap's end"
        }
    }
}
