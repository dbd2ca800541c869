// SPDX-License-Identifier: Apache-2.0

import Foundation
import Metadata
import Primitives
import TestSupport
import Testing

/// `bsrmeta` beside the real `drbdmeta` of Debian's drbd-utils, on plain files, both ways.
@Suite(
    .enabled(if: MetadataTools.isInstalled, "drbdmeta 9.22 (Debian drbd-utils) is not installed"),
    .serialized
)
struct DrbdmetaOracleTests {
    private let scratch: TemporaryFolder
    private let tools: MetadataTools

    init() throws {
        self.scratch = try TemporaryFolder()
        self.tools = MetadataTools(folder: self.scratch.path)
    }

    /// A combination of size, placement, peers and shape of the activity log.
    struct Shape: Sendable, CustomTestStringConvertible {
        let bytes: UInt64
        let index: String
        let peers: Int
        var stripes: UInt32 = 1
        var stripeKibibytes: UInt32 = 32

        var testDescription: String {
            "\(self.bytes) \(self.index) \(self.peers) \(self.stripes)x\(self.stripeKibibytes)"
        }

        var options: String {
            self.stripes == 1 && self.stripeKibibytes == 32
                ? "" : "--al-stripes \(self.stripes) --al-stripe-size-kB \(self.stripeKibibytes) "
        }

        func layout() throws -> Layout {
            try Layout(
                try #require(Placement(word: self.index)),
                deviceBytes: self.bytes,
                slots: try #require(BitmapGeometry(slotCount: self.peers)),
                geometry: try #require(
                    ActivityLogGeometry(
                        stripes: self.stripes,
                        blocksPerStripe: self.stripeKibibytes / 4
                    )
                )
            )
        }
    }

    static let shapes: [Shape] = {
        var shapes: [Shape] = []
        for bytes in [UInt64(69632), 1 << 20, 1_049_088, 67_111_864, 1 << 30, 1 << 40] {
            for peers in [1, 2, 3, 7, 31] {
                shapes.append(Shape(bytes: bytes, index: "internal", peers: peers))
            }
        }
        for bytes in [UInt64(128 << 10), 1 << 20, 3 << 20] {
            for peers in [1, 3, 31] {
                shapes.append(Shape(bytes: bytes, index: "flex-external", peers: peers))
            }
        }
        for index in ["0", "1"] {
            shapes.append(Shape(bytes: 256 << 20, index: index, peers: 2))
        }
        for (stripes, size) in [(1, 320), (2, 64), (3, 20), (64, 4)] as [(UInt32, UInt32)] {
            for index in ["internal", "flex-external"] {
                shapes.append(
                    Shape(
                        bytes: 64 << 20,
                        index: index,
                        peers: 3,
                        stripes: stripes,
                        stripeKibibytes: size
                    )
                )
            }
        }
        return shapes
    }()

    @Test("TOOL-07 create-md writes the bytes that drbdmeta writes", arguments: shapes)
    func create(_ shape: Shape) throws {
        let layout = try shape.layout()
        let rest = "create-md \(shape.peers)"
        try self.tools.create("a", bytes: shape.bytes)
        try self.tools.create("b", bytes: shape.bytes)
        try self.tools.run("\(shape.options)- v09 a \(shape.index) \(rest)")
        try self.tools.runTheirs("\(shape.options)- v09 b \(shape.index) \(rest)")
        for (position, count) in [
            (layout.superblockPosition, 4096),
            (layout.activityLogPosition, layout.geometry.byteCount),
        ] {
            #expect(
                try self.tools.read("a", at: position, count: count)
                    == self.tools.read("b", at: position, count: count)
            )
        }
        // Each reads what the other wrote.
        let (ours, theirs) = (
            try self.tools.run("- v09 b \(shape.index) dump-md").dump,
            try self.tools.runTheirs("- v09 a \(shape.index) dump-md").dump
        )
        #expect(ours == theirs)
    }

    @Test func `create-md writes v08 bytes that drbdmeta writes`() throws {
        for index in ["internal", "flex-external"] {
            try self.tools.create("a", bytes: 64 << 20)
            try self.tools.create("b", bytes: 64 << 20)
            try self.tools.run("- v08 a \(index) create-md")
            try self.tools.runTheirs("- v08 b \(index) create-md")
            let position: UInt64 = index == "internal" ? 67_104_768 : 0
            #expect(
                try self.tools.read("a", at: position, count: 4096)
                    == self.tools.read("b", at: position, count: 4096)
            )
            try self.tools.run("- v08 a \(index) set-gi 11:22:33:44:1:1:0:0:0:0:0 --force")
            #expect(
                try self.tools.runTheirs("- v08 a \(index) get-gi").text
                    == self.tools.run("- v08 a \(index) get-gi").text
            )
            // The real tool prints v08 flags as 0 in a dump.
            let ours = try self.tools.run("- v08 a \(index) dump-md").dump
            #expect(ours.contains("flags 0x00000091;"))
            #expect(
                ours.replacing("flags 0x00000091;", with: "flags 0x00000000;")
                    == (try self.tools.runTheirs("- v08 a \(index) dump-md").dump)
            )
        }
    }

    /// Writes a superblock and a bitmap of random content into `name`.
    private func fill(_ name: String, _ shape: Shape, seed: UInt64) throws -> StoredMetadata {
        var random = SeededRandom(seed: seed)
        let layout = try shape.layout()
        var block = Superblock(creating: layout)
        block.effectiveSectors = 1 + random.below(min(layout.usableSectors, 1 << 22))
        block.currentGeneration = random.next()
        block.deviceUUID = random.next()
        block.flags = [.consistent, .wasUpToDate, .activityLogClean]
        block.peerMaximumRequestBytes = UInt32(random.below(1 << 20))
        block.nodeID = UInt8(random.below(32))
        for node in UInt8(0)..<32 {
            block[peer: node].bitmapGeneration = random.next()
            block[peer: node].bitmapDagtag = random.next()
            block[peer: node].flags = PeerFlags(rawValue: UInt32(random.below(32)) | 1 << 16)
            block[peer: node].bitmapSlot =
                Int(node) < shape.peers ? UInt8(shape.peers) - 1 - node : nil
            block[history: Int(node)] = random.next()
        }
        var metadata = StoredMetadata(creating: layout, version: .v09)
        metadata.superblock = .v09(block)
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes.withUnsafeMutableBytes { block.encode(into: $0) }
        try self.tools.write(bytes, to: name, at: layout.superblockPosition)
        var area: [UInt8] = []
        while area.count < Int(metadata.bitmapBytes) {
            if random.chance(1, in: 2) {
                area += repeatElement(random.chance(1, in: 2) ? 0 : 0xFF, count: 4096)
            } else {
                for _ in 0..<random.below(64) { area.append(UInt8(random.below(256))) }
            }
        }
        // Behind the last bit the area is zero; the real tool restores it so.
        let words = (BitmapGeometry.bitCount(forSectors: metadata.effectiveSectors) + 63) / 64
        let used = Int(words) * 8 * shape.peers
        area.replaceSubrange(used..., with: repeatElement(0, count: area.count - used))
        area.removeLast(area.count - Int(metadata.bitmapBytes))
        try self.tools.write(area, to: name, at: layout.bitmapPosition)
        return metadata
    }

    static let filled: [Shape] = [
        Shape(bytes: 64 << 20, index: "internal", peers: 1),
        Shape(bytes: 1 << 30, index: "internal", peers: 3, stripes: 2, stripeKibibytes: 64),
        Shape(bytes: 1 << 30, index: "internal", peers: 7),
        Shape(bytes: 4 << 20, index: "flex-external", peers: 31),
        Shape(bytes: 256 << 20, index: "1", peers: 2),
    ]

    @Test("TOOL-08 any metadata is dumped as drbdmeta dumps it", arguments: filled)
    func dump(_ shape: Shape) throws {
        try self.tools.create("f", bytes: shape.bytes)
        for seed in UInt64(0)..<4 {
            let metadata = try self.fill("f", shape, seed: seed)
            let ours = try self.tools.run("- v09 f \(shape.index) dump-md").dump
            #expect(ours == (try self.tools.runTheirs("- v09 f \(shape.index) dump-md").dump))
            // A command that rewrites the superblock leaves every byte as it is.
            let position = metadata.layout.superblockPosition
            let before = try self.tools.read("f", at: position, count: 4096)
            let uuid = try self.tools.run("- v09 f \(shape.index) read-dev-uuid").text
                .trimmingCharacters(in: .whitespacesAndNewlines)
            try self.tools.runTheirs("- v09 f \(shape.index) write-dev-uuid \(uuid)")
            var expected = before
            // The real tool stores its own number of activity log slots nowhere but at creation.
            expected.replaceSubrange(72..<76, with: before[72..<76])
            #expect(try self.tools.read("f", at: position, count: 4096) == expected)
        }
    }

    @Test("TOOL-09 either tool restores what the other dumped", arguments: filled)
    func restore(_ shape: Shape) throws {
        try self.tools.create("f", bytes: shape.bytes)
        _ = try self.fill("f", shape, seed: 77)
        let dump = try self.tools.run("- v09 f \(shape.index) dump-md").text
        try dump.write(toFile: self.scratch.file("d"), atomically: false, encoding: .utf8)
        #expect(
            try self.tools.runTheirs("- v09 /nonexistent internal verify-dump d").text.contains(
                "input file parsed ok"
            )
        )
        #expect(try self.tools.run("- v09 /nonexistent internal verify-dump d").text.contains("ok"))
        try self.tools.create("g", bytes: shape.bytes)
        try self.tools.create("h", bytes: shape.bytes)
        #expect(
            try self.tools.run("- v09 g \(shape.index) restore-md d").text.contains(
                "Successfully restored meta data"
            )
        )
        try self.tools.runTheirs("- v09 h \(shape.index) restore-md d")
        let layout = try shape.layout()
        for name in ["g", "h"] {
            let log = try self.tools.read(
                name,
                at: layout.activityLogPosition,
                count: layout.geometry.byteCount
            )
            #expect(log.allSatisfy { $0 == 0 })
            for text in [
                try self.tools.run("- v09 \(name) \(shape.index) dump-md").text,
                try self.tools.runTheirs("- v09 \(name) \(shape.index) dump-md").text,
            ] { #expect(Self.content(text) == Self.content(dump)) }
        }
        #expect(
            try self.tools.read("g", at: layout.superblockPosition, count: 4096)
                == self.tools.read("h", at: layout.superblockPosition, count: 4096)
        )
    }

    /// A dump without the comments that name time and command line.
    private static func content(_ text: String) -> [Substring] {
        text.split(separator: "\n").filter { !$0.hasPrefix("# ") }
    }

    @Test("AL-05 apply-al marks what drbdmeta marks, and says the same", arguments: 0..<24)
    func applyActivityLog(seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let shape = Shape(
            bytes: 64 << 20,
            index: seed % 2 == 0 ? "internal" : "flex-external",
            peers: [1, 3, 7][seed % 3],
            stripes: seed % 4 == 0 ? 2 : 1,
            stripeKibibytes: 64
        )
        try self.tools.create("a", bytes: shape.bytes)
        var metadata = try self.fill("a", shape, seed: UInt64(seed))
        metadata.superblock.flags = seed % 8 == 7 ? [] : [.primary, .consistent]
        metadata.superblock.effectiveSectors = min(metadata.layout.usableSectors, 130_000)
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes.withUnsafeMutableBytes { metadata.superblock.encode(into: $0) }
        try self.tools.write(bytes, to: "a", at: metadata.layout.superblockPosition)
        let ring = Self.ring(&random, metadata.layout.geometry, seed: seed)
        try self.tools.write(ring, to: "a", at: metadata.layout.activityLogPosition)
        try self.tools.copy("a", to: "b")
        // Both list the log alike before it is applied.
        let loud = String(repeating: "-v ", count: 10)
        let listing = try self.tools.ours("\(loud)--force - v09 a \(shape.index) dump-md").dump
        #expect(listing == (try self.tools.theirs("\(loud)- v09 b \(shape.index) dump-md").dump))
        let ours = try self.tools.ours("- v09 a \(shape.index) apply-al")
        let theirs = try self.tools.theirs("- v09 b \(shape.index) apply-al")
        #expect(ours.exitCode == theirs.exitCode)
        // The real tool names an extent once for each slot that holds it; whoever is not root hears
        // besides that it cannot keep the last known place.
        var messages: [Substring] = []
        for line in theirs.errors.split(separator: "\n")
        where !line.contains("BLKSSZGET") && !line.hasPrefix("lk_bdev_") && messages.last != line {
            messages.append(line)
        }
        #expect(ours.errors.split(separator: "\n") == messages)
        let (a, b) = (
            try Data(contentsOf: URL(fileURLWithPath: self.scratch.file("a"))),
            try Data(contentsOf: URL(fileURLWithPath: self.scratch.file("b")))
        )
        #expect(a == b)
    }

    /// Transactions with right context, some of them damaged.
    private static func ring(
        _ random: inout SeededRandom,
        _ geometry: ActivityLogGeometry,
        seed: Int
    ) -> [UInt8] {
        let count = Int(geometry.blockCount)
        var ring = [UInt8](repeating: 0, count: geometry.byteCount)
        for place in 0..<count {
            Self.put(&ring, place) { ActivityLogBlock.encodeInitialised(into: $0) }
        }
        var slots = [UInt32](repeating: ActivityLogBlock.noExtent, count: 70)
        let first = UInt32(truncatingIfNeeded: random.next())
        let transactions = seed % 6 == 5 ? 0 : Int(random.below(30))
        for step in 0..<transactions {
            let number = first &+ UInt32(step)
            let before = slots
            let updates = (0..<1 + random.below(6)).map { _ in
                (UInt16(random.below(70)), UInt32(random.below(seed % 5 == 0 ? 40 : 16)))
            }
            for update in updates { slots[Int(update.0)] = update.1 }
            Self.put(&ring, Int(geometry.block(ofTransaction: number))) { memory in
                var writer = ActivityLogBlockWriter(
                    memory,
                    transaction: number,
                    slotCount: slots.count,
                    contextStart: 0
                )
                for update in updates { writer.appendUpdate(slot: update.0, extent: update.1) }
                for extent in before { writer.appendContext(extent) }
                writer.finish()
            }
        }
        for _ in 0..<random.below(3) { ring[Int(random.below(UInt64(ring.count)))] ^= 1 }
        if seed % 12 == 11 { ring[9] ^= 1 }
        return ring
    }

    private static func put(
        _ ring: inout [UInt8],
        _ place: Int,
        _ encode: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        ring.withUnsafeMutableBytes {
            encode(UnsafeMutableRawBufferPointer(rebasing: $0[place * 4096..<place * 4096 + 4096]))
        }
    }

    @Test("TOOL-10 generations and flags are changed as drbdmeta changes them")
    func modify() throws {
        let shape = Shape(bytes: 64 << 20, index: "internal", peers: 3)
        try self.tools.create("a", bytes: shape.bytes)
        _ = try self.fill("a", shape, seed: 5)
        try self.tools.copy("a", to: "b")
        let position = try shape.layout().superblockPosition
        let lines = [
            "--node-id 1 set-gi AAAABBBBCCCCDDDD:1:2:3:1:1:1:1:1:1:1:1:1:1:1:1",
            "--node-id 2 set-gi :::5:0", "--node-id 0 set-gi 1::::1:1:0:0:1:0:0:1",
            "outdate", "dstate", "write-dev-uuid 0123456789abcdef", "read-dev-uuid", "invalidate",
            "dstate", "outdate", "--node-id 1 get-gi", "--node-id 31 get-gi",
        ]
        for line in lines {
            let ours = try self.tools.ours("--force - v09 a internal \(line)")
            let theirs = try self.tools.theirs("- v09 b internal \(line)")
            #expect(ours.exitCode == theirs.exitCode, "\(line)")
            #expect(ours.text == theirs.text, "\(line)")
            #expect(
                try self.tools.read("a", at: position, count: 4096)
                    == self.tools.read("b", at: position, count: 4096),
                "\(line)"
            )
        }
    }

    @Test func `show-gi prints drbdmeta's line and summary`() throws {
        let shape = Shape(bytes: 64 << 20, index: "internal", peers: 2)
        try self.tools.create("a", bytes: shape.bytes)
        for round in UInt64(0)..<3 {
            if round == 0 {
                try self.tools.run("- v09 a internal create-md 2")
            } else {
                _ = try self.fill("a", shape, seed: round)
            }
            let ours = try self.tools.run("--node-id 1 - v09 a internal show-gi").text
            let theirs = try self.tools.runTheirs("--node-id 1 - v09 a internal show-gi").text
            let parts = [ours, theirs].map { text in
                text.split(separator: "\n").filter {
                    !$0.contains("-<") && !$0.contains("V  ")
                }
            }
            #expect(parts[0] == parts[1])
        }
    }

    @Test func `wiped metadata is gone for both`() throws {
        try self.tools.create("a", bytes: 1 << 20)
        try self.tools.run("- v09 a internal create-md 1")
        #expect(try self.tools.ours("- v09 a internal wipe-md").exitCode == 1)
        #expect(try self.tools.theirs("- v09 a internal dump-md").exitCode == 0)
        try self.tools.run("--force - v09 a internal wipe-md")
        #expect(try self.tools.theirs("- v09 a internal dump-md").exitCode == 1)
        #expect(try self.tools.ours("- v09 a internal dump-md").exitCode == 1)
        try self.tools.run("--force - v09 a internal wipe-md")
    }

    /// Position, bytes: one field broken as §2.7 of the format's checks has it.
    static let faults: [(name: String, offset: UInt64, bytes: [UInt8])] = [
        ("magic", 60, [0, 0, 0, 0]), ("no slots", 88, [0, 0, 0, 0]),
        ("node id", 92, [0, 0, 0, 40]), ("negative node id", 92, [0xFF, 0xFF, 0xFF, 0xFE]),
        ("slot of peer 0", 112 + 20, [0, 0, 0, 33]), ("activity log", 68, [0, 0, 0, 1]),
        ("bitmap", 76, [0xFF, 0xFF, 0xFF, 0]), ("stripes", 96, [0, 0, 0, 0]),
    ]

    @Test(arguments: ["internal", "flex-external"])
    func `refuses what drbdmeta refuses`(index: String) throws {
        let position: UInt64 = index == "internal" ? 67_104_768 : 0
        for fault in Self.faults {
            try self.tools.create("a", bytes: 64 << 20)
            try self.tools.run("- v09 a \(index) create-md 3")
            try self.tools.write(fault.bytes, to: "a", at: position + fault.offset)
            let (ours, theirs) = (
                try self.tools.ours("- v09 a \(index) dump-md"),
                try self.tools.theirs("- v09 a \(index) dump-md")
            )
            #expect(ours.exitCode == 1, "\(fault.name)")
            #expect(theirs.exitCode == 1, "\(fault.name): \(theirs.errors)")
            #expect(ours.errors.hasSuffix("No valid meta data found\n"))
            #expect(theirs.errors.hasSuffix("No valid meta data found\n"))
        }
        // A wrong total is only a warning for both.
        try self.tools.create("a", bytes: 64 << 20)
        try self.tools.run("- v09 a \(index) create-md 3")
        try self.tools.write([0, 0, 0, 1], to: "a", at: position + 64)
        #expect(try self.tools.ours("- v09 a \(index) dump-md").exitCode == 0)
        #expect(try self.tools.theirs("- v09 a \(index) dump-md").exitCode == 0)
    }

    @Test func `exit codes are drbdmeta's`() throws {
        try self.tools.create("a", bytes: 64 << 20)
        try self.tools.create("small", bytes: 61440)
        let lines = [
            "", "- v10 a internal dump-md", "- v09 a intern dump-md", "- v09 a 256 dump-md",
            "- v09 a internal frob", "- v09 /nonexistent internal dump-md",
            "- v09 a internal create-md", "- v09 a internal create-md 32",
            "- v09 a internal create-md 0", "- v09 small internal create-md 1",
            "- v09 a internal get-gi", "- v09 a internal dump-md",
            "--al-stripe-size-kB 16 - v09 a internal create-md 1",
            "--al-stripes 4000 - v09 a internal create-md 1",
            "- v09 a internal restore-md /nonexistent",
            "- v09 a internal check-resize", "- v09 a flex-external check-resize",
        ]
        for line in lines {
            let (ours, theirs) = (try self.tools.ours(line), try self.tools.theirs(line))
            #expect(ours.exitCode == theirs.exitCode, "\(line): \(ours.errors) \(theirs.errors)")
            #expect(!ours.errors.isEmpty, "\(line)")
        }
    }
}
