// SPDX-License-Identifier: Apache-2.0

/// The superblock of v08 metadata, what DRBD 8.0 to 8.4 write: 4096 bytes, big-endian.
package struct LegacySuperblock: Hashable, Sendable {
    /// The last agreed size of the volume in sectors; 0 before the first attach.
    package var effectiveSectors: UInt64 = 0
    /// The generation of the data.
    package var currentGeneration: UInt64 = Superblock.justCreated
    /// The generation that the bitmap counts from; 0 for none.
    package var bitmapGeneration: UInt64 = 0
    /// The younger of the two older generations kept.
    package var historyYounger: UInt64 = 0
    /// The older of the two older generations kept.
    package var historyOlder: UInt64 = 0
    /// A random name of this metadata; 0 if it has none.
    package var deviceUUID: UInt64 = 0
    package var flags: DeviceFlags = .activityLogClean
    package var stored: StoredLayout
    /// The number of slots of the activity log in use.
    package var activityLogSlots: UInt32 = Superblock.activityLogSlotsAtCreation
    /// The largest request in bytes that was agreed with the peer.
    package var peerMaximumRequestBytes: UInt32 = 0
    /// Whether the magic number is the one of an 8.4 driver that was attached.
    package var isMarkedUnclean = false

    /// The superblock of fresh metadata.
    package init(creating layout: Layout) { self.stored = StoredLayout(layout) }
}

extension LegacySuperblock {
    static let magicValue: UInt32 = 0x8374_026B
    static let uncleanMagicValue: UInt32 = 0x8374_026C

    /// Reads a block of 4096 bytes.
    ///
    /// - Throws: ``SuperblockFault`` if it is no v08 superblock or a number is out of bounds.
    package init(decoding bytes: RawSpan) throws(SuperblockFault) {
        guard bytes.byteCount >= Superblock.byteCount else { throw .truncated(bytes.byteCount) }
        let reader = MetadataReader(bytes)
        let magic = reader.big32(at: 60)
        guard magic == Self.magicValue || magic == Self.uncleanMagicValue else {
            throw .wrongMagic(.v08, found: magic)
        }
        self.isMarkedUnclean = magic == Self.uncleanMagicValue
        self.stored = try StoredLayout(
            reader,
            version: .v08,
            stripesAt: 88,
            emptyGeometryIsStandard: true
        )
        self.effectiveSectors = reader.big64(at: 0)
        self.currentGeneration = reader.big64(at: 8)
        self.bitmapGeneration = reader.big64(at: 16)
        self.historyYounger = reader.big64(at: 24)
        self.historyOlder = reader.big64(at: 32)
        self.deviceUUID = reader.big64(at: 40)
        self.flags = DeviceFlags(rawValue: reader.big32(at: 56))
        self.activityLogSlots = reader.big32(at: 72)
        self.peerMaximumRequestBytes = reader.big32(at: 84)
    }

    /// Writes the block into the first 4096 bytes of `memory`.
    ///
    /// Traps if there are fewer.
    package func encode(into memory: UnsafeMutableRawBufferPointer) {
        let writer = MetadataWriter(clearing: memory, byteCount: Superblock.byteCount)
        writer.store(self.effectiveSectors, at: 0)
        writer.store(self.currentGeneration, at: 8)
        writer.store(self.bitmapGeneration, at: 16)
        writer.store(self.historyYounger, at: 24)
        writer.store(self.historyOlder, at: 32)
        writer.store(self.deviceUUID, at: 40)
        writer.store(self.flags.rawValue, at: 56)
        writer.store(self.isMarkedUnclean ? Self.uncleanMagicValue : Self.magicValue, at: 60)
        self.stored.encode(into: writer, stripesAt: 88)
        writer.store(self.activityLogSlots, at: 72)
        writer.store(self.peerMaximumRequestBytes, at: 84)
    }
}
