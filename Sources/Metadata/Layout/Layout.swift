// SPDX-License-Identifier: Apache-2.0

/// Where superblock, activity log and bitmap of one volume lie on the device that holds them.
///
/// ```
/// internal   |<---------- data ---------->|<- bitmap ->|<- log ->|<- superblock ->|(tail < 4096)
/// external   |<- superblock ->|<- log ->|<- bitmap ... ->|
/// ```
///
/// A value of this type is consistent: every area lies inside the device and none overlaps another.
/// Source: the layout of DRBD v08 and v09 metadata, which differ only in the number of slots.
package struct Layout: Hashable, Sendable, BitwiseCopyable {
    package let placement: Placement
    /// The size in bytes of the device that holds the metadata.
    package let deviceBytes: UInt64
    package let geometry: ActivityLogGeometry
    package let bitmap: BitmapGeometry

    /// The byte position of the superblock.
    package let superblockPosition: UInt64
    /// The byte position of the activity log.
    package let activityLogPosition: UInt64
    /// The byte position of the bitmap.
    package let bitmapPosition: UInt64
    /// The bytes reserved for the bitmap.
    package let bitmapCapacity: UInt64
    /// The most sectors the volume can have: up to the metadata, or what the bitmap can describe.
    package let usableSectors: UInt64
    /// The sectors of the whole metadata as the superblock stores it.
    package let metadataSectors: UInt32

    /// The smallest device that may hold metadata.
    package static let deviceBytesMinimum: UInt64 = 68 << 10
    /// The largest: 1 PiB, what 32-bit offsets of a bitmap for 31 peers can reach.
    package static let deviceBytesMaximum: UInt64 = 1 << 50
    /// The bytes of one slot of an indexed device.
    package static let slotBytes: UInt64 = 128 << 20

    /// Lays out metadata for `slotCount` peers on a device of `deviceBytes`.
    ///
    /// - Throws: ``LayoutFault`` if the device is too small, too large or lacks the slot.
    package init(
        _ placement: Placement,
        deviceBytes: UInt64,
        slots: BitmapGeometry,
        geometry: ActivityLogGeometry = .standard
    ) throws(LayoutFault) {
        self.placement = placement
        self.deviceBytes = deviceBytes
        self.geometry = geometry
        self.bitmap = slots
        let superblock = try Self.superblockPosition(placement, deviceBytes: deviceBytes)
        switch placement {
        case .internal:
            let log = UInt64(geometry.byteCount)
            let bitmap = slots.byteCount(forSectors: deviceBytes >> 9)
            guard superblock > log, superblock - log > bitmap else {
                throw .areasDoNotFit(deviceBytes: deviceBytes, needed: log + bitmap + 4096)
            }
            self.superblockPosition = superblock
            self.activityLogPosition = superblock - log
            self.bitmapPosition = superblock - log - bitmap
            self.bitmapCapacity = bitmap
            self.usableSectors = self.bitmapPosition >> 9
            self.metadataSectors = UInt32((bitmap + log + 4096) >> 9)
        case .flexibleExternal, .indexed:
            let area = Self.externalArea(placement, from: superblock, deviceBytes: deviceBytes)
            let head = 4096 + UInt64(geometry.byteCount)
            guard area.available > head else {
                throw .areasDoNotFit(deviceBytes: deviceBytes, needed: superblock + head + 4096)
            }
            self.superblockPosition = superblock
            self.activityLogPosition = superblock + 4096
            self.bitmapPosition = superblock + head
            self.bitmapCapacity = area.available - head
            self.usableSectors = slots.sectorCount(describedBy: self.bitmapCapacity)
            self.metadataSectors = area.sectors
        }
    }

    /// The byte position of the superblock, which depends on nothing but the device's size.
    ///
    /// - Throws: ``LayoutFault`` if the device is too small, too large or lacks the slot.
    package static func superblockPosition(
        _ placement: Placement,
        deviceBytes: UInt64
    ) throws(LayoutFault) -> UInt64 {
        guard deviceBytes >= Self.deviceBytesMinimum else { throw .deviceTooSmall(deviceBytes) }
        guard deviceBytes <= Self.deviceBytesMaximum else { throw .deviceTooLarge(deviceBytes) }
        switch placement {
        case .internal: return (deviceBytes - 4096) & ~4095
        case .flexibleExternal: return 0
        case .indexed(let index):
            let start = UInt64(index) * Self.slotBytes
            guard start < deviceBytes - 4096 else {
                throw .slotBeyondEnd(index: index, deviceBytes: deviceBytes)
            }
            return start
        }
    }

    /// What an external placement occupies: its size in sectors, and the bytes that really are
    /// there.
    private static func externalArea(
        _ placement: Placement,
        from start: UInt64,
        deviceBytes: UInt64
    ) -> (sectors: UInt32, available: UInt64) {
        switch placement {
        case .indexed:
            return (UInt32(Self.slotBytes >> 9), min(Self.slotBytes, (deviceBytes - start) & ~511))
        case .internal, .flexibleExternal:
            // The field has 32 bits. Of a larger device only what they can express is used; the
            // field's own tool lets the number wrap.
            let sectors = min(deviceBytes >> 9, UInt64(UInt32.max) & ~7)
            return (UInt32(sectors), sectors << 9)
        }
    }

    /// The activity log's position as the superblock stores it: signed sectors from the superblock.
    package var storedActivityLogOffset: Int32 {
        self.placement.isInternal ? -Int32(self.geometry.sectorCount) : 8
    }

    /// The bitmap's position as the superblock stores it: signed sectors from the superblock.
    package var storedBitmapOffset: Int32 {
        self.placement.isInternal
            ? 8 - Int32(bitPattern: self.metadataSectors) : 8 + Int32(self.geometry.sectorCount)
    }

    /// The bytes of the bitmap that are in use while the volume has `sectors`, at most
    /// ``usableSectors``.
    package func bitmapBytes(forSectors sectors: UInt64) -> UInt64 {
        min(
            self.bitmap.byteCount(forSectors: min(sectors, self.usableSectors)),
            self.bitmapCapacity
        )
    }

    /// The byte position of the log's block for transaction number `transaction`.
    package func position(ofTransaction transaction: UInt32) -> UInt64 {
        self.activityLogPosition + UInt64(self.geometry.block(ofTransaction: transaction)) * 4096
    }
}

/// Why metadata cannot be laid out on a device.
package enum LayoutFault: Error, Hashable, Sendable, CustomStringConvertible {
    case deviceTooSmall(UInt64)
    case deviceTooLarge(UInt64)
    case slotBeyondEnd(index: UInt8, deviceBytes: UInt64)
    case areasDoNotFit(deviceBytes: UInt64, needed: UInt64)

    package var description: String {
        switch self {
        case .deviceTooSmall(let bytes):
            "the device has only \(bytes) bytes; metadata needs at least "
                + "\(Layout.deviceBytesMinimum)"
        case .deviceTooLarge(let bytes):
            "the device has \(bytes) bytes; at most \(Layout.deviceBytesMaximum) are supported"
        case .slotBeyondEnd(let index, let bytes):
            "slot \(index) begins beyond the end of the device, which has \(bytes) bytes"
        case .areasDoNotFit(let bytes, let needed):
            "activity log and bitmap do not fit: the device has \(bytes) bytes, "
                + "\(needed) are needed"
        }
    }
}
