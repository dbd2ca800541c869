// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import LinkSimulation
import Primitives
import Testing
import TestSupport

/// A running link over real sockets.
struct LinkTests {
    @Test func `random data passes both ways unchanged, through cuts`() async throws {
        let harness = try LinkHarness(
            LinkSettings(delay: .milliseconds(2), jitter: .milliseconds(2), rate: 400_000_000)
        )
        let (near, far) = try harness.connect()
        let there = randomBytes(1_000_000, seed: 1)
        let back = randomBytes(1_000_000, seed: 2)
        async let sentThere: Void = onThread { try near.send(there) }
        async let sentBack: Void = onThread { try far.send(back) }
        async let restThere = onThread { far.receive(exactly: there.count - 100_000) }
        // The near end reads in steps, with an outage between them.
        var received: [UInt8] = []
        while received.count < back.count {
            received += near.receive(exactly: min(150_000, back.count - received.count))
            let cut = try harness.perform(.cut)
            #expect(cut.isCut)
            #expect(try harness.perform(.counters).counters == cut.counters)
            #expect(!(try harness.perform(.heal)).isCut)
        }
        #expect(received == back)
        var arrived = try await restThere
        arrived += far.receive(exactly: 100_000)
        #expect(arrived == there)
        _ = try await (sentThere, sentBack)
        near.finish()
        #expect(far.receive() == .endOfStream)
        let counters = try harness.perform(.counters).counters
        #expect(counters.forward.bytes == UInt64(there.count))
        #expect(counters.backward.bytes == UInt64(back.count))
        #expect(counters.forward.undecodedBytes == UInt64(there.count))
    }

    @Test func `nothing passes during a cut, and everything after it`() throws {
        let harness = try LinkHarness()
        let (near, far) = try harness.connect()
        try near.send([1])
        #expect(far.receive() == .bytes([1]))
        try harness.perform(.cut)
        try near.send([2])
        try far.send([3])
        near.finish()
        #expect(far.receive(within: .milliseconds(50)) == .nothing)
        #expect(near.receive(within: .milliseconds(50)) == .nothing)
        try harness.perform(.heal)
        #expect(far.receive() == .bytes([2]))
        #expect(far.receive() == .endOfStream)
        #expect(near.receive() == .bytes([3]))
    }

    @Test func `the delay holds both ways`() throws {
        let harness = try LinkHarness(LinkSettings(delay: .milliseconds(20)))
        let (near, far) = try harness.connect()
        let clock = ContinuousClock()
        let time = try clock.measure {
            try near.send([1])
            #expect(far.receive() == .bytes([1]))
            try far.send([2])
            #expect(near.receive() == .bytes([2]))
        }
        #expect(time >= .milliseconds(40))
    }

    @Test func `one direction may end before the other`() throws {
        let harness = try LinkHarness()
        let (near, far) = try harness.connect()
        near.finish()
        #expect(far.receive() == .endOfStream)
        try far.send([7])
        #expect(near.receive() == .bytes([7]))
        far.finish()
        #expect(near.receive() == .endOfStream)
        #expect(try harness.perform(.counters).connections == 0)
    }

    @Test func `a reset closes both ends of every connection, and new ones are made`() throws {
        let harness = try LinkHarness()
        let pairs = [try harness.connect(), try harness.connect()]
        let report = try harness.perform(.reset)
        #expect(report.connections == 0)
        for (near, far) in pairs {
            #expect(near.receive() == .reset)
            #expect(far.receive() == .reset)
        }
        let (near, far) = try harness.connect()
        try near.send([9])
        #expect(far.receive() == .bytes([9]))
    }

    @Test(arguments: LinkEnd.allCases)
    func `half-open: one end is reset, the other never learns`(_ kept: LinkEnd) throws {
        let harness = try LinkHarness()
        let (near, far) = try harness.connect()
        let (keeps, loses) = kept == .near ? (near, far) : (far, near)
        // The link has noticed that its own dial has succeeded.
        try near.send([1])
        #expect(far.receive() == .bytes([1]))
        #expect(try harness.perform(.halfOpen(kept: kept)).connections == 1)
        #expect(loses.receive() == .reset)
        // More than all buffers on the way hold: it is swallowed.
        try keeps.send([UInt8](repeating: 0, count: 8_000_000))
        #expect(keeps.receive(within: .milliseconds(50)) == .nothing)
        keeps.finish()
        #expect(keeps.receive() == .endOfStream)
        #expect(try harness.perform(.counters).connections == 0)
    }

    @Test func `whoever connects is reset where nobody listens behind the link`() throws {
        let harness = try LinkHarness()
        harness.closeTarget()
        #expect(try harness.connectNear().receive() == .reset)
    }

    @Test func `a recorded session passes, and its packets are counted`() throws {
        let recording = try Recording("integrity")
        let harness = try LinkHarness(LinkSettings(delay: .microseconds(100), rate: 1_000_000_000))
        var pairs: [Int: (near: BlockingSocket, far: BlockingSocket)] = [:]
        for event in recording.events where !recording.connections[event.connection].isContinued {
            guard case .bytes(let side, let bytes) = event.kind else { continue }
            let pair = try pairs[event.connection] ?? harness.connect()
            pairs[event.connection] = pair
            let (from, to) = side == .connector ? (pair.near, pair.far) : (pair.far, pair.near)
            try from.send(bytes)
            #expect(to.receive(exactly: bytes.count) == bytes)
        }
        let counters = try harness.perform(.counters).counters
        #expect(counters.forward == (try recording.counted(from: .connector)))
        #expect(counters.backward == (try recording.counted(from: .acceptor)))
        #expect(counters.packets("P_RS_DATA_REPLY").payloadBytes > 0)
    }

    @Test func `is controlled over a unix socket`() throws {
        let harness = try LinkHarness(LinkSettings(delay: .milliseconds(1)))
        let folder = try TemporaryFolder()
        let server = try harness.link.serveControl(at: folder.file("link.sock"))
        defer { server.stop() }
        var client = try ControlClient<LinkControl>(path: folder.file("link.sock"))
        #expect(try client.call(.cut).payload?.isCut == true)
        #expect(try client.call(.heal).payload?.isCut == false)
        _ = try client.call(.delay("2.5"))
        _ = try client.call(.jitter("3"))
        let report = try client.call(.rate("10M")).payload
        #expect(report?.settings == "delay 2.5 ms, jitter 3 ms, rate 10 Mbit/s")
        #expect(report?.counters == LinkCounters())
        let refused = try client.call(.rate("fast"))
        #expect(refused.code == .refused)
        #expect(refused.texts.first?.hasPrefix("rate 'fast'") == true)
        #expect(try client.call(.counters).payload == report)
    }

    @Test func `an address in use is refused in plain words`() throws {
        let harness = try LinkHarness()
        let taken = harness.link.routes[0]
        let error = #expect(throws: LinkError.self) { try Link([taken], LinkSettings()) }
        let text = try #require(error).description
        #expect(text.hasPrefix("cannot listen at \(taken.listen): Address already in use"))
    }

    @Test func `a link that was stopped answers so, and its connections are reset`() throws {
        let harness = try LinkHarness()
        let (near, far) = try harness.connect()
        harness.link.stop()
        #expect(near.receive() == .reset)
        #expect(far.receive() == .reset)
        guard case .stopped = harness.link.perform(.counters) else {
            Issue.record("an answer of a link that does not run")
            return
        }
    }
}

private func randomBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    var random = SeededRandom(seed: seed)
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}

/// Runs `body`, which waits for sockets, outside the pool of the tests.
private func onThread<Value: Sendable>(
    _ body: @escaping @Sendable () throws -> Value
) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Result { try body() }) }.start()
    }
}
