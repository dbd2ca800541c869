// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Foundation
import Reactor
import TestSupport
import Testing

/// One engine that looks for a peer, which is the test.
@Suite(.serialized, .timeLimit(.minutes(1))) struct PairingTests {
    private static let initialData: [UInt8] = [0x83, 0x74, 0x02, 0x67, 0xFF, 0xF2, 0, 0]
    private static let initialMeta: [UInt8] = [0x83, 0x74, 0x02, 0x67, 0xFF, 0xF1, 0, 0]
    private static let features: [UInt8] = [0x83, 0x74, 0x02, 0x67, 0xFF, 0xFE, 0, 72]

    @Test("CONN-03 a socket that the peer resets before our first packet leaves is dialled again")
    func resetSocket() throws {
        let peer = try BlockingSocket.listening()
        let port = try freePort()
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let local = try SocketAddress.ip("127.0.0.1", port: port)
        let remote = try SocketAddress.ip("127.0.0.1", port: peer.port)
        let reset = DispatchSemaphore(value: 0)
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
            // Runs in the turn in which the dial succeeds, before what that turn queues is sent.
            _ = loop.handle.perform { _ in
                try? peer.accepted().reset()
                reset.signal()
            }
            done(true)
        }
        #expect(reset.wait(timeout: .now() + 30) == .success)

        let meta = try BlockingSocket.connected(to: port)
        try meta.send(Self.initialMeta)
        let data = try peer.accepted()
        #expect(data.receive(exactly: 8) == Self.initialData)
        #expect(data.receive(exactly: 8) == Self.features)
    }
}
