// SPDX-License-Identifier: Apache-2.0

/// A superblock of either version.
package enum AnySuperblock: Hashable, Sendable {
    case v09(Superblock)
    case v08(LegacySuperblock)

    /// The superblock of fresh metadata.
    package init(creating layout: Layout, version: FormatVersion) {
        switch version {
        case .v09: self = .v09(Superblock(creating: layout))
        case .v08: self = .v08(LegacySuperblock(creating: layout))
        }
    }

    /// Reads a block of 4096 bytes of format `version`.
    package init(decoding bytes: RawSpan, version: FormatVersion) throws(SuperblockFault) {
        switch version {
        case .v09: self = .v09(try Superblock(decoding: bytes))
        case .v08: self = .v08(try LegacySuperblock(decoding: bytes))
        }
    }

    /// Writes the block into the first 4096 bytes of `memory`.
    ///
    /// Traps if there are fewer.
    package func encode(into memory: UnsafeMutableRawBufferPointer) {
        switch self {
        case .v09(let block): block.encode(into: memory)
        case .v08(let block): block.encode(into: memory)
        }
    }

    package var version: FormatVersion {
        switch self {
        case .v09: .v09
        case .v08: .v08
        }
    }

    /// The bitmap slots; v08 has one.
    package var bitmap: BitmapGeometry {
        switch self {
        case .v09(let block): block.bitmap
        case .v08: .single
        }
    }

    /// Where everything lies.
    package var stored: StoredLayout {
        switch self {
        case .v09(let block): block.stored
        case .v08(let block): block.stored
        }
    }

    /// The number of activity log slots in use.
    package var activityLogSlots: UInt32 {
        switch self {
        case .v09(let block): block.activityLogSlots
        case .v08(let block): block.activityLogSlots
        }
    }

    /// The largest request in bytes that was agreed with a peer.
    package var peerMaximumRequestBytes: UInt32 {
        get {
            switch self {
            case .v09(let block): block.peerMaximumRequestBytes
            case .v08(let block): block.peerMaximumRequestBytes
            }
        }
        set {
            self.update(
                { $0.peerMaximumRequestBytes = newValue },
                { $0.peerMaximumRequestBytes = newValue }
            )
        }
    }

    /// The last agreed size of the volume in sectors.
    package var effectiveSectors: UInt64 {
        get {
            switch self {
            case .v09(let block): block.effectiveSectors
            case .v08(let block): block.effectiveSectors
            }
        }
        set { self.update({ $0.effectiveSectors = newValue }, { $0.effectiveSectors = newValue }) }
    }

    /// The random name of this metadata.
    package var deviceUUID: UInt64 {
        get {
            switch self {
            case .v09(let block): block.deviceUUID
            case .v08(let block): block.deviceUUID
            }
        }
        set { self.update({ $0.deviceUUID = newValue }, { $0.deviceUUID = newValue }) }
    }

    package var flags: DeviceFlags {
        get {
            switch self {
            case .v09(let block): block.flags
            case .v08(let block): block.flags
            }
        }
        set { self.update({ $0.flags = newValue }, { $0.flags = newValue }) }
    }

    /// Whether the activity log has been applied: otherwise the bitmap cannot be trusted yet.
    package var isClean: Bool {
        switch self {
        case .v09(let block): block.flags.contains(.activityLogClean)
        case .v08(let block): block.flags.contains(.activityLogClean) && !block.isMarkedUnclean
        }
    }

    /// Notes that the activity log has been applied.
    package mutating func markClean() {
        self.flags.insert(.activityLogClean)
        self.update({ _ in }, { $0.isMarkedUnclean = false })
    }

    /// Describes the same volume in another place.
    package mutating func move(to layout: Layout) {
        self.update({ $0.move(to: layout) }, { $0.stored = StoredLayout(layout) })
    }

    private mutating func update(
        _ change: (inout Superblock) -> Void,
        _ changeLegacy: (inout LegacySuperblock) -> Void
    ) {
        switch self {
        case .v09(var block):
            change(&block)
            self = .v09(block)
        case .v08(var block):
            changeLegacy(&block)
            self = .v08(block)
        }
    }
}

/// Metadata as it was found on a device: a superblock that fits the place where it was read.
package struct StoredMetadata: Hashable, Sendable {
    package var superblock: AnySuperblock
    package var layout: Layout
    /// What is strange but no reason to refuse.
    package var warnings: [SuperblockFault]

    /// Reads the superblock of format `version` and checks that it describes this very place.
    ///
    /// - Parameter bytes: what lies at ``Layout/superblockPosition(_:deviceBytes:)``.
    /// - Throws: ``SuperblockFault`` if it is none, or describes another place.
    package init(
        decoding bytes: RawSpan,
        version: FormatVersion,
        placement: Placement,
        deviceBytes: UInt64
    ) throws(SuperblockFault) {
        self.superblock = try AnySuperblock(decoding: bytes, version: version)
        let stored = self.superblock.stored
        do throws(LayoutFault) {
            self.layout = try Layout(
                placement,
                deviceBytes: deviceBytes,
                slots: self.superblock.bitmap,
                geometry: stored.geometry
            )
        } catch { throw .layout(error) }
        self.warnings = []
        let expected = StoredLayout(self.layout)
        guard stored.activityLogOffset == expected.activityLogOffset else {
            throw .activityLogOffset(
                version,
                expected: expected.activityLogOffset,
                found: stored.activityLogOffset
            )
        }
        guard stored.bitmapOffset == expected.bitmapOffset else {
            throw .bitmapOffset(
                version,
                expected: expected.bitmapOffset,
                found: stored.bitmapOffset,
                isInternal: placement.isInternal
            )
        }
        guard placement.isInternal, stored.metadataSectors != expected.metadataSectors else {
            return
        }
        let fault = SuperblockFault.metadataSectors(
            expected: expected.metadataSectors,
            found: stored.metadataSectors
        )
        switch version {
        case .v08: throw fault
        case .v09: self.warnings.append(fault)
        }
    }

    /// Fresh metadata.
    package init(creating layout: Layout, version: FormatVersion) {
        self.superblock = AnySuperblock(creating: layout, version: version)
        self.layout = layout
        self.warnings = []
    }

    init(superblock: AnySuperblock, layout: Layout) {
        self.superblock = superblock
        self.layout = layout
        self.warnings = []
    }

    /// The agreed size as far as this device can hold it.
    package var effectiveSectors: UInt64 {
        min(self.superblock.effectiveSectors, self.layout.usableSectors)
    }

    /// The bytes of the bitmap that are in use.
    package var bitmapBytes: UInt64 { self.layout.bitmapBytes(forSectors: self.effectiveSectors) }
}

extension Superblock {
    /// Checks what an engine needs on top before it uses the metadata as node `node`.
    ///
    /// - Throws: ``AttachFault`` if the metadata is another node's, has a bitmap slot that does not
    ///   exist or belongs to two peers, or its activity log is still to be applied.
    package func checkAttach(asNode node: UInt8) throws(AttachFault) {
        if let stored = self.nodeID, stored != node { throw .otherNode(stored: stored, own: node) }
        if let slot = self[peer: node].bitmapSlot { throw .ownSlot(slot) }
        var taken: UInt32 = 0
        for peer in UInt8(0)..<UInt8(Self.nodeCount) {
            guard let slot = self[peer: peer].bitmapSlot else { continue }
            guard Int(slot) < self.bitmap.slotCount, taken & 1 << UInt32(slot) == 0 else {
                throw .peerSlot(peer: peer, slot: slot)
            }
            taken |= 1 << UInt32(slot)
        }
        guard self.flags.contains(.activityLogClean) else { throw .unclean }
    }

    /// Why metadata cannot be used by an engine.
    package enum AttachFault: Error, Hashable, Sendable, CustomStringConvertible {
        case otherNode(stored: UInt8, own: UInt8)
        case ownSlot(UInt8)
        case peerSlot(peer: UInt8, slot: UInt8)
        case unclean

        package var description: String {
            switch self {
            case .otherNode(let stored, let own):
                "ambiguous node id: metadata says \(stored), configuration says \(own); correct "
                    + "'disk' or 'node-id' in the resource file"
            case .ownSlot(let slot): "the own node has bitmap slot \(slot) in its metadata"
            case .peerSlot(let peer, let slot):
                "bitmap slot \(slot) of node \(peer) does not exist or belongs to another node too"
            case .unclean: "unclean meta-data found; the activity log has to be applied first"
            }
        }
    }
}
