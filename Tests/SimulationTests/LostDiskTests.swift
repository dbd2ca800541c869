// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
import Primitives
import Simulation
import Testing
import Wire

/// Disks that go away, and nodes that depend on their peer's.
@Suite struct LostDiskTests {
    @Test("ROLE-14 a Primary without own data is not disconnected unless forced")
    func lastData() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        #expect(world.carryOut(.disconnect(force: false), on: 0) == .noUpToDateDisk)
        #expect(world.carryOut(.disconnect(force: false), on: 1) == .failedByPeer)
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 1) == .failedByPeer)
        #expect(world.state(0).peerDisk == .upToDate)
        #expect(world.carryOut(.disconnect(force: true), on: 0) == .success)
        #expect(world.nodes[0].core.link == .standAlone)
    }

    @Test func `the peer knows of a lost disk before it gets what that disk lacks`() {
        let world = ScriptedWorld.replicating()
        world.nodes[0].troubles[0].failingMetadata = 1
        // A cold extent: the transaction of the activity log fails.
        world.write(0, 16_384)
        world.run("closed") { !world.nodes[0].disks[0].isOpen }
        #expect(world.nodes[1].core.volumeSnapshot(0).outOfSyncBits > 0)
        world.nodes[0].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    /// Seeds 116 and 353: P_STATE was held up, and the data had one name on both nodes.
    @Test func `a write that the peer refuses completes in a generation of its own`() {
        let world = ScriptedWorld.replicating()
        let before = world.nodes[0].core.volumeSnapshot(0).generations.current
        world.nodes[1].troubles[0].failingWrites = 1
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("failure") { world.state(1).disk <= .failed }
        #expect(world.stall(.data, to: 0, forMilliseconds: 5_000))
        world.run("answer") { world.applications[0].succeeded == 1 }
        #expect(world.nodes[0].core.link == .established)
        let after = world.nodes[0].core.volumeSnapshot(0).generations
        #expect(after.bitmap.names(before) && !after.current.names(before))
        let durable = world.nodes[0].disks[0].metadata.durable.superblock
        #expect(durable?.currentGeneration == after.current.rawValue)
        world.run("loss") { !world.nodes[1].disks[0].isOpen }
        world.nodes[1].attach(0)
        world.settle()
        #expect(world.disk(1).current[100] == WriteTable.firstContent)
        #expect(world.violations == [])
    }

    /// It lacks what the Primary has written since.
    @Test func `a Secondary's failed disk is not promoted unasked`() {
        let world = ScriptedWorld.replicating()
        world.nodes[1].troubles[0].failingWrites = 1
        world.write(0, 100)
        world.run("failure") { !world.nodes[1].disks[0].isOpen }
        world.nodes[0].crash(losingPower: true)
        world.cutNetwork(tellsNodes: true)
        world.run("loss") { world.nodes[1].core.link != .established }
        world.nodes[1].attach(0)
        world.run("attach") { world.state(1).disk == .outdated }
        #expect(world.carryOut(.primary(force: false), on: 1) == .noUpToDateDisk)
        world.restoreNetwork()
        world.restart(0)
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `a stale disk does not become UpToDate when its source loses its own`() {
        let world = ScriptedWorld.replicating()
        world.carryOut(.disconnect(force: true), on: 1)
        world.write(0, 100)
        world.carryOut(.connect(discardMyData: false), on: 1)
        world.run("decision") { world.state(0).connection == .wfBitMapS }
        world.nodes[0].troubles[0].failingMetadata = 1
        world.run("failure") { !world.nodes[0].disks[0].isOpen }
        world.run(for: .seconds(10))
        #expect(world.state(1).disk != .upToDate)
        #expect(world.state(0).peerDisk != .upToDate)
        world.applications[0].read(0, ScriptedWorld.sectors(100, 8))
        world.run("answer") { world.applications[0].outstanding == 0 }
        #expect(world.applications[0].failed == 1)
        #expect(world.violations == [])
    }

    @Test func `a Primary without a disk refuses a peer with other data`() {
        let world = ScriptedWorld.replicating()
        world.carryOut(.disconnect(force: true), on: 1)
        world.write(0, 100)
        world.carryOut(.detach(volume: 0, force: true), on: 0)
        world.carryOut(.connect(discardMyData: false), on: 1)
        world.run("refusal") {
            world.nodes[0].core.lastLoss == .refused(.data(.otherDataExposed))
        }
        #expect(world.violations == [])
    }

    /// Seed 1784: the attach had read an older generation.
    @Test func `an attach that fails does not change what the application has seen`() {
        let world = ScriptedWorld.replicating()
        world.nodes[0].troubles[0].failingMetadata = 1
        world.carryOut(.disconnect(force: true), on: 1)
        world.run("failure") { !world.nodes[0].disks[0].isOpen }
        world.nodes[0].troubles[0].failingFlushes = 1
        world.nodes[0].attach(0)
        world.run("failed attach") { !world.nodes[0].disks[0].isOpen }
        world.carryOut(.connect(discardMyData: false), on: 1)
        world.run("refusal") {
            world.nodes[0].core.lastLoss == .refused(.data(.otherDataExposed))
        }
        #expect(world.violations == [])
    }

    @Test func `writes that wait for their turn are refused when the disk is gone`() {
        let world = ScriptedWorld.replicating()
        world.nodes[1].troubles[0].slowdown = 300
        for number in UInt64(0)..<6 {
            world.applications[0].write(0, ScriptedWorld.sectors(number * 4, 8))
            world.run(for: .milliseconds(200))
        }
        world.carryOut(.detach(volume: 0, force: true), on: 1)
        world.run("answers") { world.applications[0].succeeded == 6 }
        world.nodes[1].troubles[0].slowdown = 1
        world.nodes[1].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `a request older than an attach leaves the new activity log alone`() {
        let world = ScriptedWorld.replicating()
        world.nodes[1].troubles[0].slowdown = 2_000
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("own disk") { world.disk(0).current[100] == WriteTable.firstContent }
        world.carryOut(.detach(volume: 0, force: true), on: 0)
        #expect(world.nodes[0].core.unconfirmedWrites == 1)
        world.nodes[0].attach(0)
        world.run("confirmation") { world.nodes[0].core.unconfirmedWrites == 0 }
        world.nodes[1].troubles[0].slowdown = 1
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `a flush that fails is answered, and so is who waits behind it`() {
        let world = ScriptedWorld.replicating()
        world.nodes[0].troubles[0].failingFlushes = 1
        world.write(0, 100)
        for _ in 0..<3 { world.applications[0].flush(0) }
        world.run("answers") { world.applications[0].outstanding == 0 }
        #expect(world.applications[0].succeeded == 4)
        #expect(world.violations == [])
    }

    @Test func `a demotion ends with the last write of a lone node`() {
        let world = ScriptedWorld.replicating()
        world.carryOut(.disconnect(force: true), on: 0)
        world.nodes[0].troubles[0].slowdown = 500
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        #expect(world.applications[0].succeeded == 1)
        #expect(world.violations == [])
    }

    @Test func `an Inconsistent disk does not become the source of an invalidate`() {
        var configuration = WorldConfiguration()
        configuration.startsEqual = false
        let world = World(seed: 3, configuration)
        world.start()
        world.connect()
        #expect(world.carryOut(.invalidate(volume: 0), on: 0) == .noUpToDateDisk)
        #expect(world.carryOut(.invalidateRemote(volume: 0), on: 0) == .noUpToDateDisk)
        for node in 0...1 { #expect(world.state(node).disk == .inconsistent) }
    }
}
