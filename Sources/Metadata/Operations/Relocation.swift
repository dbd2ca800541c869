// SPDX-License-Identifier: Apache-2.0

/// How internal metadata moves to the end of a device that has grown.
///
/// 1. Read superblock and activity log of the old place.
/// 2. Carry out ``bitmapCopies`` in order; areas may overlap, so they run backwards.
/// 3. Zero ``bitmapGrowth``; it stands for nothing before a larger size has been agreed.
/// 4. Write the activity log, then flush, then write the superblock, then flush.
/// 5. Zero ``remains``, flush.
package struct Relocation: Hashable, Sendable {
    package let from: Layout
    package let to: Layout
    /// Parts of the bitmap, in the order in which to copy them.
    package let bitmapCopies: [Copy]
    /// What the bitmap has gained.
    package let bitmapGrowth: Range<UInt64>
    /// What lay in the old place and is data of the volume from now on.
    package let remains: Range<UInt64>

    /// Bytes to copy on the device.
    package struct Copy: Hashable, Sendable, BitwiseCopyable {
        package let source: UInt64
        package let target: UInt64
        package let count: Int
    }

    /// The most bytes of one copy.
    package static let copyLimit = 1 << 20

    /// Plans the move of `metadata` to a device that has now `deviceBytes`.
    ///
    /// - Throws: ``LayoutFault`` if it would not fit, or ``LayoutFault/deviceTooSmall(_:)`` if the
    ///   device has not grown: what was at its end is gone.
    package init(_ metadata: StoredMetadata, toDeviceBytes deviceBytes: UInt64) throws(LayoutFault)
    {
        let old = metadata.layout
        let new = try Layout(
            old.placement,
            deviceBytes: deviceBytes,
            slots: old.bitmap,
            geometry: old.geometry
        )
        guard old.placement.isInternal, new.superblockPosition > old.superblockPosition,
            new.bitmapPosition >= old.bitmapPosition
        else { throw .deviceTooSmall(deviceBytes) }
        self.from = old
        self.to = new
        var copies: [Copy] = []
        var rest = min(old.bitmapCapacity, new.bitmapCapacity)
        while rest > 0 {
            let count = min(rest, UInt64(Self.copyLimit))
            rest -= count
            copies.append(
                Copy(
                    source: old.bitmapPosition + rest,
                    target: new.bitmapPosition + rest,
                    count: Int(count)
                )
            )
        }
        self.bitmapCopies = copies
        self.bitmapGrowth =
            new.bitmapPosition
            + min(old.bitmapCapacity, new.bitmapCapacity)..<new.activityLogPosition
        self.remains =
            old.bitmapPosition..<min(old.deviceBytes, new.bitmapPosition)
    }
}
