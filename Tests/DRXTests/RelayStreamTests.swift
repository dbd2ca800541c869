// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import LinkSimulation
import Primitives
import TestSupport
import Testing
import Wire

/// Bytes through two real relays.
@Suite(.serialized, .timeLimit(.minutes(2))) struct RelayStreamTests {
    static let plugins: [RelayArguments.Step?] = [
        nil, .init(algorithm: "zstd", level: 1), .init(algorithm: "lz4", level: 1),
    ]

    @Test(
        "DRX-01 DRX-02 DRX-03 DRX-09 DRX-18 data and meta pass unchanged in both directions",
        arguments: plugins
    )
    func bytesAreIdentical(plugin: RelayArguments.Step?) throws {
        let pair = try RelayPair(plugin: plugin)
        try pair.up()
        let (data, meta) = try pair.connect()
        let ways = [
            (data.near, data.far, 3_000_000), (data.far, data.near, 1_000_000),
            (meta.near, meta.far, 400_000), (meta.far, meta.near, 300_000),
        ]
        let contents = ways.enumerated().map { Pattern.bytes($1.2, seed: UInt64($0)) }
        let senders = zip(ways, contents).map { Sender($1, to: $0.0) }
        for (way, content) in zip(ways, contents) {
            #expect(way.1.receive(exactly: content.count) == content)
        }
        for sender in senders { try waitFor("all is sent") { sender.hasEnded } }
        let link = try pair.perform(.counters)
        #expect(link.connections == 2)
        let report = try #require(try pair.alpha.relay.report())
        #expect(report.acceptor.type == ChannelType.data.rawValue)
        #expect(report.connector.type == ChannelType.meta.rawValue)
        // What the engines wrote, and each stream's first packet.
        #expect(report.acceptor.sentContentBytes == 3_000_008)
        #expect(report.acceptor.receivedContentBytes == 1_000_000)
        #expect(report.connector.sentContentBytes == 300_000)
        #expect(report.connector.receivedContentBytes == 400_008)
        let payload = report.acceptor.sentPayloadBytes
        #expect(plugin == nil ? payload == 3_000_008 : payload < 2_600_000)
    }

    @Test("DRX-10 a first packet that arrives byte by byte names the type")
    func splitFirstPacket() throws {
        let pair = try RelayPair()
        try pair.up()
        let near = try pair.alpha.dialInside()
        try pair.alpha.await(.connected, .connecting)
        #expect(try pair.alpha.relay.report()?.acceptor.type == nil)
        for byte in ChannelType.meta.initialPacket { try near.send([byte]) }
        let far = try pair.beta.accept(.meta)
        try pair.alpha.await(.established, .connecting)
        #expect(try pair.alpha.relay.report()?.acceptor.type == ChannelType.meta.rawValue)
        try near.send([1, 2, 3])
        #expect(far.receive(exactly: 3) == [1, 2, 3])
    }

    @Test("DRX-10 a node that dials both sockets gets a TCP connection for each")
    func bothSocketsOfOneNode() throws {
        let pair = try RelayPair()
        try pair.up()
        let data = try pair.alpha.dial(.data, to: pair.beta)
        let meta = try pair.alpha.dial(.meta, to: pair.beta)
        try waitFor("both are carried") {
            try pair.alpha.relay.report()?.acceptor.carriesBoth == true
        }
        let link = try pair.perform(.counters)
        #expect(link.connections == 3)
        for (stream, seed) in [(data, UInt64(1)), (meta, 2)] {
            let content = Pattern.bytes(500_000, seed: seed)
            _ = Sender(content, to: stream.near)
            #expect(stream.far.receive(exactly: content.count) == content)
        }
    }

    @Test("DRX-38 DRX-39 DRX-40 the buffer fills, stops its engine, loses nothing, and drains")
    func fullBuffer() throws {
        let pair = try RelayPair()
        try pair.up()
        let (data, meta) = try pair.connect()
        let content = Pattern.bytes(60_000_000, seed: 3)
        let sender = Sender(content, to: data.near)
        try waitFor("the buffer is full") {
            let buffer = try pair.alpha.buffer()
            return buffer.used == buffer.size
        }
        #expect(!sender.hasEnded)
        #expect(try pair.alpha.buffer().latencyMilliseconds > 0)

        // Meta goes on meanwhile, in both directions, and is not held up.
        for number in 0..<50 {
            let before = ContinuousClock.now
            try meta.near.send(Array(repeating: UInt8(number), count: 16))
            #expect(meta.far.receive(exactly: 16).last == UInt8(number))
            try meta.far.send([UInt8(number)])
            #expect(meta.near.receive(exactly: 1) == [UInt8(number)])
            #expect(ContinuousClock.now - before < .seconds(5))
        }
        let (buffer, stuck) = (try pair.alpha.buffer(), sender.sentByteCount)
        #expect(buffer.used == buffer.size)
        #expect(stuck < content.count)

        #expect(data.far.receive(exactly: content.count) == content)
        try waitFor("all is sent") { sender.hasEnded }
        #expect(sender.sentByteCount == content.count)
        try waitFor("the buffer is empty") { try pair.alpha.buffer().used == 0 }
        try pair.alpha.await(.established, .established)
    }

    @Test("DRX-38 a buffer is faulted in while the relay works")
    func largeBuffer() throws {
        let pair = try RelayPair(memoryLimit: 512 << 20)
        for site in [pair.alpha, pair.beta] { try site.up() }
        let stream = try pair.alpha.dial(.data, to: pair.beta)
        let content = Pattern.bytes(2_000_000, seed: 4)
        _ = Sender(content, to: stream.near)
        #expect(stream.far.receive(exactly: content.count) == content)
        try waitFor("all of it is there") { try pair.alpha.buffer().usable == 512 << 20 }
        #expect(pair.alpha.relay.residentByteCount >= 512 << 20)
        try pair.alpha.down()
        try waitFor("it is given back") { pair.alpha.relay.residentByteCount < 256 << 20 }
    }
}
