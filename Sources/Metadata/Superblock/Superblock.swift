// SPDX-License-Identifier: Apache-2.0

/// The versions of the format that this target reads and writes.
package enum FormatVersion: String, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    /// DRBD 9 and bsr: a bitmap and generations for each of up to 31 peers.
    case v09
    /// DRBD 8.0 to 8.4: one peer.
    case v08
}

/// The part of a superblock that says where everything lies.
package struct StoredLayout: Hashable, Sendable, BitwiseCopyable {
    /// The sectors of the whole metadata.
    package var metadataSectors: UInt32
    /// The activity log, in sectors from the superblock.
    package var activityLogOffset: Int32
    /// The bitmap, in sectors from the superblock.
    package var bitmapOffset: Int32
    /// The shape of the activity log.
    package var geometry: ActivityLogGeometry

    /// What a superblock of `layout` stores.
    package init(_ layout: Layout) {
        self.metadataSectors = layout.metadataSectors
        self.activityLogOffset = layout.storedActivityLogOffset
        self.bitmapOffset = layout.storedBitmapOffset
        self.geometry = layout.geometry
    }

    init(
        metadataSectors: UInt32,
        activityLogOffset: Int32,
        bitmapOffset: Int32,
        geometry: ActivityLogGeometry
    ) {
        self.metadataSectors = metadataSectors
        self.activityLogOffset = activityLogOffset
        self.bitmapOffset = bitmapOffset
        self.geometry = geometry
    }
}

/// The superblock of v09 metadata: 4096 bytes, big-endian.
///
/// Decoding and encoding keep every known field; reserved areas are written as zero.
package struct Superblock: Hashable, Sendable {
    /// The last agreed size of the volume in sectors; 0 before the first agreement.
    package var effectiveSectors: UInt64 = 0
    /// The generation of the data.
    package var currentGeneration: UInt64 = Self.justCreated
    /// The nodes of the last partition with quorum, one bit each; written by newer drivers.
    package var members: UInt64 = 0
    /// A random name of this metadata; 0 if it has none.
    package var deviceUUID: UInt64 = 0
    package var flags: DeviceFlags = .activityLogClean
    package var stored: StoredLayout
    /// The number of slots of the activity log in use.
    package var activityLogSlots: UInt32 = Self.activityLogSlotsAtCreation
    /// The largest request in bytes that was agreed with a peer.
    package var peerMaximumRequestBytes: UInt32 = 0
    /// The number of bitmap slots.
    package private(set) var bitmap: BitmapGeometry
    /// The own node id; nil before the first attach.
    package var nodeID: UInt8?
    /// What is known of each node, by node id; always 32.
    package private(set) var peers: [Peer]
    /// Older generations, youngest first, 0 where unused; always 32.
    package private(set) var history: [UInt64]

    /// What is stored about one peer.
    package struct Peer: Hashable, Sendable, BitwiseCopyable {
        /// The generation that the peer's bitmap counts from; 0 for none.
        package var bitmapGeneration: UInt64 = 0
        /// The position in the stream of writes when that generation was set.
        package var bitmapDagtag: UInt64 = 0
        package var flags: PeerFlags = []
        /// The bitmap slot; nil for none.
        package var bitmapSlot: UInt8?

        /// An entry that nothing is known for.
        package init() {}
    }

    /// The bytes of a superblock.
    package static let byteCount = 4096
    /// The node ids there are.
    package static let nodeCount = 32
    /// The older generations that are kept.
    package static let historyCount = 32
    /// The generation of metadata that was never used.
    package static let justCreated: UInt64 = 4
    /// What creation stores as the number of activity log slots.
    package static let activityLogSlotsAtCreation: UInt32 = 257

    /// The superblock of fresh metadata.
    package init(creating layout: Layout) {
        self.stored = StoredLayout(layout)
        self.bitmap = layout.bitmap
        self.peers = Array(repeating: Peer(), count: Self.nodeCount)
        self.history = Array(repeating: 0, count: Self.historyCount)
    }

    /// What is stored about node `node`.
    ///
    /// Traps beyond 31.
    package subscript(peer node: UInt8) -> Peer {
        get { self.peers[Int(node)] }
        set { self.peers[Int(node)] = newValue }
    }

    /// The older generation at `index`, 0 the youngest.
    ///
    /// Traps beyond 31.
    package subscript(history index: Int) -> UInt64 {
        get { self.history[index] }
        set { self.history[index] = newValue }
    }

    /// Describes the same volume in another place.
    package mutating func move(to layout: Layout) {
        self.stored = StoredLayout(layout)
        self.bitmap = layout.bitmap
    }
}

extension Superblock {
    static let magicValue: UInt32 = 0x8374_026D

    private enum Field {
        static let peers = 112
        static let peerBytes = 32
        static let history = 1136
    }

    /// Reads a block of 4096 bytes.
    ///
    /// - Throws: ``SuperblockFault`` if it is no v09 superblock or a number is out of bounds. Where
    ///   the areas lie is checked by ``StoredMetadata``.
    package init(decoding bytes: RawSpan) throws(SuperblockFault) {
        guard bytes.byteCount >= Self.byteCount else { throw .truncated(bytes.byteCount) }
        let reader = MetadataReader(bytes)
        guard reader.big32(at: 60) == Self.magicValue else {
            throw .wrongMagic(.v09, found: reader.big32(at: 60))
        }
        let slotCount = reader.big32(at: 88)
        guard let bitmap = BitmapGeometry(slotCount: Int(slotCount)) else {
            throw .slotCount(slotCount)
        }
        self.bitmap = bitmap
        self.nodeID = try Self.optionalNumber(reader.signed32(at: 92)) { .nodeID($0) }
        self.stored = try StoredLayout(
            reader,
            version: .v09,
            stripesAt: 96,
            emptyGeometryIsStandard: false
        )
        self.effectiveSectors = reader.big64(at: 0)
        self.currentGeneration = reader.big64(at: 8)
        self.members = reader.big64(at: 16)
        self.deviceUUID = reader.big64(at: 48)
        self.flags = DeviceFlags(rawValue: reader.big32(at: 56))
        self.activityLogSlots = reader.big32(at: 72)
        self.peerMaximumRequestBytes = reader.big32(at: 84)
        self.peers = Array(repeating: Peer(), count: Self.nodeCount)
        self.history = Array(repeating: 0, count: Self.historyCount)
        for node in self.peers.indices {
            let offset = Field.peers + node * Field.peerBytes
            self.peers[node].bitmapGeneration = reader.big64(at: offset)
            self.peers[node].bitmapDagtag = reader.big64(at: offset + 8)
            self.peers[node].flags = PeerFlags(rawValue: reader.big32(at: offset + 16))
            self.peers[node].bitmapSlot = try Self.optionalNumber(
                reader.signed32(at: offset + 20)
            ) { .bitmapSlot(node: node, $0) }
        }
        for index in self.history.indices {
            self.history[index] = reader.big64(at: Field.history + index * 8)
        }
    }

    /// Writes the block into the first 4096 bytes of `memory`.
    ///
    /// Traps if there are fewer.
    package func encode(into memory: UnsafeMutableRawBufferPointer) {
        let writer = MetadataWriter(clearing: memory, byteCount: Self.byteCount)
        writer.store(self.effectiveSectors, at: 0)
        writer.store(self.currentGeneration, at: 8)
        writer.store(self.members, at: 16)
        writer.store(self.deviceUUID, at: 48)
        writer.store(self.flags.rawValue, at: 56)
        writer.store(Self.magicValue, at: 60)
        self.stored.encode(into: writer, stripesAt: 96)
        writer.store(self.activityLogSlots, at: 72)
        writer.store(self.peerMaximumRequestBytes, at: 84)
        writer.store(UInt32(self.bitmap.slotCount), at: 88)
        writer.store(self.nodeID.map(Int32.init) ?? -1, at: 92)
        for node in self.peers.indices {
            let peer = self.peers[node]
            let offset = Field.peers + node * Field.peerBytes
            writer.store(peer.bitmapGeneration, at: offset)
            writer.store(peer.bitmapDagtag, at: offset + 8)
            writer.store(peer.flags.rawValue, at: offset + 16)
            writer.store(peer.bitmapSlot.map(Int32.init) ?? -1, at: offset + 20)
        }
        for index in self.history.indices {
            writer.store(self.history[index], at: Field.history + index * 8)
        }
    }

    /// A node id or slot: −1 is none, more than 31 a fault.
    private static func optionalNumber(
        _ value: Int32,
        fault: (Int32) -> SuperblockFault
    ) throws(SuperblockFault) -> UInt8? {
        guard value >= -1, value < Int32(Self.nodeCount) else { throw fault(value) }
        return value == -1 ? nil : UInt8(value)
    }
}

extension StoredLayout {
    /// Reads the fields that v08 and v09 have in common places.
    init(
        _ reader: borrowing MetadataReader,
        version: FormatVersion,
        stripesAt offset: Int,
        emptyGeometryIsStandard: Bool
    ) throws(SuperblockFault) {
        let bytesPerBit = reader.big32(at: 80)
        guard UInt64(bytesPerBit) == BitmapGeometry.bytesPerBit else {
            throw .bytesPerBit(bytesPerBit)
        }
        let stripes = reader.big32(at: offset)
        let blocks = reader.big32(at: offset + 4)
        let isEmpty = stripes == 0 && blocks == 0 && emptyGeometryIsStandard
        guard
            let geometry = isEmpty
                ? .standard : ActivityLogGeometry(stripes: stripes, blocksPerStripe: blocks)
        else { throw .geometry(version, stripes: stripes, blocksPerStripe: blocks) }
        self.init(
            metadataSectors: reader.big32(at: 64),
            activityLogOffset: reader.signed32(at: 68),
            bitmapOffset: reader.signed32(at: 76),
            geometry: geometry
        )
    }

    func encode(into writer: MetadataWriter, stripesAt offset: Int) {
        writer.store(self.metadataSectors, at: 64)
        writer.store(self.activityLogOffset, at: 68)
        writer.store(self.bitmapOffset, at: 76)
        writer.store(UInt32(BitmapGeometry.bytesPerBit), at: 80)
        writer.store(self.geometry.stripes, at: offset)
        writer.store(self.geometry.blocksPerStripe, at: offset + 4)
    }
}
