// SPDX-License-Identifier: Apache-2.0

/// What a channel carries; the engine's first packet on a fresh socket tells.
package enum ChannelType: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case data = 1
    case meta = 2

    /// The word of the status table.
    package var name: String {
        switch self {
        case .data: "data"
        case .meta: "meta"
        }
    }
}

/// The state of a channel, in the field's words.
package enum ChannelState: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// The transmit buffer's memory is being found.
    case allocating = 0
    /// Trying to connect with the remote relay.
    case bridging = 1
    /// Connected with the remote relay.
    case bridged = 2
    /// An acceptor waits for the local engine to dial in.
    case waiting = 3
    /// A connector waits for the type, then dials the local engine.
    case connecting = 4
    /// The local engine has dialled an acceptor.
    case connected = 5
    /// One end of the stream is there, the other is awaited.
    case establishing = 6
    /// Bytes are relayed.
    case established = 7
    /// What was accepted is delivered before the stream ends.
    case closePending = 8
    /// The stream is being ended.
    case stopping = 9
    /// The stream has ended.
    case stopped = 10

    /// The word of the status table.
    package var name: String {
        switch self {
        case .allocating: "allocating"
        case .bridging: "bridging"
        case .bridged: "bridged"
        case .waiting: "waiting"
        case .connecting: "connecting"
        case .connected: "connected"
        case .establishing: "establishing"
        case .established: "established"
        case .closePending: "close_pending"
        case .stopping: "stopping"
        case .stopped: "stopped"
        }
    }
}

/// The states of the two channels of a connection, as one relay sees them.
package struct ChannelStates: Hashable, Sendable, BitwiseCopyable {
    package var acceptor: ChannelState
    package var connector: ChannelState

    /// Creates the pair.
    package init(acceptor: ChannelState, connector: ChannelState) {
        self.acceptor = acceptor
        self.connector = connector
    }
}

/// Why a stream ended; for the logs of both relays.
package enum StreamEnd: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// The engine closed its socket.
    case engineClosed = 1
    /// The other relay ended its half.
    case remoteEnded = 2
    /// The connection's other stream was lost.
    case partnerLost = 3
    /// The TCP connection between the relays was lost.
    case bridgeLost = 4
    /// The other engine could not be reached in time.
    case establishTimeout = 5
    /// What was accepted could not be delivered in time.
    case drainTimeout = 6
    /// The engine has dialled a newer socket of the same type.
    case replaced = 7
    /// The connection is taken down.
    case stopped = 8

    /// Completes the sentence "the stream ended: …".
    package var text: String {
        switch self {
        case .engineClosed: "the engine closed its socket"
        case .remoteEnded: "the remote relay ended the stream"
        case .partnerLost: "the other channel of the connection was lost"
        case .bridgeLost: "the bridge between the relays was lost"
        case .establishTimeout: "the engine at the other end could not be reached in time"
        case .drainTimeout: "buffered bytes could not be delivered in time"
        case .replaced: "the engine opened a new socket of the same type"
        case .stopped: "the connection was taken down"
        }
    }
}
