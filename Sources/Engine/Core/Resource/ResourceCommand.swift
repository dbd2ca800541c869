// SPDX-License-Identifier: Apache-2.0

package import Wire

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

/// Why a connection ended.
package enum ConnectionLoss: Hashable, Sendable, BitwiseCopyable {
    /// The data socket ended or broke.
    case brokenPipe
    /// The meta socket ended or broke, or a ping was not answered.
    case networkFailure
    /// No progress for `timeout` × `ko-count`.
    case timeout
    /// The peer broke the protocol.
    case protocolError(ProtocolFault)
    /// The peer closes the connection on request of its administrator.
    case tearDown
    /// This node's administrator closes it.
    case disconnected
    /// The nodes must not be connected: StandAlone until an administrator connects again.
    case refused(ConnectionRefusal)
    /// A flush of this node's disk has failed while the peer awaited it.
    case localDiskFailed

    /// The connection state that status shows meanwhile.
    var code: ConnectionCode {
        switch self {
        case .brokenPipe: .brokenPipe
        case .networkFailure, .localDiskFailed: .networkFailure
        case .timeout: .timeout
        case .protocolError: .protocolError
        case .tearDown: .tearDown
        case .disconnected, .refused: .disconnecting
        }
    }

    /// Whether to look for the peer again.
    var reconnects: Bool {
        switch self {
        case .brokenPipe, .networkFailure, .timeout, .protocolError, .tearDown, .localDiskFailed:
            true
        case .disconnected, .refused: false
        }
    }
}

/// How a peer broke the protocol.
package enum ProtocolFault: Hashable, Sendable, BitwiseCopyable {
    case unexpectedPacket
    case unknownVolume(UInt16)
    case outOfRange(sector: UInt64, bytes: UInt32)
    case unknownBlock(sector: UInt64)
    case barrierAck(number: UInt32, writes: UInt32)
    case tooManyRequests
    case bitmap(BitmapError)
    case undecodable
}

/// Why two nodes must not be connected.
package enum ConnectionRefusal: Hashable, Sendable, BitwiseCopyable {
    /// Features, authentication or parameters do not fit.
    case handshake
    /// The data does not fit: split brain, unrelated, or a Primary that would be overwritten.
    case data(SyncRefusal)
    /// The peer's disk is smaller than what is exposed here.
    case diskTooSmall
    /// The state that the peer reports must not be: two Primaries, for one.
    case invalidState(StateChangeCode)
}
