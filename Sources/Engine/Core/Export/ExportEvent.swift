// SPDX-License-Identifier: Apache-2.0

package import Wire

/// What happens to an ``ExportSession``, apart from the bytes that the client sends.
package enum ExportEvent: Hashable, Sendable, BitwiseCopyable {
    /// The client is connected. The first event.
    case connected
    /// The answer to ``ExportAction/sendOutput``: the memory may be used again. Exactly one each.
    case outputSent
    /// The answer to ``ExportAction/readPayload(slot:byteCount:)``: the payload is whole, or the
    /// connection was lost or closed before and nothing will be written to the buffer any more.
    /// Exactly one each.
    case payloadRead(slot: UInt32)
    /// The answer to ``ExportAction/submit(slot:_:)``: the error, or nil for success. Exactly one
    /// each.
    case completed(slot: UInt32, NBDError?)
    /// The answer to ``ExportAction/reply(slot:payloadByteCount:)``: the reply has been sent, or
    /// the connection was lost or closed before, and its buffer is not used any more. Exactly one
    /// each.
    case replySent(slot: UInt32)
    /// The client has closed the connection, or it is broken.
    case connectionLost
    /// The node gives up the Primary role by force, or the volume goes away: closes at once.
    case forceClose
    /// The client keeps memory that others wait for and has not gone on for
    /// ``ExportLimits/stallTime``: closes at once.
    case stalled
    /// The server stops: answers what is in flight, then closes.
    case shutdown
    /// ``ExportSession/nextDeadline`` has passed.
    case timer
}

/// What the driver of an ``ExportSession`` must do, in this order.
package enum ExportAction: Hashable, Sendable, BitwiseCopyable {
    /// Send ``ExportSession/output``; nothing else is sent meanwhile.
    case sendOutput
    /// The client was granted this export: from now on it is in transmission.
    case enterTransmission(export: UInt32)
    /// Provide a buffer for `slot` and fill it with the next `byteCount` bytes of the client: those
    /// that are staged behind what was consumed, then from the socket.
    case readPayload(slot: UInt32, byteCount: UInt32)
    /// Carry out the request. A read's buffer is provided now; a write's is filled.
    case submit(slot: UInt32, ExportRequest)
    /// Send the head from ``ExportSession/encodeReply(of:into:)`` and then `payloadByteCount` bytes
    /// of the slot's buffer.
    case reply(slot: UInt32, payloadByteCount: UInt32)
    /// The same with the head from ``ExportSession/encodeBlockStatus(of:_:into:)``.
    case replyBlockStatus(slot: UInt32)
    /// The slot's buffer, if it has one, is free; the slot may come back with another request.
    case release(slot: UInt32)
    /// Close the connection: receive no more and send no more. What was asked for before is still
    /// answered by its event.
    case close(ExportCloseReason)
    /// Nothing is outstanding: forget the session. The last action.
    case finished
}

/// What an ``ExportSession`` wants of the client's bytes.
package enum ExportInput: Hashable, Sendable, BitwiseCopyable {
    /// At least this many staged bytes, so that ``ExportSession/receive(_:exports:into:)`` gets on.
    case bytes(minimum: Int)
    /// The bytes belong to the buffer of this slot, until ``ExportEvent/payloadRead(slot:)``.
    case payload(slot: UInt32)
    /// None before another event: as much as one client may have is in flight.
    case paused
    /// None at all: the session ends.
    case ended
}

/// Why a connection is closed.
package enum ExportCloseReason: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case aborted
    case disconnected
    case connectionLost
    case forced
    case shutdown
    case negotiationTimedOut
    case drainTimedOut
    case stalled
    case clientFlagsUnknown
    case fixedNewstyleNotSet
    case optionMagic
    case optionTooLong
    case optionsTooMany
    case exportUnknown
    case exportRefused
    case requestMagic
    case payloadTooLong

    /// Whether the client has ended the session as the protocol says.
    package var isOrderly: Bool { self == .aborted || self == .disconnected }

    /// The reason for the log.
    package var message: StaticString {
        switch self {
        case .aborted: "the client ended the negotiation"
        case .disconnected: "the client disconnected"
        case .connectionLost: "the connection was lost"
        case .forced: "the client was disconnected by force"
        case .shutdown: "the server stops"
        case .negotiationTimedOut: "the client did not finish the negotiation within 30 s"
        case .drainTimedOut: "the last replies could not be sent within 30 s"
        case .stalled:
            "the client stalled for 10 s in the middle of a request, and others wait for its memory"
        case .clientFlagsUnknown: "the client set handshake flags that NBD does not define"
        case .fixedNewstyleNotSet: "the client sent an option that needs fixed newstyle negotiation"
        case .optionMagic: "an option does not begin with IHAVEOPT: this is no NBD client"
        case .optionTooLong: "an option has more data than 65536 bytes, or its name more than 4096"
        case .optionsTooMany: "the client sent more than 4096 options"
        case .exportUnknown: "the client asked with EXPORT_NAME for an export that does not exist"
        case .exportRefused: "the client asked with EXPORT_NAME for an export that is not available"
        case .requestMagic: "a request does not begin with NBD's magic number"
        case .payloadTooLong: "a write has more payload than 67108864 bytes"
        }
    }
}
