// SPDX-License-Identifier: Apache-2.0

/// Why a block is not the superblock that was looked for.
package enum SuperblockFault: Error, Hashable, Sendable, CustomStringConvertible {
    case truncated(Int)
    case wrongMagic(FormatVersion, found: UInt32)
    case slotCount(UInt32)
    case nodeID(Int32)
    case bitmapSlot(node: Int, Int32)
    case bytesPerBit(UInt32)
    case geometry(FormatVersion, stripes: UInt32, blocksPerStripe: UInt32)
    case activityLogOffset(FormatVersion, expected: Int32, found: Int32)
    case bitmapOffset(FormatVersion, expected: Int32, found: Int32, isInternal: Bool)
    case metadataSectors(expected: UInt32, found: UInt32)
    case layout(LayoutFault)

    /// Whether there simply is nothing of the kind, as on a device without metadata.
    package var isAbsence: Bool {
        switch self {
        case .wrongMagic, .layout, .truncated: true
        case .slotCount, .nodeID, .bitmapSlot, .bytesPerBit, .geometry, .activityLogOffset,
            .bitmapOffset, .metadataSectors:
            false
        }
    }

    package var description: String {
        switch self {
        case .truncated(let count): "superblock has only \(count) of 4096 bytes"
        case .wrongMagic(let version, _): "\(version) Magic number not found"
        case .slotCount(let count): "v09 max-peers value \(count) out of bounds"
        case .nodeID(let id): "v09 device node-id value \(id) out of bounds"
        case .bitmapSlot(let node, let slot):
            "v09 peer device \(node) bitmap-index value \(slot) out of bounds"
        case .bytesPerBit(let bytes): "bm-byte-per-bit \(bytes) is not supported, only 4096 is"
        case .geometry(let version, let stripes, let blocks):
            "\(version) activity log of \(stripes) stripes of \(blocks) blocks out of bounds"
        case .activityLogOffset(let version, let expected, let found):
            "\(version) al_offset: expected \(expected), found \(found)"
        case .bitmapOffset(let version, let expected, let found, let isInternal):
            isInternal
                ? "strange bm_offset \(found) (expected: \(expected))"
                : "\(version) bm_offset: expected \(expected), found \(found)"
        case .metadataSectors(let expected, let found):
            "strange md_size_sect \(found) (expected: \(expected))"
        case .layout(let fault): fault.description
        }
    }
}
