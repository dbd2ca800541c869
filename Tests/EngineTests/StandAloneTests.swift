// SPDX-License-Identifier: Apache-2.0

import Engine
import TestSupport
import Testing

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
}
