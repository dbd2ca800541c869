// SPDX-License-Identifier: Apache-2.0

import Administration
import Testing

/// Why waiting for a resource is given up.
struct WaitHindranceTests {
    @Test("a wait that cannot succeed names the connection that stands alone, and why")
    func sentences() {
        var resource = Samples.healthy
        var condition = WaitCondition(.synchronized)
        #expect(condition.obstacle(resource) == nil)
        resource.connections[0].state = .standAlone
        let sentence = "the connection to \(Samples.peerName) is StandAlone"
        #expect(condition.judge(resource) == .hopeless)
        #expect(condition.obstacle(resource)?.hasPrefix(sentence + " until") == true)
        resource.connections[0].problem = .splitBrain
        #expect(condition.obstacle(resource)?.hasPrefix(sentence + " (split-brain) until") == true)
        condition.peerNodeID = 7
        #expect(condition.obstacle(resource) == nil)
    }
}
