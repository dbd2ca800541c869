// SPDX-License-Identifier: Apache-2.0

import Metadata
import Primitives
import Testing

/// A 4096-byte block as `encode` writes it, in memory that held other bytes before.
func block(_ encode: (UnsafeMutableRawBufferPointer) -> Void) -> [UInt8] {
    var bytes = [UInt8](repeating: 0xA5, count: 4096)
    bytes.withUnsafeMutableBytes { encode($0) }
    return bytes
}

/// A layout that the test knows to be possible.
func layout(
    _ placement: Placement,
    bytes: UInt64,
    peers: Int,
    stripes: UInt32 = 1,
    blocksPerStripe: UInt32 = 8
) throws -> Layout {
    try Layout(
        placement,
        deviceBytes: bytes,
        slots: try #require(BitmapGeometry(slotCount: peers)),
        geometry: try #require(
            ActivityLogGeometry(stripes: stripes, blocksPerStripe: blocksPerStripe)
        )
    )
}

/// A transaction block.
func transaction(
    _ number: UInt32,
    _ updates: [(slot: UInt16, extent: UInt32)],
    slotCount: Int = 257,
    contextStart: Int = 0,
    context: [UInt32] = []
) -> [UInt8] {
    block { memory in
        var writer = ActivityLogBlockWriter(
            memory,
            transaction: number,
            slotCount: slotCount,
            contextStart: contextStart
        )
        for update in updates { writer.appendUpdate(slot: update.slot, extent: update.extent) }
        for extent in context { writer.appendContext(extent) }
        writer.finish()
    }
}

extension SeededRandom {
    /// A superblock of random content for `layout`.
    mutating func superblock(_ layout: Layout) -> Superblock {
        var superblock = Superblock(creating: layout)
        superblock.effectiveSectors = self.below(layout.usableSectors + 1)
        superblock.currentGeneration = self.next()
        superblock.deviceUUID = self.next()
        superblock.flags = DeviceFlags(rawValue: UInt32(truncatingIfNeeded: self.next()))
        superblock.activityLogSlots = UInt32(self.below(65535))
        superblock.peerMaximumRequestBytes = UInt32(self.below(1 << 20))
        superblock.nodeID = self.chance(1, in: 4) ? nil : UInt8(self.below(32))
        for node in UInt8(0)..<32 {
            superblock[peer: node].bitmapGeneration = self.next()
            superblock[peer: node].bitmapDagtag = self.next()
            superblock[peer: node].flags = PeerFlags(rawValue: UInt32(self.below(1 << 32)))
            superblock[peer: node].bitmapSlot =
                self.chance(1, in: 2) ? nil : UInt8(self.below(UInt64(layout.bitmap.slotCount)))
            superblock[history: Int(node)] = self.next()
        }
        return superblock
    }
}
