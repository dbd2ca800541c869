// SPDX-License-Identifier: Apache-2.0

/// Loads big-endian numbers from received bytes at offsets that the caller has checked; the span
/// traps beyond its end.
struct BridgeReader: ~Escapable {
    private let bytes: RawSpan

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) { self.bytes = bytes }

    func number8(at offset: Int) -> UInt8 {
        self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }

    func number16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    func number32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    func number64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
}

/// CRC-32C (Castagnoli) of the first `count` bytes, bit by bit.
///
/// For headers and greetings, which are short, so that this target needs no table and no C. Payload
/// goes through the driver's fast one.
func bridgeChecksum(_ bytes: RawSpan, count: Int) -> UInt32 {
    var crc = UInt32.max
    for offset in 0..<count {
        crc ^= UInt32(bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self))
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
    }
    return ~crc
}
