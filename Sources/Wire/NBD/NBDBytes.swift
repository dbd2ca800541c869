// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// Loads big-endian integers from received bytes. Traps beyond the end; callers check the length first.
struct NBDReader: ~Escapable {
    private let bytes: RawSpan

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) { self.bytes = bytes }

    func bigEndian16(at offset: Int) -> UInt16 { UInt16(bigEndian: self.load(at: offset)) }
    func bigEndian32(at offset: Int) -> UInt32 { UInt32(bigEndian: self.load(at: offset)) }
    func bigEndian64(at offset: Int) -> UInt64 { UInt64(bigEndian: self.load(at: offset)) }

    /// Eight bytes that are only ever echoed: never swapped.
    func raw64(at offset: Int) -> UInt64 { self.load(at: offset) }

    private func load<Value: FixedWidthInteger & BitwiseCopyable>(at offset: Int) -> Value {
        self.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Value.self)
    }
}

/// Appends big-endian integers and texts to memory of the caller. Traps when the memory is too small.
struct NBDWriter {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var count = 0

    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    mutating func bigEndian(_ value: UInt16) { self.append(value.bigEndian) }
    mutating func bigEndian(_ value: UInt32) { self.append(value.bigEndian) }
    mutating func bigEndian(_ value: UInt64) { self.append(value.bigEndian) }

    /// Eight bytes that are only ever echoed: never swapped.
    mutating func raw(_ value: UInt64) { self.append(value) }

    mutating func zeroes(_ count: Int) {
        self.reserve(count)
        self.memory[self.count..<self.count + count].initializeMemory(as: UInt8.self, repeating: 0)
        self.count += count
    }

    mutating func text(_ text: StaticString) {
        let bytes = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        self.reserve(bytes.count)
        self.memory[self.count..<self.count + bytes.count].copyBytes(from: bytes)
        self.count += bytes.count
    }

    mutating func text(_ text: String) {
        let count = text.utf8.count
        self.reserve(count)
        self.memory[self.count..<self.count + count].copyBytes(from: text.utf8)
        self.count += count
    }

    private mutating func append<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) {
        let size = MemoryLayout<Value>.size
        self.reserve(size)
        self.memory.storeBytes(of: value, toByteOffset: self.count, as: Value.self)
        self.count += size
    }

    private func reserve(_ count: Int) {
        invariant(count <= self.memory.count - self.count, "memory for an NBD message")
    }
}
