// SPDX-License-Identifier: Apache-2.0

/// What `apply-al` has to do after a replay.
package struct ActivityLogVerdict: Hashable, Sendable {
    /// What to tell the user, on stderr.
    package let messages: [String]
    package let action: Action

    package enum Action: Hashable, Sendable {
        /// The log cannot be trusted and counts: give up.
        case fail
        /// Set the bits of these extents for all slots; then, if asked for, write the whole ring as
        /// never used; then mark the superblock clean.
        case apply(extents: [UInt32], initialisesRing: Bool)
    }

    /// Judges `replay` of the log of `superblock`, whose bitmap has `bitmapBytes` in use.
    package init(_ replay: ActivityLogReplay, superblock: AnySuperblock, bitmapBytes: UInt64) {
        let counts = superblock.flags.contains(.primary)
        let ignored = "Error ignored, no need to apply the AL"
        var messages: [String] = []
        switch replay.outcome {
        case .neverUsed:
            self.action = .apply(extents: [], initialisesRing: false)
        case .firstTransactionTorn:
            messages.append("1 corrupt AL transactions found")
            self.action = .apply(extents: [], initialisesRing: false)
        case .unusable:
            messages.append("No usable activity log found. Do you need to create-md?")
            if !counts { messages.append(ignored) }
            self.action = counts ? .fail : .apply(extents: [], initialisesRing: true)
        case .noTransaction(let corrupt):
            messages.append("\(corrupt) corrupt AL transactions found")
            messages.append("No valid AL update transaction found.")
            if !counts { messages.append(ignored) }
            self.action = counts ? .fail : .apply(extents: [], initialisesRing: true)
        case .replayed(let corrupt, let hot):
            if corrupt > 0 { messages.append("\(corrupt) corrupt AL transactions found") }
            messages += replay.warnings.map(\.text)
            var extents: [UInt32] = []
            for extent in counts ? hot : [] {
                let start = superblock.bitmap.byteRange(ofExtent: extent).lowerBound
                if start < bitmapBytes {
                    extents.append(extent)
                } else if messages.count < 2 * ActivityLogReplay.warningLimit {
                    messages.append(
                        "extent \(extent) beyond end of bitmap! (\(start) >= \(bitmapBytes))"
                    )
                }
            }
            if counts && hot.isEmpty { messages.append("Nothing to do.") }
            self.action = .apply(extents: extents, initialisesRing: true)
        }
        self.messages = messages
    }

    /// The message that closes a replay that has set `bits` in all slots together.
    package static func marked(bits: Int) -> String {
        let size = UInt64.readable(kibibytes: UInt64(bits) * BitmapGeometry.bytesPerBit / 1024)
        return "Marked additional \(size) as out-of-sync based on AL."
    }
}

extension ActivityLogReplay.Warning {
    /// The message.
    package var text: String {
        (self.isUpdate ? "update slot" : "slot")
            + " number out of range: tr:\(self.transaction) slot:\(self.slot)"
    }
}
