// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct ConnectionTests {
    @Test func `tells that nobody listens`() throws {
        let pair = try LoopPair()
        let listener = try pair.reactor.listen(on: .ip("127.0.0.1", port: 0))
        let address = try #require(pair.reactor.address(of: listener))
        pair.reactor.close(listener)
        pair.run(for: .milliseconds(1))
        let id = try pair.reactor.connect(to: address, deadline: pair.reactor.now + .seconds(5))
        try pair.expect(.failed(id, Errno(ECONNREFUSED)))
        try pair.expect(.closed(id))
        #expect(pair.leftover() == [])

        let folder = try TemporaryFolder()
        let path = try SocketAddress.unix(folder.file("nobody"))
        let other = try pair.reactor.connect(to: path, deadline: pair.reactor.now + .seconds(5))
        try pair.expect(.failed(other, Errno(ENOENT)))
        try pair.expect(.closed(other))
    }

    @Test func `gives up connecting at the deadline`() throws {
        // A listener that nobody accepts from, with its queue full: further attempts get no answer.
        let silent = try SilentListener()
        let pair = try LoopPair()
        let deadline = pair.reactor.now + .milliseconds(80)
        var ids: [ConnectionID] = []
        for _ in 0..<4 {
            ids.append(try pair.reactor.connect(to: silent.address, deadline: deadline))
        }
        let last = ids[3]
        let early = TestMemory("early")
        #expect(pair.reactor.send(early.raw, on: last, token: 8))
        try pair.expect(.failed(last, .timedOut))
        #expect(pair.reactor.now >= deadline)
        try pair.expect(.sendAbandoned(last, token: 8))
        try pair.expect(.closed(last))
    }

    @Test func `sends what was queued before the connection stood`() throws {
        let pair = try LoopPair()
        let listener = try pair.reactor.listen(on: .ip("127.0.0.1", port: 0))
        let address = try #require(pair.reactor.address(of: listener))
        let near = try pair.reactor.connect(to: address, deadline: pair.reactor.now + .seconds(5))
        #expect(withBytes("hello") { pair.reactor.send(copying: $0, on: near) })
        let far = try pair.await { event in
            if case .accepted(let id, listener) = event { id } else { nil }
        }
        let memory = TestMemory(5)
        #expect(pair.reactor.receive(on: far, into: memory.bytes, atLeast: 5, token: 1))
        try pair.expect(.received(far, token: 1, byteCount: 5))
        #expect(String(decoding: memory.raw, as: UTF8.self) == "hello")
    }

    @Test func `an abort resets the peer and gives all memory back`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        let payload = TestMemory(16 << 20)
        let stage = TestMemory(64)
        #expect(pair.reactor.receive(on: near, into: stage.bytes, token: 4))
        #expect(pair.reactor.send(payload.raw, on: near, token: 1))
        #expect(pair.reactor.send(payload.raw, on: near, token: 2))
        pair.run(for: .milliseconds(10))
        pair.reactor.abort(near)
        #expect(!pair.reactor.isOpen(near))
        #expect(!pair.reactor.receive(on: near, into: stage.bytes))
        #expect(!pair.reactor.send(payload.raw, on: near, token: 3))

        // More than was queued, so that it cannot complete.
        let sink = TestMemory(33 << 20)
        #expect(pair.reactor.receive(on: far, into: sink.bytes, atLeast: 33 << 20, token: 5))
        var ends: [Event] = []
        while ends.last != .closed(near) {
            ends.append(
                try pair.await { event in
                    switch event {
                    case .sendAbandoned(near, _), .receiveAbandoned(near, _), .closed(near):
                        event
                    default: nil
                    }
                }
            )
        }
        #expect(ends.contains(.sendAbandoned(near, token: 1)))
        #expect(ends.contains(.sendAbandoned(near, token: 2)))
        #expect(ends.contains(.receiveAbandoned(near, token: 4)))
        #expect(ends.count == 4)

        try pair.expect(.receiveAbandoned(far, token: 5))
        try pair.expect(.failed(far, .connectionReset))
        try pair.expect(.closed(far))
        #expect(pair.leftover() == [])
    }

    @Test func `an orderly close sends all that is queued, and discards what still comes`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        let payload = TestMemory(8 << 20)
        let stage = TestMemory(64)
        #expect(pair.reactor.receive(on: near, into: stage.bytes, token: 4))
        #expect(pair.reactor.send(payload.raw, on: near, token: 1))
        pair.reactor.close(near, deadline: pair.reactor.now + .seconds(10))
        try pair.expect(.receiveAbandoned(near, token: 4))

        // The peer is still talking: that must not turn the end of our stream into a reset.
        #expect(withBytes("unheard") { pair.reactor.send(copying: $0, on: far) })
        let sink = TestMemory(9 << 20)
        #expect(pair.reactor.receive(on: far, into: sink.bytes, atLeast: 9 << 20, token: 5))
        try pair.expect(.endOfStream(far, token: 5, byteCount: 8 << 20))
        try pair.expect(.sent(near, token: 1))
        pair.reactor.close(far, deadline: pair.reactor.now + .seconds(10))
        try pair.expect(.closed(near))
        try pair.expect(.closed(far))
        #expect(pair.leftover() == [])
    }

    @Test func `an orderly close aborts at its deadline when the peer does not answer`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        let payload = TestMemory(32 << 20)
        #expect(pair.reactor.send(payload.raw, on: near, token: 1))
        let deadline = pair.reactor.now + .milliseconds(50)
        pair.reactor.close(near, deadline: deadline)
        try pair.expect(.sendAbandoned(near, token: 1))
        try pair.expect(.closed(near))
        #expect(pair.reactor.now >= deadline)
        _ = far
    }

    @Test func `a close after the peer ends our stream behind theirs`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        let stage = TestMemory(64)
        #expect(pair.reactor.receive(on: far, into: stage.bytes, token: 5))
        pair.reactor.close(near, deadline: pair.reactor.now + .seconds(10), afterPeer: true)
        pair.reactor.turn(until: pair.reactor.now + .milliseconds(20))
        #expect(pair.leftover() == [])
        #expect(pair.reactor.shutdownSending(far))
        try pair.expect(.endOfStream(far, token: 5, byteCount: 0))
        try pair.expect(.closed(near))

        let (silent, other, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        #expect(pair.reactor.receive(on: other, into: stage.bytes, token: 6))
        let deadline = pair.reactor.now + .milliseconds(50)
        pair.reactor.close(silent, deadline: deadline, afterPeer: true)
        try pair.expect(.closed(silent))
        try pair.expect(.endOfStream(other, token: 6, byteCount: 0))
        #expect(pair.reactor.now >= deadline)
    }

    @Test func `a peer that vanishes fails the sender`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        pair.reactor.abort(far)
        try pair.expect(.closed(far))
        let byte = TestMemory("x")
        #expect(pair.reactor.send(byte.raw, on: near, token: 1))
        let code = try pair.await { event in
            if case .failed(near, let code) = event { code } else { nil }
        }
        #expect(code == .connectionReset || code == .brokenPipe)
        try pair.expect(.sendAbandoned(near, token: 1))
        try pair.expect(.closed(near))
        #expect(!pair.reactor.send(byte.raw, on: near, token: 2))
    }

    @Test func `a driver that let go hears nothing more, but gets its memory back`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        let memory = TestMemory(16)
        #expect(pair.reactor.receive(on: far, into: memory.bytes, token: 1))
        #expect(withBytes("data") { pair.reactor.send(copying: $0, on: near) })
        // Both turns without taking events: the receive completes, then is let go of.
        pair.reactor.turn(until: pair.reactor.now + .milliseconds(20))
        pair.reactor.abort(far)
        try pair.expect(.receiveAbandoned(far, token: 1))
        try pair.expect(.closed(far))
        _ = near
    }

    @Test func `slots are used again, and stale handles do nothing`() throws {
        var limits = ReactorLimits()
        limits.connections = 2
        let pair = try LoopPair(limits)
        let folder = try TemporaryFolder()
        let address = try SocketAddress.unix(folder.file("socket"))
        for _ in 0..<50 {
            let (near, far, listener) = try pair.connect(address)
            #expect(near.slot < 2 && far.slot < 2)
            pair.reactor.close(listener)
            pair.reactor.abort(near)
            pair.reactor.abort(far)
            try pair.expect(.closed(near))
            try pair.expect(.closed(far))
            pair.reactor.abort(near)
            #expect(!pair.reactor.isOpen(near))
            #expect(!pair.reactor.isOpen(far))
        }
    }

    @Test func `random traffic and random ends return every token exactly once`() throws {
        var random = SeededRandom(seed: 11)
        let payload = TestMemory(1 << 20)
        let stage = TestMemory(1 << 16)
        let pair = try LoopPair()
        for _ in 0..<60 {
            let (near, far, listener) = try pair.connect(.ip("127.0.0.1", port: 0))
            pair.reactor.close(listener)
            var lent: Set<UInt64> = []
            for token in UInt64(0)..<(1 + random.below(40)) {
                let bytes = UnsafeRawBufferPointer(
                    rebasing: payload.raw[..<Int(random.below(1 << 20))]
                )
                if pair.reactor.send(bytes, on: near, token: token) { lent.insert(token) }
                if random.chance(1, in: 4) { pair.reactor.turn(until: pair.reactor.now) }
            }
            if random.chance(1, in: 2) { pair.reactor.receive(on: far, into: stage.bytes) }
            if random.chance(1, in: 2) { pair.run(for: .microseconds(random.below(2000))) }
            let deadline = pair.reactor.now + .milliseconds(random.below(20))
            if random.chance(1, in: 2) { pair.reactor.abort(far) }
            if random.chance(1, in: 2) { pair.reactor.abort(near) }
            pair.reactor.close(near, deadline: deadline)
            pair.reactor.close(far, deadline: deadline)
            try pair.expect(.closed(near))
            try pair.expect(.closed(far))
            var back: [UInt64] = []
            for event in pair.leftover() {
                switch event {
                case .sent(near, let token), .sendAbandoned(near, let token): back.append(token)
                default: break
                }
            }
            #expect(back.sorted() == lent.sorted())
        }
    }
}

/// A TCP listener outside of any reactor that never accepts.
private final class SilentListener {
    let descriptor: Int32
    let address: SocketAddress

    init() throws {
        self.descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = self.descriptor
        withUnsafeMutablePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = bind(descriptor, $0, length)
                _ = listen(descriptor, 0)
                _ = getsockname(descriptor, $0, &length)
            }
        }
        self.address = try .ip("127.0.0.1", port: UInt16(bigEndian: name.sin_port))
    }

    deinit { close(self.descriptor) }
}
