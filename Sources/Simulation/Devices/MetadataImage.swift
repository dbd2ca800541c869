// SPDX-License-Identifier: Apache-2.0

import EngineCore
package import Metadata

/// The bytes of a metadata device, by blocks of 4096; a block that was never written is zero.
package struct MetadataImage {
    package let layout: Layout
    /// The bitmap slot of the peer.
    package let slot: Int
    private var blocks: [UInt64: [UInt8]] = [:]

    /// The bytes of a block, the unit in which metadata is written.
    package static var blockBytes: Int { 4096 }
    private static let zero = [UInt8](repeating: 0, count: Self.blockBytes)

    package init(layout: Layout, slot: Int) {
        self.layout = layout
        self.slot = slot
    }

    /// The block that begins at byte `position`.
    package subscript(position: UInt64) -> [UInt8] {
        get { self.blocks[position] ?? Self.zero }
        set { self.blocks[position] = newValue }
    }

    /// Puts the 512-byte sectors of `bytes` for which `keeps` is true into the block at `position`.
    package mutating func mix(
        _ bytes: [UInt8],
        at position: UInt64,
        keeping keeps: () -> Bool
    ) {
        var block = self[position]
        for start in stride(from: 0, to: Self.blockBytes, by: 512) where keeps() {
            block.replaceSubrange(start..<start + 512, with: bytes[start..<start + 512])
        }
        self[position] = block
    }

    // MARK: What it says

    /// The superblock and where everything lies.
    package func stored() throws(SuperblockFault) -> StoredMetadata {
        try StoredMetadata(
            decoding: self[self.layout.superblockPosition].span.bytes,
            version: .v09,
            placement: self.layout.placement,
            deviceBytes: self.layout.deviceBytes
        )
    }

    /// The superblock; nil if there is none.
    package var superblock: Superblock? {
        do throws(SuperblockFault) {
            guard case .v09(let superblock) = try self.stored().superblock else { return nil }
            return superblock
        } catch { return nil }
    }

    /// Whether the superblock says that the data is of one point in time.
    package var isConsistent: Bool { self.superblock?.flags.contains(.consistent) == true }

    /// What the ring of the activity log says.
    package var replay: ActivityLogReplay {
        var ring: [UInt8] = []
        ring.reserveCapacity(self.layout.geometry.byteCount)
        for block in 0..<UInt64(self.layout.geometry.blockCount) {
            ring += self[self.layout.activityLogPosition + block * 4096]
        }
        return ActivityLogReplay(ring: ring.span.bytes, geometry: self.layout.geometry)
    }

    /// Whether `bit` of the peer's slot is set.
    package func contains(_ bit: Int) -> Bool {
        let place = self.layout.bitmap.location(ofBit: UInt64(bit), slot: self.slot)
        guard let block = self.blocks[self.layout.bitmapPosition + place.byte & ~4095] else {
            return false
        }
        return block[Int(place.byte & 4095)] & place.mask != 0
    }

    /// Fills the words of the peer's bitmap of a volume of `bitCount` bits.
    package func load(bitCount: UInt64, into words: UnsafeMutableBufferPointer<UInt64>) {
        let bytes = self.layout.bitmap.byteCount(forSectors: bitCount * 8)
        for page in 0..<bytes / UInt64(BitmapGeometry.pageBytes) {
            self.layout.bitmap.decode(
                self[self.layout.bitmapPosition + page * 4096].span.bytes,
                slot: self.slot,
                page: page,
                bitCount: bitCount,
                into: words
            )
        }
    }

    // MARK: Changes of a tool

    /// What `create-md` leaves, with `superblock` instead of the one of fresh metadata.
    package mutating func create(_ superblock: Superblock? = nil) {
        self.blocks = [:]
        self.initialiseRing()
        self.store(superblock ?? Superblock(creating: self.layout))
    }

    private mutating func store(_ superblock: Superblock) {
        var block = Self.zero
        block.withUnsafeMutableBytes { superblock.encode(into: $0) }
        self[self.layout.superblockPosition] = block
    }

    private mutating func initialiseRing() {
        var block = Self.zero
        block.withUnsafeMutableBytes { ActivityLogBlock.encodeInitialised(into: $0) }
        for number in 0..<UInt64(self.layout.geometry.blockCount) {
            self[self.layout.activityLogPosition + number * 4096] = block
        }
    }

    /// What `apply-al` does; a sentence if it gives up.
    package mutating func applyActivityLog() -> String? {
        let stored: StoredMetadata
        do throws(SuperblockFault) { stored = try self.stored() } catch { return "\(error)" }
        guard case .v09(var superblock) = stored.superblock else { return "an old superblock" }
        let verdict = ActivityLogVerdict(
            self.replay,
            superblock: stored.superblock,
            bitmapBytes: stored.bitmapBytes
        )
        guard case .apply(let extents, let initialisesRing) = verdict.action else {
            return verdict.messages.joined(separator: " ")
        }
        for extent in extents { self.mark(extent, below: stored.bitmapBytes) }
        if initialisesRing { self.initialiseRing() }
        superblock.flags.insert(.activityLogClean)
        self.store(superblock)
        return nil
    }

    /// Sets the bits of an extent for all slots.
    private mutating func mark(_ extent: UInt32, below end: UInt64) {
        let range = self.layout.bitmap.byteRange(ofExtent: extent)
        for byte in range.lowerBound..<min(range.upperBound, end) {
            let position = self.layout.bitmapPosition + byte & ~4095
            var block = self.blocks.removeValue(forKey: position) ?? Self.zero
            block[Int(byte & 4095)] = 0xFF
            self.blocks[position] = block
        }
    }
}
