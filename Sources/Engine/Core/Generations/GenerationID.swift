// SPDX-License-Identifier: Apache-2.0

package import Wire

/// The name of one generation of a volume's data: 63 random bits.
///
/// Bit 0 is not part of the name. In the current identifier it says that this node was Primary in
/// the generation; identifiers that move to another place keep the bit they have.
package struct GenerationID: Hashable, Sendable, BitwiseCopyable {
    /// The 64 bits as stored and sent.
    package var rawValue: UInt64

    /// Creates the identifier with exactly these bits.
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }

    /// Nothing: an unused place.
    package static let empty = Self(0)
    /// The generation of metadata that was just created: the data is arbitrary.
    package static let justCreated = Self(4)

    /// The distance of a resync's own generation from the one whose bits it clears.
    ///
    /// It lets a node recognise a P_SYNC_UUID that got lost.
    static let resyncOffset: UInt64 = 1 << 48

    /// The name without bit 0.
    package var identity: UInt64 { self.rawValue & ~1 }

    /// Whether the place is unused.
    ///
    /// Looks at all bits, as the protocol does.
    package var isEmpty: Bool { self.rawValue == 0 }

    /// Whether there is no real generation: nothing, or just created.
    package var isBlank: Bool { self.identity == 0 || self.identity == Self.justCreated.identity }

    /// Bit 0: this node was Primary.
    package var wasPrimary: Bool { self.rawValue & 1 == 1 }

    /// Whether both name the same generation.
    package func names(_ other: Self) -> Bool { self.identity == other.identity }

    /// The same generation with bit 0 set for a Primary and cleared else.
    package func marked(for role: Role) -> Self {
        Self(self.identity | (role == .primary ? 1 : 0))
    }

    /// The identifier `resyncOffset` further on.
    var afterResyncOffset: Self { Self(self.rawValue &+ Self.resyncOffset) }

    /// Whether a source with the generation `current` has named a resync so, without a base.
    func isResync(ofBlankBaseIn current: Self) -> Bool {
        let distance = self.identity &- current.identity
        return distance != 0 && distance % Self.resyncOffset == 0
    }
}
