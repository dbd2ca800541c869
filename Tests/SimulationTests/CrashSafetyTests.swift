// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
import Primitives
import Simulation
import Testing
import Wire

/// What has to be on stable storage before something else happens: one trace for each flaw that
/// random worlds or reading the code have found.
@Suite struct CrashSafetyTests {
    private static var first: Content { WriteTable.firstContent }

    @Test func `an attach flushes what a killed process has left in the page cache`() {
        let world = ScriptedWorld.replicating()
        world.write(0, 100)
        #expect(world.disk(0).durable[100] != Self.first)
        world.nodes[0].crash(losingPower: false)
        world.nodes[0].start()
        world.run("attached") { world.state(0).disk == .upToDate }
        #expect(world.disk(0).durable[100] == Self.first)
    }

    @Test func `a demotion flushes the data before it clears the mark of a Primary`() {
        let world = ScriptedWorld.replicating()
        world.write(0, 100)
        #expect(world.disk(0).durable[100] != Self.first)
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        #expect(world.disk(0).durable[100] == Self.first)
    }

    @Test func `a demotion starts again when an application comes back meanwhile`() {
        let world = ScriptedWorld.replicating()
        let command = world.nodes[0].command(.secondary(force: true))
        world.applications[0].open()
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("answer") { world.nodes[0].replies[command] != nil }
        #expect(world.nodes[0].replies[command] == .success)
        #expect(world.nodes[0].clientDisconnects > 0)
        #expect(world.disk(0).durable[100] == Self.first)
        #expect(world.violations == [])
    }

    /// Seed 104: the write's bit was in no written page, its data on no stable storage.
    @Test(arguments: [false, true])
    func `a write that begins and ends during a demotion's flushes starts them again`(
        _ force: Bool
    ) {
        let world = ScriptedWorld.replicating()
        world.nodes[0].troubles[0].slowdown = 5_000
        let command = world.nodes[0].command(.secondary(force: force))
        world.nodes[0].troubles[0].slowdown = 1
        world.applications[0].open()
        world.write(0, 100)
        world.run("confirmation") { world.nodes[0].core.unconfirmedWrites == 0 }
        world.applications[0].close()
        #expect(world.nodes[0].replies[command] == nil)
        #expect(world.disk(0).durable[100] != Self.first)
        world.run("answer") { world.nodes[0].replies[command] != nil }
        #expect(world.nodes[0].replies[command] == .success)
        #expect(world.disk(0).durable[100] == Self.first)
        #expect(world.violations == [])
    }

    @Test func `nobody opens a volume while its clients are thrown out`() {
        let world = ScriptedWorld.replicating()
        let before = world.nodes[0].core.acceptsClients
        let command = world.nodes[0].command(.secondary(force: true))
        let during = world.nodes[0].core.acceptsClients
        let role = world.nodes[0].core.role
        #expect(before && !during && role == .primary)
        world.run("answer") { world.nodes[0].replies[command] != nil }
        let after = world.nodes[0].core.acceptsClients
        #expect(!after)
    }

    @Test func `a Secondary that gives up its disk flushes what it has acknowledged`() {
        let world = ScriptedWorld.replicating()
        world.write(0, 100)
        #expect(world.disk(1).durable[100] != Self.first)
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 1) == .success)
        #expect(world.disk(1).durable[100] == Self.first)
    }

    @Test func `a Secondary whose disk fails confirms nothing that it has not flushed`() {
        let world = ScriptedWorld.replicating()
        world.write(0, 100)
        world.nodes[1].troubles[0].failingFlushes = 1
        world.run("loss") { !world.nodes[1].disks[0].isOpen }
        world.run(for: .seconds(5))
        #expect(world.nodes[0].core.volumeSnapshot(0).outOfSyncBits > 0)
        world.nodes[1].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    /// Seed 203: writes of the next connection were on stable storage before it.
    @Test func `what a lost connection has brought is flushed before the next one`() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        world.write(0, 100)
        world.cutNetwork(tellsNodes: true)
        world.run("loss") { world.nodes[1].core.link != .established }
        #expect(world.disk(1).durable[100] != Self.first)
        world.restoreNetwork()
        world.run("next connection") { world.nodes[1].core.link == .established }
        #expect(world.disk(1).durable[100] == Self.first)
        world.nodes[0].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `a promotion waits for writes of a lost connection`() {
        let world = ScriptedWorld.replicating()
        world.nodes[1].troubles[0].slowdown = 500
        world.applications[0].write(0, ScriptedWorld.sectors(100, 64))
        world.run("arrival") { !world.disk(1).rangesInFlight.isEmpty }
        world.nodes[0].crash(losingPower: true)
        world.cutNetwork(tellsNodes: true)
        world.run("loss") { world.nodes[1].core.link != .established }
        #expect(!world.disk(1).rangesInFlight.isEmpty)
        #expect(world.carryOut(.primary(force: false), on: 1) == .success)
        #expect(world.disk(1).rangesInFlight.isEmpty)
        #expect(world.violations == [])
    }

    @Test func `no volume stays Primary when the connection is lost during a promotion`() {
        let world = ScriptedWorld.replicating(volumes: 2)
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        let command = world.nodes[1].command(.primary(force: false))
        world.run("first volume") { world.state(0, 0).peerRole == .primary }
        #expect(world.state(0, 1).peerRole == .secondary)
        world.cutNetwork(tellsNodes: true)
        world.run("answer") { world.nodes[1].replies[command] != nil }
        #expect(world.nodes[1].replies[command] == .inTransientState)
        #expect(world.nodes[1].core.role == .secondary)
        for volume in UInt16(0)...1 { #expect(world.state(1, volume).role == .secondary) }
    }

    /// Seed 84: the first volume was UpToDate from then on.
    @Test func `a forced promotion that fails for one volume changes none`() {
        var configuration = WorldConfiguration()
        configuration.startsEqual = false
        configuration.volumes = [32_768, 32_768]
        let world = World(seed: 1, configuration)
        world.nodes[0].start(attaching: false)
        world.nodes[0].attach(0)
        world.run(for: .seconds(1))
        let before = world.nodes[0].core.volumeSnapshot(0)
        #expect(before.state.disk == .inconsistent)
        #expect(world.carryOut(.primary(force: true), on: 0) == .noUpToDateDisk)
        let after = world.nodes[0].core.volumeSnapshot(0)
        #expect(after.state == before.state && after.generations == before.generations)
    }

    /// What the peer has agreed to before is taken back.
    @Test func `a promotion that fails for one volume leaves the peer's view`() {
        let world = ScriptedWorld.replicating(volumes: 2)
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        var replies = 0
        world.tampering = { node, packet, _ in
            guard node == 1, case .stateChangeReply = packet else { return }
            replies += 1
            if replies == 2 { packet = .stateChangeReply(StateReply(.failedByPeer)) }
        }
        #expect(world.carryOut(.primary(force: false), on: 1) == .failedByPeer)
        world.run(for: .seconds(1))
        for volume in UInt16(0)...1 {
            #expect(world.state(1, volume).role == .secondary)
            #expect(world.state(0, volume).peerRole == .secondary)
        }
    }

    @Test func `bits of the only copy are durable before the data`() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        world.write(0, 800)
        let metadata = world.nodes[1].disks[0].metadata
        #expect(metadata.durable.contains(100))
        world.nodes[1].crash(losingPower: true)
        world.nodes[1].start()
        world.run(for: .seconds(1))
        #expect(world.nodes[1].core.volumeSnapshot(0).outOfSyncBits > 0)
        #expect(world.violations == [])
    }

    @Test func `a Primary that gets its disk back alone names its data anew`() {
        let world = ScriptedWorld.replicating()
        world.carryOut(.disconnect(force: true), on: 1)
        world.nodes[0].troubles[0].failingWrites = 1
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("failure") { !world.nodes[0].disks[0].isOpen }
        let old = world.nodes[0].disks[0].metadata.current.superblock?.currentGeneration
        world.nodes[0].attach(0)
        world.run("attached") { world.state(0).disk == .upToDate }
        world.write(0, 200)
        let new = world.nodes[0].disks[0].metadata.durable.superblock
        #expect(new?[peer: 1].bitmapGeneration != 0)
        #expect(old != nil)
        world.carryOut(.connect(discardMyData: false), on: 1)
        world.settle()
        #expect(world.violations == [])
    }
}
