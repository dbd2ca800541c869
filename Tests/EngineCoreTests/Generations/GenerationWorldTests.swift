// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing
import Wire

@Suite struct GenerationWorldTests {
    @Test("SB-02 whatever happens: no acknowledged write is lost, a split brain is always seen")
    func worlds() {
        var rules: [UInt8: Int] = [:]
        var splitBrains = 0
        var resyncs = 0
        for seed in UInt64(0)..<4_000 {
            var world = GenerationWorld(seed: seed)
            for _ in 0..<80 where world.violations.isEmpty { world.step() }
            rules.merge(world.rules) { $0 + $1 }
            splitBrains += world.splitBrains
            resyncs += world.resyncs
            if let violation = world.violations.first {
                Issue.record("seed \(seed): \(violation)")
                return
            }
        }
        // The worlds have to get everywhere, or they prove nothing.
        #expect(splitBrains > 500)
        #expect(resyncs > 5_000)
        for rule: UInt8 in [30, 34, 35, 36, 37, 40, 50, 51, 52, 61, 70, 71, 72, 81, 90, 100, 101] {
            #expect(rules[rule, default: 0] > 3, "rule \(rule)")
        }
    }

    @Test func `no set that a peer may send traps or makes a bad source`() {
        var random = SeededRandom(seed: 11)
        let names: [UInt64] = [0, 1, 4, 5, 0x10, 0x11, 0x20, 0x10 + 1 << 48, 1 << 63, .max]
        func set() -> Generations {
            func name() -> GenerationID {
                GenerationID(names[Int(random.below(UInt64(names.count)))])
            }
            return Generations(current: name(), bitmap: name(), history0: name(), history1: name())
        }
        func side() -> SyncSide {
            SyncSide(
                comparison: ComparisonSide(
                    generations: set(),
                    crashedPrimary: random.chance(1, in: 2),
                    role: random.chance(1, in: 2) ? .primary : .secondary
                ),
                disk: DiskState.allCases[Int(random.below(9))],
                discardsData: random.chance(1, in: 4)
            )
        }
        var wrong = 0
        for _ in 0..<100_000 {
            let own = side()
            let peer = side()
            var terms = SyncTerms(resolveConflicts: random.chance(1, in: 2))
            terms.writeSame = random.chance(1, in: 2)
            terms.version = random.chance(1, in: 2) ? 101 : 90
            switch SyncPlan(own: own, peer: peer, terms: terms).decision {
            case .none, .fail: break
            case .source: if own.disk <= .inconsistent { wrong += 1 }
            case .target: if peer.disk <= .inconsistent { wrong += 1 }
            }
        }
        #expect(wrong == 0)
    }
}
