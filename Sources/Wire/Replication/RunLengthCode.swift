// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// The variable-length code of one run of equal bits (§6.3): short codes for short runs.
///
/// A code is a prefix of 1 to 8 bits that selects one of ten rows, and the run's place within the
/// row. Every string of 64 bits begins with exactly one code, so only its end can be missing.
struct RunLengthCode: Hashable, Sendable, BitwiseCopyable {
    /// The code, in the low bits.
    var bits: UInt64
    /// The number of bits, 2 to 64.
    var count: Int

    /// The code of a run of `length` bits.
    ///
    /// Traps unless it is 1 to 72,057,611,219,902,768, which no device reaches.
    init(length: UInt64) {
        let row = Row.containing(length)
        self.bits = row.prefix | (length - row.first) << UInt64(row.prefixBits)
        self.count = row.prefixBits + row.dataBits
    }

    /// The length of the run whose code stands at the start of `bits`, and the code's own length.
    static func decode(_ bits: UInt64) -> (length: UInt64, count: Int) {
        let row = Row.selected(by: bits)
        let place = bits >> UInt64(row.prefixBits) & (1 << UInt64(row.dataBits) - 1)
        return (row.first + place, row.prefixBits + row.dataBits)
    }
}

/// One line of the code's table.
private struct Row {
    let prefix: UInt64
    let prefixBits: Int
    let dataBits: Int
    /// The shortest run of the row.
    let first: UInt64

    private init(_ prefix: UInt64, _ prefixBits: Int, _ dataBits: Int, _ first: UInt64) {
        self.prefix = prefix
        self.prefixBits = prefixBits
        self.dataBits = dataBits
        self.first = first
    }

    private static var bits2: Row { Row(0x00, 1, 1, 1) }
    private static var bits3: Row { Row(0x01, 2, 1, 3) }
    private static var bits5: Row { Row(0x03, 3, 2, 5) }
    private static var bits7: Row { Row(0x07, 4, 3, 9) }
    private static var bits10: Row { Row(0x0f, 5, 5, 17) }
    private static var bits14: Row { Row(0x1f, 6, 8, 49) }
    private static var bits21: Row { Row(0x3f, 8, 13, 305) }
    private static var bits29: Row { Row(0x7f, 8, 21, 8_497) }
    private static var bits42: Row { Row(0xbf, 8, 34, 2_105_649) }
    private static var bits64: Row { Row(0xff, 8, 56, 17_181_974_833) }

    static func containing(_ length: UInt64) -> Row {
        invariant(
            length >= 1 && length <= 72_057_611_219_902_768,
            "a run that the code can express"
        )
        if length < Self.bits3.first { return Self.bits2 }
        if length < Self.bits5.first { return Self.bits3 }
        if length < Self.bits7.first { return Self.bits5 }
        if length < Self.bits10.first { return Self.bits7 }
        if length < Self.bits14.first { return Self.bits10 }
        if length < Self.bits21.first { return Self.bits14 }
        if length < Self.bits29.first { return Self.bits21 }
        if length < Self.bits42.first { return Self.bits29 }
        return length < Self.bits64.first ? Self.bits42 : Self.bits64
    }

    /// The row is told by the number of ones before the first zero; with six of them the bit behind
    /// that zero decides as well.
    static func selected(by bits: UInt64) -> Row {
        let ones = (~bits).trailingZeroBitCount
        if ones == 0 { return Self.bits2 }
        if ones == 1 { return Self.bits3 }
        if ones == 2 { return Self.bits5 }
        if ones == 3 { return Self.bits7 }
        if ones == 4 { return Self.bits10 }
        if ones == 5 { return Self.bits14 }
        if ones == 6 { return bits & 0x80 == 0 ? Self.bits21 : Self.bits42 }
        return ones == 7 ? Self.bits29 : Self.bits64
    }
}
