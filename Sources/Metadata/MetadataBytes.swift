// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// Loads big-endian integers from bytes of a disk at offsets that the format fixes.
///
/// With ``MetadataWriter`` the only place of this target that touches raw memory. Every load is
/// bounds checked by the span.
struct MetadataReader: ~Escapable {
    let bytes: RawSpan

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) { self.bytes = bytes }

    func big16(at offset: Int) -> UInt16 {
        UInt16(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    func big32(at offset: Int) -> UInt32 {
        UInt32(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    func signed32(at offset: Int) -> Int32 { Int32(bitPattern: self.big32(at: offset)) }

    func big64(at offset: Int) -> UInt64 {
        UInt64(bigEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    func little32(at offset: Int) -> UInt32 {
        UInt32(
            littleEndian: self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
        )
    }
}

/// Stores big-endian integers into memory of the caller at offsets that the format fixes.
///
/// Traps when the memory is too small.
struct MetadataWriter {
    private let memory: UnsafeMutableRawBufferPointer

    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    /// Takes the first `byteCount` bytes of `memory` and clears them.
    init(clearing memory: UnsafeMutableRawBufferPointer, byteCount: Int) {
        invariant(memory.count >= byteCount, "memory for a whole block")
        self.memory = UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount])
        self.memory.initializeMemory(as: UInt8.self, repeating: 0)
    }

    func store(_ value: UInt16, at offset: Int) { self.store(raw: value.bigEndian, at: offset) }
    func store(_ value: UInt32, at offset: Int) { self.store(raw: value.bigEndian, at: offset) }
    func store(_ value: Int32, at offset: Int) { self.store(raw: value.bigEndian, at: offset) }
    func store(_ value: UInt64, at offset: Int) { self.store(raw: value.bigEndian, at: offset) }

    func storeLittle(_ value: UInt32, at offset: Int) {
        self.store(raw: value.littleEndian, at: offset)
    }

    private func store<Value: FixedWidthInteger & BitwiseCopyable>(raw value: Value, at offset: Int)
    {
        invariant(offset >= 0, "offset inside the block")
        invariant(offset + MemoryLayout<Value>.size <= self.memory.count, "field inside the block")
        self.memory.storeBytes(of: value, toByteOffset: offset, as: Value.self)
    }
}
