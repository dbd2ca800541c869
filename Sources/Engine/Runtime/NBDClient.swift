// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor

/// One NBD client: its session, the bytes received for it and its requests' parts.
struct NBDClient: ~Copyable {
    let connection: ConnectionID
    var session = ExportSession()
    var actions = ExportSession.Actions()
    /// Whether actions are being carried out: nested events only add to them.
    var isApplying = false

    let stage: UnsafeMutableRawBufferPointer
    /// The staged bytes that nobody has taken.
    var staged = 0..<0
    var isReceiving = false
    /// The client has ended its stream or the socket is broken; the session knows.
    var isLost = false
    var isClosed = false
    var isFinished = false
    /// The reactor has let go of the connection.
    var isGone = false

    /// The export in use: a volume of a resource.
    var resource = -1
    var volume: UInt16 = 0

    let requests: UnsafeMutablePointer<ClientRequestState>
    /// The payload that is being received.
    var payload: IncomingPayload?
    /// What its requests hold of the payload memory.
    var buffers = BufferHolder()
    /// Parts of replies that the kernel has not taken.
    var repliesInFlight = 0
    /// When the client counts as stalled, if it holds memory by a payload or by replies.
    var stallDeadline = Instant.distantFuture
    /// Requests that wait for memory, oldest first.
    var waitingForBuffers = SlotQueue(capacity: 16)
    /// Replies that wait for room in the send queue, oldest first.
    var waitingToReply = SlotQueue(capacity: 16)

    init(connection: ConnectionID) {
        self.connection = connection
        self.stage = .allocate(
            byteCount: EngineConfiguration.clientStageByteCount,
            alignment: BufferPool.pageByteCount
        )
        self.requests = .allocate(capacity: ExportLimits.requestsInFlight)
        self.requests.initialize(
            repeating: ClientRequestState(),
            count: ExportLimits.requestsInFlight
        )
    }

    deinit {
        self.stage.deallocate()
        self.requests.deallocate()
    }

    /// Whether memory stays in use until the client sends or receives more.
    var holdsUpMemory: Bool { self.payload != nil || self.repliesInFlight > 0 }
}

/// What the driver keeps for one slot of a session.
struct ClientRequestState: BitwiseCopyable {
    enum Wait: UInt8, BitwiseCopyable {
        case nothing
        /// The payload that is to be received needs memory.
        case payloadMemory
        /// The data of a read needs memory.
        case readMemory
    }

    var request: ExportRequest?
    /// The first of its parts.
    var first = Piece.none
    var last = Piece.none
    /// Parts with the core.
    var pending = 0
    /// Bytes of the request that have not been given to the core: trims and zeroes go in portions.
    var nextOffset: UInt64 = 0
    var error: ClientError?
    var wait = Wait.nothing
    var payloadByteCount: UInt32 = 0
    /// The reply is for block status.
    var isBlockStatus = false
}

/// A payload on its way from the socket to the parts of its request.
struct IncomingPayload: BitwiseCopyable {
    var slot: UInt32
    /// The part that is being filled, and how much of it is.
    var piece: UInt32
    var filled: Int
}
