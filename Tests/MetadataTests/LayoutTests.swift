// SPDX-License-Identifier: Apache-2.0

import Metadata
import Primitives
import Testing

struct LayoutTests {
    /// device bytes, peers, md_size_sect, superblock, activity log, bitmap, usable sectors; worked
    /// with the real drbdmeta.
    static let internalRows: [[UInt64]] = [
        [67_108_864, 1, 80, 67_104_768, 67_072_000, 67_067_904, 130992],
        [67_108_864, 2, 80, 67_104_768, 67_072_000, 67_067_904, 130992],
        [67_108_864, 3, 88, 67_104_768, 67_072_000, 67_063_808, 130984],
        [67_108_864, 7, 104, 67_104_768, 67_072_000, 67_055_616, 130968],
        [67_108_864, 31, 200, 67_104_768, 67_072_000, 67_006_464, 130872],
        [67_111_864, 2, 88, 67_104_768, 67_072_000, 67_063_808, 130984],
        [1_049_088, 1, 80, 1_044_480, 1_011_712, 1_007_616, 1968],
        [1_073_741_824, 1, 136, 1_073_737_728, 1_073_704_960, 1_073_672_192, 2_097_016],
        [1_073_741_824, 3, 264, 1_073_737_728, 1_073_704_960, 1_073_606_656, 2_096_888],
        [1_073_741_824, 7, 520, 1_073_737_728, 1_073_704_960, 1_073_475_584, 2_096_632],
        [17_179_869_184, 7, 7240, 17_179_865_088, 17_179_832_320, 17_176_162_304, 33_547_192],
        [
            1_099_511_627_776, 1, 65608, 1_099_511_623_680, 1_099_511_590_912, 1_099_478_036_480,
            2_147_418_040,
        ],
        [
            1_099_511_627_776, 31, 2_031_688, 1_099_511_623_680, 1_099_511_590_912,
            1_098_471_403_520, 2_145_451_960,
        ],
    ]

    @Test("RES-08 internal metadata lies where drbdmeta puts it", arguments: internalRows)
    func internalMetadata(_ row: [UInt64]) throws {
        let layout = try layout(.internal, bytes: row[0], peers: Int(row[1]))
        let got = [
            UInt64(layout.metadataSectors), layout.superblockPosition, layout.activityLogPosition,
            layout.bitmapPosition, layout.usableSectors,
        ]
        #expect(got == Array(row[2...]))
        #expect(layout.storedActivityLogOffset == -64)
        #expect(
            layout.bitmapPosition
                == UInt64(
                    Int64(layout.superblockPosition) + 512 * Int64(layout.storedBitmapOffset)
                )
        )
    }

    @Test func `a larger activity log moves the bitmap`() throws {
        let layout = try layout(.internal, bytes: 1 << 30, peers: 7, blocksPerStripe: 80)
        #expect(layout.metadataSectors == 1096)
        #expect(layout.activityLogPosition == 1_073_410_048)
        #expect(layout.bitmapPosition == 1_073_180_672)
        #expect(layout.usableSectors == 2_096_056)
    }

    struct External: Sendable {
        let placement: Placement
        let bytes: UInt64
        let peers: Int
        let sectors: UInt32
        let start: UInt64
        let usable: UInt64
    }

    static let externalRows = [
        External(
            placement: .flexibleExternal,
            bytes: 128 << 10,
            peers: 1,
            sectors: 256,
            start: 0,
            usable: 6_029_312
        ),
        External(
            placement: .flexibleExternal,
            bytes: 1 << 20,
            peers: 1,
            sectors: 2048,
            start: 0,
            usable: 64_749_568
        ),
        External(
            placement: .flexibleExternal,
            bytes: 1 << 20,
            peers: 3,
            sectors: 2048,
            start: 0,
            usable: 21_582_848
        ),
        External(
            placement: .flexibleExternal,
            bytes: 128 << 20,
            peers: 7,
            sectors: 262144,
            start: 0,
            usable: 1_226_796_032
        ),
        External(
            placement: .indexed(0),
            bytes: 128 << 20,
            peers: 1,
            sectors: 262144,
            start: 0,
            usable: 8_587_575_296
        ),
        External(
            placement: .indexed(1),
            bytes: 256 << 20,
            peers: 3,
            sectors: 262144,
            start: 128 << 20,
            usable: 2_862_524_928
        ),
    ]

    @Test("RES-09 external metadata lies where drbdmeta puts it", arguments: externalRows)
    func externalMetadata(_ row: External) throws {
        let layout = try layout(row.placement, bytes: row.bytes, peers: row.peers)
        #expect(layout.metadataSectors == row.sectors)
        #expect(layout.superblockPosition == row.start)
        #expect(layout.activityLogPosition == row.start + 4096)
        #expect(layout.bitmapPosition == row.start + 36864)
        #expect(layout.usableSectors == row.usable)
        #expect(layout.storedActivityLogOffset == 8)
        #expect(layout.storedBitmapOffset == 72)
    }

    @Test func `areas never overlap, stay inside the device and hold the whole volume's bitmap`()
        throws
    {
        var random = SeededRandom(seed: 3)
        var possible = 0
        for round in 0..<2000 {
            let bytes = (1 << 17) + random.below(1 << (17 + UInt64(round % 32)))
            let placement: Placement = round % 2 == 0 ? .internal : .flexibleExternal
            let blocks = UInt32(1 + random.below(64))
            guard
                let layout = try? layout(
                    placement,
                    bytes: bytes,
                    peers: 1 + Int(random.below(31)),
                    stripes: UInt32(8 + random.below(8)),
                    blocksPerStripe: blocks
                )
            else { continue }
            possible += 1
            let log = UInt64(layout.geometry.byteCount)
            let areas = [
                layout.superblockPosition..<layout.superblockPosition + 4096,
                layout.activityLogPosition..<layout.activityLogPosition + log,
                layout.bitmapPosition..<layout.bitmapPosition + layout.bitmapCapacity,
            ]
            for (index, area) in areas.enumerated() {
                #expect(area.upperBound <= bytes)
                for other in areas[(index + 1)...] { #expect(!area.overlaps(other)) }
            }
            #expect(
                layout.bitmapBytes(forSectors: .max)
                    == layout.bitmapBytes(forSectors: layout.usableSectors)
            )
            let bits = BitmapGeometry.bitCount(forSectors: layout.usableSectors)
            if bits > 0 {
                let last = layout.bitmap.location(
                    ofBit: bits - 1,
                    slot: layout.bitmap.slotCount - 1
                )
                #expect(last.byte < layout.bitmapCapacity)
            }
            if placement.isInternal { #expect(layout.usableSectors << 9 <= layout.bitmapPosition) }
        }
        #expect(possible > 1000)
    }

    @Test func `refuses devices and slots that cannot be`() throws {
        let one = BitmapGeometry.single
        #expect(throws: LayoutFault.deviceTooSmall(69631)) {
            try Layout(.internal, deviceBytes: 69631, slots: one)
        }
        #expect(try Layout(.internal, deviceBytes: 69632, slots: one).usableSectors == 56)
        #expect(throws: LayoutFault.deviceTooLarge(1 << 50 + 1)) {
            try Layout(.internal, deviceBytes: 1 << 50 + 1, slots: one)
        }
        #expect(throws: LayoutFault.slotBeyondEnd(index: 1, deviceBytes: 128 << 20)) {
            try Layout(.indexed(1), deviceBytes: 128 << 20, slots: one)
        }
        let huge = try #require(ActivityLogGeometry(stripes: 1, blocksPerStripe: 8192))
        #expect(throws: LayoutFault.self) {
            try Layout(.internal, deviceBytes: 1 << 20, slots: one, geometry: huge)
        }
        let largest = try Layout(
            .internal,
            deviceBytes: 1 << 50,
            slots: try #require(BitmapGeometry(slotCount: 31)),
            geometry: huge
        )
        #expect(largest.storedBitmapOffset < 0)
    }

    @Test func `an external device beyond 2 TiB does not wrap`() throws {
        let layout = try layout(.flexibleExternal, bytes: 3 << 40, peers: 31)
        #expect(layout.metadataSectors == UInt32.max & ~7)
        #expect(layout.bitmapPosition + layout.bitmapCapacity <= 3 << 40)
    }

    @Test func `understands the words of a command line`() {
        #expect(Placement(word: "internal") == .internal)
        #expect(Placement(word: "flex-internal") == .internal)
        #expect(Placement(word: "flex-external") == .flexibleExternal)
        #expect(Placement(word: "255") == .indexed(255))
        for word in ["256", "-1", "+1", "", "0x1", "external"] {
            #expect(Placement(word: word) == nil)
        }
    }
}

struct ActivityLogGeometryTests {
    @Test func `transactions go round the stripes`() throws {
        let geometry = try #require(ActivityLogGeometry(stripes: 2, blocksPerStripe: 16))
        #expect((0..<4).map { geometry.block(ofTransaction: $0) } == [0, 16, 1, 17])
        #expect(geometry.block(ofTransaction: 32) == 0)
        #expect(
            geometry.block(ofTransaction: .max) == geometry.block(ofTransaction: UInt32.max % 32)
        )
    }

    @Test func `every block of the ring is used once in each round`() throws {
        for (stripes, blocks) in [(1, 8), (3, 5), (7, 13), (16, 4)] as [(UInt32, UInt32)] {
            let geometry = try #require(
                ActivityLogGeometry(stripes: stripes, blocksPerStripe: blocks)
            )
            let places = Set((0..<stripes * blocks).map { geometry.block(ofTransaction: $0) })
            #expect(places == Set(0..<stripes * blocks))
        }
    }

    @Test func `one block may be torn and all slots are still described`() throws {
        #expect(ActivityLogGeometry.standard.slotCountMaximum == 6433)
        #expect(ActivityLogGeometry.large.slotCountMaximum == 65534)
        #expect(ActivityLogGeometry.standard.slotCount(configured: 1) == 67)
        #expect(ActivityLogGeometry.standard.slotCount(configured: 6001) == 6001)
        #expect(ActivityLogGeometry.standard.slotCount(configured: 65534) == 6433)
        for (stripes, blocks) in [(1, 7), (0, 8), (8193, 1), (.max, 2)] as [(UInt32, UInt32)] {
            #expect(ActivityLogGeometry(stripes: stripes, blocksPerStripe: blocks) == nil)
        }
    }
}
