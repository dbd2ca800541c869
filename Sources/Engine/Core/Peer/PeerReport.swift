// SPDX-License-Identifier: Apache-2.0

package import Wire

/// What the peer's last P_UUIDS said about a volume.
struct PeerGenerations: Hashable, BitwiseCopyable {
    var generations: Generations
    var dirtyBits: UInt64
    var discardsData: Bool
    var crashedPrimary: Bool
    /// The peer is attaching, and its disk will be Inconsistent.
    var isInconsistent: Bool
}

/// What a P_STATE says, in the peer's view: role and disk are the peer's.
package struct PeerStateReport: Hashable, Sendable, BitwiseCopyable {
    package var role: Role
    package var connection: ConnectionCode
    package var disk: DiskState
    package var peerDisk: DiskState
    /// The peer pauses the resync: by its administrator or by a dependency.
    package var pausesResync: Bool

    package init(
        role: Role,
        connection: ConnectionCode,
        disk: DiskState,
        peerDisk: DiskState,
        pausesResync: Bool
    ) {
        self.role = role
        self.connection = connection
        self.disk = disk
        self.peerDisk = peerDisk
        self.pausesResync = pausesResync
    }
}
