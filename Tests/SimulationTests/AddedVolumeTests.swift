// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// Volumes that are added to a connection that stands.
@Suite struct AddedVolumeTests {
    /// Two connected nodes with volume 0, UpToDate and Primary on node 0; volume 1 waits in the
    /// configuration.
    private func world(seed: UInt64, networkDelayMicroseconds: UInt64 = 1_000) -> World {
        var configuration = WorldConfiguration()
        configuration.startsEqual = false
        configuration.volumes = [4096, 4096]
        configuration.networkDelayMicroseconds = networkDelayMicroseconds
        let world = World(seed: seed, configuration)
        for node in world.nodes { node.start(volumes: 1) }
        world.run(for: .milliseconds(100))
        world.connect()
        #expect(world.carryOut(.primary(force: true), on: 0) == .success)
        world.run("copy of volume 0") {
            world.state(0).peerDisk == .upToDate && world.state(1).disk == .upToDate
        }
        return world
    }

    @Test func `a volume that both nodes add joins the connection and gets its copy`() {
        let world = self.world(seed: 1)
        let transport = world.transport
        world.nodes[0].addVolume(1)
        world.nodes[0].attach(1)
        world.run("attached") { world.state(0, 1).disk == .inconsistent }
        #expect(world.state(0, 1).connection == .wfConnection)
        #expect(world.state(0, 1).role == .secondary)
        #expect(world.carryOut(.primary(force: false), on: 0) == .noUpToDateDisk)
        #expect(world.nodes[0].core.role == .primary && world.state(0).role == .primary)
        #expect(world.carryOut(.primary(force: true), on: 0) == .success)
        world.write(0, 8, volume: 1)
        world.nodes[1].addVolume(1)
        world.nodes[1].attach(1)
        world.settle()
        #expect(world.violations == [])
        #expect(world.transport === transport)
        world.write(0, 800, volume: 1)
        #expect(world.disk(1, 1).current[ScriptedWorld.sectors(800, 8)].allSatisfy { $0 > 2 })
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        #expect(world.carryOut(.primary(force: false), on: 1) == .success)
        #expect(world.state(1, 1).role == .primary)
        #expect(world.violations == [])
    }

    @Test func `a volume that comes back after it was removed is compared again`() {
        let world = self.world(seed: 2)
        for node in world.nodes {
            node.addVolume(1)
            node.attach(1)
        }
        world.run("attached") { (0...1).allSatisfy { world.state($0, 1).disk == .inconsistent } }
        #expect(world.carryOut(.primary(force: true), on: 0) == .success)
        world.settle()
        #expect(world.violations == [])
        #expect(world.carryOut(.detach(volume: 1, force: false), on: 1) == .success)
        let transport = world.transport
        let isRemoved = world.nodes[1].core.removeVolume(1)
        #expect(isRemoved)
        world.write(0, 1600, volume: 1)
        world.nodes[1].addVolume(1)
        world.nodes[1].attach(1)
        world.settle()
        #expect(world.violations == [])
        #expect(world.transport === transport)
    }

    @Test func `a volume that only one node has holds up no promotion`() {
        let world = self.world(seed: 3)
        world.nodes[0].addVolume(1)
        world.nodes[0].attach(1)
        world.run("attached") { world.state(0, 1).disk == .inconsistent }
        #expect(world.carryOut(.primary(force: true), on: 0) == .success)
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        world.cutNetwork(tellsNodes: true)
        world.run(for: .seconds(1))
        world.restoreNetwork()
        world.run("connected") {
            world.state(0).connection == .connected && world.state(1).connection == .connected
        }
        world.run("volume 1 waits for the peer") { world.state(0, 1).connection == .wfConnection }
        #expect(world.carryOut(.primary(force: false), on: 0) == .success)
        world.write(0, 8, volume: 1)
        world.nodes[1].addVolume(1)
        world.nodes[1].attach(1)
        world.settle()
        #expect(world.violations == [])
    }

    /// Both nodes add the volume at any time and attach it at any time, with and without data of it
    /// and with a slow network, and the first one may write at once.
    @Test(arguments: 0..<200)
    func `volumes may come in any order`(seed: Int) {
        let world = self.world(
            seed: UInt64(seed),
            networkDelayMicroseconds: seed.isMultiple(of: 2) ? 1_000 : 200_000
        )
        let writesAlone = seed.isMultiple(of: 3)
        for node in 0...1 {
            let pause = TimeSpan.microseconds(world.random.below(300_000))
            let attachPause = pause + .microseconds(world.random.below(300_000))
            world.schedule(after: pause) { world.nodes[node].addVolume(1) }
            world.schedule(after: attachPause) { world.nodes[node].attach(1) }
        }
        if writesAlone {
            world.run("attached") { world.state(0, 1).disk == .inconsistent }
            // Asks the peer, which may not know the volume any longer than this.
            world.run("promoted", within: .seconds(30)) {
                world.carryOut(.primary(force: true), on: 0).isSuccess
            }
            world.write(0, 8, volume: 1)
        } else {
            world.run("attached") {
                (0...1).allSatisfy { world.state($0, 1).disk >= .inconsistent }
            }
            world.run(for: .seconds(2))
            #expect(world.state(0, 1).connection == .connected)
            #expect(world.state(1, 1).connection == .connected)
            #expect(world.carryOut(.primary(force: true), on: 0) == .success)
        }
        world.settle()
        #expect(world.nodes.allSatisfy { $0.core.link == .established })
        #expect(world.violations == [])
    }
}
