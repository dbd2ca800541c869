// SPDX-License-Identifier: Apache-2.0

/// The feature bits of P_CONNECTION_FEATURES that protocol 86 to 101 knows.
package struct FeatureFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// P_TRIM may be sent.
    package static let trim = Self(rawValue: 0x1)
    /// P_RS_THIN_REQ and P_RS_DEALLOCATED may be sent.
    package static let thinResync = Self(rawValue: 0x2)
    /// P_SIZES has queue limits and one discard may cover 128 MiB.
    package static let writeSame = Self(rawValue: 0x4)
    /// P_ZEROES may be sent, and P_TRIM really discards.
    package static let writeZeroes = Self(rawValue: 0x8)

    /// What this implementation announces: the same as DRBD 8.4.11.
    package static let announced: Self = [.trim, .thinResync, .writeSame, .writeZeroes]
}

/// What the two ends of a connection have agreed on: it decides framing, sizes and allowed packets.
package struct WireAgreement: Hashable, Sendable, BitwiseCopyable {
    /// The agreed protocol version; 80 until the features have been exchanged.
    package let version: UInt32
    /// The features that both ends announced.
    package let features: FeatureFlags
    /// The size of the digest in front of the payload of writes and replies; 0 without one.
    ///
    /// It belongs to one direction: the two ends switch algorithms at their own points of the
    /// stream.
    package var digestByteCount: UInt32 = 0

    /// What holds on a fresh socket.
    package static let none = Self(version: 80, features: [])

    /// Creates an agreement that was reached elsewhere: by the handshake, or by a test.
    package init(version: UInt32, features: FeatureFlags, digestByteCount: UInt32 = 0) {
        self.version = version
        self.features = features
        self.digestByteCount = digestByteCount
    }

    /// Whether the features have been exchanged.
    package var isReached: Bool { self.version >= ReplicationLimits.versionMinimum }

    /// The largest payload of one write or resync block in bytes.
    package var payloadLimit: UInt32 {
        if self.version >= 100 { return 1 << 20 }
        return self.version >= 95 ? 128 << 10 : 32 << 10
    }

    /// The largest range in bytes of one P_TRIM, P_ZEROES or P_WSAME.
    package var discardLimit: UInt32 { self.features.contains(.writeSame) ? 128 << 20 : 4 << 20 }

    /// The header that a packet with `length` bytes behind its header is sent with.
    package func headerFormat(length: UInt32) -> HeaderFormat {
        if self.version >= 100 { return .h100 }
        return self.version >= 95 && length > 32_768 ? .h95 : .h80
    }
}

/// Sizes and versions of the replication protocol that do not depend on what was agreed.
package enum ReplicationLimits {
    /// The oldest protocol version that DRBD 8.4 and this implementation can speak.
    package static let versionMinimum: UInt32 = 86
    /// The newest version before DRBD 9's.
    package static let versionMaximum: UInt32 = 101
    /// Header and control or bitmap bytes together.
    package static let controlPacketByteCount: UInt32 = 4096
    /// An algorithm's name with its NUL.
    package static let algorithmNameByteCount = 64
    /// The longest digest that is accepted: that of SHA-512.
    package static let digestByteCount: UInt32 = 64
    /// What P_AUTH_CHALLENGE may carry; we send the smaller.
    package static let challengeByteCounts: ClosedRange<UInt32> = 64...128
    /// The end of the largest device: 2^63 bytes, so that every byte offset fits a signed number.
    package static let sectorEnd: UInt64 = 1 << 54
    /// A header with the largest fixed part that any packet has, P_SYNC_PARAM89.
    package static let headByteCount = 16 + 148
}
