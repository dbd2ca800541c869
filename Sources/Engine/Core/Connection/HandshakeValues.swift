// SPDX-License-Identifier: Apache-2.0

/// What one node can speak: the contents of P_CONNECTION_FEATURES.
package struct Features: Hashable, Sendable, BitwiseCopyable {
    /// The oldest protocol version.
    package var versionMinimum: UInt32
    /// The newest protocol version.
    package var versionMaximum: UInt32
    /// The feature flags.
    package var flags: FeatureFlags

    /// Creates features.
    package init(versionMinimum: UInt32, versionMaximum: UInt32, flags: FeatureFlags) {
        self.versionMinimum = versionMinimum
        self.versionMaximum = versionMaximum
        self.flags = flags
    }

    /// What this implementation announces.
    package static let own = Self(
        versionMinimum: 101,
        versionMaximum: 101,
        flags: [.trim, .thinResync, .writeSame, .writeZeroes]
    )

    /// The newest version and the flags that both can; nil if there is no common version.
    func agreement(with peer: Features) -> (version: UInt32, flags: FeatureFlags)? {
        // Old nodes leave the maximum away when they know only one version.
        let peerMaximum = peer.versionMaximum == 0 ? peer.versionMinimum : peer.versionMaximum
        guard self.versionMaximum >= peer.versionMinimum, self.versionMinimum <= peerMaximum else {
            return nil
        }
        return (min(self.versionMaximum, peerMaximum), self.flags.intersection(peer.flags))
    }
}

/// Features of the protocol that are agreed on by flag.
package struct FeatureFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// P_TRIM may be sent.
    package static let trim = Self(rawValue: 1)
    /// P_RS_THIN_REQ and P_RS_DEALLOCATED may be sent.
    package static let thinResync = Self(rawValue: 2)
    /// P_SIZES is 56 bytes long, discards may be large, crashed Primaries are told apart.
    package static let writeSame = Self(rawValue: 4)
    /// P_ZEROES may be sent; P_TRIM means discard.
    package static let writeZeroes = Self(rawValue: 8)
}

/// When a write is complete, as P_PROTOCOL numbers it.
package enum ReplicationProtocol: UInt32, Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case a = 1
    case b = 2
    case c = 3
}

/// Up to 64 bytes in place: a challenge, a digest, the name of an algorithm.
package struct ShortBytes: Sendable, BitwiseCopyable {
    /// The most that fits.
    package static let capacity = 64

    private var storage = InlineArray<64, UInt8>(repeating: 0)
    /// The number of bytes.
    package private(set) var count = 0

    /// Creates an empty value.
    package init() {}

    /// Copies `bytes`; nil if there are more than ``capacity``.
    package init?(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            guard self.count < Self.capacity else { return nil }
            self.storage[self.count] = byte
            self.count += 1
        }
    }

    /// The byte at `index`. Traps beyond `count`.
    package subscript(index: Int) -> UInt8 {
        precondition(index < self.count)
        return self.storage[index]
    }
}

extension ShortBytes: Hashable {
    /// Compares in a time that depends on the lengths only, because digests are compared by it.
    package static func == (left: Self, right: Self) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in 0..<left.count { difference |= left.storage[index] ^ right.storage[index] }
        return difference == 0
    }

    package func hash(into hasher: inout Hasher) {
        for index in 0..<self.count { hasher.combine(self.storage[index]) }
    }
}

/// What has to be configured alike on both nodes: the contents of P_PROTOCOL.
package struct ProtocolParameters: Hashable, Sendable, BitwiseCopyable {
    /// When a write is complete. The number as received: the peer's may be none that we know.
    package var replication: UInt32
    /// `after-sb-0pri` as sent.
    package var afterSplitBrain0: UInt32
    /// `after-sb-1pri` as sent.
    package var afterSplitBrain1: UInt32
    /// `after-sb-2pri` as sent.
    package var afterSplitBrain2: UInt32
    /// Whether the sender's data is to be discarded.
    package var discardMyData: Bool
    /// Whether the sender wants to know only what would happen.
    package var dryRun: Bool
    /// `allow-two-primaries` as sent.
    package var twoPrimaries: UInt32
    /// `data-integrity-alg`; empty for none.
    package var integrityAlgorithm: ShortBytes

    /// Creates the parameters of a `net` section.
    package init(
        replication: ReplicationProtocol,
        policies: SplitBrainPolicies = .disconnect,
        discardMyData: Bool = false,
        dryRun: Bool = false,
        twoPrimaries: Bool = false,
        integrityAlgorithm: ShortBytes = ShortBytes()
    ) {
        self.replication = replication.rawValue
        self.afterSplitBrain0 = policies.withoutPrimary.rawValue
        self.afterSplitBrain1 = policies.withOnePrimary.rawValue
        self.afterSplitBrain2 = policies.withTwoPrimaries.rawValue
        self.discardMyData = discardMyData
        self.dryRun = dryRun
        self.twoPrimaries = twoPrimaries ? 1 : 0
        self.integrityAlgorithm = integrityAlgorithm
    }

    /// The first thing in which the peer's parameters do not fit ours; nil if they do.
    package func mismatch(with peer: ProtocolParameters) -> ParameterMismatch? {
        if self.replication != peer.replication { return .replicationProtocol }
        if !Self.fit(self.afterSplitBrain0, peer.afterSplitBrain0) { return .afterSplitBrain0 }
        if !Self.fit(self.afterSplitBrain1, peer.afterSplitBrain1) { return .afterSplitBrain1 }
        if !Self.fit(self.afterSplitBrain2, peer.afterSplitBrain2) { return .afterSplitBrain2 }
        if self.discardMyData, peer.discardMyData { return .bothDiscardTheirData }
        if self.twoPrimaries != peer.twoPrimaries { return .twoPrimaries }
        if self.integrityAlgorithm != peer.integrityAlgorithm { return .integrityAlgorithm }
        return nil
    }

    private static func fit(_ own: UInt32, _ peer: UInt32) -> Bool {
        let mirrored = AfterSplitBrain(rawValue: peer)?.mirrored.rawValue ?? peer
        return own == mirrored
    }
}

/// What two nodes have configured differently.
package enum ParameterMismatch: Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case replicationProtocol
    case afterSplitBrain0
    case afterSplitBrain1
    case afterSplitBrain2
    case bothDiscardTheirData
    case twoPrimaries
    case integrityAlgorithm

    /// The option, or what is wrong, for a message.
    package var text: StaticString {
        switch self {
        case .replicationProtocol: "protocol"
        case .afterSplitBrain0: "after-sb-0pri"
        case .afterSplitBrain1: "after-sb-1pri"
        case .afterSplitBrain2: "after-sb-2pri"
        case .bothDiscardTheirData: "discard-my-data is given on both nodes"
        case .twoPrimaries: "allow-two-primaries"
        case .integrityAlgorithm: "data-integrity-alg"
        }
    }
}
