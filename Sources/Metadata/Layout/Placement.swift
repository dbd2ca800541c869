// SPDX-License-Identifier: Apache-2.0

/// Where the metadata of a volume lies.
package enum Placement: Hashable, Sendable, BitwiseCopyable {
    /// At the end of the data device: bitmap, activity log, superblock.
    case `internal`
    /// On a device of its own that it fills: superblock, activity log, bitmap.
    case flexibleExternal
    /// In slot `index` of 128 MiB on a shared device, inside like `flexibleExternal`.
    case indexed(UInt8)

    /// The placement that a command line's word names; nil for any other word.
    package init?(word: String) {
        switch word {
        case "internal", "flex-internal": self = .internal
        case "flex-external": self = .flexibleExternal
        default:
            guard !word.isEmpty, word.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }),
                let index = UInt8(word)
            else { return nil }
            self = .indexed(index)
        }
    }

    /// Whether the metadata shares the device with the data.
    package var isInternal: Bool { self == .internal }
}
