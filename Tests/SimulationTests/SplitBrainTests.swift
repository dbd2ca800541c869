// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// Nodes that are each written alone never take over the other's data unasked.
@Suite struct SplitBrainTests {
    /// What made the resync necessary whose end a power cut hits.
    enum Cause: CaseIterable { case outage, invalidation, firstSync }

    /// Node 0 is the source of a resync that is about to end.
    private static func ending(_ cause: Cause, seed: UInt64) -> World {
        if cause == .firstSync {
            var configuration = WorldConfiguration()
            configuration.startsEqual = false
            let world = World(seed: seed, configuration)
            world.start()
            world.connect()
            world.carryOut(.primary(force: true), on: 0)
            return world
        }
        let world = ScriptedWorld.replicating(seed: seed)
        if cause == .outage {
            world.carryOut(.disconnect(force: true), on: 1)
            world.write(0, 100)
            world.carryOut(.connect(discardMyData: false), on: 1)
        } else {
            world.carryOut(.invalidateRemote(volume: 0), on: 0)
        }
        return world
    }

    /// Whether the node can become Primary without force, writes, and becomes Secondary again.
    private static func writesAlone(_ node: Int, in world: World) -> Bool {
        if world.nodes[node].core.role == .secondary {
            let code = world.carryOut(.primary(force: false), on: node)
            guard code.isSuccess else { return false }
        }
        world.applications[node].open()
        world.write(node, 200)
        world.applications[node].close()
        #expect(world.carryOut(.secondary(force: true), on: node) == .success)
        return true
    }

    @Test(
        "SB-02 a power cut of either node at the end of a resync hides no split brain",
        arguments: Cause.allCases,
        UInt64(0)..<120
    )
    func powerCut(_ cause: Cause, _ seed: UInt64) {
        let world = Self.ending(cause, seed: seed)
        world.run("resync") { world.state(1).connection == .syncTarget }
        let dying = Int(seed % 2)
        if seed % 4 > 1 {
            world.carryOut(.secondary(force: true), on: 0)
        }
        world.nodes[dying].troubles[0].slowdown = 10
        world.run("end") { world.state(1).connection == .connected }
        world.run(for: .microseconds(seed / 2 * 100))
        world.nodes[dying].crash(losingPower: true)
        world.cutNetwork(tellsNodes: false)
        world.nodes[dying].start()
        world.run(for: .seconds(60))
        let writers = (0...1).filter { Self.writesAlone($0, in: world) }
        let before = (0...1).map { world.disk($0).current[200] }
        world.restoreNetwork()
        for node in 0...1 { world.carryOut(.connect(discardMyData: false), on: node) }
        world.run(for: .seconds(60))
        for node in writers {
            #expect(world.disk(node).current[200] == before[node])
        }
        if writers == [0, 1] {
            #expect((0...1).allSatisfy { world.nodes[$0].core.link == .standAlone })
        } else {
            world.settle()
        }
        #expect(world.violations == [])
    }
}
