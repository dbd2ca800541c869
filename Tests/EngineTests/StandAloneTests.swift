// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Foundation
import Reactor
import TestSupport
import Testing
import Wire

@Suite struct StandAloneTests {
    @Test func `a promoted volume serves reads and writes over NBD`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        try node.addPrimaryResource()
        let output = try Tool.qemuIO.run(
            [
                "-f", "raw", "-c", "write -P 7 0 64k", "-c", "read -P 7 0 64k", "-c", "flush",
                "-c", "write -f -P 9 1M 2M", "-c", "discard 0 4k", "-c", "read -P 0 0 4k",
                "-c", "read -P 9 1M 2M",
                "nbd+unix:///r0/0?socket=\(node.socketPath)",
            ]
        )
        #expect(output.exitCode == 0, "\(output.text)")
        #expect(!output.text.contains("failed"), "\(output.text)")
    }

    /// Both come to the loop in one turn, in either order.
    @Test(arguments: [true, false])
    func `a client that is gone is not in the way of a demotion`(isGoneFirst: Bool) throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        try node.addPrimaryResource()
        let client = try RawNBDClient(socket: node.socketPath, export: "r0/0")
        try client.send(RawNBDClient.request(0, 0, 512))
        #expect(client.receive(16 + 512).count == 16 + 512)
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
        isAnswered.wait()
        #expect(answer.stored == .success)
    }
}
