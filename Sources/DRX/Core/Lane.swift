// SPDX-License-Identifier: Apache-2.0

internal import Primitives
internal import Wire

/// Which side of a stream a channel is on.
package enum ChannelRole: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// Accepts the local engine on `inside` and the remote relay on `outside`.
    case acceptor = 0
    /// Dials the remote relay's `outside` and the local engine's `address`.
    case connector = 1

    /// The word of the status table.
    package var name: String { self == .acceptor ? "acceptor" : "connector" }
}

/// One TCP connection between the two relays, and the place of one socket of the local engine.
///
/// A channel is normally one lane. The second one is used while the same node dials both of its
/// sockets, so that data and meta share no TCP connection then either.
package struct LaneID: Hashable, Sendable, BitwiseCopyable {
    package var role: ChannelRole
    /// 0, or 1 for the second lane.
    package var index: UInt8

    /// Creates the name of a lane.
    package init(_ role: ChannelRole, _ index: UInt8 = 0) {
        self.role = role
        self.index = index
    }

    var slot: Int { Int(self.role.rawValue) * 2 + Int(self.index) }
    var isPrimary: Bool { self.index == 0 }

    init(slot: Int) {
        self.init(slot < 2 ? .acceptor : .connector, UInt8(slot & 1))
    }

    /// The four lanes of a connection.
    package static var all: [LaneID] { (0..<4).map { LaneID(slot: $0) } }
}

/// The name of one attempt to connect, or of one accepted socket; never used twice in a connection.
///
/// What is reported about a socket that the machine has given up already is thereby told apart.
package struct SocketID: Hashable, Sendable, BitwiseCopyable {
    package var number: UInt32

    /// Creates the name.
    package init(_ number: UInt32) { self.number = number }
}

/// What a lane knows; the transitions are in ``RelayConnection``.
struct Lane: BitwiseCopyable {
    /// The TCP connection with the remote relay.
    enum Bridge: BitwiseCopyable {
        case down
        /// A connector waits to dial again.
        case pausing(until: Instant)
        /// A connector dials and greets.
        case dialling(SocketID, deadline: Instant)
        case up(SocketID, since: Instant)
    }

    /// The socket of the local engine.
    enum Engine: BitwiseCopyable {
        case absent
        /// A connector waits to dial again.
        case pausing(until: Instant)
        case dialling(SocketID, deadline: Instant)
        /// An acceptor reads the first packet.
        case greeting(SocketID, deadline: Instant)
        case open(SocketID)
    }

    /// How far the end of a stream is.
    enum Closing: BitwiseCopyable {
        /// What our engine wrote goes to the remote relay.
        case draining
        /// Meta waits until data is drained.
        case held
        /// What has arrived goes to our engine.
        case delivering
        /// Meta stays open until data is delivered.
        case awaitingDelivery
        /// Meta was ended by the remote relay, data's end is on its way.
        case awaitingEnd
        /// The engine's socket is closed and our end was sent; the remote relay's is awaited.
        case ending
    }

    struct Stream: BitwiseCopyable {
        let generation: UInt32
        let type: ChannelType
        var isEstablished = false
        var closing: Closing?
        var reason: StreamEnd = .engineClosed
        var sentEnd = false
        var receivedEnd = false
        var receivedByteCount: UInt64 = 0
        /// The other stream of the connection, once both were up.
        var partner: LaneID?
    }

    let id: LaneID
    var state: ChannelState = .stopped
    var bridge: Bridge = .down
    var engine: Engine = .absent
    var stream: Stream?
    /// An acceptor's engine has named the type, but the lane has no bridge yet.
    var pendingType: ChannelType?
    /// The number of the latest stream on this bridge.
    var generation: UInt32 = 0
    /// The end of the present wait: opening, draining, ending.
    var deadline: Instant = .distantFuture
    var bridgeBackoff: Backoff
    var engineBackoff: Backoff
    var keepAliveAt: Instant = .distantFuture
    var silenceAt: Instant = .distantFuture
    /// We do not receive, so that silence says nothing about the remote relay.
    var isPaused = false

    init(_ id: LaneID, _ times: RelayTimes) {
        self.id = id
        self.bridgeBackoff = Backoff(
            first: times.bridgeRetryFirst,
            maximum: times.bridgeRetryMaximum
        )
        self.engineBackoff = Backoff(
            first: times.engineRetryFirst,
            maximum: times.engineRetryMaximum
        )
    }

    var bridgeSocket: SocketID? {
        switch self.bridge {
        case .down, .pausing: nil
        case .dialling(let socket, _), .up(let socket, _): socket
        }
    }

    var engineSocket: SocketID? {
        switch self.engine {
        case .absent, .pausing: nil
        case .dialling(let socket, _), .greeting(let socket, _), .open(let socket): socket
        }
    }

    var isBridgeUp: Bool {
        switch self.bridge {
        case .up: true
        case .down, .pausing, .dialling: false
        }
    }

    /// Whether the lane could take a socket of the local engine.
    var isFree: Bool { self.stream == nil && self.pendingType == nil && self.engineSocket == nil }

    /// Whether the lane carries a stream that is not ending.
    var isOpen: Bool {
        guard let stream = self.stream else { return false }
        return stream.closing == nil
    }

    var isEstablished: Bool {
        guard let stream = self.stream else { return false }
        return stream.isEstablished && stream.closing == nil
    }

    var type: ChannelType? { self.stream?.type ?? self.pendingType }

    var nextDeadline: Instant {
        var next = min(self.deadline, min(self.keepAliveAt, self.silenceAt))
        switch self.bridge {
        case .down, .up: break
        case .pausing(let instant), .dialling(_, let instant): next = min(next, instant)
        }
        switch self.engine {
        case .absent, .open: break
        case .pausing(let instant), .dialling(_, let instant), .greeting(_, let instant):
            next = min(next, instant)
        }
        return next
    }
}
