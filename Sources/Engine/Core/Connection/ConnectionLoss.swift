// SPDX-License-Identifier: Apache-2.0

package import Wire

/// Why a connection ended.
package enum ConnectionLoss: Hashable, Sendable, BitwiseCopyable {
    /// The data socket ended.
    case brokenPipe(SocketEnd)
    case networkFailure(NetworkFault)
    /// No progress for `timeout` × `ko-count`.
    case timeout(Stall)
    /// The peer broke the protocol.
    case protocolError(ProtocolFault)
    /// The peer closes the connection on request of its administrator.
    case tearDown
    /// This node's administrator closes it.
    case disconnected
    /// The nodes must not be connected: StandAlone until an administrator connects again.
    case refused(ConnectionRefusal)

    /// The connection state that status shows meanwhile.
    var code: ConnectionCode {
        switch self {
        case .brokenPipe: .brokenPipe
        case .networkFailure: .networkFailure
        case .timeout: .timeout
        case .protocolError: .protocolError
        case .tearDown: .tearDown
        case .disconnected, .refused: .disconnecting
        }
    }

    /// Whether to look for the peer again.
    var reconnects: Bool {
        switch self {
        case .brokenPipe, .networkFailure, .timeout, .protocolError, .tearDown: true
        case .disconnected, .refused: false
        }
    }
}

/// How a socket ended.
package enum SocketEnd: Hashable, Sendable, BitwiseCopyable {
    /// The peer, or a relay in between, closed it.
    case closed
    /// The kernel's error number.
    case failed(errno: Int32)
}

/// What shows as NetworkFailure.
package enum NetworkFault: Hashable, Sendable, BitwiseCopyable {
    /// The meta socket ended.
    case socket(SocketEnd)
    /// No answer to a ping.
    case pingTimeout
    /// The meta socket takes nothing.
    case sendTimeout
    /// An attempt to connect failed and is repeated.
    case handshake
    /// A flush of this node's disk failed while the peer awaited it.
    case flushFailed
    /// A disk is gone between the decision for a resync and its beginning.
    case diskLostBeforeResync
    /// The peer has got a volume that is in use here: both compare it in a new connection.
    case volumeAppeared(UInt16)
    /// The peer has another size for a volume of which something is under way in the former one.
    case resizedWhileBusy
    /// The source of a resync has started a new generation, which this node does not get.
    case resyncSourceWentOn
}

/// Where a connection stalled.
package enum Stall: Hashable, Sendable, BitwiseCopyable {
    /// No write is acknowledged.
    case acknowledgement
    /// The data socket takes nothing.
    case dataSocket
}

/// How a peer broke the protocol.
package enum ProtocolFault: Hashable, Sendable, BitwiseCopyable {
    case unexpectedPacket(PacketCommand)
    case unknownVolume(UInt16)
    case outOfRange(sector: UInt64, bytes: UInt32)
    case unknownBlock(sector: UInt64)
    case barrierAck(number: UInt32, writes: UInt32)
    case tooManyRequests
    case bitmap(BitmapError)
    case undecodable(WireError)
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
