// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Foundation
import Reactor
import TestSupport
import Testing
import Wire

/// Which clients keep a volume in use, so that it stays Primary.
@Suite struct VolumeUseTests {
    @Test(arguments: [true, false])
    func `a client that is gone is not in the way of a demotion`(isGoneFirst: Bool) throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        try node.addPrimaryResource()
        let client = try RawNBDClient(socket: node.socketPath, export: "r0/0")
        try client.send(RawNBDClient.request(0, 0, 512))
        #expect(client.receive(16 + 512).count == 16 + 512)
        let code = self.demoting(node, closing: client, first: isGoneFirst)
        #expect(code == .success)
    }

    @Test func `a client that has not chosen its export is not in the way of a demotion`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        try node.addPrimaryResource()
        let negotiating = try BlockingSocket.connected(toSocket: node.socketPath)
        #expect(negotiating.receive(exactly: 18).count == 18)
        let first = try RawNBDClient(socket: node.socketPath, export: "r0/0")
        let second = try RawNBDClient(socket: node.socketPath, export: "r0/0")
        #expect(self.demoting(node, closing: first) == .deviceInUse)
        #expect(self.demoting(node, closing: second) == .success)
        negotiating.close()
    }

    @Test func `a client that is gone keeps its volume in use until its last write is over`() throws
    {
        let disk = HeldDisk()
        let node = try EngineNode(name: "alpha", interposer: disk)
        defer { node.stop() }
        try node.addPrimaryResource()
        let client = try RawNBDClient(socket: node.socketPath, export: "r0/0")
        disk.holdWrites()
        try client.send(RawNBDClient.request(1, 0, 512) + [UInt8](repeating: 7, count: 512))
        #expect(waitUntil(within: .seconds(30)) { disk.heldCount > 0 })
        #expect(self.demoting(node, closing: client) == .deviceInUse)
        let other = try RawNBDClient(socket: node.socketPath, export: "r0/0")
        #expect(self.demoting(node, closing: other) == .deviceInUse)
        disk.release()
        let isDemoted = waitUntil(within: .seconds(30)) {
            node.command(0, .secondary(force: false)) == .success
        }
        #expect(isDemoted)
    }

    /// What a demotion is told that comes to the loop in one turn with the end of `client`.
    private func demoting(
        _ node: EngineNode,
        closing client: RawNBDClient,
        first isGoneFirst: Bool = true
    ) -> StateChangeCode? {
        let (isHeld, mayGoOn) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        _ = node.handle?.perform { _ in
            isHeld.signal()
            mayGoOn.wait()
        }
        isHeld.wait()
        if isGoneFirst { client.close() }
        let isAnswered = DispatchSemaphore(value: 0)
        let answer = ResultBox<StateChangeCode>()
        _ = node.handle?.perform { loop in
            loop.command(0, .secondary(force: false)) { code in
                answer.store(code)
                isAnswered.signal()
            }
        }
        if !isGoneFirst { client.close() }
        mayGoOn.signal()
        _ = isAnswered.wait(timeout: .now() + 10)
        return answer.stored
    }
}
