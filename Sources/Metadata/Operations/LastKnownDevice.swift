// SPDX-License-Identifier: Apache-2.0

/// What was last known of the device that holds a volume's internal metadata.
///
/// Metadata is found from the end of the device. When the device has grown meanwhile, its former
/// size says where to look. The text is that of drbdmeta's side file: size, tab, path; then
/// `uuid:`, tab and the name of the metadata, if it has one.
package struct LastKnownDevice: Hashable, Sendable {
    package var deviceBytes: UInt64
    package var path: String
    /// The name of the metadata; 0 if it has none.
    package var deviceUUID: UInt64

    package init(deviceBytes: UInt64, path: String, deviceUUID: UInt64) {
        self.deviceBytes = deviceBytes
        self.path = path
        self.deviceUUID = deviceUUID
    }

    /// The file's content.
    package var text: String {
        "\(self.deviceBytes)\t\(self.path)\n"
            + (self.deviceUUID == 0 ? "" : "uuid:\t\(self.deviceUUID.hex16)\n")
    }

    /// Reads a file's content; nil if it is none.
    package init?(_ text: String) {
        let lines = text.split(separator: "\n")
        guard let first = lines.first else { return nil }
        let fields = first.split(separator: "\t", maxSplits: 1)
        guard fields.count == 2, let bytes = UInt64(fields[0]) else { return nil }
        self.deviceBytes = bytes
        self.path = String(fields[1])
        self.deviceUUID = 0
        guard lines.count > 1 else { return }
        let name = lines[1].split(separator: "\t")
        guard name.count == 2, name[0] == "uuid:", let uuid = UInt64(name[1], radix: 16) else {
            return nil
        }
        self.deviceUUID = uuid
    }

    /// Whether `metadata`, found where this says, is the one that was meant.
    package func names(_ metadata: StoredMetadata) -> Bool {
        self.deviceUUID == 0 || self.deviceUUID == metadata.superblock.deviceUUID
    }
}
