// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Glibc
import Metadata
import Testing
import Wire

/// Which disks an engine takes.
@Suite struct AttachTests {
    @Test func `a disk that has become smaller than its data is refused until it has its size`()
        throws
    {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let size: off_t = 16 << 20
        let data = try node.makeFile("data", bytes: UInt64(size))
        let metadata = try node.makeMetadata("metadata", bytes: 1 << 20)
        let index = node.addResource()
        func attach() -> AttachFailure? {
            node.ask { loop, done in
                loop.attach(
                    index,
                    volume: 0,
                    AttachRequest(dataPath: data, metadataPath: metadata, index: "flexible")
                ) { done($0) }
            }
        }
        func command(_ command: ResourceCommand) -> StateChangeCode {
            node.ask { loop, done in loop.command(index, command) { done($0) } }
        }
        #expect(attach() == nil)
        #expect(command(.primary(force: true)) == .success)
        #expect(command(.secondary(force: false)) == .success)
        #expect(command(.detach(volume: 0, force: true)) == .success)
        try node.applyActivityLog(metadata)
        #expect(truncate(data, size - 4096) == 0)
        let refusal = attach()
        #expect(refusal?.code == 111)
        #expect(
            refusal?.text.hasPrefix(
                "\(data): the volume has 32768 sectors, and there is room for 32760; "
            ) == true
        )
        #expect(truncate(data, size) == 0)
        #expect(attach() == nil)
    }

    @Test func `a disk without room for any data is refused`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let data = try node.makeFile("data", bytes: 2048)
        let metadata = try node.makeMetadata("metadata", bytes: 1 << 20)
        let index = node.addResource()
        let failure: AttachFailure? = node.ask { loop, done in
            loop.attach(
                index,
                volume: 0,
                AttachRequest(dataPath: data, metadataPath: metadata, index: "flexible")
            ) { done($0) }
        }
        #expect(failure?.code == 111)
        #expect(failure?.text == "\(data): there is no room for any data")
    }
}
