// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct StreamTests {
    enum Place: CaseIterable {
        case ipv4
        case ipv6
        case unix
    }

    static func address(_ place: Place, _ folder: TemporaryFolder) throws -> SocketAddress {
        switch place {
        case .ipv4: try .ip("127.0.0.1", port: 0)
        case .ipv6: try .ip("::1", port: 0)
        case .unix: try .unix(folder.file("socket"))
        }
    }

    @Test(arguments: Place.allCases)
    func `echoes 64 MiB in random pieces, both ways at once`(_ place: Place) throws {
        let folder = try TemporaryFolder()
        let pair = try LoopPair()
        var options = ConnectionOptions()
        options.sendBufferByteCount = 65536
        let (near, far, _) = try pair.connect(
            Self.address(place, folder),
            client: options,
            server: options
        )
        var echo = Echo(pair.reactor, near: near, far: far, total: 64 << 20, seed: 42)
        echo.begin()
        while !echo.isDone { echo.handle(try pair.event()) }
        #expect(echo.failure == nil)
        #expect(pair.reactor.sendCounters(of: near).sent == 64 << 20)
        #expect(pair.reactor.sendCounters(of: far).sent == 64 << 20)
        #expect(pair.reactor.sendCounters(of: near).queued == 0)
    }

    @Test func `fills exactly what was asked for, however the bytes arrive`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        let memory = TestMemory(10)
        #expect(pair.reactor.receive(on: far, into: memory.bytes, atLeast: 10, token: 5))
        #expect(pair.reactor.isReceiving(far))
        for piece in ["ab", "cdefg", "hij"] {
            #expect(withBytes(piece) { pair.reactor.send(copying: $0, on: near) })
            pair.run(for: .milliseconds(5))
        }
        try pair.expect(.received(far, token: 5, byteCount: 10))
        #expect(String(decoding: memory.raw, as: UTF8.self) == "abcdefghij")
        #expect(!pair.reactor.isReceiving(far))

        // A minimum below the capacity takes what is there.
        #expect(withBytes("0123456") { pair.reactor.send(copying: $0, on: near) })
        pair.run(for: .milliseconds(5))
        #expect(pair.reactor.receive(on: far, into: memory.bytes, atLeast: 4, token: 6))
        try pair.expect(.received(far, token: 6, byteCount: 7))
    }

    @Test func `reports the end of a stream with what came before it`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        let memory = TestMemory(8)
        #expect(withBytes("abc") { pair.reactor.send(copying: $0, on: near) })
        #expect(pair.reactor.shutdownSending(near))
        #expect(pair.reactor.receive(on: far, into: memory.bytes, atLeast: 8, token: 1))
        try pair.expect(.endOfStream(far, token: 1, byteCount: 3))

        // The other direction of a half-closed connection still works.
        let back = TestMemory(4)
        #expect(pair.reactor.receive(on: near, into: back.bytes, atLeast: 4, token: 2))
        let pong = TestMemory("pong")
        #expect(pair.reactor.send(pong.raw, on: far, token: 9))
        pair.run(for: .milliseconds(1))
        try pair.expect(.sent(far, token: 9))
        try pair.expect(.received(near, token: 2, byteCount: 4))

        let deadline = pair.reactor.now + .seconds(5)
        pair.reactor.close(far, deadline: deadline)
        pair.reactor.close(near, deadline: deadline)
        try pair.expect(.closed(far))
        try pair.expect(.closed(near))
    }

    @Test func `gives back each segment's token in order, once the kernel has its last byte`()
        throws
    {
        let pair = try LoopPair()
        var options = ConnectionOptions()
        options.sendBufferByteCount = 4096
        options.receiveBufferByteCount = 4096
        let (near, far, _) = try pair.connect(
            .ip("127.0.0.1", port: 0),
            client: options,
            server: options
        )
        let payload = TestMemory(1 << 20)
        for token in UInt64(0)..<4 {
            #expect(pair.reactor.send(payload.raw, on: near, token: token))
        }
        pair.run(for: .milliseconds(30))
        let stuck = pair.reactor.sendCounters(of: near)
        #expect(stuck.sent > 0)
        #expect(stuck.sent + UInt64(stuck.queued) == 4 << 20)
        #expect(!pair.leftover().contains(.sent(near, token: 3)))

        let sink = TestMemory(1 << 16)
        var received = 0
        var sent: [UInt64] = []
        #expect(pair.reactor.receive(on: far, into: sink.bytes))
        while received < 4 << 20 || sent.last != 3 {
            switch try pair.event() {
            case .received(far, _, let count):
                received += count
                if received < 4 << 20 { pair.reactor.receive(on: far, into: sink.bytes) }
            case .sent(near, let token): sent.append(token)
            case let other: Issue.record("unexpected \(other)")
            }
        }
        #expect(sent == sent.sorted() && sent.count == Set(sent).count)
        #expect(received == 4 << 20)
    }

    @Test func `a paused receiver stops its sender, and loses nothing`() throws {
        let pair = try LoopPair()
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0))
        let payload = TestMemory(32 << 20)
        var random = SeededRandom(seed: 3)
        payload.fill(&random)
        #expect(pair.reactor.send(payload.raw, on: near, token: 1))
        pair.run(for: .milliseconds(50))
        #expect(pair.reactor.sendCounters(of: near).queued > 0)
        #expect(pair.leftover() == [])

        let copy = TestMemory(32 << 20)
        #expect(pair.reactor.receive(on: far, into: copy.bytes, atLeast: 32 << 20, token: 2))
        try pair.expect(.received(far, token: 2, byteCount: 32 << 20))
        try pair.expect(.sent(near, token: 1))
        #expect(memcmp(copy.start, payload.start, 32 << 20) == 0)
    }

    @Test func `a full send queue refuses, and says when it has room`() throws {
        let pair = try LoopPair()
        var options = ConnectionOptions()
        options.sendSegments = 4
        options.sendCopyByteCount = 1024
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0), client: options)
        let header = TestMemory(512)
        #expect(pair.reactor.send(copying: header.raw, on: near))
        #expect(pair.reactor.send(copying: header.raw, on: near))
        #expect(!pair.reactor.send(copying: header.raw, on: near))
        try pair.expect(.sendReady(near))
        for token in UInt64(0)..<4 {
            #expect(pair.reactor.send(header.raw, on: near, token: token))
        }
        #expect(!pair.reactor.send(header.raw, on: near, token: 4))
        try pair.expect(.sendReady(near))
        #expect(pair.reactor.sendCounters(of: near).sent == 512 * 6)
        _ = far
    }
}

/// Two streams in random pieces at once: `near` sends a known sequence, `far` sends back what it
/// gets.
struct Echo {
    let reactor: Reactor
    let near: ConnectionID
    let far: ConnectionID
    let total: Int
    private(set) var failure: String?
    private var random: SeededRandom
    private let source: TestMemory
    private let stage: TestMemory
    private let returned: TestMemory
    private var queued = 0
    private var echoed = 0
    private var verified = 0
    private static let stageByteCount = 300_000

    init(_ reactor: Reactor, near: ConnectionID, far: ConnectionID, total: Int, seed: UInt64) {
        self.reactor = reactor
        self.near = near
        self.far = far
        self.total = total
        self.random = SeededRandom(seed: seed)
        self.source = TestMemory(total)
        self.stage = TestMemory(Self.stageByteCount)
        self.returned = TestMemory(Self.stageByteCount)
        self.source.fill(&self.random)
    }

    var isDone: Bool { self.failure != nil || self.verified == self.total }

    mutating func begin() {
        self.receive(self.far, self.stage)
        self.receive(self.near, self.returned)
        self.sendMore()
    }

    mutating func handle(_ event: Event) {
        switch event {
        case .received(self.far, _, let count):
            // Lent until sent: the next receive waits for the token, so the stage is never
            // overwritten.
            let bytes = UnsafeRawBufferPointer(rebasing: self.stage.raw[..<count])
            if !self.reactor.send(bytes, on: self.far, token: 77) { self.failure = "echo refused" }
            self.echoed += count
        case .sent(self.far, 77):
            if self.echoed < self.total { self.receive(self.far, self.stage) }
        case .received(self.near, _, let count):
            if memcmp(self.returned.start, self.source.start + self.verified, count) != 0 {
                self.failure = "other bytes than sent, after \(self.verified)"
            }
            self.verified += count
            if self.verified < self.total { self.receive(self.near, self.returned) }
        case .sent(self.near, _), .sendReady(self.near): self.sendMore()
        case .sent(self.far, _), .sendReady(self.far): break
        default: self.failure = "unexpected \(event)"
        }
    }

    private mutating func receive(_ id: ConnectionID, _ memory: TestMemory) {
        let left = self.total - (id == self.far ? self.echoed : self.verified)
        let size = min(left, 1 + Int(self.random.below(UInt64(Self.stageByteCount))))
        let minimum = self.random.chance(1, in: 3) ? size : 1
        let bytes = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<size])
        self.reactor.receive(on: id, into: bytes, atLeast: minimum)
    }

    /// Keeps up to 1 MiB queued, as copies and lent pieces of random size.
    private mutating func sendMore() {
        while self.queued < self.total, self.reactor.sendCounters(of: self.near).queued < 1 << 20 {
            let isCopy = self.random.chance(1, in: 2)
            let size = min(
                self.total - self.queued,
                1 + Int(self.random.below(isCopy ? 2000 : 400_000))
            )
            let bytes = UnsafeRawBufferPointer(
                rebasing: self.source.raw[self.queued..<self.queued + size]
            )
            let isTaken =
                isCopy
                ? self.reactor.send(copying: bytes, on: self.near)
                : self.reactor.send(bytes, on: self.near, token: 1)
            guard isTaken else { return }
            self.queued += size
        }
    }
}
