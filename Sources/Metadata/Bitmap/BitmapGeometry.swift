// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// How the bitmaps of all peers share the area on disk.
///
/// A bit stands for 4 KiB of the volume; it is set while the block may differ from the peer's. The
/// area is a sequence of 32-bit little-endian words. Word `w` of slot `s` is word `w × slots + s`
/// of the area, so the same bytes hold one part of the volume for all peers.
package struct BitmapGeometry: Hashable, Sendable, BitwiseCopyable {
    /// The number of slots, one for each peer that has a bitmap.
    package let slotCount: Int

    /// The bytes of the volume that one bit stands for.
    package static let bytesPerBit: UInt64 = 4096
    /// The sectors of the volume that one bit stands for.
    package static let sectorsPerBit: UInt64 = 8
    /// The bits of one activity log extent of 4 MiB, in each slot.
    package static let bitsPerExtent: UInt64 = 1024
    /// The bytes of one page, the unit in which a bitmap is read and written.
    package static let pageBytes = 4096
    /// How many slots there may be.
    package static let slotCountRange: ClosedRange<Int> = 1...31

    /// The geometry of v08 metadata, and of a volume with one peer.
    package static let single = Self(valid: 1)

    /// Creates the geometry for `slotCount` peers; nil outside ``slotCountRange``.
    package init?(slotCount: Int) {
        guard Self.slotCountRange.contains(slotCount) else { return nil }
        self.slotCount = slotCount
    }

    private init(valid slotCount: Int) { self.slotCount = slotCount }

    /// The bits of one slot of a volume of `sectors`; the last may stand for less than 4 KiB.
    package static func bitCount(forSectors sectors: UInt64) -> UInt64 {
        sectors / Self.sectorsPerBit + (sectors % Self.sectorsPerBit == 0 ? 0 : 1)
    }

    /// The bytes of the area for a volume of `sectors`, a multiple of 4096.
    ///
    /// Each slot is rounded up to 64 bits, then the whole to a page. Traps above 2^58 sectors;
    /// callers clip to ``Layout/usableSectors``.
    package func byteCount(forSectors sectors: UInt64) -> UInt64 {
        let words = (Self.bitCount(forSectors: sectors) + 63) / 64
        return (words * 8 * UInt64(self.slotCount) + 4095) & ~4095
    }

    /// The sectors of the largest volume that an area of `bytes` can describe.
    package func sectorCount(describedBy bytes: UInt64) -> UInt64 {
        bytes * 8 / 64 / UInt64(self.slotCount) * 64 * Self.sectorsPerBit
    }

    /// The byte of the area that holds bit `bit` of slot `slot`, and the bit's mask in it.
    package func location(ofBit bit: UInt64, slot: Int) -> (byte: UInt64, mask: UInt8) {
        invariant(slot >= 0 && slot < self.slotCount, "slot of the bitmap")
        let word = (bit >> 5) * UInt64(self.slotCount) + UInt64(slot)
        return (word * 4 + (bit & 31) >> 3, 1 << UInt8(bit & 7))
    }

    /// The bytes of the area that cover activity log extent `extent` for all slots.
    package func byteRange(ofExtent extent: UInt32) -> Range<UInt64> {
        let bytes = UInt64(self.slotCount) * Self.bitsPerExtent / 8
        return UInt64(extent) * bytes..<(UInt64(extent) + 1) * bytes
    }

    /// The pages of the area that cover activity log extent `extent` for all slots.
    package func pages(ofExtent extent: UInt32) -> ClosedRange<UInt64> {
        let bytes = self.byteRange(ofExtent: extent)
        return bytes.lowerBound / 4096...(bytes.upperBound - 1) / 4096
    }

    /// The page of the area that holds bit `bit` of slot `slot`.
    package func page(ofBit bit: UInt64, slot: Int) -> UInt64 {
        self.location(ofBit: bit, slot: slot).byte / UInt64(Self.pageBytes)
    }
}
