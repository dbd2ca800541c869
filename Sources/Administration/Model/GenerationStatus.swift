// SPDX-License-Identifier: Apache-2.0

/// The data generation identifiers and metadata flags of a volume towards one peer.
package struct GenerationStatus: Codable, Sendable, Hashable {
    /// The flags of the own disk.
    package struct DiskFlags: Codable, Sendable, Hashable {
        package var isConsistent = false
        package var wasUpToDate = false
        package var isPrimary = false
        package var isCrashedPrimary = false
        package var isActivityLogClean = false
        package var isActivityLogDisabled = false
        package var primaryLostQuorum = false

        /// Creates flags that are clear.
        package init() {}
    }

    /// The flags towards the peer.
    package struct PeerFlags: Codable, Sendable, Hashable {
        package var isConnected = false
        package var isOutdated = false
        package var isFencing = false
        package var needsFullSync = false
        package var deviceWasSeen = false

        /// Creates flags that are clear.
        package init() {}
    }

    /// The current generation.
    package var current: UInt64
    /// The generation on which the bitmap towards the peer is based.
    package var bitmap: UInt64
    /// The older generations, the newest first.
    package var history: [UInt64]
    /// The flags of the own disk.
    package var diskFlags = DiskFlags()
    /// The flags towards the peer.
    package var peerFlags = PeerFlags()

    /// Creates identifiers with all flags clear.
    package init(current: UInt64, bitmap: UInt64, history: [UInt64]) {
        self.current = current
        self.bitmap = bitmap
        self.history = history
    }
}
