// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// Loads integers from received bytes at offsets that the caller has checked.
///
/// With ``PacketWriter`` the only place of the replication codec that touches raw memory. Every
/// load is bounds checked by the span.
struct PacketReader: ~Escapable {
    let bytes: RawSpan

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) { self.bytes = bytes }

    @inline(__always)
    func byte(at offset: Int) -> UInt8 {
        self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
    }

    @inline(__always)
    func bigEndian16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    @inline(__always)
    func bigEndian32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    @inline(__always)
    func bigEndian64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    @inline(__always)
    func littleEndian64(at offset: Int) -> UInt64 {
        UInt64(
            littleEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
        )
    }

    /// Four bytes that are only ever echoed: never swapped.
    @inline(__always)
    func raw32(at offset: Int) -> UInt32 {
        self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }

    /// Eight bytes that are only ever echoed: never swapped.
    @inline(__always)
    func raw64(at offset: Int) -> UInt64 {
        self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }
}

/// Appends integers to memory of the caller.
///
/// Traps when the memory is too small.
struct PacketWriter {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    @inline(__always)
    mutating func byte(_ value: UInt8) { self.append(value) }
    @inline(__always)
    mutating func bigEndian(_ value: UInt16) { self.append(value.bigEndian) }
    @inline(__always)
    mutating func bigEndian(_ value: UInt32) { self.append(value.bigEndian) }
    @inline(__always)
    mutating func bigEndian(_ value: UInt64) { self.append(value.bigEndian) }
    @inline(__always)
    mutating func littleEndian(_ value: UInt64) { self.append(value.littleEndian) }
    @inline(__always)
    mutating func raw(_ value: UInt32) { self.append(value) }
    @inline(__always)
    mutating func raw(_ value: UInt64) { self.append(value) }

    mutating func zeroes(_ count: Int) {
        invariant(count <= self.memory.count - self.count, "memory for a packet's head")
        for offset in self.count..<self.count + count { self.memory[offset] = 0 }
        self.count += count
    }

    @inline(__always)
    private mutating func append<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        invariant(size <= self.memory.count - self.count, "memory for a packet's head")
        self.memory.storeBytes(of: value, toByteOffset: self.count, as: Value.self)
        self.count += size
    }
}

/// Takes groups of bits from received bytes, lowest bit of the first byte first.
struct BitReader: ~Escapable {
    private let bytes: PacketReader
    private let bitCount: Int
    private(set) var position = 0

    /// Reads the first `bitCount` bits of `bytes`, which must be there.
    @_lifetime(copy bytes)
    init(_ bytes: RawSpan, bitCount: Int) {
        invariant(bitCount <= bytes.byteCount * 8, "bits within their bytes")
        self.bytes = PacketReader(bytes)
        self.bitCount = bitCount
    }

    /// The number of bits not taken yet.
    var remaining: Int { self.bitCount - self.position }

    /// The next 64 bits; zeroes behind the last one.
    func peek() -> UInt64 {
        let first = self.position >> 3
        let shift = UInt64(self.position & 7)
        let available = self.bytes.bytes.byteCount - first
        var bits: UInt64 = 0
        if available > 8 {
            bits = self.bytes.littleEndian64(at: first) >> shift
            if shift > 0 { bits |= UInt64(self.bytes.byte(at: first + 8)) << (64 - shift) }
        } else {
            for index in 0..<available {
                let byte = UInt64(self.bytes.byte(at: first + index))
                bits |= index == 0 ? byte >> shift : byte << (UInt64(index) * 8 - shift)
            }
        }
        return self.remaining < 64 ? bits & (1 << UInt64(self.remaining) - 1) : bits
    }

    /// Takes `count` bits.
    ///
    /// Traps if so many do not remain.
    mutating func drop(_ count: Int) {
        invariant(count <= self.remaining, "bits that remain")
        self.position += count
    }
}

/// Appends groups of bits to memory of the caller, lowest bit of the first byte first.
struct BitWriter {
    private let memory: UnsafeMutableRawBufferPointer
    private let bitLimit: Int
    private(set) var bitCount = 0

    /// Writes at most `byteLimit` bytes.
    ///
    /// Traps if `memory` is smaller.
    init(_ memory: UnsafeMutableRawBufferPointer, byteLimit: Int) {
        invariant(byteLimit <= memory.count, "memory for a bitmap packet")
        self.memory = memory
        self.bitLimit = byteLimit * 8
    }

    /// The number of bytes begun.
    var byteCount: Int { (self.bitCount + 7) / 8 }

    /// Appends the low `count` bits of `bits`, all or, when they do not fit, none.
    mutating func append(_ bits: UInt64, count: Int) -> Bool {
        guard count <= self.bitLimit - self.bitCount else { return false }
        var bits = bits
        var left = count
        while left > 0 {
            let used = self.bitCount & 7
            let step = min(8 - used, left)
            let part = UInt8(truncatingIfNeeded: bits) & UInt8(truncatingIfNeeded: 1 << step - 1)
            let index = self.bitCount >> 3
            self.memory[index] = used == 0 ? part : self.memory[index] | part << UInt8(used)
            bits >>= UInt64(step)
            left -= step
            self.bitCount += step
        }
        return true
    }
}
