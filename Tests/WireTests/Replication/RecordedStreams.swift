// SPDX-License-Identifier: Apache-2.0

import Testing
import TestSupport
import Wire

/// One packet of a stream: what was decoded and every byte it was made of.
struct StreamPacket: Hashable {
    var frame: PacketFrame
    var bytes: [UInt8]
    /// What held when it was decoded.
    var agreement: WireAgreement

    var trailing: ArraySlice<UInt8> { self.bytes[self.frame.headByteCount...] }
}

/// Decodes a stream as a driver would: bytes come in pieces, and only the head of a packet has to
/// be in memory at once.
struct StreamDecoder {
    private(set) var packets: [StreamPacket] = []
    private let socket: PacketSocket
    private let agreed: WireAgreement
    private var agreement: WireAgreement
    private var pending: [UInt8] = []
    private var frame: PacketFrame?
    private var needed = 8
    private var isFirst = true

    /// Decodes a stream of a connection that becomes `socket`.
    ///
    /// `agreed` holds after the features; `isFresh`: the stream may begin with P_INITIAL_*.
    init(_ socket: PacketSocket, agreed: WireAgreement, isFresh: Bool) {
        self.socket = socket
        self.agreed = agreed
        self.agreement = isFresh || socket == .data ? .none : agreed
        self.isFirst = isFresh
    }

    /// Whether the stream ended between two packets.
    var isAtBoundary: Bool { self.pending.isEmpty }

    mutating func feed(_ bytes: some Sequence<UInt8>) throws(WireError) {
        self.pending += bytes
        while try self.step() {}
    }

    private mutating func step() throws(WireError) -> Bool {
        if let frame = self.frame {
            let size = frame.headByteCount + frame.trailingByteCount
            guard self.pending.count >= size else { return false }
            self.finish(frame, size)
            return true
        }
        guard self.pending.count >= self.needed else { return false }
        let progress = try PacketFrame.decode(
            self.pending.span.bytes,
            on: self.isFirst ? .undecided : self.socket,
            under: self.agreement
        )
        switch progress {
        case .incomplete(let needed):
            #expect(needed > self.pending.count, "more is asked for than is there")
            self.needed = needed
        case .head(let frame):
            self.frame = frame
        }
        return true
    }

    private mutating func finish(_ frame: PacketFrame, _ size: Int) {
        self.packets.append(
            StreamPacket(
                frame: frame,
                bytes: Array(self.pending[..<size]),
                agreement: self.agreement
            )
        )
        self.pending.removeFirst(size)
        self.frame = nil
        self.needed = 8
        if self.isFirst, self.socket == .meta { self.agreement = self.agreed }
        self.isFirst = false
        if case .features = frame.packet { self.agreement = self.agreed }
        if case .protocolParameters(let parameters) = frame.packet {
            self.agreement.digestByteCount = parameters.integrityAlgorithm.isEmpty ? 0 : 4
        }
    }
}

extension Recording {
    /// What the two nodes of every recording agree on.
    static let agreement = WireAgreement(version: 101, features: .announced)

    /// The connections that carried anything, with their sockets.
    ///
    /// A connection that was open before the recording began shows only a ping, so it is a meta
    /// socket.
    var used: [(index: Int, socket: PacketSocket)] {
        self.connections.indices.compactMap { index in
            let connection = self.connections[index]
            if connection.isContinued { return (index, .meta) }
            guard let socket = connection.socket else { return nil }
            return (index, socket == .data ? .data : .meta)
        }
    }

    /// A decoder for one side's stream of `connection`.
    func decoder(of connection: Int, socket: PacketSocket, from side: Side) -> StreamDecoder {
        let isFresh = side == .connector && !self.connections[connection].isContinued
        return StreamDecoder(socket, agreed: Self.agreement, isFresh: isFresh)
    }

    /// Every packet of one side's stream.
    func decoded(_ connection: Int, _ socket: PacketSocket, _ side: Side) throws -> [StreamPacket] {
        var decoder = self.decoder(of: connection, socket: socket, from: side)
        try decoder.feed(self.stream(of: connection, from: side))
        #expect(decoder.isAtBoundary, "no byte is left over")
        return decoder.packets
    }
}

/// Header, fixed part and trailing bytes in one array.
func encodedPacket(
    _ packet: Packet,
    volume: UInt16 = 0,
    trailing: some Collection<UInt8> = [],
    under agreement: WireAgreement
) -> [UInt8] {
    encodedHead(packet, volume: volume, trailing: trailing.count, under: agreement) + trailing
}

/// Header and fixed part of a packet that `trailing` bytes follow.
func encodedHead(
    _ packet: Packet,
    volume: UInt16 = 0,
    trailing: Int = 0,
    under agreement: WireAgreement
) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: ReplicationLimits.headByteCount) { memory, count in
        count = packet.encode(
            into: UnsafeMutableRawBufferPointer(memory),
            volume: volume,
            trailing: trailing,
            under: agreement
        )
    }
}
