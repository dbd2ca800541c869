// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives

/// What a connection has to send: a ring of segments that lie ready as `iovec`s.
///
/// A segment is either lent memory, which has a token, or bytes copied into the queue's own byte
/// ring; neighbouring copies become one segment. Bounded by both rings. The kernel never keeps a
/// pointer into the queue: each send is one call that returns what it took.
struct SendQueue: BitwiseCopyable {
    private struct Segment: BitwiseCopyable {
        var token: UInt64
        var hasToken: Bool
        /// Bytes of the byte ring that become free with the segment, padding included.
        var copiedByteCount: UInt32
    }

    private let vectors: UnsafeMutablePointer<iovec>
    private let segments: UnsafeMutablePointer<Segment>
    private let mask: Int
    private var head = 0
    private var tail = 0

    private let copies: UnsafeMutableRawPointer
    private let copyCapacity: Int
    private var copyHead = 0
    private var copyTail = 0

    /// Bytes queued and not yet taken by the kernel.
    private(set) var queuedByteCount = 0
    /// Bytes taken by the kernel so far.
    private(set) var sentByteCount: UInt64 = 0
    /// Whether a send was refused since the queue last had room.
    var owesRoom = false

    /// Finds memory for `segments` segments and `copiedBytes` copied bytes, both powers of two.
    init(segments: Int, copiedBytes: Int) {
        self.vectors = .allocate(capacity: segments)
        self.segments = .allocate(capacity: segments)
        self.mask = segments - 1
        self.copies = .allocate(byteCount: copiedBytes, alignment: 16)
        self.copyCapacity = copiedBytes
    }

    func deallocate() {
        self.vectors.deallocate()
        self.segments.deallocate()
        self.copies.deallocate()
    }

    var isEmpty: Bool { self.head == self.tail }

    /// Whether at least half of both rings is free: what a refused sender waits for.
    var isHalfFree: Bool {
        self.tail - self.head <= (self.mask + 1) / 2
            && self.copyTail - self.copyHead <= self.copyCapacity / 2
    }

    /// The largest number of bytes that one copy may have.
    var copyMaximum: Int { self.copyCapacity / 2 }

    /// Whether `segments` more with `byteCount` bytes of copies in all fit; if not, room is owed.
    mutating func reserve(segments: Int, byteCount: Int) -> Bool {
        let freeSegments = self.mask + 1 - (self.tail - self.head)
        let freeBytes = self.copyCapacity - (self.copyTail - self.copyHead)
        // A copy may skip the end of the ring, which loses less than its own length.
        if freeSegments >= segments, freeBytes >= 2 * byteCount { return true }
        return self.refuse()
    }

    /// Adds lent memory; false if the queue is full.
    mutating func append(lent bytes: UnsafeRawBufferPointer, token: UInt64?) -> Bool {
        guard self.tail - self.head <= self.mask else { return self.refuse() }
        let segment = Segment(token: token ?? 0, hasToken: token != nil, copiedByteCount: 0)
        self.push(bytes.baseAddress, bytes.count, segment)
        return true
    }

    /// Adds a copy of `bytes`; false if the queue is full.
    mutating func append(copyOf bytes: UnsafeRawBufferPointer) -> Bool {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return true }
        invariant(bytes.count <= self.copyMaximum, "a copied segment is at most half the ring")
        let position = self.copyTail & (self.copyCapacity - 1)
        let padding = position + bytes.count > self.copyCapacity ? self.copyCapacity - position : 0
        let taken = padding + bytes.count
        guard self.copyTail - self.copyHead + taken <= self.copyCapacity else {
            return self.refuse()
        }
        let start = self.copies + (padding > 0 ? 0 : position)
        if self.extendLast(by: bytes.count, at: start) {
            start.copyMemory(from: source, byteCount: bytes.count)
            self.copyTail += taken
            return true
        }
        guard self.tail - self.head <= self.mask else { return self.refuse() }
        start.copyMemory(from: source, byteCount: bytes.count)
        self.copyTail += taken
        let segment = Segment(token: 0, hasToken: false, copiedByteCount: UInt32(taken))
        self.push(UnsafeRawPointer(start), bytes.count, segment)
        return true
    }

    /// Sends what one call takes, without waiting: the number of bytes, or a negative error number.
    func send(on descriptor: Int32) -> Int {
        let first = self.head & self.mask
        let count = min(self.tail - self.head, self.mask + 1 - first, ReactorLimits.segmentsPerCall)
        var message = msghdr()
        message.msg_iov = self.vectors + first
        message.msg_iovlen = count
        while true {
            let result = sendmsg(descriptor, &message, Self.callFlags)
            if result >= 0 { return result }
            if errno != EINTR { return -Int(errno) }
        }
    }

    private static var callFlags: Int32 { Int32(MSG_DONTWAIT | MSG_NOSIGNAL) }

    /// Whether `sent` is less than the ``send(on:)`` that returned it had offered.
    func isPartial(_ sent: Int) -> Bool {
        if sent == self.queuedByteCount { return false }
        let first = self.head & self.mask
        let count = min(self.tail - self.head, self.mask + 1 - first, ReactorLimits.segmentsPerCall)
        var bytes = 0
        for index in first..<first + count { bytes += self.vectors[index].iov_len }
        return sent < bytes
    }

    /// Notes that the kernel took `count` bytes.
    mutating func noteSent(_ count: Int) {
        self.queuedByteCount -= count
        self.sentByteCount += UInt64(count)
    }

    /// Takes the oldest segment off if all its bytes are within `budget`, which shrinks by them;
    /// otherwise cuts the rest of the budget off its front and returns nil.
    mutating func popSent(_ budget: inout Int) -> (token: UInt64, hasToken: Bool)? {
        guard self.head < self.tail else { return nil }
        let index = self.head & self.mask
        let length = self.vectors[index].iov_len
        guard length <= budget else {
            guard budget > 0 else { return nil }
            self.vectors[index].iov_base += budget
            self.vectors[index].iov_len -= budget
            budget = 0
            return nil
        }
        budget -= length
        return self.popFirst()
    }

    /// Takes the oldest segment off, sent or not; nil when none is left.
    mutating func popFirst() -> (token: UInt64, hasToken: Bool)? {
        guard self.head < self.tail else { return nil }
        let segment = self.segments[self.head & self.mask]
        self.head += 1
        self.copyHead += Int(segment.copiedByteCount)
        return (segment.token, segment.hasToken)
    }

    private mutating func refuse() -> Bool {
        self.owesRoom = true
        return false
    }

    private mutating func push(_ start: UnsafeRawPointer?, _ count: Int, _ segment: Segment) {
        let index = self.tail & self.mask
        let vector = iovec(iov_base: UnsafeMutableRawPointer(mutating: start), iov_len: count)
        (self.vectors + index).initialize(to: vector)
        (self.segments + index).initialize(to: segment)
        self.tail += 1
        self.queuedByteCount += count
    }

    /// Lengthens the last segment if it is a copy that ends at `start`.
    private mutating func extendLast(by count: Int, at start: UnsafeMutableRawPointer) -> Bool {
        guard self.head < self.tail else { return false }
        let index = (self.tail - 1) & self.mask
        guard self.segments[index].copiedByteCount > 0,
            let base = self.vectors[index].iov_base,
            base + self.vectors[index].iov_len == start
        else { return false }
        self.vectors[index].iov_len += count
        self.segments[index].copiedByteCount += UInt32(count)
        self.queuedByteCount += count
        return true
    }
}
