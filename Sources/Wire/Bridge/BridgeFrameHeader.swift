// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// What a frame is for.
package enum BridgeFrameKind: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// The dialling relay (the connector) names itself and the connection.
    case hello = 1
    /// The accepting relay agrees.
    case welcome = 2
    /// A relay ends the bridge and says why.
    case refusal = 3
    /// The acceptor opens a stream of a type.
    case open = 4
    /// The connector has reached its engine.
    case established = 5
    /// Bytes of a stream.
    case data = 6
    /// A stream ends behind all its bytes.
    case close = 7
    /// A stream ends at once.
    case abort = 8
    /// Says that the sender lives, when it was sent, and in which states its channels are.
    case keepAlive = 9
    /// Returns the time of a keep-alive.
    case keepAliveEcho = 10
    /// The acceptor asks for a second TCP connection.
    case laneRequest = 11

    var belongsToStream: Bool {
        switch self {
        case .open, .established, .data, .close, .abort: true
        case .hello, .welcome, .refusal, .keepAlive, .keepAliveEcho, .laneRequest: false
        }
    }

    var isGreeting: Bool {
        switch self {
        case .hello, .welcome, .refusal: true
        case .open, .established, .data, .close, .abort, .keepAlive, .keepAliveEcho, .laneRequest:
            false
        }
    }

    var hasPosition: Bool {
        switch self {
        case .data, .close, .keepAlive, .keepAliveEcho: true
        case .hello, .welcome, .refusal, .open, .established, .abort, .laneRequest: false
        }
    }
}

/// The 32 bytes in front of every frame between two relays, all numbers big-endian.
///
///     0  magic 0x4252        8  position                16 payload length   24 payload checksum
///     2  kind   3 detail                                20 content length   28 header checksum
///     4  generation
///
/// The checksums are CRC-32C. That of a data frame's payload is a value here: the driver computes
/// and verifies it. A decoded header has been checked completely against the rules of its kind.
package struct BridgeFrameHeader: Hashable, Sendable, BitwiseCopyable {
    package var kind: BridgeFrameKind
    /// Codec, type, reason or states, by kind.
    package var detail: UInt8
    /// The number of the stream on this TCP connection, counted from 1.
    package var generation: UInt32
    /// Bytes before this frame in the stream, or a time, by kind.
    package var position: UInt64
    /// The bytes behind the header.
    package var payloadByteCount: UInt32
    /// The stream bytes that the payload stands for.
    package var contentByteCount: UInt32
    /// CRC-32C of the payload; 0 without payload.
    package var payloadChecksum: UInt32

    static let magic: UInt16 = 0x4252
    static let positionMaximum: UInt64 = 1 << 63 - 1

    /// Creates a header; what is not named is 0.
    package init(
        kind: BridgeFrameKind,
        detail: UInt8 = 0,
        generation: UInt32 = 0,
        position: UInt64 = 0,
        payloadByteCount: UInt32 = 0,
        contentByteCount: UInt32 = 0,
        payloadChecksum: UInt32 = 0
    ) {
        self.kind = kind
        self.detail = detail
        self.generation = generation
        self.position = position
        self.payloadByteCount = payloadByteCount
        self.contentByteCount = contentByteCount
        self.payloadChecksum = payloadChecksum
    }

    /// Writes the header to the first 32 bytes of `memory`.
    ///
    /// Traps if there are fewer.
    package func encode(into memory: UnsafeMutableRawBufferPointer) {
        invariant(memory.count >= BridgeLimits.headerByteCount, "memory for a frame header")
        memory.storeBytes(of: Self.magic.bigEndian, toByteOffset: 0, as: UInt16.self)
        memory.storeBytes(of: self.kind.rawValue, toByteOffset: 2, as: UInt8.self)
        memory.storeBytes(of: self.detail, toByteOffset: 3, as: UInt8.self)
        memory.storeBytes(of: self.generation.bigEndian, toByteOffset: 4, as: UInt32.self)
        memory.storeBytes(of: self.position.bigEndian, toByteOffset: 8, as: UInt64.self)
        memory.storeBytes(of: self.payloadByteCount.bigEndian, toByteOffset: 16, as: UInt32.self)
        memory.storeBytes(of: self.contentByteCount.bigEndian, toByteOffset: 20, as: UInt32.self)
        memory.storeBytes(of: self.payloadChecksum.bigEndian, toByteOffset: 24, as: UInt32.self)
        let checksum = bridgeChecksum(UnsafeRawBufferPointer(memory).bytes, count: 28)
        memory.storeBytes(of: checksum.bigEndian, toByteOffset: 28, as: UInt32.self)
    }

    /// Decodes the header at the start of `bytes`; nil if it is not complete yet.
    package static func decode(_ bytes: RawSpan) throws(BridgeError) -> BridgeFrameHeader? {
        guard bytes.byteCount >= BridgeLimits.headerByteCount else { return nil }
        let reader = BridgeReader(bytes)
        let magic = reader.number16(at: 0)
        guard magic == Self.magic else { throw .magic(magic) }
        let stored = reader.number32(at: 28)
        let computed = bridgeChecksum(bytes, count: 28)
        guard stored == computed else {
            throw .headerChecksum(stored: stored, computed: computed)
        }
        let number = reader.number8(at: 2)
        guard let kind = BridgeFrameKind(rawValue: number) else { throw .unknownKind(number) }
        let header = Self(
            kind: kind,
            detail: reader.number8(at: 3),
            generation: reader.number32(at: 4),
            position: reader.number64(at: 8),
            payloadByteCount: reader.number32(at: 16),
            contentByteCount: reader.number32(at: 20),
            payloadChecksum: reader.number32(at: 24)
        )
        try header.check()
        return header
    }

    private func check() throws(BridgeError) {
        try self.require(self.hasValidDetail, .detail, UInt64(self.detail))
        try self.require(
            (self.generation > 0) == self.kind.belongsToStream,
            .generation,
            UInt64(self.generation)
        )
        try self.require(
            self.kind.hasPosition
                ? self.position <= Self.positionMaximum - UInt64(BridgeLimits.contentMaximum)
                : self.position == 0,
            .position,
            self.position
        )
        try self.require(
            self.kind == .data
                ? (1...BridgeLimits.contentMaximum).contains(self.contentByteCount)
                : self.contentByteCount == 0,
            .contentByteCount,
            UInt64(self.contentByteCount)
        )
        try self.require(self.hasValidPayload, .payloadByteCount, UInt64(self.payloadByteCount))
        try self.require(
            self.payloadByteCount > 0 || self.payloadChecksum == 0,
            .payloadChecksum,
            UInt64(self.payloadChecksum)
        )
    }

    private var hasValidDetail: Bool {
        switch self.kind {
        case .hello, .welcome, .refusal, .established, .keepAliveEcho, .laneRequest:
            self.detail == 0
        case .open: ChannelType(rawValue: self.detail) != nil
        case .data: FrameCodec(rawValue: self.detail) != nil
        case .close, .abort: StreamEnd(rawValue: self.detail) != nil
        case .keepAlive: ChannelStates(detail: self.detail) != nil
        }
    }

    private var hasValidPayload: Bool {
        if self.kind.isGreeting {
            return (1...BridgeLimits.greetingMaximum).contains(self.payloadByteCount)
        }
        guard self.kind == .data else { return self.payloadByteCount == 0 }
        if self.detail == FrameCodec.none.rawValue {
            return self.payloadByteCount == self.contentByteCount
        }
        let maximum = self.contentByteCount + BridgeLimits.expansionMaximum
        return (1...maximum).contains(self.payloadByteCount)
    }

    private func require(
        _ condition: Bool,
        _ field: BridgeField,
        _ value: UInt64
    ) throws(BridgeError) {
        guard condition else { throw .field(self.kind, field, value: value) }
    }
}

extension ChannelStates {
    init?(detail: UInt8) {
        guard let acceptor = ChannelState(rawValue: detail >> 4),
            let connector = ChannelState(rawValue: detail & 15)
        else { return nil }
        self.init(acceptor: acceptor, connector: connector)
    }

    var detail: UInt8 { self.acceptor.rawValue << 4 | self.connector.rawValue }
}
