// SPDX-License-Identifier: Apache-2.0

/// The three forms of a packet's header, by the protocol version that introduced them.
package enum HeaderFormat: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// Magic, command, 16-bit length.
    case h80
    /// 16-bit magic, command, 32-bit length.
    case h95
    /// Magic, volume, command, length, pad.
    case h100

    /// The size of the header.
    package var byteCount: UInt32 { self == .h100 ? 16 : 8 }

    /// The first bytes of the header, as a number.
    var magic: UInt32 {
        switch self {
        case .h80: 0x8374_0267
        case .h95: 0x835a
        case .h100: 0x8620_ec20
        }
    }
}

/// What stands in front of every packet.
package struct PacketHeader: Hashable, Sendable, BitwiseCopyable {
    package var command: PacketCommand
    /// The volume; without meaning in packets of the connection and 0 in the old formats.
    package var volume: UInt16
    /// The number of bytes behind the header.
    package var length: UInt32
    package var format: HeaderFormat

    /// Creates a header.
    package init(command: PacketCommand, volume: UInt16, length: UInt32, format: HeaderFormat) {
        self.command = command
        self.volume = volume
        self.length = length
        self.format = format
    }

    /// Decodes the header at the start of `bytes`; nil if it is not complete yet.
    ///
    /// - Throws: everything that `length` bytes need not be awaited for: bad magic or pad, an
    ///   unknown command, one that this socket or this agreement does not have, a length outside
    ///   the command's limits. All of them end the connection.
    package static func decode(
        _ bytes: RawSpan,
        on socket: PacketSocket,
        under agreement: WireAgreement
    ) throws(WireError) -> PacketHeader? {
        guard bytes.byteCount >= 8 else { return nil }
        let reader = PacketReader(bytes)
        let format = try Self.format(of: reader.bigEndian32(at: 0))
        guard Self.isAccepted(format, on: socket, under: agreement) else {
            throw .headerFormat(format, version: agreement.version)
        }
        let number: UInt16
        let length: UInt32
        var volume: UInt16 = 0
        switch format {
        case .h80:
            number = reader.bigEndian16(at: 4)
            length = UInt32(reader.bigEndian16(at: 6))
        case .h95:
            number = reader.bigEndian16(at: 2)
            length = reader.bigEndian32(at: 4)
        case .h100:
            guard bytes.byteCount >= 16 else { return nil }
            volume = reader.bigEndian16(at: 4)
            number = reader.bigEndian16(at: 6)
            length = reader.bigEndian32(at: 8)
            guard reader.bigEndian32(at: 12) == 0 else {
                throw .headerPad(reader.bigEndian32(at: 12))
            }
        }
        guard let command = PacketCommand(rawValue: number) else { throw .unknownCommand(number) }
        let header = Self(command: command, volume: volume, length: length, format: format)
        try header.check(on: socket, under: agreement)
        return header
    }

    /// The number of bytes behind the header that ``Packet/decode(_:_:under:)`` needs.
    package func fixedByteCount(under agreement: WireAgreement) -> UInt32 {
        self.command.fixedByteCount(length: self.length, under: agreement)
    }

    private func check(on socket: PacketSocket, under agreement: WireAgreement) throws(WireError) {
        guard self.command.isCarried(on: socket) else {
            throw .wrongSocket(self.command, on: socket)
        }
        guard self.command.isAllowed(under: agreement) else {
            throw .notAgreed(
                self.command,
                version: agreement.version,
                features: agreement.features
            )
        }
        let lengths = self.command.lengths(under: agreement, in: self.format)
        guard lengths.contains(self.length) else {
            throw .length(
                self.command,
                self.length,
                minimum: lengths.lowerBound,
                maximum: lengths.upperBound
            )
        }
    }

    private static func format(of start: UInt32) throws(WireError) -> HeaderFormat {
        if start == HeaderFormat.h100.magic { return .h100 }
        if start == HeaderFormat.h80.magic { return .h80 }
        if start >> 16 == HeaderFormat.h95.magic { return .h95 }
        throw .magic(start)
    }

    /// DRBD 9 may send a ping in the old format while the features are exchanged, so the meta
    /// socket takes every format (§2).
    private static func isAccepted(
        _ format: HeaderFormat,
        on socket: PacketSocket,
        under agreement: WireAgreement
    ) -> Bool {
        if socket == .meta { return true }
        guard agreement.isReached else { return format == .h80 }
        return (format == .h100) == (agreement.version >= 100)
    }
}

/// A packet whose header and fixed part have been decoded.
package struct PacketFrame: Hashable, Sendable, BitwiseCopyable {
    package var header: PacketHeader
    package var packet: Packet
    /// Header and fixed part: what the caller drops from the front of its bytes.
    package var headByteCount: Int
    /// The bytes that follow: digest, payload, bitmap or challenge.
    ///
    /// They stay with the caller.
    package var trailingByteCount: Int

    /// What the bytes at hand amount to.
    package enum Progress: Hashable, Sendable, BitwiseCopyable {
        /// At least this many bytes from the packet's start are needed for the next step.
        case incomplete(needed: Int)
        /// The packet's head is decoded; its trailing bytes may still be on their way.
        case head(PacketFrame)
    }

    /// Decodes the packet that begins at the start of `bytes`, as far as they reach.
    ///
    /// - Throws: a ``WireError`` as soon as the bytes show it. The connection ends.
    package static func decode(
        _ bytes: RawSpan,
        on socket: PacketSocket,
        under agreement: WireAgreement
    ) throws(WireError) -> Progress {
        if let frame = Self.writeAck(bytes, on: socket, under: agreement) { return .head(frame) }
        guard let header = try PacketHeader.decode(bytes, on: socket, under: agreement) else {
            return .incomplete(needed: bytes.byteCount < 8 ? 8 : 16)
        }
        let headerCount = Int(header.format.byteCount)
        let headCount = headerCount + Int(header.fixedByteCount(under: agreement))
        guard bytes.byteCount >= headCount else { return .incomplete(needed: headCount) }
        let packet = try Packet.decode(
            header,
            bytes.extracting(headerCount..<headCount),
            under: agreement
        )
        return .head(
            PacketFrame(
                header: header,
                packet: packet,
                headByteCount: headCount,
                trailingByteCount: headerCount + Int(header.length) - headCount
            )
        )
    }

    /// A whole P_WRITE_ACK with the newest header, what nearly all packets to a Primary are:
    /// without a look at the tables of all packets.
    ///
    /// Nil for anything else, and for one that breaks a rule.
    private static func writeAck(
        _ bytes: RawSpan,
        on socket: PacketSocket,
        under agreement: WireAgreement
    ) -> PacketFrame? {
        guard bytes.byteCount >= 40, socket == .meta, agreement.version >= 100 else { return nil }
        let reader = PacketReader(bytes)
        guard reader.bigEndian32(at: 0) == HeaderFormat.h100.magic,
            reader.bigEndian16(at: 6) == PacketCommand.writeAck.rawValue,
            reader.bigEndian32(at: 8) == 24, reader.bigEndian32(at: 12) == 0
        else { return nil }
        let header = PacketHeader(
            command: .writeAck,
            volume: reader.bigEndian16(at: 4),
            length: 24,
            format: .h100
        )
        guard
            let ack = try? Packet.decodeAck(header, bytes.extracting(16..<40), under: agreement)
        else { return nil }
        return PacketFrame(
            header: header,
            packet: .writeAck(ack),
            headByteCount: 40,
            trailingByteCount: 0
        )
    }
}
