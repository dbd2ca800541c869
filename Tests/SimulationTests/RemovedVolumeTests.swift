// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// Volumes that are to be removed while something that has begun is about them.
@Suite struct RemovedVolumeTests {
    /// A Primary without its disk whose write the peer has, but has not confirmed for good.
    private func worldWithUnconfirmedWrite() -> World {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        world.run("diskless") { world.state(0).disk == .diskless }
        world.applications[0].open()
        world.write(0, 8)
        world.cutNetwork(tellsNodes: false)
        world.applications[0].close()
        #expect(world.nodes[0].core.unconfirmedWrites > 0)
        return world
    }

    @Test func `a Diskless volume whose writes the peer has not confirmed cannot be removed`() {
        let world = self.worldWithUnconfirmedWrite()
        let isRemoved = world.nodes[0].core.removeVolume(0)
        #expect(!isRemoved)
        world.nodes[0].deliver(.transportLost(.networkFailure(.socket(.closed))))
        #expect(world.nodes[0].core.unconfirmedWrites == 0)
        #expect(world.nodes[0].core.volumeIndices == [0])
    }

    @Test
    func `a Diskless volume with a write in flight cannot be removed though its client is gone`() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        world.run("diskless") { world.state(0).disk == .diskless }
        world.cutNetwork(tellsNodes: false)
        world.applications[0].open()
        world.applications[0].write(0, ScriptedWorld.sectors(8, 8))
        world.applications[0].close()
        let isRemoved = world.nodes[0].core.removeVolume(0)
        #expect(!isRemoved)
        world.nodes[0].deliver(.transportLost(.networkFailure(.socket(.closed))))
        world.run("told") { world.applications[0].outstanding == 0 }
        #expect(world.applications[0].failed == 1)
    }

    /// The write waits for an epoch that another volume's disk holds up.
    @Test func `a Diskless volume of a Secondary for which the peer has sent a write stays`()
        throws
    {
        let world = ScriptedWorld.replicating(volumes: 2, .a)
        world.nodes[1].troubles[1].slowdown = 100_000
        world.write(0, 8, volume: 1)
        world.write(0, 8)
        world.run("both") { world.nodes[1].core.peerRequestCount == 2 }
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 1) == .success)
        world.run("diskless") { !world.nodes[1].disks[0].isOpen }
        #expect(world.nodes[1].core.peerRequestCount == 2)
        let isRemoved = world.nodes[1].core.removeVolume(0)
        try #require(!isRemoved)
        world.run("written") { world.nodes[1].core.peerRequestCount == 0 }
        let isRemovedLater = world.nodes[1].core.removeVolume(0)
        #expect(isRemovedLater)
        #expect(world.violations == [])
    }

    @Test func `a Diskless volume of a node that is Secondary again can be removed`() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        world.run("diskless") { world.state(0).disk == .diskless }
        world.write(0, 8)
        let isRemovedAsPrimary = world.nodes[0].core.removeVolume(0)
        #expect(!isRemovedAsPrimary)
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        let isRemoved = world.nodes[0].core.removeVolume(0)
        #expect(isRemoved)
    }
}
