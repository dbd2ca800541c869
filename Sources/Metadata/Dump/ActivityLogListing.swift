// SPDX-License-Identifier: Apache-2.0

/// The activity log in readable form, as comments below a dump.
package enum ActivityLogListing {
    /// Lists the blocks of `ring` in the order in which they lie on disk.
    ///
    /// - Parameter activityLogSlots: what the superblock says; larger slot numbers are pointed out.
    package static func text(
        ring: RawSpan,
        geometry: ActivityLogGeometry,
        activityLogSlots: UInt32
    ) -> String {
        var text = "# al {\n"
        var largest: Int?
        for index in 0..<Int(geometry.blockCount) {
            let start = index * ActivityLogBlock.byteCount
            text += "#     block \(String(index).padded(to: 2)) { "
            guard start + ActivityLogBlock.byteCount <= ring.byteCount,
                let block = ActivityLogBlockReader(
                    ring.extracting(start..<start + ActivityLogBlock.byteCount)
                )
            else {
                text += "INVALID }\n"
                continue
            }
            if block.isInitialised {
                text += "INITIALIZED }\n"
            } else {
                text.removeLast()
                text += "\n" + Self.transaction(block, largest: &largest) + "#     }\n"
            }
        }
        if let largest, largest >= Int(activityLogSlots) {
            text += "### CAUTION: maximum slot number found in AL: \(largest)\n"
            text += "### CAUTION: but 'super-block' al-extents is: \(activityLogSlots)\n"
        }
        return text + "# }\n"
    }

    private static func transaction(
        _ block: borrowing ActivityLogBlockReader,
        largest: inout Int?
    ) -> String {
        var text = "# \tmagic: 0x\(String(ActivityLogBlock.magicValue, radix: 16))\n"
        let kind = String(block.kind, radix: 16)
        text += "# \ttype: 0x\(String(repeating: "0", count: 4 - kind.utf8.count) + kind)\n"
        text += "# \ttr: \(String(block.transaction).padded(to: 10))\n"
        text += "# \tactive set size: \(block.slotCount)\n"
        for index in 0..<ActivityLogBlock.contextCapacity {
            let slot = Int(block.contextStart) + index
            let extent = block.context(at: index)
            if extent == ActivityLogBlock.noExtent && slot >= Int(block.slotCount) { continue }
            text += Self.row(index, slot, extent)
            largest = max(largest ?? slot, slot)
        }
        text += "# \tupdates: \(block.updateCount)\n"
        for index in 0..<ActivityLogBlock.updateCapacity {
            let update = block.update(at: index)
            if index >= Int(block.updateCount) && update.slot == ActivityLogBlock.noSlot {
                continue
            }
            text += Self.row(index, Int(update.slot), update.extent)
            largest = max(largest ?? Int(update.slot), Int(update.slot))
        }
        let checksum = String(block.checksum, radix: 16)
        text += "# \tcrc32c: 0x"
        return text + String(repeating: "0", count: 8 - checksum.utf8.count) + checksum + "\n"
    }

    private static func row(_ index: Int, _ slot: Int, _ extent: UInt32) -> String {
        "# \t\(String(index).padded(to: 2)): \(String(slot).padded(to: 10)) "
            + "\(String(extent).padded(to: 10))\n"
    }
}
