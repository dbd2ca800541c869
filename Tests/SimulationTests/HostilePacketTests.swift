// SPDX-License-Identifier: Apache-2.0

import Simulation
import Testing

/// Packets that decode and make no sense, in every state of a connection; `bsr-sim --hostile` runs
/// more of them.
@Suite struct HostilePacketTests {
    @Test(arguments: 0..<4)
    func `no packet of a peer stops a node or keeps its memory`(_ quarter: UInt64) {
        for seed in quarter * 100..<(quarter + 1) * 100 {
            let fault = HostileWorld(seed: seed).run()
            #expect(fault == nil, "replay it: bsr-sim --hostile --seed \(seed) --trace")
        }
    }
}
