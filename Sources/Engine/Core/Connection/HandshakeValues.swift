// SPDX-License-Identifier: Apache-2.0

import Primitives
package import Wire

/// Up to 64 bytes in place: a challenge, or the digest that answers one.
package struct ShortBytes: Sendable, BitwiseCopyable {
    /// The most that fits; the length of a challenge.
    package static let capacity = 64

    private let storage: InlineArray<64, UInt8>
    private let length: UInt8
    /// The number of bytes.
    package var count: Int { Int(self.length) }

    /// Creates an empty value.
    package init() {
        self.storage = InlineArray(repeating: 0)
        self.length = 0
    }

    /// Copies `bytes`; nil if there are more than ``capacity``.
    ///
    /// Filled before `self` is: optimised by Swift 6.3.1, a failable initialiser that fills the
    /// array in `self` gives back an empty value.
    package init?(_ bytes: some Sequence<UInt8>) {
        var storage = InlineArray<64, UInt8>(repeating: 0)
        var count = 0
        for byte in bytes {
            guard count < Self.capacity else { return nil }
            storage[count] = byte
            count += 1
        }
        self.storage = storage
        self.length = UInt8(count)
    }

    /// The byte at `index`.
    ///
    /// Traps beyond `count`.
    package subscript(index: Int) -> UInt8 {
        invariant(index < self.count, "index inside the bytes")
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

extension ProtocolParameters {
    /// The first thing in which the peer's parameters do not fit ours; nil if they do.
    package func mismatch(with peer: ProtocolParameters) -> ParameterMismatch? {
        if self.replicationProtocol != peer.replicationProtocol { return .replicationProtocol }
        if self.afterSplitBrain0 != peer.afterSplitBrain0.asSeenByPeer { return .afterSplitBrain0 }
        if self.afterSplitBrain1 != peer.afterSplitBrain1.asSeenByPeer { return .afterSplitBrain1 }
        if self.afterSplitBrain2 != peer.afterSplitBrain2.asSeenByPeer { return .afterSplitBrain2 }
        if self.flags.contains(.discardMyData), peer.flags.contains(.discardMyData) {
            return .bothDiscardTheirData
        }
        if self.allowTwoPrimaries != peer.allowTwoPrimaries { return .twoPrimaries }
        if self.integrityAlgorithm != peer.integrityAlgorithm { return .integrityAlgorithm }
        return nil
    }
}
