// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// What counts as a copy when a disk or its metadata fails, and what of it outlives a crash.
@Suite struct OnlyCopyTests {
    private static var first: Content { WriteTable.firstContent }

    /// The peer hears of neither the failure nor the end: only the superblock tells.
    @Test(arguments: [false, true])
    func `a Primary's failed disk does not overwrite the peer's later`(isRestarted: Bool) {
        let world = ScriptedWorld.replicating()
        world.nodes[0].troubles[0].slowdown = 200
        world.nodes[0].troubles[0].failingWrites = 1
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("failure") { world.state(0).disk == .failed }
        world.nodes[0].troubles[0].slowdown = 1
        world.cutNetwork(tellsNodes: false)
        world.run("answer") { world.applications[0].succeeded == 1 }
        if isRestarted { world.nodes[0].crash(losingPower: false) }
        world.restoreNetwork()
        if isRestarted {
            world.nodes[0].start()
        } else {
            #expect(world.carryOut(.secondary(force: true), on: 0) == .success)
            world.nodes[0].attach(0)
        }
        world.run("attach") { world.state(0).disk == .inconsistent }
        world.carryOut(.connect(discardMyData: false), on: 0)
        world.settle()
        #expect(world.disk(0).current[100] == Self.first)
        #expect(world.disk(1).current[100] == Self.first)
        #expect(world.violations == [])
    }

    /// Half the image is in the way of the resync.
    private static func synchronising(_ letter: ReplicationProtocol = .c) -> World {
        let world = ScriptedWorld.replicating(letter)
        world.nodes[1].troubles[0].slowdown = 300
        #expect(world.carryOut(.invalidateRemote(volume: 0), on: 0) == .success)
        world.run("resync") { world.state(0).connection == .syncSource }
        return world
    }

    @Test func `a peer that is being synchronised is no copy for what was lost here`() {
        let world = Self.synchronising()
        world.nodes[1].troubles[0].slowdown = 20_000
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("own disk") { world.disk(0).current[100] == Self.first }
        world.nodes[0].troubles[0].failingFlushes = 1
        world.applications[0].flush(0)
        world.run("answers") { world.applications[0].outstanding == 0 }
        #expect(world.applications[0].failed == 2)
        #expect(world.violations == [])
    }

    @Test func `a write that waits for its generation fails with the metadata`() {
        let world = ScriptedWorld.replicating()
        world.nodes[1].troubles[0].slowdown = 2_000
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("own disk") { world.disk(0).current[100] == Self.first }
        world.nodes[0].troubles[0].failingMetadata = 1
        world.cutNetwork(tellsNodes: true)
        world.run("answer") { world.applications[0].outstanding == 0 }
        #expect(world.applications[0].failed == 1)
        #expect(world.violations == [])
    }

    @Test func `a disk that was to be brought up to date is given up with the peer`() {
        let world = ScriptedWorld.replicating()
        world.nodes[0].troubles[0].failingWrites = 1
        world.write(0, 100)
        world.run("failure") { !world.nodes[0].disks[0].isOpen }
        world.write(0, 200)
        world.cutNetwork(tellsNodes: false)
        world.nodes[0].attach(0)
        world.run("negotiation") { world.state(0).disk == .negotiating }
        world.run("end") { world.state(0).disk == .diskless }
        #expect(world.nodes[0].core.volumeSnapshot(0).diskEnd == .outOfDate)
        world.restoreNetwork()
        world.run("peer") { world.state(0).peerDisk == .upToDate }
        world.nodes[0].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    /// It may turn out to be Inconsistent, which is less.
    @Test func `a disk that is being attached is not marked Outdated`() {
        let world = Self.synchronising()
        world.nodes[1].crash(losingPower: false)
        world.nodes[1].start()
        #expect(world.state(1).disk == .attaching)
        #expect(world.carryOut(.outdate(volume: 0), on: 1) == .lowerThanOutdated)
        world.run("attach") { world.state(1).disk == .inconsistent }
        #expect(!world.nodes[1].disks[0].metadata.current.isConsistent)
        #expect(world.violations == [])
    }

    /// The blocks of a resync overtake writes that wait for the disk.
    @Test func `a resync ends behind the writes that came before its end`() {
        let world = ScriptedWorld.replicating(volumes: 2, .a)
        world.nodes[1].troubles[1].slowdown = 20_000
        world.write(0, 100, volume: 1)
        world.run("arrival") { !world.disk(1, 1).rangesInFlight.isEmpty }
        #expect(world.carryOut(.invalidateRemote(volume: 0), on: 0) == .success)
        world.run("end") {
            world.state(1, 0).connection == .connected && world.state(1, 0).disk == .upToDate
        }
        #expect(world.disk(1, 1).durable[100] == Self.first)
        #expect(world.violations == [])
    }

    /// Nodes with one name for their data do not look at their bits.
    @Test(arguments: 0..<2, UInt64(0)..<60)
    func `a power cut at the end of a resync leaves no bits behind`(node: Int, seed: UInt64) {
        let world = ScriptedWorld.replicating(seed: seed)
        world.carryOut(.disconnect(force: true), on: 1)
        world.write(0, 100)
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        world.carryOut(.connect(discardMyData: false), on: 1)
        world.run("resync") { world.state(node).connection.isResyncing }
        world.nodes[node].troubles[0].slowdown = 10
        world.run("end") { world.state(node).connection == .connected }
        world.run(for: .microseconds(seed * 100))
        world.nodes[node].crash(losingPower: true)
        world.restart(node)
        world.settle()
        #expect(world.nodes.allSatisfy { $0.core.volumeSnapshot(0).outOfSyncBits == 0 })
        #expect(world.violations == [])
    }

    /// The source counts the disk as gone when it agrees, and goes on in a generation of its own;
    /// the news and the answer to the last ping travel on different sockets.
    @Test(arguments: UInt64(0)..<200)
    func `a target that is being detached does not take its source's next generation`(
        seed: UInt64
    ) {
        let world = ScriptedWorld.replicating(seed: seed)
        #expect(world.carryOut(.invalidateRemote(volume: 0), on: 0) == .success)
        world.run("end") {
            world.state(1).connection == .syncTarget
                && world.nodes[1].core.volumeSnapshot(0).outOfSyncBits == 0
        }
        _ = world.nodes[1].command(.detach(volume: 0, force: false))
        world.run("detach") { !world.nodes[1].disks[0].isOpen }
        world.write(0, 100)
        world.cutNetwork(tellsNodes: true)
        world.nodes[1].attach(0)
        world.run("attach") { world.state(1).disk >= .inconsistent }
        let generations = world.nodes.map { $0.core.volumeSnapshot(0).generations.current }
        #expect(world.state(1).disk == .inconsistent || !generations[1].names(generations[0]))
        #expect(world.violations == [])
    }
}
