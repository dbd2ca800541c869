// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

/// What nodes know of each other's generations when one resync follows another in a connection.
@Suite struct SynchronisedGenerationsTests {
    /// Two nodes with fresh metadata after the first full resync, both Secondary.
    private func synchronised() -> World {
        var configuration = WorldConfiguration()
        configuration.startsEqual = false
        configuration.replicationProtocol = .a
        let world = World(seed: 11, configuration)
        world.start()
        world.connect()
        world.carryOut(.primary(force: true), on: 0)
        self.awaitEqual(world)
        world.carryOut(.secondary(force: false), on: 0)
        return world
    }

    private func awaitEqual(_ world: World) {
        world.run("equal") { world.isQuiet }
    }

    private func expectSameGenerations(_ world: World) {
        let one = world.nodes[0].core.volumeSnapshot(0).generations
        let two = world.nodes[1].core.volumeSnapshot(0).generations
        #expect(one.names(two), "\(one) and \(two)")
        #expect(!one.current.names(.justCreated))
    }

    @Test("a former source that is invalidated gets its new source's generations")
    func invalidatedSource() {
        let world = self.synchronised()
        self.expectSameGenerations(world)
        #expect(world.carryOut(.invalidate(volume: 0), on: 0) == .success)
        self.awaitEqual(world)
        self.expectSameGenerations(world)

        // What it writes alone is newer, even after its end.
        world.carryOut(.primary(force: false), on: 0)
        world.cutNetwork(tellsNodes: true)
        world.write(0, 100)
        world.nodes[0].crash(losingPower: false)
        world.restoreNetwork()
        world.restart(0)
        world.settle()
        #expect(world.disk(1).current[100] == WriteTable.firstContent)
        #expect(world.violations == [])
    }

    @Test(
        "resyncs in both directions in one connection leave the nodes able to reconnect",
        arguments: [0, 1]
    )
    func bothDirections(_ first: Int) {
        let world = self.synchronised()
        for node in [first, 1 - first, 1 - first, first] {
            #expect(world.carryOut(.invalidateRemote(volume: 0), on: node) == .success)
            self.awaitEqual(world)
            self.expectSameGenerations(world)
        }
        world.carryOut(.disconnect(force: false), on: 1)
        world.carryOut(.connect(discardMyData: false), on: 1)
        world.carryOut(.connect(discardMyData: false), on: 0)
        world.settle()
        #expect(world.violations == [])
    }
}
