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
        let path = try node.makeDisk("data", bytes: 64 << 20)
        let index = node.ask { loop, done in
            let index = loop.addResource(
                name: "r0",
                nodeIdentifier: 0,
                parameters: ResourceParameters()
            )
            done(index ?? -1)
        }
        let failure: AttachFailure? = node.ask { loop, done in
            do {
                loop.setPeer(
                    index,
                    PeerConfiguration(
                        name: "beta",
                        nodeIdentifier: 1,
                        local: try .ip("127.0.0.1", port: 0),
                        remote: try .ip("127.0.0.1", port: 1)
                    )
                )
            } catch { print(error) }
            let volume = loop.addVolume(index, number: 0, minor: 1, parameters: DiskParameters())
            loop.attach(
                index,
                volume: volume ?? 0,
                AttachRequest(dataPath: path, metadataPath: path, index: "internal")
            ) { done($0) }
        }
        #expect(failure == nil)
        let code: StateChangeCode = node.ask { loop, done in
            loop.command(index, .primary(force: true)) { done($0) }
        }
        #expect(code == .success)
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
}
