// SPDX-License-Identifier: Apache-2.0

/// The text that `dump-md` prints and `restore-md` reads.
///
/// ``head(of:header:)``, then each bitmap through ``BitmapText``, then ``tail(setBits:)``. The text
/// equals that of drbdmeta 9.22 byte for byte, except that v08 flags are those of the superblock
/// (drbdmeta prints 0) and `members`, which it does not know, is printed where set.
package enum MetadataDump {
    /// What the comment on top says about the dump.
    package struct Header: Hashable, Sendable {
        /// As `2026-11-20 23:03:53 +0000 [1795215833]`.
        package var time: String
        package var host: String
        /// The command line, as the user typed it.
        package var command: String
        /// The size the device had when the metadata was written, where it has another one now.
        package var formerDeviceBytes: UInt64?

        package init(
            time: String,
            host: String,
            command: String,
            formerDeviceBytes: UInt64? = nil
        ) {
            self.time = time
            self.host = host
            self.command = command
            self.formerDeviceBytes = formerDeviceBytes
        }
    }

    /// Everything before the first bitmap.
    package static func head(of metadata: StoredMetadata, header: Header) -> String {
        var text = """
            # DRBD meta data dump
            # \(header.time)
            # \(header.host)> \(header.command)
            #

            version "\(metadata.superblock.version.rawValue)";


            """
        if !metadata.superblock.isClean { text += Self.uncleanText }
        if case .v09(let block) = metadata.superblock {
            text += "max-peers \(block.bitmap.slotCount);\n"
        }
        text += Self.positions(metadata.layout, header)
        switch metadata.superblock {
        case .v09(let block): text += Self.body(block)
        case .v08(let block): text += Self.body(block)
        }
        text += """
            # al-extents \(metadata.superblock.activityLogSlots);
            la-size-sect \(metadata.effectiveSectors);
            bm-byte-per-bit \(BitmapGeometry.bytesPerBit);
            device-uuid 0x\(metadata.superblock.deviceUUID.hex16);
            la-peer-max-bio-size \(metadata.superblock.peerMaximumRequestBytes);
            al-stripes \(metadata.layout.geometry.stripes);
            al-stripe-size-4k \(metadata.layout.geometry.blocksPerStripe);
            # bm-bytes \(metadata.bitmapBytes);

            """
        return text
    }

    /// What follows the last bitmap; `setBits` counts the last slot only.
    package static func tail(setBits: Int) -> String { "# bits-set \(setBits);\n" }

    /// The line that comes first when the stored size exceeds what the device can hold; nil
    /// otherwise.
    package static func truncationNote(_ metadata: StoredMetadata) -> String? {
        let stored = metadata.superblock.effectiveSectors
        guard stored > metadata.layout.usableSectors else { return nil }
        return "# la-size-sect was too big (\(stored)), "
            + "truncated (\(metadata.layout.usableSectors))!\n"
    }

    /// Not a word of the grammar, so that such a dump cannot be restored by accident.
    private static let uncleanText = """
        This_is_an_unclean_meta_data_dump._Don't_trust_the_bitmap.
        # You should "apply-al" first, if you plan to restore this.


        """

    private static func positions(_ layout: Layout, _ header: Header) -> String {
        var text = "# md_size_sect \(layout.metadataSectors)\n"
        if let former = header.formerDeviceBytes {
            text += """
                #
                ### Device seems to have been resized!
                ### It had \(former) bytes when its meta data was written; \
                positions are of that time.
                ### Use check-resize to move the meta data.
                #

                """
        }
        text += """
            # md_offset \(layout.superblockPosition)
            # al_offset \(layout.activityLogPosition)
            # bm_offset \(layout.bitmapPosition)


            """
        return text
    }

    private static func body(_ block: Superblock) -> String {
        var text = """
            node-id \(block.nodeID.map(Int.init) ?? -1);
            current-uuid 0x\(block.currentGeneration.hex16);
            flags 0x\(block.flags.rawValue.hex8);

            """
        if block.members != 0 { text += "members 0x\(block.members.hex16);\n" }
        for (node, peer) in block.peers.enumerated() {
            text += """
                peer[\(node)] {
                    bitmap-index \(peer.bitmapSlot.map(Int.init) ?? -1);
                    bitmap-uuid 0x\(peer.bitmapGeneration.hex16);
                    bitmap-dagtag 0x\(peer.bitmapDagtag.hex16);
                    flags 0x\(peer.flags.rawValue.hex8);\(Self.labels(peer.flags))
                }

                """
        }
        text += "history-uuids {"
        for (index, generation) in block.history.enumerated() {
            text += index % 4 == 0 ? "\n        " : " "
            text += "0x\(generation.hex16);"
        }
        return text + "\n}\n"
    }

    private static func body(_ block: LegacySuperblock) -> String {
        """
        uuid {
            0x\(block.currentGeneration.hex16); 0x\(block.bitmapGeneration.hex16); \
        0x\(block.historyYounger.hex16); 0x\(block.historyOlder.hex16);
            flags 0x\(block.flags.rawValue.hex8);
        }

        """
    }

    /// The comment that names the flags that are set.
    private static func labels(_ flags: PeerFlags) -> String {
        let known: [UInt32: String] = [
            PeerFlags.connected.rawValue: "connected",
            PeerFlags.outdated.rawValue: "<=outdated",
            PeerFlags.fencing.rawValue: "fencing",
            PeerFlags.fullSync.rawValue: "full-sync",
            PeerFlags.deviceSeen.rawValue: "seen",
            PeerFlags.nodeExists.rawValue: "exists",
        ]
        let labels = (0..<32).map { UInt32(1) << $0 }
            .filter { flags.rawValue & $0 != 0 }
            .map { known[$0] ?? "0x\(String($0, radix: 16))=?" }
        return labels.isEmpty ? "" : " # " + labels.joined(separator: " | ")
    }
}
