// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// What two sockets, two nodes and a resync that ends early can put into another order.
@Suite struct ResyncRaceTests {
    private static var first: Content { WriteTable.firstContent }

    /// A Primary on node 0, over a network that is slower than the disks.
    private static func distant(seed: UInt64) -> World {
        var configuration = WorldConfiguration()
        configuration.networkDelayMicroseconds = 50_000
        configuration.diskDelayMicroseconds = 500
        let world = World(seed: seed, configuration)
        world.start()
        world.connect()
        world.carryOut(.primary(force: false), on: 0)
        world.run(for: .seconds(1))
        return world
    }

    @Test func `a source flushes what it has received before it sends it for a resync`() {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        world.write(0, 800)
        #expect(world.disk(1).durable[800] != Self.first)
        world.nodes[0].attach(0)
        world.run("block") { world.disk(0).current[800] == Self.first }
        #expect(world.disk(1).durable[800] == Self.first)
        world.settle()
        #expect(world.violations == [])
    }

    /// The refusals travel on the other socket and may come after the bitmap was sent.
    @Test(arguments: 1...12)
    func `writes that met a peer without its disk are in the bitmap of the resync`(seed: UInt64) {
        let world = Self.distant(seed: seed)
        world.nodes[1].troubles[0].failingWrites = 1
        for number in UInt64(0)..<200 {
            world.nodes[0].later(.microseconds(number * 500)) {
                world.applications[0].write(0, ScriptedWorld.sectors(number * 160, 8))
            }
        }
        world.run("failure") { !world.nodes[1].disks[0].isOpen }
        world.nodes[1].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    @Test(arguments: 1...12)
    func `a block of a resync that was broken off clears no bit of a newer write`(seed: UInt64) {
        let world = Self.distant(seed: seed)
        #expect(world.carryOut(.invalidateRemote(volume: 0), on: 0) == .success)
        world.run("resync") { world.nodes[0].core.volumeSnapshot(0).outOfSyncBits < 3000 }
        world.nodes[1].later(.milliseconds(seed * 4)) {
            _ = world.nodes[1].command(.detach(volume: 0, force: false))
        }
        for number in UInt64(0)..<256 {
            world.nodes[0].later(.microseconds(number * 1_000)) {
                world.applications[0].write(0, ScriptedWorld.sectors(number * 128, 8))
            }
        }
        world.run("detach") { !world.nodes[1].disks[0].isOpen }
        world.run(for: .seconds(1))
        world.nodes[1].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    /// The target comes back before the source has read what it said of the resync before.
    @Test(arguments: UInt64(1)...40)
    func `a late acknowledgement clears no bit of the next resync`(seed: UInt64) {
        var configuration = WorldConfiguration()
        configuration.networkDelayMicroseconds = 100
        configuration.diskDelayMicroseconds = 200
        configuration.metaDelayMicroseconds = 400_000
        let world = World(seed: seed, configuration)
        world.start()
        world.connect()
        world.carryOut(.primary(force: false), on: 0)
        world.run(for: .seconds(1))
        #expect(world.carryOut(.invalidateRemote(volume: 0), on: 0) == .success)
        world.run("resync") { world.nodes[1].core.volumeSnapshot(0).outOfSyncBits < 3_000 }
        let synchronised = UInt64(32_768) - world.nodes[1].core.volumeSnapshot(0).outOfSyncBits * 8
        world.nodes[1].troubles[0].failingWrites = 1
        world.run("failure") { !world.nodes[1].disks[0].isOpen }
        world.run("news") { world.state(0).peerDisk <= .failed }
        for start in stride(from: 0, to: synchronised - 8, by: 64) {
            world.applications[0].write(0, ScriptedWorld.sectors(start, 8))
        }
        world.run("answers") { world.applications[0].outstanding == 0 }
        world.nodes[1].attach(0)
        world.settle()
        #expect(world.violations == [])
    }

    /// Protocol B: the peer has received it, the own copy does not count any more.
    @Test func `a write that an invalidation overtakes waits for the peer's disk`() {
        let world = ScriptedWorld.replicating(.b)
        world.nodes[0].troubles[0].slowdown = 500
        world.nodes[1].troubles[0].slowdown = 20_000
        world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
        world.run("arrival") { !world.disk(1).rangesInFlight.isEmpty }
        _ = world.nodes[1].command(.invalidateRemote(volume: 0))
        world.run("invalidation") { world.state(0).disk == .inconsistent }
        #expect(!world.disk(0).rangesInFlight.isEmpty)
        world.run("own disk") { world.disk(0).rangesInFlight.isEmpty }
        #expect(world.applications[0].succeeded == 0)
        #expect(!world.disk(1).rangesInFlight.isEmpty)
        world.nodes[0].troubles[0].slowdown = 1
        world.nodes[1].troubles[0].slowdown = 1
        world.run("write") { world.applications[0].succeeded == 1 }
        #expect(world.disk(1).rangesInFlight.isEmpty)
        world.settle()
        #expect(world.violations == [])
    }

    /// Its source has agreed, and whoever dies then: the copy is made.
    @Test(arguments: [[0], [1], [0, 1]], [0, 1])
    func `an invalidation that was answered outlives a power cut`(_ dying: [Int], _ asker: Int) {
        let world = ScriptedWorld.replicating()
        let command: ResourceCommand =
            asker == 0 ? .invalidateRemote(volume: 0) : .invalidate(volume: 0)
        #expect(world.carryOut(command, on: asker) == .success)
        for node in dying { world.nodes[node].crash(losingPower: true) }
        for node in dying { world.restart(node) }
        world.settle()
        #expect(world.violations == [])
        if dying.contains(1) {
            #expect(world.nodes[1].core.volumeSnapshot(0).statistics.received == 32_768)
        }
    }

    @Test(arguments: 0..<20)
    func `an invalidation that a lost connection cuts off is made up for`(_ delay: UInt64) {
        let world = ScriptedWorld.replicating()
        _ = world.nodes[0].command(.invalidateRemote(volume: 0))
        world.run("agreement") { world.state(0).connection == .startingSyncS }
        world.run(for: .microseconds(delay * 200))
        world.cutNetwork(tellsNodes: true)
        world.run(for: .seconds(1))
        world.restoreNetwork()
        world.settle()
        #expect(world.violations == [])
        #expect(world.nodes[1].core.volumeSnapshot(0).statistics.received >= 32_768)
    }
}
