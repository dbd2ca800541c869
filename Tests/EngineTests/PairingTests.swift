// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Foundation
import Reactor
import TestSupport
import Testing
import Wire

/// One engine that looks for a peer, which is the test.
@Suite(.serialized, .timeLimit(.minutes(1))) struct PairingTests {
    private static let initialData: [UInt8] = [0x83, 0x74, 0x02, 0x67, 0xFF, 0xF2, 0, 0]
    private static let initialMeta: [UInt8] = [0x83, 0x74, 0x02, 0x67, 0xFF, 0xF1, 0, 0]
    private static let features: [UInt8] = [0x83, 0x74, 0x02, 0x67, 0xFF, 0xFE, 0, 72]

    @Test("CONN-03 a socket that the peer resets before our first packet leaves is dialled again")
    func resetSocket() throws {
        let (node, peer, port) = try self.engine { peer in try? peer.accepted().reset() }
        defer { node.stop() }
        let meta = try BlockingSocket.connected(to: port)
        try meta.send(Self.initialMeta)
        let data = try peer.accepted()
        #expect(data.receive(exactly: 8) == Self.initialData)
        #expect(data.receive(exactly: 8) == Self.features)
    }

    @Test(
        "CONN-03 an accepted socket that is reset before it says what it is leaves nothing behind"
    )
    func resetAcceptedSocket() throws {
        let (node, _, port) = try self.engine { peer in try? peer.accepted().reset() }
        defer { node.stop() }
        for _ in 0..<4 { try BlockingSocket.connected(to: port).reset() }
        let data = try BlockingSocket.connected(to: port)
        try data.send(Self.initialData)
        let meta = try BlockingSocket.connected(to: port)
        try meta.send(Self.initialMeta)
        #expect(data.receive(exactly: 8) == Self.features)
    }

    @Test("CONN-03 a connection from an address that is not the peer's is turned away")
    func stranger() throws {
        let (node, _, port) = try self.engine()
        defer { node.stop() }
        let strangers = try [Self.initialMeta, Self.initialData].map { greeting in
            let stranger = try BlockingSocket.connected(to: port, from: "127.0.0.2")
            try? stranger.send(greeting)
            return stranger
        }
        for stranger in strangers {
            let received = stranger.receive()
            #expect(received == .endOfStream || received == .reset)
        }
        let meta = try BlockingSocket.connected(to: port)
        try meta.send(Self.initialMeta)
        let data = try BlockingSocket.connected(to: port)
        try data.send(Self.initialData)
        #expect(data.receive(exactly: 8) == Self.features)
    }

    @Test("CONN-03 a socket that the peer has ended is no pair's, whatever was sent on it before")
    func endedSocket() throws {
        let (node, peer, port) = try self.engine()
        defer { node.stop() }
        let first = try peer.accepted()
        #expect(first.receive(exactly: 8) == Self.initialData)
        try first.send(Self.encoded(.ping))
        first.finish()
        let meta = try BlockingSocket.connected(to: port)
        try meta.send(Self.initialMeta)
        let data = try peer.accepted()
        #expect(data.receive(exactly: 8) == Self.initialData)
        #expect(data.receive(exactly: 8) == Self.features)
    }

    @Test("CONN-04 a ping that overtakes the peer's handshake does no harm")
    func earlyPing() throws {
        let (node, peer, port) = try self.engine()
        defer { node.stop() }
        let data = try peer.accepted()
        #expect(data.receive(exactly: 8) == Self.initialData)
        let meta = try BlockingSocket.connected(to: port)
        try meta.send(Self.initialMeta)
        #expect(data.receive(exactly: 80).starts(with: Self.features))
        try meta.send(Self.encoded(.ping))
        for _ in 0..<5 {
            let link: Link = node.ask { loop, done in done(loop.snapshot(0).link) }
            #expect(link == .handshaking)
        }
        try data.send(Self.encoded(.features(.announced)))
        let parameters = data.receive(exactly: 8)
        #expect(parameters.count == 8)
        #expect(parameters != Self.features)
    }

    /// An engine that looks for the test, and where it listens.
    ///
    /// `meet` runs on the engine's thread in the turn in which its first dial succeeds, before what
    /// that turn queues is sent.
    private func engine(
        _ meet: @escaping @Sendable (BlockingSocket) -> Void = { _ in }
    ) throws -> (EngineNode, BlockingSocket, UInt16) {
        let peer = try BlockingSocket.listening()
        let port = try freePort()
        let node = try EngineNode(name: "alpha")
        let local = try SocketAddress.ip("127.0.0.1", port: port)
        let remote = try SocketAddress.ip("127.0.0.1", port: peer.port)
        let met = DispatchSemaphore(value: 0)
        let _: Bool = node.ask { loop, done in
            let index =
                loop.addResource(
                    name: "r0",
                    nodeIdentifier: 0,
                    parameters: ResourceParameters()
                ) ?? -1
            loop.setPeer(
                index,
                PeerConfiguration(name: "beta", nodeIdentifier: 1, local: local, remote: remote)
            )
            loop.command(index, .connect(discardMyData: false)) { _ in }
            _ = loop.handle.perform { _ in
                meet(peer)
                met.signal()
            }
            done(true)
        }
        #expect(met.wait(timeout: .now() + 30) == .success)
        return (node, peer, port)
    }

    private static func encoded(_ packet: Packet) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: ReplicationLimits.headByteCount)
        let count = bytes.withUnsafeMutableBytes { packet.encode(into: $0, under: .none) }
        return Array(bytes.prefix(count))
    }
}
