// SPDX-License-Identifier: Apache-2.0

package import Wire

/// What a node knows of a volume's size when P_SIZES comes.
///
/// All sizes are in 512-byte sectors.
package struct SizeSituation: Hashable, Sendable, BitwiseCopyable {
    /// The usable size of the own disk; 0 without one.
    package var diskSectors: UInt64
    /// The own `size` option; 0 without one.
    package var userSectors: UInt64
    /// The size that clients see now; 0 before the first.
    package var currentSectors: UInt64
    /// The size that the metadata says was last agreed on; 0 for none.
    package var lastAgreedSectors: UInt64
    /// The state of the volume.
    package var state: VolumeState
    /// Whether the own disk can hold more than when P_SIZES was last sent.
    package var diskHasGrown: Bool

    /// Creates a situation.
    package init(
        diskSectors: UInt64,
        userSectors: UInt64 = 0,
        currentSectors: UInt64 = 0,
        lastAgreedSectors: UInt64 = 0,
        state: VolumeState,
        diskHasGrown: Bool = false
    ) {
        self.diskSectors = diskSectors
        self.userSectors = userSectors
        self.currentSectors = currentSectors
        self.lastAgreedSectors = lastAgreedSectors
        self.state = state
        self.diskHasGrown = diskHasGrown
    }

    var isConnected: Bool { self.state.connection > .wfReportParams }

    /// The most sectors that a volume has: 1 PiB, what the metadata can describe.
    static let sectorMaximum: UInt64 = 1 << 41
}

extension Sizes {
    /// The largest of the sizes, which bounds what is agreed on.
    var largestSectors: UInt64 {
        max(self.diskSectors, self.userSectors, self.currentSectors)
    }
}

/// What two nodes make of each other's sizes; each finds it on its own.
package enum SizeAgreement: Hashable, Sendable, BitwiseCopyable {
    /// The volume has a size.
    case agreed(Result)
    /// The peer has no disk and neither have we: nothing changes.
    case ignored
    /// The nodes must not connect.
    case refused(Refusal)

    package struct Result: Hashable, Sendable, BitwiseCopyable {
        /// The size from now on.
        package var sectors: UInt64
        /// The `size` option to store; 0 for none.
        package var userSectors: UInt64
        /// The `size` option is larger than the disks and has no effect.
        package var userSizeIsTooLarge: Bool
        /// Whether the peer has to be answered by our P_SIZES with the same flags.
        package var mustAnswer: Bool

        /// Creates a result.
        package init(
            sectors: UInt64,
            userSectors: UInt64,
            userSizeIsTooLarge: Bool,
            mustAnswer: Bool
        ) {
            self.sectors = sectors
            self.userSectors = userSectors
            self.userSizeIsTooLarge = userSizeIsTooLarge
            self.mustAnswer = mustAnswer
        }
    }

    package enum Refusal: Hashable, Sendable, BitwiseCopyable {
        /// The peer's disk is smaller than what our data already uses.
        case wouldShrink(from: UInt64, to: UInt64)
        /// This node uses the volume through the peer, and the peer's is smaller than that.
        case smallerThanInUse(from: UInt64, to: UInt64)
    }

    /// Agrees on a size when `peer` comes in `own` situation.
    package init(own: SizeSituation, peer: Sizes) {
        if own.diskSectors == 0 {
            self = Self.withoutDisk(own, peer)
        } else {
            self = Self.withDisk(own, peer)
        }
    }

    private static func withoutDisk(_ own: SizeSituation, _ peer: Sizes) -> Self {
        guard peer.diskSectors != 0 else { return .ignored }
        let offers = [peer.currentSectors, peer.userSectors, peer.diskSectors]
        let sectors = offers.first { $0 != 0 } ?? peer.diskSectors
        if own.state.role == .primary, sectors < own.currentSectors {
            return .refused(.smallerThanInUse(from: own.currentSectors, to: sectors))
        }
        return .agreed(
            Result(
                sectors: sectors,
                userSectors: own.userSectors,
                userSizeIsTooLarge: false,
                mustAnswer: Self.mustAnswer(own, peer)
            )
        )
    }

    private static func withDisk(_ own: SizeSituation, _ peer: Sizes) -> Self {
        let possible = Self.possibleSectors(own, peer)
        let user = Self.userSectors(own, peer)
        let isTooLarge = user > possible
        let sectors = user == 0 || isTooLarge ? possible : user
        // Once connected to a peer with a disk, shrinking was asked for on purpose.
        let mayShrink = own.isConnected && own.state.peerDisk != .diskless
        if sectors < own.currentSectors, own.state.disk >= .outdated, !mayShrink {
            return .refused(.wouldShrink(from: own.currentSectors, to: sectors))
        }
        return .agreed(
            Result(
                sectors: sectors,
                userSectors: user,
                userSizeIsTooLarge: isTooLarge,
                mustAnswer: Self.mustAnswer(own, peer)
            )
        )
    }

    /// The largest size that all disks have room for.
    private static func possibleSectors(_ own: SizeSituation, _ peer: Sizes) -> UInt64 {
        if peer.diskSectors != 0 { return min(own.diskSectors, peer.diskSectors) }
        // The peer's disk is unknown: it had room for what was agreed on before.
        if peer.flags.contains(.forced) || own.lastAgreedSectors == 0 { return own.diskSectors }
        return min(own.lastAgreedSectors, own.diskSectors)
    }

    /// The `size` option: the smaller one of both at first, later what the peer sets.
    private static func userSectors(_ own: SizeSituation, _ peer: Sizes) -> UInt64 {
        if own.isConnected { return peer.userSectors }
        if own.userSectors == 0 { return peer.userSectors }
        return peer.userSectors == 0 ? own.userSectors : min(own.userSectors, peer.userSectors)
    }

    /// Whether the peer cannot know what we do; the answer to an answer is none.
    private static func mustAnswer(_ own: SizeSituation, _ peer: Sizes) -> Bool {
        own.isConnected && (peer.currentSectors != own.currentSectors || own.diskHasGrown)
    }
}
