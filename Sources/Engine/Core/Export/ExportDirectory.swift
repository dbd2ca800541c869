// SPDX-License-Identifier: Apache-2.0

package import Wire
internal import Primitives

/// One volume as NBD clients see it, at the moment a client asks.
package struct ExportDescription: Hashable, Sendable {
    /// Whether a client may use the export now.
    package enum Availability: Hashable, Sendable {
        case available
        /// Listed, but refused with this sentence, which says what to do: the node is Secondary.
        case refused(String)
    }

    /// The driver's number for the volume.
    package let identifier: UInt32
    /// `resource/volume`.
    package let name: String
    /// A line for people; may be empty.
    package let description: String
    /// The usable size in bytes, a multiple of 512.
    package let byteCount: UInt64
    package let availability: Availability
    package let abilities: ExportAbilities

    /// Creates a description.
    ///
    /// Traps if a text is longer than NBD allows (4096 bytes) or the size is no multiple of 512:
    /// names come from our configuration, sizes from our metadata.
    package init(
        identifier: UInt32,
        name: String,
        description: String = "",
        byteCount: UInt64,
        availability: Availability,
        abilities: ExportAbilities
    ) {
        invariant(!name.isEmpty && name.utf8.count <= NBDLimits.textMaximum, "an export's name")
        invariant(description.utf8.count <= NBDLimits.textMaximum, "an export's description")
        invariant(byteCount % 512 == 0, "an export has whole sectors")
        if case .refused(let sentence) = availability {
            invariant(sentence.utf8.count <= NBDLimits.textMaximum, "a refusal's length")
        }
        self.identifier = identifier
        self.name = name
        self.description = description
        self.byteCount = byteCount
        self.availability = availability
        self.abilities = abilities
    }
}

/// What an export can do beyond reading, writing and flushing.
package struct ExportAbilities: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static var trim: Self { Self(rawValue: 1 << 0) }
    package static var writeZeroes: Self { Self(rawValue: 1 << 1) }
    /// A write-zeroes request that asks to be fast either is, or ends with `notSupported` at once.
    package static var fastZero: Self { Self(rawValue: 1 << 2) }
    /// A flush on one connection covers what all connections have written.
    package static var multiConnection: Self { Self(rawValue: 1 << 3) }

    /// The flags announced to a client.
    ///
    /// The export is never read-only, rotational or cached.
    package func transmissionFlags(structuredReplies: Bool) -> NBDTransmissionFlags {
        var flags: NBDTransmissionFlags = [.hasFlags, .sendFlush, .sendForcedUnitAccess]
        if self.contains(.trim) { flags.insert(.sendTrim) }
        if self.contains(.writeZeroes) { flags.insert(.sendWriteZeroes) }
        if self.contains([.writeZeroes, .fastZero]) { flags.insert(.sendFastZero) }
        if self.contains(.multiConnection) { flags.insert(.canMultiConnection) }
        if structuredReplies { flags.insert(.sendDoNotFragment) }
        return flags
    }
}

/// All exports of a server at one moment.
package struct ExportDirectory: Sendable {
    package let exports: [ExportDescription]

    package init(_ exports: [ExportDescription]) { self.exports = exports }

    /// The export of this name; for the empty name the only export, if there is exactly one.
    package func find(_ name: RawSpan) -> ExportDescription? {
        if name.byteCount == 0 { return self.exports.count == 1 ? self.exports.first : nil }
        return name.withUnsafeBytes { name in
            self.exports.first { name.elementsEqual($0.name.utf8) }
        }
    }
}
