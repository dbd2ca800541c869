// SPDX-License-Identifier: Apache-2.0

package import Metadata

/// Why a disk must not be attached with the metadata that it has.
package enum AttachRefusal: Error, Hashable, Sendable {
    /// The metadata is not this node's, or not clean.
    case metadata(Superblock.AttachFault)
    /// All bitmap slots belong to other peers.
    case noBitmapSlot
    /// There is no room for a single block of the bitmap.
    case diskTooSmall
    /// The volume's data does not fit any more, in sectors.
    case dataTooLarge(agreed: UInt64, room: UInt64)
}

extension Resource {
    /// What the core has to know of a disk with this metadata to attach it as that of volume
    /// `index`.
    ///
    /// - Parameters:
    ///   - node: this node.
    ///   - dataSectors: the size of the device with the data; with internal metadata, with that.
    package func attachment(
        _ index: UInt16,
        _ superblock: Superblock,
        _ layout: Layout,
        node: UInt8,
        peer: UInt8,
        dataSectors: UInt64
    ) throws(AttachRefusal) -> Attachment {
        do throws(Superblock.AttachFault) {
            try superblock.checkAttach(asNode: node)
        } catch { throw .metadata(error) }
        guard let slot = superblock.slot(of: peer) else { throw .noBitmapSlot }
        let sectors = min(dataSectors, layout.usableSectors)
        guard sectors >= OutOfSyncBitmap.sectorsPerBit else { throw .diskTooSmall }
        let found = superblock.attachment(
            peer: peer,
            slot: slot,
            diskSectors: sectors,
            layout: layout
        )
        if let room = self.roomIfTooSmall(index, found) {
            throw .dataTooLarge(agreed: found.agreedSectors, room: room)
        }
        return found
    }
}
