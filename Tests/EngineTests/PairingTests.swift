// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Foundation
import Primitives
import Reactor
import TestSupport
import Testing
import Wire

/// How an engine finds the two sockets of a connection, seen by a peer that misbehaves.
@Suite struct PairingTests {
    /// The first packets of a data and of a meta socket.
    private static let initialData: [UInt8] = [0x83, 0x74, 0x02, 0x67, 0xff, 0xf2, 0, 0]
    private static let initialMeta: [UInt8] = [0x83, 0x74, 0x02, 0x67, 0xff, 0xf1, 0, 0]

    /// An engine that looks for its peer at a port where nobody is, and listens at the one
    /// returned.
    private func lookingForPeer(_ node: EngineNode) throws -> UInt16 {
        let port = try freePort()
        let peer = PeerConfiguration(
            name: "beta",
            nodeIdentifier: 1,
            local: try .ip("127.0.0.1", port: port),
            remote: try .ip("127.0.0.1", port: try freePort())
        )
        let code: StateChangeCode = node.ask { loop, done in
            var parameters = ResourceParameters()
            parameters.network.pingTimeout = .milliseconds(500)
            let index = loop.addResource(name: "r0", nodeIdentifier: 0, parameters: parameters)
            loop.setPeer(index ?? -1, peer)
            loop.command(index ?? -1, .connect(discardMyData: false)) { done($0) }
        }
        #expect(code == .success)
        return port
    }

    @Test func `a socket that is reset before it says what it is for leaves nothing behind`() throws
    {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let port = try self.lookingForPeer(node)
        for _ in 0..<4 {
            let early = try BlockingSocket.connected(to: port)
            early.resetAtEnd()
        }
        let data = try BlockingSocket.connected(to: port)
        try data.send(Self.initialData)
        let meta = try BlockingSocket.connected(to: port)
        try meta.send(Self.initialMeta)
        // P_CONNECTION_FEATURES, by which the handshake begins.
        let header = data.receive(exactly: 8)
        #expect(header.prefix(6) == [0x83, 0x74, 0x02, 0x67, 0xff, 0xfe])
    }
}
