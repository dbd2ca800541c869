// SPDX-License-Identifier: Apache-2.0

import Foundation
import Metadata
import Primitives
import TestSupport
import Testing

/// What `bsrmeta` does on its own, and where the real tool cannot be followed.
@Suite(.serialized)
struct BsrmetaTests {
    private let scratch: TemporaryFolder
    private let tools: MetadataTools

    init() throws {
        self.scratch = try TemporaryFolder()
        self.tools = MetadataTools(folder: self.scratch.path)
    }

    @Test("TOOL-20 create-md asks before it overwrites, --force answers")
    func overwrite() throws {
        try self.tools.create("a", bytes: 1 << 20)
        try self.tools.run("- v09 a internal create-md 1")
        let again = try self.tools.ours("- v09 a internal create-md 2")
        #expect(again.exitCode == 1)
        #expect(again.errors.contains("Do you really want to overwrite the existing meta-data?"))
        #expect(again.errors.contains("stdin not a TTY"))
        #expect(try self.tools.run("- v09 a internal dump-md").text.contains("max-peers 1;"))
        try self.tools.run("--force - v09 a internal create-md 2")
        #expect(try self.tools.run("- v09 a internal dump-md").text.contains("max-peers 2;"))
        let other = try self.tools.ours("- v08 a internal create-md")
        #expect(other.exitCode == 1)
        #expect(other.errors.contains("So you want me to replace the v09 meta-data"))
    }

    @Test func `refuses while another process holds the lock, --force reads`() throws {
        try self.tools.create("a", bytes: 1 << 20)
        try self.tools.run("- v09 a internal create-md 1")
        let held = open(self.scratch.file("a"), O_RDWR)
        try #require(held >= 0)
        defer { close(held) }
        try #require(flock(held, LOCK_EX | LOCK_NB) == 0)
        for line in ["apply-al", "wipe-md --force", "create-md 1 --force", "invalidate", "dump-md"]
        {
            let output = try self.tools.ours("- v09 a internal \(line)")
            #expect(output.exitCode == 20, "\(line)")
            #expect(output.errors.contains("Device 'a' is configured!"), "\(line)")
        }
        try self.tools.run("--force - v09 a internal dump-md")
        try self.tools.run("--force - v09 a internal --node-id 0 get-gi")
    }

    @Test func `refuses a file system, and data that has no name without a yes`() throws {
        // The superblock of an ext3 file system of 64 MiB.
        var head = [UInt8](repeating: 0, count: 4096)
        head.replaceSubrange(0x438..<0x43A, with: [0x53, 0xEF])
        head.replaceSubrange(0x404..<0x408, with: [0, 0x40, 0, 0])
        head.replaceSubrange(0x418..<0x41C, with: [2, 0, 0, 0])
        head[0x45C] = 4
        try self.tools.create("a", bytes: 64 << 20)
        try self.tools.write(head, to: "a", at: 0)
        for index in ["internal", "flex-external"] {
            let output = try self.tools.ours("--force - v09 a \(index) create-md 1")
            #expect(output.exitCode == 40)
            #expect(output.text.contains("Found ext3 filesystem"))
            #expect(output.text.contains("Operation refused."))
            #expect(try self.tools.ours("- v09 a \(index) dump-md").exitCode == 1)
            guard MetadataTools.isInstalled else { continue }
            #expect(try self.tools.theirs("- v09 a \(index) create-md 1").exitCode == 40)
        }
        #expect(try self.tools.read("a", at: 0, count: 4096) == head)
        try self.tools.create("b", bytes: 64 << 20)
        try self.tools.write(Array("hello".utf8), to: "b", at: 60000)
        #expect(try self.tools.ours("- v09 b internal create-md 1").exitCode == 1)
        #expect(try self.tools.ours("- v09 b internal dump-md").exitCode == 1)
        try self.tools.run("--force - v09 b internal create-md 1")
        #expect(try self.tools.read("b", at: 60000, count: 5) == Array("hello".utf8))
    }

    @Test func `a dry run writes nothing`() throws {
        try self.tools.create("a", bytes: 1 << 20)
        try self.tools.run("--dry-run - v09 a internal create-md 1")
        let bytes = try self.tools.read("a", at: 0, count: 1 << 20)
        #expect(bytes.allSatisfy { $0 == 0 })
    }

    @Test(arguments: [(65 << 20, 1), (128 << 20, 3), (4 << 30, 7), ((64 << 20) + 4096, 1)])
    func `metadata moves to the end of a grown device, every bit with it`(
        grown: Int,
        peers: Int
    ) throws {
        try self.tools.create("a", bytes: 64 << 20)
        try self.tools.run("--force 20 v09 a internal create-md \(peers)")
        let slots = try #require(BitmapGeometry(slotCount: peers))
        let old = try Layout(.internal, deviceBytes: 64 << 20, slots: slots)
        var random = SeededRandom(seed: 3)
        let area = (0..<Int(old.bitmapCapacity)).map { _ in UInt8(random.below(256)) }
        try self.tools.write(area, to: "a", at: old.bitmapPosition)
        try self.tools.write(
            withUnsafeBytes(of: old.usableSectors.bigEndian, Array.init),
            to: "a",
            at: old.superblockPosition
        )
        // Rewriting the superblock remembers the size and the name.
        try self.tools.run("20 v09 a internal write-dev-uuid 77")
        let before = try self.tools.run("20 v09 a internal dump-md").dump
        try self.tools.resize("a", bytes: UInt64(grown))
        #expect(try self.tools.ours("20 v09 a internal --node-id 1 get-gi").exitCode == 1)
        let output = try self.tools.run("20 v09 a internal check-resize")
        #expect(output.text.contains("Internal drbd meta data successfully moved."))
        let after = try self.tools.run("20 v09 a internal dump-md").dump
        #expect(Self.content(after) == Self.content(before))
        if MetadataTools.isInstalled {
            #expect(try self.tools.runTheirs("- v09 a internal dump-md").dump == after)
        }
        // Where it lay is zero now: no second superblock is left to be found.
        let new = try Layout(.internal, deviceBytes: UInt64(grown), slots: slots)
        let end = min(old.deviceBytes, new.bitmapPosition)
        let rest = try self.tools.read(
            "a",
            at: old.bitmapPosition,
            count: Int(end - min(end, old.bitmapPosition))
        )
        #expect(rest.allSatisfy { $0 == 0 })
        try self.tools.run("20 v09 a internal check-resize")
    }

    /// A dump without the lines that say where things lie.
    private static func content(_ dump: String) -> [Substring] {
        dump.split(separator: "\n").filter { !$0.hasPrefix("# ") }
    }

    @Test func `a shrunk device, or one that was never seen, is not recovered`() throws {
        try self.tools.create("a", bytes: 64 << 20)
        try self.tools.run("21 v09 a internal create-md 1")
        try self.tools.resize("a", bytes: 63 << 20)
        let shrunk = try self.tools.ours("21 v09 a internal check-resize")
        #expect(shrunk.exitCode == 1)
        #expect(shrunk.errors.contains("no suitable meta data found"))
        try self.tools.resize("a", bytes: 65 << 20)
        #expect(try self.tools.ours("- v09 a internal check-resize").exitCode == 1)
    }

    @Test func `a forgotten peer's slot is marked for a full resync`() throws {
        try self.tools.create("a", bytes: 1 << 20)
        try self.tools.run("- v09 a internal create-md 2")
        let slots = try #require(BitmapGeometry(slotCount: 2))
        let layout = try Layout(.internal, deviceBytes: 1 << 20, slots: slots)
        var block = Superblock(creating: layout)
        block.effectiveSectors = layout.usableSectors
        block[peer: 3].bitmapSlot = 1
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes.withUnsafeMutableBytes { block.encode(into: $0) }
        try self.tools.write(bytes, to: "a", at: layout.superblockPosition)
        try self.tools.run("- v09 a internal --node-id 3 forget-peer")
        let page = try self.tools.read("a", at: layout.bitmapPosition, count: 4096)
        let bits = BitmapGeometry.bitCount(forSectors: layout.usableSectors)
        for (slot, expected) in [(0, 0), (1, Int(bits))] {
            var words = [UInt64](repeating: 0, count: 256)
            words.withUnsafeMutableBufferPointer {
                slots.decode(page.span.bytes, slot: slot, page: 0, bitCount: 1 << 20, into: $0)
            }
            #expect(words.reduce(0) { $0 + $1.nonzeroBitCount } == expected)
        }
        #expect(!(try self.tools.run("- v09 a internal dump-md").text.contains("bitmap-index 1;")))
    }

    @Test func `a bad dump is refused with its line`() throws {
        try self.tools.create("a", bytes: 1 << 20)
        try self.tools.run("- v09 a internal create-md 1")
        let dump = try self.tools.run("- v09 a internal dump-md").text
        let bad = dump.replacing("max-peers 1;", with: "max-peers;")
        try bad.write(toFile: self.scratch.file("d"), atomically: false, encoding: .utf8)
        let output = try self.tools.ours("- v09 a internal verify-dump d")
        #expect(output.exitCode == 10)
        #expect(output.errors.contains("Parse error in line 8: number expected, not ';'"))
        #expect(try self.tools.ours("--force - v09 a internal restore-md d").exitCode == 10)
        try dump.write(toFile: self.scratch.file("e"), atomically: false, encoding: .utf8)
        #expect(try self.tools.ours("- v08 a internal verify-dump e").errors.contains("requested"))
    }
}
