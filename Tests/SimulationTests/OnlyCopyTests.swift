// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
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

    /// The peer has the write, and does not know that nobody else has it.
    private static func losingDevice() -> World {
        let world = ScriptedWorld.replicating(volumes: 2)
        world.nodes[0].troubles[0].slowdown = 200
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("peer") { world.disk(1).current[100] == Self.first }
        world.run(for: .milliseconds(5))
        world.nodes[0].troubles[0].isGone = true
        return world
    }

    @Test func `a write completes when the peer's data has a name of its own instead of a mark`() {
        let world = Self.losingDevice()
        world.run("answer") { world.applications[0].succeeded == 1 }
        let generations = world.nodes.map { $0.core.volumeSnapshot(0).generations }
        #expect(generations[0].current.names(generations[1].bitmap))
        let durable = world.nodes[1].disks[0].metadata.durable.superblock
        #expect(durable?.currentGeneration == generations[1].current.rawValue)
        world.nodes[0].crash(losingPower: true)
        world.nodes[1].crash(losingPower: false)
        world.nodes[0].troubles[0].isGone = false
        for node in 0...1 { world.restart(node) }
        world.settle()
        for node in 0...1 { #expect(world.disk(node).current[100] == Self.first) }
        #expect(world.violations == [])
    }

    @Test func `a write fails if neither mark nor peer keeps a failed disk from winning`() {
        let world = Self.losingDevice()
        world.cutNetwork(tellsNodes: false)
        world.run("failure") { world.state(0).disk <= .failed }
        world.run(for: .seconds(2))
        #expect(world.applications[0].succeeded == 0 && world.applications[0].outstanding == 1)
        world.run("answer") { world.applications[0].outstanding == 0 }
        #expect(world.applications[0].failed == 1)
        #expect(world.nodes[0].core.link != .established)
        #expect(world.violations == [])
    }

    /// Seed 747: the superblock said Secondary, so nothing told of the write that the disk had
    /// lost.
    @Test(arguments: [ReplicationProtocol.a, .c], UInt64(0)..<20)
    func `a disk that fails during a demotion keeps its activity log`(
        letter: ReplicationProtocol,
        seed: UInt64
    ) {
        let world = ScriptedWorld.replicating(letter, seed: seed)
        world.write(0, 100)
        world.run("confirmation") { world.nodes[0].core.unconfirmedWrites == 0 }
        world.nodes[0].troubles[0].failingFlushes = 1
        world.carryOut(.secondary(force: true), on: 0)
        world.run("failure") { !world.nodes[0].disks[0].isOpen }
        world.nodes[0].attach(0)
        world.settle()
        for node in 0...1 { #expect(world.disk(node).current[100] == Self.first) }
        #expect(world.violations == [])
    }

    /// The peer's P_UUIDS came before there was anything to prove.
    @Test func `a detach whose metadata fails holds up nobody`() {
        let world = ScriptedWorld.replicating(volumes: 2)
        let before = world.nodes[1].core.volumeSnapshot(0).generations.current
        world.nodes[0].troubles[0].slowdown = 1_000
        _ = world.nodes[0].command(.detach(volume: 0, force: false))
        world.run("agreement") {
            !world.nodes[1].core.volumeSnapshot(0).generations.current.names(before)
        }
        world.run(for: .milliseconds(20))
        #expect(world.state(0).disk == .upToDate)
        world.nodes[0].troubles[0].isGone = true
        world.run("detach") { !world.nodes[0].disks[0].isOpen }
        world.write(0, 100, volume: 1)
        world.write(0, 100)
        world.nodes[0].troubles[0] = DiskTrouble()
        world.nodes[0].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    @Test(arguments: 0..<2)
    func `metadata that hangs keeps no node from its peer when the disk has failed`(node: Int) {
        let world = ScriptedWorld.replicating(volumes: 2)
        world.write(0, 100)
        world.run(for: .seconds(1))
        world.nodes[node].troubles[0].holdsMetadata = true
        world.nodes[node].troubles[0].failingFlushes = 1
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.applications[0].flush(0)
        world.run("failure") { world.state(node).disk <= .failed }
        // The peer has said its new name.
        world.run(for: .milliseconds(100))
        world.cutNetwork(tellsNodes: true)
        world.run("loss") { world.nodes.allSatisfy { $0.core.link != .established } }
        world.restoreNetwork()
        world.run("answers") { world.applications[0].outstanding == 0 }
        world.run("next connection") { world.state(0, 1).connection == .connected }
        world.nodes[node].troubles[0].holdsMetadata = false
        world.run("end") { !world.nodes[node].disks[0].isOpen }
        world.nodes[node].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `metadata that never answers holds up nobody when its disk has failed`() {
        let world = ScriptedWorld.replicating(volumes: 2)
        world.write(0, 100)
        world.nodes[0].troubles[0].failingWrites = 1
        world.nodes[0].troubles[0].holdsMetadata = true
        world.write(0, 100)
        world.write(0, 100, volume: 1)
        world.write(0, 200)
        #expect(world.state(0).disk == .failed)
        world.nodes[0].troubles[0].holdsMetadata = false
        world.run("end") { world.state(0).disk == .diskless }
        world.nodes[0].attach(0)
        world.settle()
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

    /// Seeds 386 and 1299: it became what its superblock said, and had no bits for what the peer
    /// had written meanwhile.
    @Test(arguments: [false, true], UInt64(0)..<80)
    func `a disk that lacks the peer's bits answers no reads`(isDetached: Bool, seed: UInt64) {
        let world = ScriptedWorld.replicating(seed: seed)
        if isDetached {
            #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        } else {
            world.nodes[0].troubles[0].failingWrites = 1
            world.write(0, 100)
        }
        world.run("failure") { !world.nodes[0].disks[0].isOpen }
        world.write(0, 200)
        world.nodes[0].attach(0)
        world.nodes[1].later(.microseconds(seed * 50)) {
            _ = world.nodes[1].command(.detach(volume: 0, force: true))
        }
        world.run("detach") { !world.nodes[1].disks[0].isOpen }
        for _ in 0..<20 {
            world.applications[0].read(0, ScriptedWorld.sectors(200, 8))
            world.run(for: .milliseconds(1))
        }
        world.run("answers") { world.applications[0].outstanding == 0 }
        world.nodes[1].attach(0)
        for node in 0...1 { world.carryOut(.connect(discardMyData: false), on: node) }
        world.run("peer") { world.state(0).peerDisk == .upToDate }
        if !world.nodes[0].disks[0].isOpen { world.nodes[0].attach(0) }
        world.settle()
        #expect(world.violations == [])
    }

    /// Seed 1299: the application of the target was given what another one had written.
    @Test func `a Primary that was being synchronised refuses a source with other data`() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        world.nodes[0].troubles[0].slowdown = 300
        #expect(world.carryOut(.invalidate(volume: 0), on: 0) == .success)
        world.run("resync") { world.state(0).connection == .syncTarget }
        #expect(world.carryOut(.primary(force: false), on: 0) == .success)
        world.nodes[0].troubles[0].slowdown = 1
        world.applications[0].open()
        world.cutNetwork(tellsNodes: true)
        world.run("loss") { world.nodes.allSatisfy { $0.core.link != .established } }
        #expect(world.state(0).disk == .inconsistent)
        #expect(world.carryOut(.primary(force: false), on: 1) == .success)
        world.applications[1].open()
        world.write(1, 100)
        world.applications[1].close()
        #expect(world.carryOut(.secondary(force: false), on: 1) == .success)
        world.restoreNetwork()
        world.run("refusal") {
            world.nodes[0].core.lastLoss == .refused(.data(.otherDataExposed))
        }
        world.applications[0].close()
        #expect(world.carryOut(.secondary(force: true), on: 0) == .success)
        for node in 0...1 { world.carryOut(.connect(discardMyData: false), on: node) }
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
