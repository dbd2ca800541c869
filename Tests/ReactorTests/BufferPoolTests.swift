// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives
import Reactor
import Testing

@Suite struct BufferPoolTests {
    static func limits() -> ReactorLimits {
        var limits = ReactorLimits()
        limits.buffers = [
            BufferClass(byteCount: 65536, count: 3), BufferClass(byteCount: 4096, count: 4),
        ]
        return limits
    }

    @Test func `leases the smallest size that fits, then larger ones, then none`() throws {
        let reactor = try Reactor(Self.limits())
        defer { withExtendedLifetime(reactor) {} }
        let pool = reactor.buffers
        var leased: [BufferHandle] = []
        for _ in 0..<7 { leased.append(try #require(pool.lease(512))) }
        #expect(leased.map { pool.byteCount($0) } == [4096, 4096, 4096, 4096, 65536, 65536, 65536])
        #expect(pool.lease(1) == nil)
        pool.release(leased[5])
        #expect(pool.lease(65537) == nil)
        #expect(pool.freeCount(of: 1) == 1)
        #expect(pool.lease(65536) == leased[5])
    }

    @Test func `holders that keep all they get leave the next one some, and the reserve`() throws {
        var limits = ReactorLimits()
        limits.buffers = [
            BufferClass(byteCount: 4096, count: 400, reserved: 50, firsts: 64),
            BufferClass(byteCount: 65536, count: 100, reserved: 10, firsts: 5),
        ]
        let reactor = try Reactor(limits)
        defer { withExtendedLifetime(reactor) {} }
        let pool = reactor.buffers
        for number in 0..<64 {
            var holder = BufferHolder()
            var isFirst = true
            while pool.lease(4096, for: &holder, isFirstRequest: isFirst) != nil { isFirst = false }
            #expect(!holder.isEmpty, "holder \(number)")
            if number == 0 { #expect(pool.freeCount(of: 4096) > 350) }
        }
        // The small ones spill into the large ones, and leave what those keep for large requests.
        #expect(pool.freeCount(of: 4096) - pool.freeCount(of: 65536) >= 50)
        #expect(pool.freeCount(of: 65536) >= 15)
        var holder = BufferHolder()
        let large = try #require(pool.lease(65536, for: &holder, isFirstRequest: true))
        pool.release(large)
        holder.remove(large)
        #expect(holder.isEmpty)
        var count = 0
        while pool.lease(4096) != nil { count += 1 }
        #expect(count >= 65)
    }

    @Test func `buffers are page aligned, apart, and have room for a header`() throws {
        let reactor = try Reactor(Self.limits())
        defer { withExtendedLifetime(reactor) {} }
        let pool = reactor.buffers
        var places: [(start: UInt, end: UInt)] = []
        while let buffer = pool.lease(1) {
            let payload = UInt(bitPattern: pool.payload(buffer))
            #expect(payload % 4096 == 0)
            places.append((payload - 4096, payload + UInt(pool.byteCount(buffer))))
            // The whole of it can be written.
            memset(pool.payload(buffer) - 4096, Int32(places.count), pool.byteCount(buffer) + 4096)
        }
        places.sort { $0.start < $1.start }
        for index in 1..<places.count { #expect(places[index - 1].end <= places[index].start) }
    }

    @Test func `the last release frees`() throws {
        let reactor = try Reactor(Self.limits())
        defer { withExtendedLifetime(reactor) {} }
        let pool = reactor.buffers
        let buffer = try #require(pool.lease(60000))
        pool.retain(buffer)
        pool.retain(buffer)
        #expect(pool.referenceCount(buffer) == 3)
        pool.release(buffer)
        pool.release(buffer)
        #expect(pool.freeCount(of: 60000) == 2)
        #expect(BufferHandle(number: buffer.number) == buffer)
        pool.release(buffer)
        #expect(pool.freeCount(of: 60000) == 3)
        #expect(pool.referenceCount(buffer) == 0)
    }

    @Test func `tells how much is registered, and why not all`() throws {
        let registered = try Reactor(Self.limits())
        let total = UInt64(4 * 8192 + 3 * (65536 + 4096))
        let memory = registered.buffers.memory
        #expect(memory.total == ByteCount(total))
        #expect((memory.registered == memory.total) == (registered.bufferNotice == nil))

        var limits = Self.limits()
        limits.registersBuffers = false
        let plain = try Reactor(limits)
        #expect(plain.buffers.memory.registered == ByteCount(0))
        #expect(plain.bufferNotice == nil)
    }

    @Test func `a double release stops the process`() async {
        await #expect(processExitsWith: .failure) {
            let reactor = try Reactor(BufferPoolTests.limits())
            defer { withExtendedLifetime(reactor) {} }
            let pool = reactor.buffers
            guard let buffer = pool.lease(1) else { return }
            pool.release(buffer)
            pool.release(buffer)
        }
    }
}
