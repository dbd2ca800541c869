// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Foundation
import Glibc
import Metadata
import TestSupport
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
        func attach() -> AttachFailure? { node.attach(index, data, metadata, "flexible") }
        #expect(attach() == nil)
        #expect(node.command(index, .primary(force: true)) == .success)
        #expect(node.command(index, .secondary(force: false)) == .success)
        #expect(node.command(index, .detach(volume: 0, force: true)) == .success)
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

    /// A disk that cannot be attached, and what is said of it.
    struct BadDisk: Sendable, CustomTestStringConvertible {
        let what: String
        /// Arguments: the path of the data, that of the metadata, and the index.
        var arguments: [String] = ["disk", "disk", "internal"]
        let code: Int
        /// What the sentence says besides the path.
        let says: [String]
        let make: @Sendable (_ folder: TemporaryFolder) throws -> Void

        var testDescription: String { self.what }
    }

    private static func file(_ folder: TemporaryFolder, _ name: String, _ bytes: UInt64) throws {
        try Data().write(to: URL(fileURLWithPath: folder.file(name)))
        #expect(truncate(folder.file(name), off_t(bytes)) == 0)
    }

    private static let badDisks: [BadDisk] = [
        BadDisk(
            what: "a disk that is not there",
            code: 104,
            says: ["No such file or directory", "create it, or correct 'disk'"]
        ) { _ in },
        BadDisk(
            what: "a folder",
            code: 104,
            says: ["Is a directory", "a regular file or a block device: correct 'disk'"]
        ) { #expect(mkdir($0.file("disk"), 0o700) == 0) },
        BadDisk(
            what: "a pipe",
            code: 104,
            says: ["neither a regular file", "a regular file or a block device: correct 'disk'"]
        ) { #expect(mkfifo($0.file("disk"), 0o600) == 0) },
        BadDisk(
            what: "a disk that is too small for metadata",
            code: 112,
            says: ["only 1000 bytes; metadata needs at least 69632", "correct 'disk'"]
        ) { try file($0, "disk", 1000) },
        BadDisk(
            what: "a disk without metadata",
            code: 119,
            says: ["for a new disk, run: bsradm create-md r0", "if it held data, do not"]
        ) { try file($0, "disk", 1 << 20) },
        BadDisk(
            what: "metadata that is not there",
            arguments: ["disk", "metadata", "flexible"],
            code: 105,
            says: ["No such file or directory", "correct 'disk' or 'meta-disk'"]
        ) { try file($0, "disk", 1 << 20) },
        BadDisk(
            what: "a disk that is its own meta-disk",
            arguments: ["disk", "disk", "3"],
            code: 116,
            says: ["is the disk and the meta-disk", "use meta-disk internal"]
        ) { try file($0, "disk", 1 << 20) },
        BadDisk(
            what: "an index that is none",
            arguments: ["disk", "metadata", "256"],
            code: 116,
            says: ["'256' is no meta-disk index: use internal, flexible or a number"]
        ) { try file($0, "disk", 1 << 20) },
    ]

    @Test(arguments: badDisks)
    func `what cannot be attached is named, and what to do about it`(disk: BadDisk) throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        try disk.make(node.folder)
        let index = node.addResource()
        let (data, metadata) = (
            node.folder.file(disk.arguments[0]), node.folder.file(disk.arguments[1])
        )
        let failure = try #require(node.attach(index, data, metadata, disk.arguments[2]))
        #expect(failure.code == disk.code)
        let isNamed = [data, metadata, disk.arguments[2]].contains { failure.text.contains($0) }
        #expect(isNamed, "\(failure.text)")
        for part in disk.says { #expect(failure.text.contains(part), "\(failure.text)") }
    }

    @Test func `a disk without room for any data is refused`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let data = try node.makeFile("data", bytes: 2048)
        let metadata = try node.makeMetadata("metadata", bytes: 1 << 20)
        let failure = node.attach(node.addResource(), data, metadata, "flexible")
        #expect(failure?.code == 111)
        #expect(
            failure?.text
                == "\(data): there is no room for any data; give the disk more room, or correct "
                + "'disk' in the resource file"
        )
    }

    @Test func `a disk that another process holds is refused`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let data = try node.makeDisk("data", bytes: 1 << 20)
        let descriptor = open(data, O_RDWR | O_CLOEXEC)
        defer { close(descriptor) }
        #expect(flock(descriptor, LOCK_EX | LOCK_NB) == 0)
        let index = node.addResource()
        let failure = node.attach(index, data, data, "internal")
        #expect(failure?.code == 114)
        #expect(
            failure?.text
                == "\(data) is in use: it is mounted, or another process holds it or its lock"
        )
        #expect(flock(descriptor, LOCK_UN) == 0)
        #expect(node.attach(index, data, data, "internal") == nil)
    }

    @Test func `a disk of another node is refused`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let data = try node.makeFile("data", bytes: 1 << 20)
        let metadata = try node.makeMetadata("metadata", bytes: 1 << 20)
        try node.changeSuperblock(metadata) { $0.nodeID = 5 }
        let failure = node.attach(node.addResource(), data, metadata, "flexible")
        #expect(failure?.code == 171)
        #expect(
            failure?.text
                == "\(metadata): ambiguous node id: metadata says 5, configuration says 0; correct "
                + "'disk' or 'node-id' in the resource file"
        )
    }

    @Test(.enabled(if: geteuid() != 0, "root may open every file"))
    func `a disk that bsrd may not open is refused`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let data = try node.makeDisk("data", bytes: 1 << 20)
        #expect(chmod(data, 0o400) == 0)
        let failure = node.attach(node.addResource(), data, data, "internal")
        #expect(failure?.code == 104)
        #expect(
            failure?.text
                == "open failed on \(data): Permission denied (13); the user that bsrd and the "
                + "tools run as has to be able to read and write it"
        )
    }
}
