// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// Commands in situations in which they once did more, or less, than was asked.
@Suite struct AdministratorTests {
    /// Two nodes, not connected, that each have data which the other lacks.
    private static func splitWorld() -> World {
        let world = ScriptedWorld.replicating()
        world.carryOut(.secondary(force: false), on: 0)
        for node in 0...1 { world.carryOut(.disconnect(force: true), on: node) }
        for node in 0...1 {
            world.carryOut(.primary(force: true), on: node)
            world.write(node, UInt64(100 + node * 8))
            world.carryOut(.secondary(force: false), on: node)
        }
        return world
    }

    private static func runUntilSplitBrain(_ world: World) {
        world.run("refusal") {
            (0...1).contains { world.nodes[$0].core.lastLoss == .refused(.data(.splitBrain)) }
        }
    }

    @Test("SB-03 a promotion takes --discard-my-data back")
    func promotionKeepsData() {
        let world = Self.splitWorld()
        world.carryOut(.connect(discardMyData: true), on: 0)
        world.carryOut(.primary(force: false), on: 0)
        world.write(0, 200)
        let content = world.disk(0).current[200]
        world.carryOut(.secondary(force: false), on: 0)
        world.carryOut(.connect(discardMyData: false), on: 1)
        Self.runUntilSplitBrain(world)
        #expect(world.disk(0).current[200] == content)
        #expect(world.violations == [])
    }

    @Test("SB-03 a disconnect takes --discard-my-data back")
    func disconnectKeepsData() {
        let world = Self.splitWorld()
        world.carryOut(.connect(discardMyData: true), on: 0)
        world.carryOut(.disconnect(force: true), on: 0)
        world.carryOut(.connect(discardMyData: false), on: 0)
        world.carryOut(.connect(discardMyData: false), on: 1)
        Self.runUntilSplitBrain(world)
        #expect(world.violations == [])
    }

    @Test("ROLE-05 a demotion waits as long as the peer goes on confirming")
    func longDemotion() {
        let world = ScriptedWorld.replicating(volumes: 1, .a)
        world.nodes[1].troubles[0].slowdown = 3_000
        for _ in 0..<6 {
            world.applications[0].write(0, ScriptedWorld.sectors(100, 8))
            world.run("completion") { world.applications[0].outstanding == 0 }
        }
        let begin = world.now
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        #expect(world.now.since(begin) > .seconds(20))
        world.nodes[1].troubles[0].slowdown = 1
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `outdate is for one volume`() {
        let world = ScriptedWorld.replicating(volumes: 2)
        world.cutNetwork(tellsNodes: true)
        world.run("loss") { world.nodes[1].core.link != .established }
        #expect(world.carryOut(.outdate(volume: 1), on: 1) == .success)
        #expect(world.state(1, 0).disk == .upToDate)
        #expect(world.state(1, 1).disk == .outdated)
    }

    @Test(
        "a volume that is detached during its resync leaves the others connected",
        arguments: [0, 1],
        [0, 2, 50, 200]
    )
    func detachDuringResync(_ node: Int, _ milliseconds: UInt64) {
        let world = ScriptedWorld.replicating(volumes: 2)
        #expect(world.carryOut(.invalidate(volume: 1), on: 1) == .success)
        world.run("resync") { world.state(1, 1).connection == .syncTarget }
        world.run(for: .milliseconds(milliseconds))
        let transport = world.transport
        let isRunning = world.state(1, 1).connection == .syncTarget
        let code = world.carryOut(.detach(volume: 1, force: false), on: node)
        let isRefused = code == .noUpToDateDisk || code == .failedByPeer
        #expect(node == 0 && isRunning ? isRefused : code == .success)
        world.write(0, 100)
        world.run(for: .seconds(5))
        #expect(world.transport === transport)
        #expect(world.state(1, 0).connection == .connected)
        #expect(world.violations == [])
    }
}
