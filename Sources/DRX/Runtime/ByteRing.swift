// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives

/// Memory under a ``BufferAccounting``; owned by the loop's thread.
final class ByteRing {
    var accounting: BufferAccounting
    private let memory: UnsafeMutableRawPointer
    /// Keeps the memory, or nil if it is the ring's own.
    private let owner: BufferMemory?

    /// Creates a ring on its own memory, all of it usable.
    init(byteCount: Int) {
        self.accounting = BufferAccounting(capacity: UInt64(byteCount))
        self.accounting.grow(to: UInt64(byteCount))
        self.memory = .allocate(byteCount: byteCount, alignment: 4096)
        self.owner = nil
    }

    /// Creates a ring on memory that becomes usable by and by.
    init(_ owner: BufferMemory) {
        self.accounting = BufferAccounting(capacity: UInt64(owner.byteCount))
        self.memory = owner.start
        self.owner = owner
    }

    deinit {
        if self.owner == nil { self.memory.deallocate() }
    }

    /// Whether the ring is on `memory`.
    func isOn(_ memory: ObjectIdentifier) -> Bool {
        self.owner.map(ObjectIdentifier.init) == memory
    }

    /// Stops faulting in what is not used yet.
    func abandon() { self.owner?.cancel() }

    /// Copies as much of `bytes` as there is room for; the result is how much.
    func append(_ bytes: UnsafeRawBufferPointer, at now: Instant) -> Int {
        var taken = 0
        while taken < bytes.count {
            let region = self.accounting.writable
            let count = min(Int(region.byteCount), bytes.count - taken)
            guard count > 0 else { break }
            let source = UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + count])
            UnsafeMutableRawBufferPointer(
                start: self.memory + Int(region.position),
                count: count
            ).copyMemory(from: source)
            self.accounting.append(UInt64(count), at: now)
            taken += count
        }
        return taken
    }

    /// The oldest bytes in one piece, at most `maximum`.
    func readable(_ maximum: Int) -> UnsafeRawBufferPointer {
        let region = self.accounting.readable
        return UnsafeRawBufferPointer(
            start: self.memory + Int(region.position),
            count: min(maximum, Int(region.byteCount))
        )
    }
}

/// What a lane has read from its engine and not yet framed: a small ring of its own, then the
/// connection's large one while it is granted.
///
/// The small one is emptied first, so the order of bytes is kept when the large one is granted.
final class TransmitBuffer {
    private let small: ByteRing
    private var large: ByteRing?

    init(smallByteCount: Int) { self.small = ByteRing(byteCount: smallByteCount) }

    var used: UInt64 {
        self.small.accounting.used + (self.large?.accounting.used ?? 0)
    }

    /// What can be appended in one piece.
    var room: Int { Int((self.large ?? self.small).accounting.writable.byteCount) }

    func grant(_ large: ByteRing) { self.large = large }

    func release() {
        self.large?.accounting.removeAll()
        self.large = nil
    }

    func append(_ bytes: UnsafeRawBufferPointer, at now: Instant) -> Int {
        (self.large ?? self.small).append(bytes, at: now)
    }

    /// The oldest bytes in one piece, at most `maximum`.
    func readable(_ maximum: Int) -> UnsafeRawBufferPointer { self.front.readable(maximum) }

    func remove(_ byteCount: Int) { self.front.accounting.remove(UInt64(byteCount)) }

    func removeAll() {
        self.small.accounting.removeAll()
        self.large?.accounting.removeAll()
    }

    private var front: ByteRing {
        if self.small.accounting.used > 0 { return self.small }
        return self.large ?? self.small
    }
}
