// SPDX-License-Identifier: Apache-2.0

import Administration
import DRXCore
import Foundation
import LinkSimulation
import Primitives
import TestSupport
import Testing
import Wire

/// The states of two real relays while engines, relays and the link come and go.
@Suite(.serialized, .timeLimit(.minutes(2))) struct RelayStateTests {
    @Test(
        "DRX-12 DRX-13 DRX-14 DRX-15 DRX-16 DRX-17 DRX-26 DRX-29 DRX-30 the way up"
    )
    func statesOnTheWay() throws {
        let pair = try RelayPair()
        try pair.alpha.up()
        try pair.alpha.await(.bridging, .bridging)
        #expect(try diagnosis(pair.alpha) == .noRelay)
        try pair.beta.up()
        for site in [pair.alpha, pair.beta] {
            try site.await(.waiting, .connecting)
            #expect(try diagnosis(site) == .noLocalEngine)
        }
        pair.beta.stopListening()
        let near = try pair.alpha.dialInside()
        try pair.alpha.await(.connected, .connecting)
        try near.send(ChannelType.data.initialPacket)
        try pair.alpha.await(.establishing, .connecting)
        #expect(try diagnosis(pair.alpha) == .remoteEngineUnreachable)
        try pair.beta.listenAgain()
        let far = try pair.beta.accept(.data)
        try pair.alpha.await(.established, .connecting)
        try pair.beta.await(.waiting, .established)
        #expect(try diagnosis(pair.beta) == .localEngineDoesNotDial)
        try far.send([9])
        #expect(near.receive(exactly: 1) == [9])
    }

    @Test(
        "DRX-19 DRX-20 DRX-21 DRX-22 DRX-23 an engine leaves: its bytes arrive, both sockets end"
    )
    func oneSideCloses() throws {
        let pair = try RelayPair(
            memoryLimit: 16 << 20,
            link: LinkSettings(delay: .milliseconds(2), rate: 20_000_000)
        ) { $0.sendBufferByteCount = 64 << 10 }
        try pair.up()
        let (data, meta) = try pair.connect()
        let content = Pattern.bytes(6_000_000, seed: 5)
        try data.near.send(content)
        data.near.close()
        try pair.alpha.await(.closePending, .stopping)
        #expect(data.far.receive(exactly: content.count) == content)
        #expect(data.far.receive() == .endOfStream)
        #expect(meta.near.receive() == .endOfStream)
        #expect(meta.far.receive() == .endOfStream)
        for site in [pair.alpha, pair.beta] { try site.await(.waiting, .connecting) }
        try pass(pair.connect(), seed: 6)
    }

    @Test("DRX-24 a lost bridge closes the sockets of both engines, and nothing old arrives later")
    func lostBridge() throws {
        let pair = try RelayPair()
        try pair.up()
        for round in 0..<3 {
            let (data, meta) = try pair.connect()
            // More than arrives: the rest waits in the buffer while the far engine does not read.
            let old = Array(repeating: UInt8(0xEE), count: 40_000_000)
            let sender = Sender(old, to: data.near)
            try waitFor("the buffer is full") {
                let buffer = try pair.alpha.buffer()
                return buffer.used == buffer.size
            }
            try pair.perform(.reset)
            // What had arrived is delivered; then the stream ends, without a gap and too early.
            var count = 0
            while case .bytes(let bytes) = data.far.receive() {
                #expect(bytes.allSatisfy { $0 == 0xEE })
                count += bytes.count
            }
            #expect(count < old.count)
            #expect(ended(meta.near) && ended(meta.far))
            try waitFor("the sender is closed") { sender.hasEnded }
            for site in [pair.alpha, pair.beta] { try site.await(.waiting, .connecting) }
            #expect(try pair.alpha.buffer().used == 0)
            try pass(pair.connect(), seed: UInt64(10 + round))
            try pair.perform(.reset)
            for site in [pair.alpha, pair.beta] { try site.await(.waiting, .connecting) }
        }
    }

    @Test("DRX-24 a relay that is killed and started again relays again", arguments: [false, true])
    func killedRelay(bothAreKilled: Bool) throws {
        let pair = try RelayPair()
        try pair.up()
        let (data, meta) = try pair.connect()
        pair.beta.relay.kill()
        if bothAreKilled { pair.alpha.relay.kill() }
        for socket in [data.near, data.far, meta.near, meta.far] { #expect(ended(socket)) }
        if bothAreKilled {
            try pair.alpha.relay.start()
            #expect(try pair.alpha.relay.report() == nil)
            try pair.alpha.up()
        }
        try pair.alpha.await(.bridging, .bridging)
        try pair.beta.relay.start()
        try pair.beta.up()
        for site in [pair.alpha, pair.beta] { try site.await(.waiting, .connecting) }
        try pass(pair.connect(), seed: 20)
        #expect(pair.alpha.relay.terminate() == 0)
        #expect(pair.beta.relay.terminate() == 0)
    }

    @Test("DRX-24 a relay dials with growing pauses and says once that there is no bridge")
    func backOff() throws {
        let peer = try BlockingSocket.listening()
        let site = try RelaySite("alpha", peer: "beta")
        site.peerOutside = peer.port
        site.arguments = site.plainArguments(1 << 20)
        try site.relay.start()
        try site.up()
        var dials: [ContinuousClock.Instant] = []
        for _ in 0..<5 {
            try peer.accepted().reset()
            dials.append(.now)
        }
        // 200 ms, doubled each time, a quarter more or less.
        #expect(dials[4] - dials[3] > .seconds(1))
        #expect(dials[4] - dials[0] > .seconds(2))
        #expect(site.relay.logLines(with: "no bridge") == 1)
    }

    @Test("DRX-24 a frozen relay is noticed after ping-timeout, and works again when it thaws")
    func frozenRelay() throws {
        let pair = try RelayPair { $0.pingTimeoutMilliseconds = 500 }
        try pair.up()
        let (data, meta) = try pair.connect()
        pair.beta.relay.freeze()
        let began = ContinuousClock.now
        #expect(ended(data.near) && ended(meta.far))
        let passed = ContinuousClock.now - began
        #expect(passed > .seconds(1) && passed < .seconds(12), "\(passed)")
        #expect(pair.alpha.relay.log.contains("nothing was heard of the remote relay"))
        pair.beta.relay.thaw()
        #expect(ended(data.far) && ended(meta.near))
        for site in [pair.alpha, pair.beta] { try site.await(.waiting, .connecting) }
        try pass(pair.connect(), seed: 21)
    }

    @Test("DRX-40 an engine that does not read for longer than the silence keeps its bridge")
    func frozenEngine() throws {
        let pair = try RelayPair { $0.pingTimeoutMilliseconds = 500 }
        try pair.up()
        let (data, meta) = try pair.connect()
        let content = Pattern.bytes(40_000_000, seed: 22)
        let sender = Sender(content, to: data.near)
        try waitFor("the buffer is full") {
            let buffer = try pair.alpha.buffer()
            return buffer.used == buffer.size
        }
        let end = ContinuousClock.now + .seconds(8)
        try waitFor("twice the silence has passed") {
            try meta.near.send([7])
            #expect(meta.far.receive(exactly: 1) == [7])
            return ContinuousClock.now > end
        }
        for site in [pair.alpha, pair.beta] {
            #expect(
                try site.states() == ChannelStates(acceptor: .established, connector: .established)
            )
        }
        #expect(data.far.receive(exactly: content.count) == content)
        try waitFor("all is sent") { sender.hasEnded }
    }

    private func diagnosis(_ site: RelaySite) throws -> Diagnosis {
        let report = try #require(try site.relay.report())
        let remote = report.remoteStates.flatMap { states -> ChannelStates? in
            guard let acceptor = ChannelState(rawValue: states[0]),
                let connector = ChannelState(rawValue: states[1])
            else { return nil }
            return ChannelStates(acceptor: acceptor, connector: connector)
        }
        return Diagnosis(try #require(try site.states()), remote: remote)
    }

    private func ended(_ socket: BlockingSocket) -> Bool {
        let end = socket.receive()
        return end == .endOfStream || end == .reset
    }

    private func pass(_ streams: (data: EngineStream, meta: EngineStream), seed: UInt64) throws {
        for stream in [streams.data, streams.meta] {
            let content = Pattern.bytes(300_000, seed: seed)
            _ = Sender(content, to: stream.near)
            #expect(stream.far.receive(exactly: content.count) == content)
        }
    }
}
