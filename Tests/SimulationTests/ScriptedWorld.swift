// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Wire

/// Worlds for scripted traces.
enum ScriptedWorld {
    /// A world with a Primary on node 0 and an UpToDate Secondary.
    static func replicating(
        volumes: Int = 1,
        _ letter: ReplicationProtocol = .c,
        seed: UInt64 = 7
    ) -> World {
        var configuration = WorldConfiguration()
        configuration.replicationProtocol = letter
        configuration.volumes = Array(repeating: 32_768, count: volumes)
        let world = World(seed: seed, configuration)
        world.start()
        world.connect()
        world.carryOut(.primary(force: false), on: 0)
        world.run(for: .seconds(1))
        return world
    }

    static func sectors(_ start: UInt64, _ count: UInt64) -> SectorRange {
        SectorRange(start: start, count: count)
    }
}

extension World {
    /// Writes on a node and waits until the application is told.
    func write(_ node: Int, _ start: UInt64, _ count: UInt64 = 8, volume: UInt16 = 0) {
        let before = self.applications[node].succeeded
        self.applications[node].write(volume, SectorRange(start: start, count: count))
        self.run("write") { self.applications[node].succeeded == before + 1 }
    }

    /// Restarts a node and has it look for its peer.
    func restart(_ node: Int) {
        self.nodes[node].start()
        self.carryOut(.connect(discardMyData: false), on: node)
    }

    func disk(_ node: Int, _ volume: Int = 0) -> SimulatedDisk {
        self.nodes[node].disks[volume].data
    }
}
