// SPDX-License-Identifier: Apache-2.0

import CLinux
import CUring
import Glibc
package import Primitives

/// One size of payload buffers.
package struct BufferClass: Hashable, Sendable {
    /// Bytes of payload; a multiple of the page size.
    package var byteCount: Int
    /// How many buffers of this size there are.
    package var count: Int
    /// Bytes kept in front of the payload for a protocol's header; a multiple of the page size, so
    /// that the payload stays page aligned.
    package var headerByteCount: Int
    /// How many of them no ``BufferHolder`` gets.
    package var reserved: Int
    /// How many of them a ``BufferHolder`` gets only as its first.
    package var firsts: Int

    /// Creates a class of `count` buffers of `byteCount` bytes.
    package init(
        byteCount: Int,
        count: Int,
        headerByteCount: Int = BufferPool.pageByteCount,
        reserved: Int = 0,
        firsts: Int = 0
    ) {
        self.byteCount = byteCount
        self.count = count
        self.headerByteCount = headerByteCount
        self.reserved = reserved
        self.firsts = firsts
    }
}

/// What one of many holds of the pool that must not starve each other.
package struct BufferHolder: BitwiseCopyable {
    private var bySizeClass = SIMD8<Int32>()
    private var count = 0

    package init() {}

    /// Whether it holds no buffer.
    package var isEmpty: Bool { self.count == 0 }

    fileprivate func held(_ sizeClass: Int) -> Int { Int(self.bySizeClass[sizeClass]) }

    /// Counts a buffer that it holds from now on.
    package mutating func add(_ buffer: BufferHandle) {
        self.bySizeClass[buffer.sizeClass] += 1
        self.count += 1
    }

    /// Counts a buffer that it holds no longer.
    package mutating func remove(_ buffer: BufferHandle) {
        self.bySizeClass[buffer.sizeClass] -= 1
        self.count -= 1
    }
}

extension BufferHandle {
    /// The class in the upper 8 bits, the index in the class in the lower 24.
    init(sizeClass: Int, index: Int) {
        self.init(number: UInt32(sizeClass) << 24 | UInt32(index))
    }

    var sizeClass: Int { Int(self.number >> 24) }
    var index: Int { Int(self.number & 0xFF_FFFF) }
}

/// Page-aligned payload memory in a few sizes, found at start and counted by plain integers.
///
/// One arena holds all of it. A buffer begins with one reference; the last ``release(_:)`` frees
/// it. Running out is backpressure: the caller stops reading its socket until a buffer comes back.
/// As much of the arena as the locked-memory limit allows is registered with the ring, which saves
/// the kernel pinning pages per operation. A value of pointers, so that using it costs no retain:
/// copies share the pool. It lives as long as its reactor and is used on the reactor's thread.
package struct BufferPool {
    /// The alignment of all payload.
    package static let pageByteCount = 4096
    /// Bytes registered at a time, at most: what one failure loses.
    private static let registrationChunk = 64 << 20

    private struct SizeClass: BitwiseCopyable {
        var start: UnsafeMutableRawPointer
        var byteCount: Int
        var headerByteCount: Int
        var reserved: Int
        var firsts: Int
        var count: Int
        var references: UnsafeMutablePointer<UInt32>
        var free: UnsafeMutablePointer<UInt32>
        var freeCount: Int
        var chunkByteCount: Int
        var firstChunk = 0
        var registeredChunks = 0

        var stride: Int { self.byteCount + self.headerByteCount }
    }

    private let classes: UnsafeMutablePointer<SizeClass>
    private let classCount: Int
    private let arena: UnsafeMutableRawPointer
    private let arenaByteCount: Int

    init(_ classes: [BufferClass]) throws(ReactorError) {
        invariant(classes.count <= 8, "at most 8 buffer classes")
        var total = 0
        for each in classes {
            let page = Self.pageByteCount
            invariant(each.byteCount > 0 && each.byteCount % page == 0, "payload in whole pages")
            invariant(
                each.headerByteCount >= 0 && each.headerByteCount % page == 0,
                "headers in whole pages"
            )
            invariant(each.count > 0 && each.count < 1 << 24, "count of a buffer class")
            total += (each.byteCount + each.headerByteCount) * each.count
        }
        self.arenaByteCount = max(total, Self.pageByteCount)
        guard
            let arena = mmap(
                nil,
                self.arenaByteCount,
                PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1,
                0
            ), arena != MAP_FAILED
        else { throw .systemCall("mmap", object: "buffer pool of \(total) bytes", .last) }
        _ = madvise(arena, self.arenaByteCount, Int32(MADV_HUGEPAGE))
        self.arena = arena
        self.classCount = classes.count
        self.classes = .allocate(capacity: max(classes.count, 1))
        // Sorted by size: the first class that fits is the smallest.
        var start = arena
        for (index, each) in classes.sorted(by: { $0.byteCount < $1.byteCount }).enumerated() {
            (self.classes + index).initialize(to: Self.makeClass(each, at: start))
            start += (each.byteCount + each.headerByteCount) * each.count
        }
    }

    private static func makeClass(
        _ wanted: BufferClass,
        at start: UnsafeMutableRawPointer
    ) -> SizeClass {
        let stride = wanted.byteCount + wanted.headerByteCount
        let references = UnsafeMutablePointer<UInt32>.allocate(capacity: wanted.count)
        references.initialize(repeating: 0, count: wanted.count)
        let free = UnsafeMutablePointer<UInt32>.allocate(capacity: wanted.count)
        for index in 0..<wanted.count {
            (free + index).initialize(to: UInt32(wanted.count - 1 - index))
        }
        return SizeClass(
            start: start,
            byteCount: wanted.byteCount,
            headerByteCount: wanted.headerByteCount,
            reserved: wanted.reserved,
            firsts: wanted.firsts,
            count: wanted.count,
            references: references,
            free: free,
            freeCount: wanted.count,
            chunkByteCount: max(1, Self.registrationChunk / stride) * stride
        )
    }

    func deallocate() {
        for index in 0..<self.classCount {
            self.classes[index].references.deallocate()
            self.classes[index].free.deallocate()
        }
        self.classes.deallocate()
        munmap(self.arena, self.arenaByteCount)
    }

    /// Takes a buffer of at least `byteCount` bytes, from the smallest class that has one; nil when
    /// all that fit are taken.
    package func lease(_ byteCount: Int) -> BufferHandle? {
        for index in 0..<self.classCount {
            let sizeClass = self.classes + index
            guard sizeClass.pointee.byteCount >= byteCount, sizeClass.pointee.freeCount > 0 else {
                continue
            }
            return self.take(index)
        }
        return nil
    }

    private func take(_ index: Int) -> BufferHandle {
        let sizeClass = self.classes + index
        sizeClass.pointee.freeCount -= 1
        let slot = Int(sizeClass.pointee.free[sizeClass.pointee.freeCount])
        sizeClass.pointee.references[slot] = 1
        return BufferHandle(sizeClass: index, index: slot)
    }

    /// Takes a buffer of at least `byteCount` bytes for one of many holders.
    ///
    /// For its first request a holder gets half of what is free, for further ones it gets no more
    /// than a quarter: however many hold on to what they have, something is left for the next. Nil
    /// when that is used up.
    package func lease(
        _ byteCount: Int,
        for holder: inout BufferHolder,
        isFirstRequest: Bool
    ) -> BufferHandle? {
        var isSmallest = true
        for index in 0..<self.classCount where self.classes[index].byteCount >= byteCount {
            let free = self.classes[index].freeCount - self.classes[index].reserved
            let shared = free - self.classes[index].firsts
            let isAmongFirsts = isSmallest && holder.isEmpty && free > 0
            if isAmongFirsts || holder.held(index) * (isFirstRequest ? 1 : 4) < shared {
                let buffer = self.take(index)
                holder.add(buffer)
                return buffer
            }
            isSmallest = false
        }
        return nil
    }

    /// Adds a reference.
    ///
    /// Traps if the buffer is free.
    package func retain(_ buffer: BufferHandle) {
        self.references(buffer).pointee += 1
    }

    /// Takes a reference away; the last one frees the buffer.
    ///
    /// Traps if the buffer is free.
    package func release(_ buffer: BufferHandle) {
        let references = self.references(buffer)
        references.pointee -= 1
        guard references.pointee == 0 else { return }
        let sizeClass = self.classes + buffer.sizeClass
        sizeClass.pointee.free[sizeClass.pointee.freeCount] = UInt32(buffer.index)
        sizeClass.pointee.freeCount += 1
    }

    /// The references to the buffer; 0 if it is free.
    package func referenceCount(_ buffer: BufferHandle) -> Int {
        self.check(buffer)
        return Int(self.classes[buffer.sizeClass].references[buffer.index])
    }

    /// The first byte of the payload.
    ///
    /// Traps if the buffer is free.
    package func payload(_ buffer: BufferHandle) -> UnsafeMutableRawPointer {
        _ = self.references(buffer)
        let sizeClass = self.classes + buffer.sizeClass
        return sizeClass.pointee.start + buffer.index * sizeClass.pointee.stride
            + sizeClass.pointee.headerByteCount
    }

    /// The bytes of payload that the buffer holds.
    package func byteCount(_ buffer: BufferHandle) -> Int {
        self.check(buffer)
        return self.classes[buffer.sizeClass].byteCount
    }

    /// The free buffers of at least `byteCount` bytes.
    package func freeCount(of byteCount: Int) -> Int {
        var count = 0
        for index in 0..<self.classCount where self.classes[index].byteCount >= byteCount {
            count += self.classes[index].freeCount
        }
        return count
    }

    /// The bytes of all buffers and the bytes registered with the ring.
    package var memory: (total: ByteCount, registered: ByteCount) {
        var total = 0
        var registered = 0
        for index in 0..<self.classCount {
            let each = self.classes[index]
            total += each.count * each.stride
            registered += min(each.registeredChunks * each.chunkByteCount, each.count * each.stride)
        }
        return (ByteCount(UInt64(total)), ByteCount(UInt64(registered)))
    }

    private func references(_ buffer: BufferHandle) -> UnsafeMutablePointer<UInt32> {
        self.check(buffer)
        let references = self.classes[buffer.sizeClass].references + buffer.index
        invariant(references.pointee > 0, "use of a buffer that is leased")
        return references
    }

    private func check(_ buffer: BufferHandle) {
        invariant(buffer.sizeClass < self.classCount, "class of a buffer handle")
        invariant(buffer.index < self.classes[buffer.sizeClass].count, "index of a buffer handle")
    }
}

extension BufferPool {
    /// Registers the classes, smallest first, until the kernel refuses; returns what to tell the
    /// operator then.
    func register(with ring: Ring) -> String? {
        guard self.classCount > 0 else { return nil }
        var chunks = 0
        for index in 0..<self.classCount {
            let each = self.classes + index
            each.pointee.firstChunk = chunks
            let bytes = each.pointee.count * each.pointee.stride
            chunks += (bytes + each.pointee.chunkByteCount - 1) / each.pointee.chunkByteCount
        }
        // What is refused here is noted when registering fails.
        _ = clinux_raise_locked_memory_limit()
        let result = io_uring_register_buffers_sparse(ring.ring, UInt32(chunks))
        guard result == 0 else { return self.notice(Errno(-result)) }
        for index in 0..<self.classCount {
            if let error = self.registerChunks(of: self.classes + index, with: ring) {
                return self.notice(error)
            }
        }
        return nil
    }

    private func registerChunks(
        of sizeClass: UnsafeMutablePointer<SizeClass>,
        with ring: Ring
    ) -> Errno? {
        let bytes = sizeClass.pointee.count * sizeClass.pointee.stride
        var offset = 0
        while offset < bytes {
            var region = iovec(
                iov_base: sizeClass.pointee.start + offset,
                iov_len: min(sizeClass.pointee.chunkByteCount, bytes - offset)
            )
            let chunk = sizeClass.pointee.firstChunk + sizeClass.pointee.registeredChunks
            let result = io_uring_register_buffers_update_tag(
                ring.ring,
                UInt32(chunk),
                &region,
                nil,
                1
            )
            guard result >= 0 else { return Errno(-result) }
            sizeClass.pointee.registeredChunks += 1
            offset += region.iov_len
        }
        return nil
    }

    /// The index under which the ring knows the memory; nil if it is not registered.
    func registration(_ start: UnsafeRawPointer, _ byteCount: Int) -> Int32? {
        let offset = start - UnsafeRawPointer(self.arena)
        guard offset >= 0, offset < self.arenaByteCount else { return nil }
        for index in 0..<self.classCount {
            let each = self.classes + index
            let within = start - UnsafeRawPointer(each.pointee.start)
            guard within >= 0, within < each.pointee.count * each.pointee.stride else { continue }
            let chunk = within / each.pointee.chunkByteCount
            guard chunk < each.pointee.registeredChunks,
                (within + byteCount - 1) / each.pointee.chunkByteCount == chunk
            else { return nil }
            return Int32(each.pointee.firstChunk + chunk)
        }
        return nil
    }

    private func notice(_ code: Errno) -> String {
        let memory = self.memory
        return "buffer pool: \(memory.registered.bytes) of \(memory.total.bytes) bytes are "
            + "registered with io_uring, the rest costs more CPU per operation: \(code); "
            + "raise the locked-memory limit (LimitMEMLOCK=infinity) to register all"
    }
}
