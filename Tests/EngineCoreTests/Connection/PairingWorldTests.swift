// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing

@Suite struct PairingWorldTests {
    @Test("CONN-04 two nodes always come to one pair of sockets and one flag")
    func converges() {
        var latest = Instant.zero
        for seed in UInt64(0)..<1_000 {
            var world = PairingWorld(seed: seed)
            let since = world.run(until: Instant.zero + .seconds(300))
            guard let since else {
                Issue.record("seed \(seed): no agreement")
                continue
            }
            latest = max(latest, since)
        }
        // 20 s of faults, then crossings that the coin has to end.
        #expect(latest < Instant.zero + .seconds(60))
    }
}
