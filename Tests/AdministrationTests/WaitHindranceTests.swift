// SPDX-License-Identifier: Apache-2.0

import Administration
import Testing

/// Why waiting for a resource is given up.
struct WaitHindranceTests {
    @Test("a wait that cannot succeed names the connection that stands alone, and why")
    func sentences() {
        var resource = Samples.healthy
        var condition = WaitCondition(.synchronized)
        #expect(condition.hindrances(resource) == [])
        resource.connections[0].state = .standAlone
        let sentence = "drbd0: connection to \(Samples.peerName) is StandAlone"
        #expect(condition.hindrances(resource) == [sentence])
        resource.connections[0].problem = .splitBrain
        #expect(condition.judge(resource) == .hopeless)
        #expect(condition.hindrances(resource) == [sentence + " (split-brain)"])
        condition.peerNodeID = 7
        #expect(condition.hindrances(resource) == [])
        condition.peerNodeID = nil
        condition.waitsForStandAlone = true
        #expect(condition.hindrances(resource) == [])
    }
}
