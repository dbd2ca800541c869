// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// Packets that decode and that no honest peer sends.
@Suite struct HostilePeerTests {
    @Test func `a size that no volume can have ends the connection`() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 1) == .success)
        let before = world.nodes[1].core.volumeSnapshot(0).sizes.exposedSectors
        world.tampering = { node, packet, _ in
            guard node == 1, case .sizes(var sizes) = packet else { return }
            sizes.currentSectors = 1 << 57
            packet = .sizes(sizes)
        }
        world.carryOut(.disconnect(force: true), on: 1)
        world.carryOut(.connect(discardMyData: false), on: 1)
        world.run("refusal") {
            world.nodes[1].core.lastLoss
                == .protocolError(.outOfRange(sector: 1 << 57, bytes: 0))
        }
        #expect(world.nodes[1].core.volumeSnapshot(0).sizes.exposedSectors == before)
        world.tampering = nil
        world.run("connection") { world.isConnected }
        #expect(world.violations == [])
    }

    @Test func `a short answer to a read is no answer`() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        world.write(0, 64)
        world.tampering = { node, packet, sectors in
            if node == 0, case .dataReply = packet { sectors = 1 }
        }
        world.applications[0].read(0, ScriptedWorld.sectors(64, 8))
        world.run("refusal") {
            world.nodes[0].core.lastLoss == .protocolError(.outOfRange(sector: 64, bytes: 512))
        }
        world.tampering = nil
        world.run("end of the read") { world.applications[0].outstanding == 0 }
        #expect(world.violations == [])
    }
}
