// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing

/// Writes that overlap, in great numbers.
@Suite struct WaitingWritesTests {
    /// Each completion looks at the writes that waited for it, not at all that wait.
    @Test func `a waiting write is looked at once, and overlapping writes keep their order`() {
        let world = ScriptedWorld.replicating()
        let before = world.applications[0].succeeded
        let count = 3000
        for number in 0..<count {
            let block = UInt64(number * 7 % 100)
            world.applications[0].write(
                0,
                SectorRange(start: block * 8, count: 8),
                kind: number % 2 == 0 ? .write : .trim
            )
        }
        world.run("all") { world.applications[0].succeeded == before + count }
        let checked = world.nodes[0].core.waitingWritesChecked
        #expect(checked > 0 && checked <= count - 100)
        world.settle()
        #expect(world.violations == [])
    }

    @Test(arguments: 1...5)
    func `writes that overlap in part keep their order`(seed: UInt64) {
        let world = ScriptedWorld.replicating()
        var random = SeededRandom(seed: seed)
        let before = world.applications[0].succeeded
        let count = 1000
        for _ in 0..<count {
            let range = SectorRange(start: random.below(400), count: 1 + random.below(40))
            world.applications[0].write(0, range)
        }
        world.run("all") { world.applications[0].succeeded == before + count }
        #expect(world.nodes[0].core.waitingWritesChecked < 20 * count)
        world.applications[0].read(0, SectorRange(start: 0, count: 440))
        world.settle()
        #expect(world.violations == [])
    }
}
