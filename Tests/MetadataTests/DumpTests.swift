// SPDX-License-Identifier: Apache-2.0

import Metadata
import Primitives
import Testing

/// The whole text of a dump whose area has the bytes `area`, given in parts of `partBytes`.
func dumpText(_ metadata: StoredMetadata, _ area: [UInt8], partBytes: Int? = nil) -> String {
    let header = MetadataDump.Header(
        time: "2026-11-20 23:03:53 +0000 [1795215833]",
        host: "host",
        command: "bsrmeta"
    )
    var text = Array(MetadataDump.head(of: metadata, header: header).utf8)
    var setBits = 0
    for slot in 0..<metadata.layout.bitmap.slotCount {
        var bitmap = BitmapText(metadata.layout.bitmap, slot: slot)
        text += BitmapText.opening(metadata.superblock.version, slot: slot).utf8
        let step = partBytes ?? BitmapText.partBytes(metadata.layout.bitmap)
        for start in stride(from: 0, to: area.count, by: step) {
            let part = Array(area[start..<min(start + step, area.count)])
            bitmap.append(part.span.bytes, to: &text)
        }
        bitmap.finish(to: &text)
        text += BitmapText.closing.utf8
        setBits = bitmap.setBits
    }
    text += MetadataDump.tail(setBits: setBits).utf8
    return String(decoding: text, as: UTF8.self)
}

extension SeededRandom {
    /// A bitmap area with runs and noise.
    mutating func area(_ byteCount: Int) -> [UInt8] {
        var area: [UInt8] = []
        while area.count < byteCount {
            if self.chance(1, in: 2) {
                let byte: UInt8 = self.chance(1, in: 2) ? 0 : 0xFF
                area += repeatElement(byte, count: 4 + Int(self.below(2000)))
            } else {
                for _ in 0..<self.below(40) { area.append(UInt8(self.below(256))) }
            }
        }
        return Array(area[..<byteCount])
    }
}

struct DumpTests {
    /// What an 8.4 kernel left on disk, and the dump of the same moment.
    struct Recorded: Sendable, CustomTestStringConvertible {
        let name: String
        let deviceBytes: UInt64
        let superblock: String
        /// 64-bit words of the bitmap: how many of which value.
        let bitmap: [BitmapRun]
        let tail: String

        var testDescription: String { self.name }
    }

    static let recorded = [
        Recorded(
            name: "a Primary after a power cut, 1 MiB",
            deviceBytes: 1 << 20,
            superblock: """
                00000000000007b0fafd9319a76f4f4e0000000000000000f43d9bd29e2468f0f43c9bd29e2468f0\
                2bc443857e3fb7e50000000000000000000000918374026b00000050ffffffc0000004d5ffffffb8\
                00001000001000000000000100000008
                """,
            bitmap: [
                BitmapRun(count: 4, word: 0), BitmapRun(count: 12, word: .max),
                BitmapRun(count: 496, word: 0),
            ],
            tail: """
                version "v08";

                # md_size_sect 80
                # md_offset 1044480
                # al_offset 1011712
                # bm_offset 1007616

                uuid {
                    0xFAFD9319A76F4F4E; 0x0000000000000000; 0xF43D9BD29E2468F0; 0xF43C9BD29E2468F0;
                    flags 0x00000091;
                }
                # al-extents 1237;
                la-size-sect 1968;
                bm-byte-per-bit 4096;
                device-uuid 0x2BC443857E3FB7E5;
                la-peer-max-bio-size 1048576;
                al-stripes 1;
                al-stripe-size-4k 8;
                # bm-bytes 4096;
                bm {
                   # at 0kB
                    0x0000000000000000; 0x0000000000000000; 0x0000000000000000; 0x0000000000000000;
                    12 times 0xFFFFFFFFFFFFFFFF;
                    496 times 0x0000000000000000;
                }
                # bits-set 768;

                """
        ),
        Recorded(
            name: "a node in sync, 16 MiB",
            deviceBytes: 16 << 20,
            superblock: """
                0000000000007fb0715775c41b0cd04000000000000000000101cfeb3ab220150100cfeb3ab22015\
                44b760a66ca77b410000000000000000000000918374026b00000050ffffffc0000004d5ffffffb8\
                00001000001000000000000100000008
                """,
            bitmap: [BitmapRun(count: 512, word: 0)],
            tail: """
                version "v08";

                # md_size_sect 80
                # md_offset 16773120
                # al_offset 16740352
                # bm_offset 16736256

                uuid {
                    0x715775C41B0CD040; 0x0000000000000000; 0x0101CFEB3AB22015; 0x0100CFEB3AB22015;
                    flags 0x00000091;
                }
                # al-extents 1237;
                la-size-sect 32688;
                bm-byte-per-bit 4096;
                device-uuid 0x44B760A66CA77B41;
                la-peer-max-bio-size 1048576;
                al-stripes 1;
                al-stripe-size-4k 8;
                # bm-bytes 4096;
                bm {
                   # at 0kB
                    512 times 0x0000000000000000;
                }
                # bits-set 0;

                """
        ),
    ]

    @Test(
        "TOOL-08 metadata of a real kernel is printed as drbdmeta printed it",
        arguments: recorded
    )
    func recordedMetadata(_ recorded: Recorded) throws {
        let bytes = Self.bytes(hex: recorded.superblock)
        let found = try StoredMetadata(
            decoding: bytes.span.bytes,
            version: .v08,
            placement: .internal,
            deviceBytes: recorded.deviceBytes
        )
        #expect(block { found.superblock.encode(into: $0) } == bytes)
        let area = recorded.bitmap.flatMap { run in
            (0..<run.count).flatMap { _ in withUnsafeBytes(of: run.word.littleEndian, Array.init) }
        }
        let text = dumpText(found, area)
        #expect(text.hasSuffix("#\n\n" + recorded.tail))
        let parsed = try ParsedDump(Array(text.utf8), version: .v08)
        #expect(parsed.superblock.flags == [.consistent, .wasUpToDate, .activityLogClean])
    }

    private static func bytes(hex: String) -> [UInt8] {
        let digits = Array(hex)
        let known = stride(from: 0, to: digits.count, by: 2).map {
            UInt8(String(digits[$0...$0 + 1]), radix: 16) ?? 0
        }
        return known + [UInt8](repeating: 0, count: 4096 - known.count)
    }

    @Test("TOOL-09 a dump restores every field and every bit")
    func roundTrip() throws {
        var random = SeededRandom(seed: 6)
        for round in 0..<60 {
            let peers = 1 + Int(random.below(round % 4 == 0 ? 31 : 4))
            let layout = try layout(
                round % 2 == 0 ? .internal : .flexibleExternal,
                bytes: (1 << 20) + random.below(1 << 25),
                peers: peers,
                stripes: UInt32(1 + random.below(3)),
                blocksPerStripe: UInt32(8 + random.below(8))
            )
            var metadata = StoredMetadata(creating: layout, version: .v09)
            var superblock = random.superblock(layout)
            superblock.flags.insert(.activityLogClean)
            superblock.activityLogSlots = 257
            superblock.effectiveSectors %= 1 << 18
            if round % 5 == 0 { superblock.members = random.next() }
            metadata.superblock = .v09(superblock)
            let area = random.area(Int(metadata.bitmapBytes))
            let text = dumpText(metadata, area)
            #expect(dumpText(metadata, area, partBytes: 4096 * peers) == text)
            let parsed = try ParsedDump(Array(text.utf8), version: .v09)
            #expect(parsed.place(on: layout) == metadata)
            #expect(parsed.geometry == layout.geometry)
            Self.expectArea(of: parsed, equals: area)
        }
    }

    /// Compares all but a last 32-bit word without its second half, which a dump leaves out.
    private static func expectArea(of dump: ParsedDump, equals area: [UInt8]) {
        var reader = BitmapRunReader(dump)
        var restored: [UInt8] = []
        for start in stride(from: 0, to: area.count, by: 4096) {
            restored += block { reader.fill($0) }[..<min(4096, area.count - start)]
        }
        #expect(!reader.hasMore)
        let slots = dump.bitmap.slotCount
        for slot in 0..<slots {
            let words = (area.count / 4 - slot + slots - 1) / slots / 2 * 2
            let isEqual = (0..<words).allSatisfy { word in
                let byte = (word * slots + slot) * 4
                return area[byte..<byte + 4] == restored[byte..<byte + 4]
            }
            #expect(isEqual, "slot \(slot) of \(slots)")
        }
    }

    @Test func `more words than the area holds are noticed`() throws {
        var text = try Self.freshText()
        text = text.replacing(
            "bitmap[0] {\n",
            with: "bitmap[0] {\n 600 times 0x0000000000000001;\n"
        )
        let parsed = try ParsedDump(Array(text.utf8), version: .v09)
        var reader = BitmapRunReader(parsed)
        let bytes = block { reader.fill($0) }
        #expect(bytes[0] == 1 && bytes[8] == 1 && bytes[4] == 0)
        #expect(reader.hasMore)
        _ = block { reader.fill($0) }
        #expect(!reader.hasMore)
    }

    static func freshText(_ version: FormatVersion = .v09) throws -> String {
        let layout = try layout(.internal, bytes: 64 << 20, peers: 1)
        return dumpText(StoredMetadata(creating: layout, version: version), [])
    }

    static let broken: [(from: String, to: String, fault: String)] = [
        (
            "max-peers 1;", "max-peers 32;",
            "Parse error in line 8: max-peers 32 is out of bounds, it is between 1 and 31"
        ),
        (
            "node-id -1;", "node-id X;",
            "line 14: unknown token: X; ..."
        ),
        (
            "current-uuid 0x0000000000000004;", "current-uuid 0x04;",
            "line 15: unknown token: 0x04; ..."
        ),
        (
            "current-uuid 0x0000000000000004;", "current-uuid 0x00000004;",
            "Parse error in line 15: 0x and 16 digits expected, not '0x00000004'"
        ),
        (
            "peer[1] {", "peer[0] {",
            "Parse error in line 23: peer 0 is out of bounds, each node comes once"
        ),
        (
            "version \"v09\";", "version \"v08\";",
            "dump is 'v08' you requested 'v09'."
        ),
        (
            "al-stripes 1;", "al-stripes 0;",
            "Parse error in line 225: activity log of 0 × 8 blocks is out of bounds, "
                + "it has 8...8192 blocks"
        ),
        (
            "bitmap[0] {", "bitmap[0] { 0 times 0x0000000000000000;",
            "Parse error in line 227: repetition 0 is out of bounds, it is at least 1"
        ),
        (
            "# bits-set", "bitmap[1] { } # bits-set",
            "Parse error in line 229: end of file expected, not 'bitmap'"
        ),
        (
            "# bits-set", "99999999999999999999",
            "line 229: unknown token: 99999999999999999999 ..."
        ),
    ]

    @Test(arguments: broken)
    func `names the line of what is wrong`(_ row: (from: String, to: String, fault: String)) throws
    {
        let text = try Self.freshText().replacing(row.from, with: row.to, maxReplacements: 1)
        do {
            _ = try ParsedDump(Array(text.utf8), version: .v09)
            Issue.record("accepted: \(row.to)")
        } catch { #expect(error.description == row.fault) }
    }

    @Test func `every truncation is refused`() throws {
        for version in FormatVersion.allCases {
            let text = Array(try Self.freshText(version).utf8)
            let end = try #require(text.lastIndex(of: UInt8(ascii: "}")))
            for count in stride(from: 0, through: end, by: version == .v08 ? 1 : 11) {
                #expect(throws: DumpFault.self) {
                    try ParsedDump(Array(text[..<count]), version: version)
                }
            }
        }
    }

    @Test func `an unclean dump cannot be restored`() throws {
        let layout = try layout(.internal, bytes: 64 << 20, peers: 1)
        var metadata = StoredMetadata(creating: layout, version: .v09)
        metadata.superblock.flags = .primary
        #expect(throws: DumpFault.self) {
            try ParsedDump(Array(dumpText(metadata, []).utf8), version: .v09)
        }
    }
}
