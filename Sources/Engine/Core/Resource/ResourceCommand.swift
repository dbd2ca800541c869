// SPDX-License-Identifier: Apache-2.0

/// What an administrator asks of a resource.
///
/// Every command is answered once, with a code.
package enum ResourceCommand: Hashable, Sendable, BitwiseCopyable {
    case primary(force: Bool)
    /// `force` disconnects clients that use a volume.
    case secondary(force: Bool)
    case connect(discardMyData: Bool)
    case disconnect(force: Bool)
    /// Gives up a volume's disk. `force` does not ask the peer.
    case detach(volume: UInt16, force: Bool)
    case outdate(volume: UInt16)
    /// Makes this node target of a full resync.
    case invalidate(volume: UInt16)
    /// Makes the peer target of a full resync.
    case invalidateRemote(volume: UInt16)
    /// Demotes, disconnects and detaches everything.
    case down
}
