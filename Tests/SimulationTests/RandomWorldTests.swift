// SPDX-License-Identifier: Apache-2.0

import Primitives
import Simulation
import Testing

/// A bounded number of random worlds; `bsr-sim` runs more of them.
@Suite struct RandomWorldTests {
    @Test(arguments: 0..<4)
    func `random worlds keep every promise`(_ quarter: UInt64) {
        for seed in quarter * 15..<(quarter + 1) * 15 {
            let violations = RandomWorld(seed: seed).run()
            #expect(violations == [], "replay it: bsr-sim --seed \(seed) --trace")
        }
    }

    @Test(arguments: [
        84, 112, 151, 222, 275, 441, 595, 674, 859, 950, 982, 1784,
        338, 431, 640, 709, 764, 778, 836, 871, 899, 912, 1035, 1191, 1389, 1411, 1422, 1763, 1859,
        1863, 1906, 1989, 1999, 96, 1053,
        600_704, 600_961, 601_016,
    ])
    func `worlds that once broke a promise keep it`(_ seed: UInt64) {
        let violations = RandomWorld(seed: seed).run()
        #expect(violations == [], "replay it: bsr-sim --seed \(seed) --trace")
    }

    @Test func `the same seed leads to the same events`() {
        func trace() -> [String] {
            var lines: [String] = []
            _ = RandomWorld(seed: 5, log: { lines.append($0) }).run()
            return lines
        }
        let first = trace()
        #expect(first.count > 1_000)
        #expect(first == trace())
    }

    @Test(arguments: 0..<6)
    func `a world that is over leaves nothing behind`(_ seed: UInt64) {
        weak var world: World?
        weak var node: WorldNode?
        do {
            let random = RandomWorld(seed: seed)
            (world, node) = (random.world, random.world.nodes[0])
            _ = random.run()
            #expect(world != nil && node != nil)
            withExtendedLifetime(random) {}
        }
        #expect(world == nil)
        #expect(node == nil)
    }

    /// Among worlds that keep every promise without it, as the first test says.
    @Test(arguments: Mutation.allCases)
    func `a deliberate fault is noticed`(_ mutation: Mutation) {
        let isCaught = (UInt64(0)..<200).contains {
            !RandomWorld(seed: $0, mutation: mutation).run().isEmpty
        }
        #expect(isCaught)
    }
}
