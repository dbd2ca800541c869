// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// P_PROTOCOL_UPDATE: the peer's administrator changes options of a connection that stands.
@Suite struct ProtocolUpdateTests {
    private static func update(_ world: World, _ parameters: ProtocolParameters) {
        world.nodes[0].deliver(
            .packet(.data, volume: 0, .protocolUpdate(parameters), .none, payloadBytes: 0)
        )
    }

    @Test(arguments: [ReplicationProtocol.a, .b, .c])
    func `a new protocol letter is taken over without a new connection`(
        _ letter: ReplicationProtocol
    ) {
        let world = ScriptedWorld.replicating()
        Self.update(world, ProtocolParameters(replicationProtocol: letter))
        #expect(world.nodes[0].core.link == .established)
        #expect(world.nodes[0].core.agreedProtocol == letter)
        world.write(0, 100)
        #expect(world.nodes[0].core.link == .established)
    }

    @Test func `two Primaries are refused with the reason`() {
        let world = ScriptedWorld.replicating()
        Self.update(
            world,
            ProtocolParameters(replicationProtocol: .c, allowTwoPrimaries: true)
        )
        #expect(world.nodes[0].core.link == .standAlone)
        #expect(world.nodes[0].core.lastHandshakeFailure == .mismatch(.twoPrimaries))
    }
}
