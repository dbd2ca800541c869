// SPDX-License-Identifier: Apache-2.0

internal import Primitives

extension Packet {
    /// Decodes the fixed part of the packet that `header` announces from the bytes behind the
    /// header.
    ///
    /// Needs the ``PacketHeader/fixedByteCount(under:)`` first bytes and looks at no others. The
    /// bytes that trail them number `header.length` minus that count. Pad fields are ignored.
    ///
    /// - Throws: ``WireError`` for a field that breaks its rule. The connection ends.
    package static func decode(
        _ header: PacketHeader,
        _ bytes: RawSpan,
        under agreement: WireAgreement
    ) throws(WireError) -> Packet {
        let needed = header.fixedByteCount(under: agreement)
        guard bytes.byteCount >= Int(needed) else {
            throw .truncated(
                header.command,
                available: UInt32(bytes.byteCount),
                needed: needed
            )
        }
        let fields = PacketFields(
            reader: PacketReader(bytes),
            header: header,
            agreement: agreement
        )
        return try Self.decode(header.command, fields)
    }

    /// Decodes the acknowledgement that `header` announces; `bytes` are the 24 behind it.
    static func decodeAck(
        _ header: PacketHeader,
        _ bytes: RawSpan,
        under agreement: WireAgreement
    ) throws(WireError) -> BlockAck {
        invariant(bytes.byteCount >= 24, "the fixed part of an acknowledgement")
        let reader = PacketReader(bytes)
        return try PacketFields(reader: reader, header: header, agreement: agreement).ack()
    }

    private static func decode(
        _ command: PacketCommand,
        _ fields: borrowing PacketFields
    ) throws(WireError) -> Packet {
        switch command {
        case .initialData: return .initialData
        case .initialMeta: return .initialMeta
        case .features: return .features(fields.features())
        case .authChallenge: return .authChallenge
        case .authResponse: return .authResponse
        case .protocolParameters: return .protocolParameters(try fields.protocolParameters())
        case .protocolUpdate: return .protocolUpdate(try fields.protocolParameters())
        case .ping: return .ping
        case .pingAck: return .pingAck
        case .delayProbe: return .delayProbe(fields.delayProbe())
        case .syncParameters88: return .syncParameters88(try fields.syncParameters88())
        case .syncParameters: return .syncParameters(try fields.syncParameters())
        case .sizes: return .sizes(fields.sizes())
        case .uuids: return .uuids(fields.uuids())
        case .state: return .state(try StateWord(rawValue: fields.reader.bigEndian32(at: 0)))
        case .syncUUID: return .syncUUID(fields.reader.bigEndian64(at: 0))
        case .stateChangeRequest: return .stateChangeRequest(try fields.stateRequest())
        case .stateChangeReply: return .stateChangeReply(fields.stateReply())
        case .connectionStateChangeRequest:
            return .connectionStateChangeRequest(try fields.stateRequest())
        case .connectionStateChangeReply:
            return .connectionStateChangeReply(fields.stateReply())
        case .bitmap: return .bitmap
        case .compressedBitmap: return .compressedBitmap(try fields.compressedBitmap())
        case .data: return .data(try fields.data())
        case .trim: return .trim(try fields.range())
        case .zeroes: return .zeroes(try fields.range())
        case .writeSame: return .writeSame(try fields.range())
        case .unplugRemote: return .unplugRemote
        case .barrier: return .barrier(BarrierNumber(rawValue: fields.reader.raw32(at: 0)))
        case .barrierAck: return .barrierAck(fields.barrierAck())
        case .outOfSync: return .outOfSync(try fields.blockRange())
        case .receiveAck: return .receiveAck(try fields.ack())
        case .writeAck: return .writeAck(try fields.ack())
        case .negativeAck: return .negativeAck(try fields.ack())
        case .superseded: return .superseded(try fields.ack())
        case .retryWrite: return .retryWrite(try fields.ack())
        case .dataRequest: return .dataRequest(try fields.request())
        case .dataReply: return .dataReply(try fields.data())
        case .negativeDataReply: return .negativeDataReply(try fields.ack())
        case .resyncDataRequest: return .resyncDataRequest(try fields.request())
        case .checksumResyncRequest: return .checksumResyncRequest(try fields.request())
        case .thinResyncRequest: return .thinResyncRequest(try fields.request())
        case .resyncDataReply: return .resyncDataReply(try fields.data())
        case .deallocated: return .deallocated(try fields.blockRange())
        case .isInSync: return .isInSync(try fields.ack())
        case .negativeResyncDataReply: return .negativeResyncDataReply(try fields.ack())
        case .resyncCancel: return .resyncCancel(try fields.ack())
        case .resyncWriteAck: return .resyncWriteAck(try fields.ack())
        case .verifyRequest: return .verifyRequest(try fields.request())
        case .verifyReply: return .verifyReply(try fields.request())
        case .verifyResult: return .verifyResult(try fields.verifyResult())
        }
    }
}

/// The fields of one packet's fixed part, by the offsets of §3.2 and §§4.2 to 4.7.
///
/// The bytes reach as far as the fixed part.
private struct PacketFields: ~Escapable {
    let reader: PacketReader
    let header: PacketHeader
    let agreement: WireAgreement

    @_lifetime(copy reader)
    init(reader: consuming PacketReader, header: PacketHeader, agreement: WireAgreement) {
        self.reader = reader
        self.header = header
        self.agreement = agreement
    }

    private var command: PacketCommand { self.header.command }

    func features() -> ConnectionFeatures {
        ConnectionFeatures(
            versionMinimum: self.reader.bigEndian32(at: 0),
            versionMaximum: self.reader.bigEndian32(at: 8),
            flags: FeatureFlags(rawValue: self.reader.bigEndian32(at: 4))
        )
    }

    func protocolParameters() throws(WireError) -> ProtocolParameters {
        let letter = self.reader.bigEndian32(at: 0)
        guard let replicationProtocol = ReplicationProtocol(rawValue: letter) else {
            throw .field(self.command, .replicationProtocol, value: UInt64(letter))
        }
        let twoPrimaries = self.reader.bigEndian32(at: 20)
        guard twoPrimaries <= 1 else {
            throw .field(self.command, .allowTwoPrimaries, value: UInt64(twoPrimaries))
        }
        return ProtocolParameters(
            replicationProtocol: replicationProtocol,
            afterSplitBrain0: try self.policy(at: 4),
            afterSplitBrain1: try self.policy(at: 8),
            afterSplitBrain2: try self.policy(at: 12),
            flags: ConnectFlags(rawValue: self.reader.bigEndian32(at: 16)),
            allowTwoPrimaries: twoPrimaries == 1,
            integrityAlgorithm: self.agreement.version >= 87
                ? try self.name(at: 24, count: Int(self.header.length) - 24) : AlgorithmName()
        )
    }

    private func policy(at offset: Int) throws(WireError) -> AfterSplitBrainPolicy {
        let number = self.reader.bigEndian32(at: offset)
        guard let policy = AfterSplitBrainPolicy(rawValue: number) else {
            throw .field(self.command, .afterSplitBrainPolicy, value: UInt64(number))
        }
        return policy
    }

    private func name(at offset: Int, count: Int) throws(WireError) -> AlgorithmName {
        guard let name = AlgorithmName(self.reader, at: offset, count: count) else {
            throw .field(self.command, .algorithmName, value: UInt64(count))
        }
        return name
    }

    func delayProbe() -> DelayProbe {
        DelayProbe(
            sequenceNumber: self.reader.bigEndian32(at: 0),
            microseconds: self.reader.bigEndian32(at: 4)
        )
    }

    func syncParameters88() throws(WireError) -> SyncParameters {
        var parameters = SyncParameters()
        parameters.resyncRateKibibytesPerSecond = self.reader.bigEndian32(at: 0)
        if self.agreement.version >= 88 {
            parameters.verifyAlgorithm = try self.name(at: 4, count: Int(self.header.length) - 4)
        }
        return parameters
    }

    func syncParameters() throws(WireError) -> SyncParameters {
        var parameters = SyncParameters()
        parameters.resyncRateKibibytesPerSecond = self.reader.bigEndian32(at: 0)
        parameters.verifyAlgorithm = try self.name(at: 4, count: 64)
        parameters.checksumAlgorithm = try self.name(at: 68, count: 64)
        if self.agreement.version >= 95 {
            parameters.planAheadDeciseconds = self.reader.bigEndian32(at: 132)
            parameters.delayTargetDeciseconds = self.reader.bigEndian32(at: 136)
            parameters.fillTargetSectors = self.reader.bigEndian32(at: 140)
            parameters.maximumRateKibibytesPerSecond = self.reader.bigEndian32(at: 144)
        }
        return parameters
    }

    func sizes() -> Sizes {
        var sizes = Sizes(
            diskSectors: self.reader.bigEndian64(at: 0),
            userSectors: self.reader.bigEndian64(at: 8),
            currentSectors: self.reader.bigEndian64(at: 16),
            maximumRequestByteCount: self.reader.bigEndian32(at: 24),
            flags: SizesFlags(rawValue: self.reader.bigEndian16(at: 30))
        )
        sizes.queueOrderType = self.reader.bigEndian16(at: 28)
        if self.agreement.features.contains(.writeSame) { sizes.limits = self.queueLimits() }
        return sizes
    }

    private func queueLimits() -> QueueLimits {
        var limits = QueueLimits()
        limits.physicalBlockSize = self.reader.bigEndian32(at: 32)
        limits.logicalBlockSize = self.reader.bigEndian32(at: 36)
        limits.alignmentOffset = self.reader.bigEndian32(at: 40)
        limits.minimumIOSize = self.reader.bigEndian32(at: 44)
        limits.optimalIOSize = self.reader.bigEndian32(at: 48)
        limits.discardEnabled = self.reader.byte(at: 52) != 0
        limits.discardZeroesData = self.reader.byte(at: 53) != 0
        limits.writeSameCapable = self.reader.byte(at: 54) != 0
        return limits
    }

    func uuids() -> UUIDSet {
        UUIDSet(
            current: self.reader.bigEndian64(at: 0),
            bitmap: self.reader.bigEndian64(at: 8),
            history0: self.reader.bigEndian64(at: 16),
            history1: self.reader.bigEndian64(at: 24),
            dirtyBits: self.reader.bigEndian64(at: 32),
            flags: UUIDFlags(rawValue: self.reader.bigEndian64(at: 40))
        )
    }

    func stateRequest() throws(WireError) -> StateRequest {
        try StateRequest(
            mask: self.reader.bigEndian32(at: 0),
            value: self.reader.bigEndian32(at: 4),
            of: self.command
        )
    }

    func stateReply() -> StateReply {
        StateReply(code: Int32(bitPattern: self.reader.bigEndian32(at: 0)))
    }

    func compressedBitmap() throws(WireError) -> CompressedBitmapHeader {
        let encoding = self.reader.byte(at: 0)
        guard encoding & 0xf == CompressedBitmapHeader.runLengthCode else {
            throw .field(self.command, .bitmapEncoding, value: UInt64(encoding))
        }
        return CompressedBitmapHeader(
            startsWithSetBits: encoding & 0x80 != 0,
            padBits: encoding >> 4 & 7
        )
    }

    func barrierAck() -> BarrierAck {
        BarrierAck(
            barrier: BarrierNumber(rawValue: self.reader.raw32(at: 0)),
            setSize: self.reader.bigEndian32(at: 4)
        )
    }

    /// The payload of a write or reply is what trails the fixed part and the digest; the limits of
    /// its size are those of the header's length, which the framing has checked.
    func data() throws(WireError) -> DataHeader {
        let header = self.dataHeader()
        let head = self.agreement.digestByteCount + 24
        guard self.header.length > head, (self.header.length - head) % 512 == 0 else {
            throw .field(self.command, .payloadSize, value: UInt64(self.header.length))
        }
        try self.checkRange(sector: header.sector, byteCount: self.header.length - head)
        return header
    }

    private func dataHeader() -> DataHeader {
        DataHeader(
            sector: self.reader.bigEndian64(at: 0),
            blockID: BlockID(rawValue: self.reader.raw64(at: 8)),
            sequenceNumber: self.reader.bigEndian32(at: 16),
            flags: DataFlags(rawValue: self.reader.bigEndian32(at: 20))
        )
    }

    func range() throws(WireError) -> RangeHeader {
        let range = RangeHeader(
            data: self.dataHeader(),
            byteCount: self.reader.bigEndian32(at: 24)
        )
        try self.checkSize(range.byteCount, limit: self.agreement.discardLimit)
        try self.checkRange(sector: range.data.sector, byteCount: range.byteCount)
        return range
    }

    func blockRange() throws(WireError) -> BlockRange {
        let range = BlockRange(
            sector: self.reader.bigEndian64(at: 0),
            byteCount: self.reader.bigEndian32(at: 8)
        )
        try self.checkSize(range.byteCount, limit: self.agreement.discardLimit)
        try self.checkRange(sector: range.sector, byteCount: range.byteCount)
        return range
    }

    /// An ack may be that of a discard, so its limit is theirs.
    func ack() throws(WireError) -> BlockAck {
        let ack = BlockAck(
            sector: self.reader.bigEndian64(at: 0),
            blockID: BlockID(rawValue: self.reader.raw64(at: 8)),
            byteCount: self.reader.bigEndian32(at: 16),
            sequenceNumber: self.reader.bigEndian32(at: 20)
        )
        try self.checkSize(ack.byteCount, limit: self.agreement.discardLimit)
        try self.checkRange(sector: ack.sector, byteCount: ack.byteCount)
        return ack
    }

    func verifyResult() throws(WireError) -> VerifyResult {
        let ack = try self.ack()
        return VerifyResult(
            sector: ack.sector,
            code: self.reader.bigEndian64(at: 8),
            byteCount: ack.byteCount,
            sequenceNumber: ack.sequenceNumber
        )
    }

    func request() throws(WireError) -> BlockRequest {
        let request = BlockRequest(
            sector: self.reader.bigEndian64(at: 0),
            blockID: BlockID(rawValue: self.reader.raw64(at: 8)),
            byteCount: self.reader.bigEndian32(at: 16)
        )
        try self.checkSize(request.byteCount, limit: self.agreement.payloadLimit)
        try self.checkRange(sector: request.sector, byteCount: request.byteCount)
        return request
    }

    private func checkSize(_ byteCount: UInt32, limit: UInt32) throws(WireError) {
        guard byteCount > 0, byteCount % 512 == 0, byteCount <= limit else {
            throw .field(self.command, .requestSize, value: UInt64(byteCount))
        }
    }

    private func checkRange(sector: UInt64, byteCount: UInt32) throws(WireError) {
        let end = ReplicationLimits.sectorEnd
        guard sector < end, UInt64(byteCount / 512) <= end - sector else {
            throw .range(self.command, sector: sector, byteCount: byteCount)
        }
    }
}
