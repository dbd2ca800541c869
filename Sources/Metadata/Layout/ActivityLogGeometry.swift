// SPDX-License-Identifier: Apache-2.0

/// The shape of the activity log on disk: a ring of 4096-byte blocks, dealt out over stripes.
///
/// Transaction `t` of a ring of N blocks lies in block `(k mod stripes) × blocksPerStripe + k /
/// stripes`, where `k = t mod N`. With one stripe that is `t mod N`.
package struct ActivityLogGeometry: Hashable, Sendable, BitwiseCopyable {
    /// The number of stripes.
    package let stripes: UInt32
    /// The 4096-byte blocks of one stripe.
    package let blocksPerStripe: UInt32

    /// The fewest and most blocks of a ring: 32 KiB to 32 MiB, as the field's tool accepts.
    package static let blockCountRange: ClosedRange<UInt32> = 8...8192

    /// What `create-md` uses unless told otherwise: one stripe of 32 KiB.
    package static let standard = Self(valid: 1, 8)

    /// What bsr's configuration asks for by default: one stripe of 320 KiB.
    package static let large = Self(valid: 1, 80)

    /// Creates a shape; nil when it has fewer or more blocks than ``blockCountRange``.
    package init?(stripes: UInt32, blocksPerStripe: UInt32) {
        let (count, overflow) = stripes.multipliedReportingOverflow(by: blocksPerStripe)
        guard !overflow, Self.blockCountRange.contains(count) else { return nil }
        self.stripes = stripes
        self.blocksPerStripe = blocksPerStripe
    }

    private init(valid stripes: UInt32, _ blocksPerStripe: UInt32) {
        self.stripes = stripes
        self.blocksPerStripe = blocksPerStripe
    }

    /// The blocks of the ring.
    package var blockCount: UInt32 { self.stripes * self.blocksPerStripe }

    /// The 512-byte sectors of the ring.
    package var sectorCount: UInt32 { self.blockCount * 8 }

    /// The bytes of the ring.
    package var byteCount: Int { Int(self.blockCount) * ActivityLogBlock.byteCount }

    /// The place in the ring of the block that carries transaction number `transaction`.
    package func block(ofTransaction transaction: UInt32) -> UInt32 {
        let turn = transaction % self.blockCount
        return turn % self.stripes * self.blocksPerStripe + turn / self.stripes
    }

    /// The most slots that the ring can describe with one block torn.
    package var slotCountMaximum: Int {
        min(
            ActivityLogBlock.slotCountLimit,
            (Int(self.blockCount) - 1) * ActivityLogBlock.contextCapacity
        )
    }

    /// The fewest slots an activity log has.
    package static let slotCountMinimum = 67

    /// `configured` slots, brought into what this ring can hold.
    package func slotCount(configured: Int) -> Int {
        min(max(configured, Self.slotCountMinimum), self.slotCountMaximum)
    }
}
