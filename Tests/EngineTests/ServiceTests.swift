// SPDX-License-Identifier: Apache-2.0

import Administration
import Dispatch
import Engine
import Reactor
import TestSupport
import Testing

/// What tools are told by the engine's control socket.
@Suite struct ServiceTests {
    @Test func `a loop that does not answer is said to, and new-resource can be repeated`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let handle = try #require(node.handle)
        let service = EngineService(handle, answerSeconds: 1)
        let server = try ControlServer<EngineControl>(path: node.folder.file("control.sock")) {
            service.answer($0, $1)
        }
        defer { server.stop() }
        let isFree = DispatchSemaphore(value: 0)
        let isHeld = handle.perform { _ in isFree.wait() }
        #expect(isHeld)
        var client = try ControlClient<EngineControl>(path: server.path)
        let request = EngineRequest.newResource(name: "r0", nodeID: 0, options: [])
        let refused = try client.call(request) { _ in }
        isFree.signal()
        #expect(refused.code != .success)
        let text = refused.texts.joined()
        #expect(text.contains("the engine did not answer within 1 s"), "\(text)")
        #expect(!text.contains("Out of memory"))
        let repeated = try client.call(request) { _ in }
        #expect(repeated.code == .success, "\(repeated.texts)")
    }
}
