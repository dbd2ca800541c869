// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// Carries bits between a bitmap in memory and a page of the area on disk.
///
/// In memory a slot is an array of 64-bit words, bit n in word n / 64 at n mod 64. A page is 1024
/// words of 32 bits, shared by all slots. One call carries the words of one slot; callers loop over
/// slots. Nothing here allocates.
extension BitmapGeometry {
    /// Writes the words of `slot` that page `page` holds; those beyond `words` become zero.
    ///
    /// - Parameter memory: the page's 4096 bytes. Words of other slots in it are left alone; words
    ///   that belong to no bit of any slot are the caller's to clear.
    package func encode(
        _ words: UnsafeBufferPointer<UInt64>,
        slot: Int,
        page: UInt64,
        into memory: UnsafeMutableRawBufferPointer
    ) {
        invariant(memory.count >= Self.pageBytes, "memory for a whole page")
        let writer = MetadataWriter(memory)
        var place = self.firstPlace(of: slot, page: page)
        while place.indexInPage < 1024 {
            let index = place.word >> 1
            let wide = index < UInt64(words.count) ? words[Int(index)] : 0
            let half = place.word & 1 == 0 ? wide : wide >> 32
            writer.storeLittle(UInt32(truncatingIfNeeded: half), at: place.indexInPage * 4)
            place.word += 1
            place.indexInPage += self.slotCount
        }
    }

    /// Reads the words of `slot` that page `page` holds into `words`; those beyond `words` are
    /// ignored.
    ///
    /// - Parameter bitCount: the bits the volume has. Bits beyond may be set on disk and are
    ///   dropped: replaying an activity log marks whole extents.
    package func decode(
        _ bytes: RawSpan,
        slot: Int,
        page: UInt64,
        bitCount: UInt64,
        into words: UnsafeMutableBufferPointer<UInt64>
    ) {
        invariant(bytes.byteCount >= Self.pageBytes, "a whole page")
        let reader = MetadataReader(bytes)
        var place = self.firstPlace(of: slot, page: page)
        while place.indexInPage < 1024 {
            let index = place.word >> 1
            guard index < UInt64(words.count) else { return }
            let half = reader.little32(at: place.indexInPage * 4) & Self.mask(place.word, bitCount)
            let kept: UInt64 = place.word & 1 == 0 ? 0xFFFF_FFFF_0000_0000 : 0x0000_0000_FFFF_FFFF
            let shifted = place.word & 1 == 0 ? UInt64(half) : UInt64(half) << 32
            words[Int(index)] = words[Int(index)] & kept | shifted
            place.word += 1
            place.indexInPage += self.slotCount
        }
    }

    /// Sets every bit of `memory`, a part of the area, and returns how many were clear before.
    package static func setAll(in memory: UnsafeMutableRawBufferPointer) -> Int {
        var added = 0
        for index in memory.indices {
            added += (~memory[index]).nonzeroBitCount
            memory[index] = 0xFF
        }
        return added
    }

    /// The first 32-bit word of `slot` in page `page`: its number in the slot and its place in the
    /// page.
    private func firstPlace(of slot: Int, page: UInt64) -> (word: UInt64, indexInPage: Int) {
        invariant(slot >= 0 && slot < self.slotCount, "slot of the bitmap")
        let slots = UInt64(self.slotCount)
        let start = page * 1024
        let behind = (start + slots - 1 - UInt64(slot)) / slots
        return (behind, Int(behind * slots + UInt64(slot) - start))
    }

    /// The bits of 32-bit word `word` that stand for a block of a volume of `bitCount` bits.
    private static func mask(_ word: UInt64, _ bitCount: UInt64) -> UInt32 {
        let first = word << 5
        guard bitCount > first else { return 0 }
        return bitCount - first >= 32 ? .max : (1 << UInt32(bitCount - first)) - 1
    }
}
