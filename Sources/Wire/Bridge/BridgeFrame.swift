// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// One frame between two relays.
///
/// Each channel has its own TCP connection, dialled by the connector's relay, so data and meta
/// never share a queue. On it the connector greets with `hello`, the acceptor answers `welcome` or
/// `refusal`; then streams follow one another, each with a generation of its own:
///
///     acceptor ── open(g, type) ─▶ connector    the acceptor's engine has dialled in
///     acceptor ◀── established(g) ─ connector   the connector has reached its engine
///     both     ◀── data(g, position) ─▶ both    positions leave no gap
///     both     ◀── close(g) or abort(g) ─▶ both each side sends one; then g is over
///
/// A frame of a generation that is over ends the bridge.
package enum BridgeFrame: Hashable, Sendable {
    case hello(BridgeHello)
    case welcome(BridgeWelcome)
    case refusal(BridgeRefusal)
    case signal(BridgeSignal)
    case data(BridgeData)
}

/// A frame without payload.
package enum BridgeSignal: Hashable, Sendable, BitwiseCopyable {
    case open(generation: UInt32, ChannelType)
    case established(generation: UInt32)
    /// Everything of the stream, `byteCount` bytes, was sent before this.
    case close(generation: UInt32, StreamEnd, byteCount: UInt64)
    /// The rest of the stream is dropped.
    case abort(generation: UInt32, StreamEnd)
    /// `sentAt` is a time of the sender's clock, below 2^63.
    case keepAlive(sentAt: UInt64, ChannelStates)
    case keepAliveEcho(sentAt: UInt64)
    case laneRequest

    /// The header that is the whole frame.
    package var header: BridgeFrameHeader {
        switch self {
        case .open(let generation, let type):
            BridgeFrameHeader(kind: .open, detail: type.rawValue, generation: generation)
        case .established(let generation):
            BridgeFrameHeader(kind: .established, generation: generation)
        case .close(let generation, let end, let byteCount):
            BridgeFrameHeader(
                kind: .close,
                detail: end.rawValue,
                generation: generation,
                position: byteCount
            )
        case .abort(let generation, let end):
            BridgeFrameHeader(kind: .abort, detail: end.rawValue, generation: generation)
        case .keepAlive(let sentAt, let states):
            BridgeFrameHeader(kind: .keepAlive, detail: states.detail, position: sentAt)
        case .keepAliveEcho(let sentAt):
            BridgeFrameHeader(kind: .keepAliveEcho, position: sentAt)
        case .laneRequest:
            BridgeFrameHeader(kind: .laneRequest)
        }
    }
}

/// The head of a data frame; its payload follows.
package struct BridgeData: Hashable, Sendable, BitwiseCopyable {
    package var generation: UInt32
    /// The stream bytes before this frame.
    package var position: UInt64
    /// The stream bytes that the payload stands for.
    package var contentByteCount: UInt32
    /// The bytes that follow.
    package var payloadByteCount: UInt32
    package var codec: FrameCodec
    /// CRC-32C of the payload, for the driver to verify.
    package var checksum: UInt32

    /// Creates the head of a data frame.
    package init(
        generation: UInt32,
        position: UInt64,
        contentByteCount: UInt32,
        payloadByteCount: UInt32,
        codec: FrameCodec,
        checksum: UInt32
    ) {
        self.generation = generation
        self.position = position
        self.contentByteCount = contentByteCount
        self.payloadByteCount = payloadByteCount
        self.codec = codec
        self.checksum = checksum
    }

    /// The header in front of the payload.
    package var header: BridgeFrameHeader {
        BridgeFrameHeader(
            kind: .data,
            detail: self.codec.rawValue,
            generation: self.generation,
            position: self.position,
            payloadByteCount: self.payloadByteCount,
            contentByteCount: self.contentByteCount,
            payloadChecksum: self.checksum
        )
    }
}

extension BridgeFrame {
    /// Decodes the frame at the start of `bytes`; nil if it is not complete yet.
    ///
    /// Of a data frame only the head is decoded, and is complete without its payload.
    ///
    /// - Returns: the frame, and how many bytes to drop from the front of `bytes`.
    /// - Throws: whatever makes it no frame; the bridge is then closed.
    package static func decode(
        _ bytes: RawSpan
    ) throws(BridgeError) -> (frame: BridgeFrame, byteCount: Int)? {
        guard let header = try BridgeFrameHeader.decode(bytes) else { return nil }
        let headerByteCount = BridgeLimits.headerByteCount
        guard header.kind.isGreeting else {
            return (try Self.withoutPayload(header), headerByteCount)
        }
        let byteCount = headerByteCount + Int(header.payloadByteCount)
        guard bytes.byteCount >= byteCount else { return nil }
        let payload = bytes.extracting(headerByteCount..<byteCount)
        let computed = bridgeChecksum(payload, count: payload.byteCount)
        guard computed == header.payloadChecksum else {
            throw .payloadChecksum(header.kind, stored: header.payloadChecksum, computed: computed)
        }
        return (try Self.greeting(header.kind, payload), byteCount)
    }

    private static func withoutPayload(
        _ header: BridgeFrameHeader
    ) throws(BridgeError) -> BridgeFrame {
        let generation = header.generation
        switch header.kind {
        case .open:
            if let type = ChannelType(rawValue: header.detail) {
                return .signal(.open(generation: generation, type))
            }
        case .established:
            return .signal(.established(generation: generation))
        case .data:
            if let codec = FrameCodec(rawValue: header.detail) {
                return .data(BridgeData(header, codec: codec))
            }
        case .close:
            if let end = StreamEnd(rawValue: header.detail) {
                return .signal(.close(generation: generation, end, byteCount: header.position))
            }
        case .abort:
            if let end = StreamEnd(rawValue: header.detail) {
                return .signal(.abort(generation: generation, end))
            }
        case .keepAlive:
            if let states = ChannelStates(detail: header.detail) {
                return .signal(.keepAlive(sentAt: header.position, states))
            }
        case .keepAliveEcho:
            return .signal(.keepAliveEcho(sentAt: header.position))
        case .laneRequest:
            return .signal(.laneRequest)
        case .hello, .welcome, .refusal:
            throw .field(header.kind, .payloadByteCount, value: 0)
        }
        throw .field(header.kind, .detail, value: UInt64(header.detail))
    }

    private static func greeting(
        _ kind: BridgeFrameKind,
        _ payload: RawSpan
    ) throws(BridgeError) -> BridgeFrame {
        var fields = GreetingReader(kind: kind, payload)
        let frame: BridgeFrame
        switch kind {
        case .hello: frame = .hello(try BridgeHello(from: &fields))
        case .welcome: frame = .welcome(try BridgeWelcome(from: &fields))
        case .refusal: frame = .refusal(try BridgeRefusal(from: &fields))
        case .open, .established, .data, .close, .abort, .keepAlive, .keepAliveEcho, .laneRequest:
            throw .field(kind, .payloadByteCount, value: UInt64(payload.byteCount))
        }
        try fields.finish()
        return frame
    }
}

extension BridgeData {
    fileprivate init(_ header: BridgeFrameHeader, codec: FrameCodec) {
        self.init(
            generation: header.generation,
            position: header.position,
            contentByteCount: header.contentByteCount,
            payloadByteCount: header.payloadByteCount,
            codec: codec,
            checksum: header.payloadChecksum
        )
    }
}
