// SPDX-License-Identifier: Apache-2.0

internal import Primitives

extension Packet {
    /// Writes header and fixed part to the start of `memory`, for a packet that `trailing` bytes
    /// follow, and returns their size.
    ///
    /// The driver sends the trailing bytes from where they lie.
    ///
    /// Pad fields become 0, and so does the volume of packets that concern none. Traps if `memory`
    /// is smaller than ``ReplicationLimits/headByteCount`` or if the agreement does not have the
    /// packet or its length: those are decisions of our own.
    package func encode(
        into memory: UnsafeMutableRawBufferPointer,
        volume: UInt16 = 0,
        trailing: Int = 0,
        under agreement: WireAgreement
    ) -> Int {
        invariant(
            memory.count >= ReplicationLimits.headByteCount,
            "memory for any packet's header and fixed part"
        )
        if case .data(let header) = self, agreement.version >= 100 {
            return header.encodeWrite(into: memory, volume, trailing, under: agreement)
        }
        let command = self.command
        invariant(command.isAllowed(under: agreement), "a packet that the agreement has")
        let length = UInt32(self.fixedByteCount(under: agreement) + trailing)
        let format: HeaderFormat =
            agreement.isReached ? agreement.headerFormat(length: length) : .h80
        invariant(
            command.lengths(under: agreement, in: format).contains(length),
            "a packet within its limits"
        )
        var writer = PacketWriter(memory)
        let header = PacketHeader(
            command: command,
            volume: command.isOfVolume ? volume : 0,
            length: length,
            format: format
        )
        header.write(into: &writer)
        self.writeFixedPart(into: &writer, under: agreement)
        invariant(
            writer.count == Int(format.byteCount + length) - trailing,
            "a fixed part of the size that the header announces"
        )
        return writer.count
    }

    private func fixedByteCount(under agreement: WireAgreement) -> Int {
        let length: UInt32
        switch self {
        case .protocolParameters(let parameters), .protocolUpdate(let parameters):
            length = 24 + parameters.nameByteCount(under: agreement)
        case .syncParameters88(let parameters):
            length = 4 + parameters.nameByteCount(under: agreement)
        case .initialData, .initialMeta, .features, .authChallenge, .authResponse, .ping, .pingAck,
            .delayProbe, .syncParameters, .sizes, .uuids, .state, .syncUUID, .stateChangeRequest,
            .stateChangeReply, .connectionStateChangeRequest, .connectionStateChangeReply, .bitmap,
            .compressedBitmap, .data, .trim, .zeroes, .writeSame, .unplugRemote, .barrier,
            .barrierAck, .outOfSync, .receiveAck, .writeAck, .negativeAck, .superseded, .retryWrite,
            .dataRequest, .dataReply, .negativeDataReply, .resyncDataRequest,
            .checksumResyncRequest, .thinResyncRequest, .resyncDataReply, .deallocated, .isInSync,
            .negativeResyncDataReply, .resyncCancel, .resyncWriteAck, .verifyRequest, .verifyReply,
            .verifyResult:
            length = 0
        }
        return Int(self.command.fixedByteCount(length: length, under: agreement))
    }

    private func writeFixedPart(into writer: inout PacketWriter, under agreement: WireAgreement) {
        switch self {
        case .initialData, .initialMeta, .authChallenge, .authResponse, .ping, .pingAck, .bitmap,
            .unplugRemote:
            break
        case .features(let features): features.write(into: &writer)
        case .protocolParameters(let parameters), .protocolUpdate(let parameters):
            parameters.write(into: &writer, under: agreement)
        case .delayProbe(let probe):
            writer.bigEndian(probe.sequenceNumber)
            writer.bigEndian(probe.microseconds)
        case .syncParameters88(let parameters):
            parameters.write88(into: &writer, under: agreement)
        case .syncParameters(let parameters): parameters.write(into: &writer, under: agreement)
        case .sizes(let sizes): sizes.write(into: &writer, under: agreement)
        case .uuids(let set): set.write(into: &writer)
        case .state(let state): writer.bigEndian(state.rawValue)
        case .syncUUID(let uuid): writer.bigEndian(uuid)
        case .stateChangeRequest(let request), .connectionStateChangeRequest(let request):
            writer.bigEndian(request.mask)
            writer.bigEndian(request.value)
        case .stateChangeReply(let reply), .connectionStateChangeReply(let reply):
            writer.bigEndian(UInt32(bitPattern: reply.code))
        case .compressedBitmap(let header): writer.byte(header.encoding)
        case .data(let header), .dataReply(let header), .resyncDataReply(let header):
            header.write(into: &writer)
        case .trim(let range), .zeroes(let range), .writeSame(let range):
            range.data.write(into: &writer)
            writer.bigEndian(range.byteCount)
        case .barrier(let barrier):
            writer.raw(barrier.rawValue)
            writer.zeroes(4)
        case .barrierAck(let ack):
            writer.raw(ack.barrier.rawValue)
            writer.bigEndian(ack.setSize)
        case .outOfSync(let range), .deallocated(let range):
            writer.bigEndian(range.sector)
            writer.bigEndian(range.byteCount)
            writer.zeroes(4)
        case .receiveAck(let ack), .writeAck(let ack), .negativeAck(let ack), .superseded(let ack),
            .retryWrite(let ack), .negativeDataReply(let ack), .isInSync(let ack),
            .negativeResyncDataReply(let ack), .resyncCancel(let ack), .resyncWriteAck(let ack):
            ack.write(into: &writer)
        case .dataRequest(let request), .resyncDataRequest(let request),
            .checksumResyncRequest(let request), .thinResyncRequest(let request),
            .verifyRequest(let request), .verifyReply(let request):
            request.write(into: &writer)
        case .verifyResult(let result): result.write(into: &writer)
        }
    }
}

extension PacketHeader {
    func write(into writer: inout PacketWriter) {
        switch self.format {
        case .h80:
            writer.bigEndian(self.format.magic)
            writer.bigEndian(self.command.rawValue)
            writer.bigEndian(UInt16(self.length))
        case .h95:
            writer.bigEndian(UInt16(self.format.magic))
            writer.bigEndian(self.command.rawValue)
            writer.bigEndian(self.length)
        case .h100:
            writer.bigEndian(self.format.magic)
            writer.bigEndian(self.volume)
            writer.bigEndian(self.command.rawValue)
            writer.bigEndian(self.length)
            writer.zeroes(4)
        }
    }
}

extension ConnectionFeatures {
    fileprivate func write(into writer: inout PacketWriter) {
        writer.bigEndian(self.versionMinimum)
        writer.bigEndian(self.flags.rawValue)
        writer.bigEndian(self.versionMaximum)
        writer.zeroes(60)
    }
}

extension ProtocolParameters {
    fileprivate func nameByteCount(under agreement: WireAgreement) -> UInt32 {
        agreement.version >= 87 ? UInt32(self.integrityAlgorithm.count) + 1 : 0
    }

    fileprivate func write(into writer: inout PacketWriter, under agreement: WireAgreement) {
        writer.bigEndian(self.replicationProtocol.rawValue)
        writer.bigEndian(self.afterSplitBrain0.rawValue)
        writer.bigEndian(self.afterSplitBrain1.rawValue)
        writer.bigEndian(self.afterSplitBrain2.rawValue)
        writer.bigEndian(self.flags.rawValue)
        writer.bigEndian(UInt32(self.allowTwoPrimaries ? 1 : 0))
        self.integrityAlgorithm.write(Int(self.nameByteCount(under: agreement)), into: &writer)
    }
}

extension SyncParameters {
    fileprivate func nameByteCount(under agreement: WireAgreement) -> UInt32 {
        agreement.version >= 88 ? UInt32(self.verifyAlgorithm.count) + 1 : 0
    }

    fileprivate func write88(into writer: inout PacketWriter, under agreement: WireAgreement) {
        writer.bigEndian(self.resyncRateKibibytesPerSecond)
        self.verifyAlgorithm.write(Int(self.nameByteCount(under: agreement)), into: &writer)
    }

    fileprivate func write(into writer: inout PacketWriter, under agreement: WireAgreement) {
        writer.bigEndian(self.resyncRateKibibytesPerSecond)
        self.verifyAlgorithm.write(64, into: &writer)
        self.checksumAlgorithm.write(64, into: &writer)
        guard agreement.version >= 95 else { return }
        writer.bigEndian(self.planAheadDeciseconds)
        writer.bigEndian(self.delayTargetDeciseconds)
        writer.bigEndian(self.fillTargetSectors)
        writer.bigEndian(self.maximumRateKibibytesPerSecond)
    }
}

extension Sizes {
    fileprivate func write(into writer: inout PacketWriter, under agreement: WireAgreement) {
        writer.bigEndian(self.diskSectors)
        writer.bigEndian(self.userSectors)
        writer.bigEndian(self.currentSectors)
        writer.bigEndian(self.maximumRequestByteCount)
        writer.bigEndian(self.queueOrderType)
        writer.bigEndian(self.flags.rawValue)
        guard agreement.features.contains(.writeSame) else { return }
        let limits = self.limits ?? QueueLimits()
        writer.bigEndian(limits.physicalBlockSize)
        writer.bigEndian(limits.logicalBlockSize)
        writer.bigEndian(limits.alignmentOffset)
        writer.bigEndian(limits.minimumIOSize)
        writer.bigEndian(limits.optimalIOSize)
        writer.byte(limits.discardEnabled ? 1 : 0)
        writer.byte(limits.discardZeroesData ? 1 : 0)
        writer.byte(limits.writeSameCapable ? 1 : 0)
        writer.zeroes(1)
    }
}

extension UUIDSet {
    fileprivate func write(into writer: inout PacketWriter) {
        writer.bigEndian(self.current)
        writer.bigEndian(self.bitmap)
        writer.bigEndian(self.history0)
        writer.bigEndian(self.history1)
        writer.bigEndian(self.dirtyBits)
        writer.bigEndian(self.flags.rawValue)
    }
}

extension CompressedBitmapHeader {
    /// The only code that protocol 86 to 101 has: run lengths in VLI code.
    static let runLengthCode: UInt8 = 2

    fileprivate var encoding: UInt8 {
        (self.startsWithSetBits ? 0x80 : 0) | self.padBits << 4 | Self.runLengthCode
    }
}

extension DataHeader {
    /// P_DATA with the newest header, what nearly all packets are: without a look at the tables of
    /// all packets.
    fileprivate func encodeWrite(
        into memory: UnsafeMutableRawBufferPointer,
        _ volume: UInt16,
        _ trailing: Int,
        under agreement: WireAgreement
    ) -> Int {
        let payload = trailing - Int(agreement.digestByteCount)
        invariant(
            payload >= 512 && payload <= Int(agreement.payloadLimit),
            "a packet within its limits"
        )
        var writer = PacketWriter(memory)
        writer.bigEndian(HeaderFormat.h100.magic)
        writer.bigEndian(volume)
        writer.bigEndian(PacketCommand.data.rawValue)
        writer.bigEndian(UInt32(Self.byteCount + trailing))
        writer.raw(UInt32(0))
        self.write(into: &writer)
        return writer.count
    }

    private static var byteCount: Int { 24 }

    @inline(__always)
    fileprivate func write(into writer: inout PacketWriter) {
        writer.bigEndian(self.sector)
        writer.raw(self.blockID.rawValue)
        writer.bigEndian(self.sequenceNumber)
        writer.bigEndian(self.flags.rawValue)
    }
}

extension BlockAck {
    fileprivate func write(into writer: inout PacketWriter) {
        writer.bigEndian(self.sector)
        writer.raw(self.blockID.rawValue)
        writer.bigEndian(self.byteCount)
        writer.bigEndian(self.sequenceNumber)
    }
}

extension BlockRequest {
    fileprivate func write(into writer: inout PacketWriter) {
        writer.bigEndian(self.sector)
        writer.raw(self.blockID.rawValue)
        writer.bigEndian(self.byteCount)
        writer.zeroes(4)
    }
}

extension VerifyResult {
    fileprivate func write(into writer: inout PacketWriter) {
        writer.bigEndian(self.sector)
        writer.bigEndian(self.code)
        writer.bigEndian(self.byteCount)
        writer.bigEndian(self.sequenceNumber)
    }
}
