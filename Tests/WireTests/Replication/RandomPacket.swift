// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Draws packets that keep every rule of the protocol.
enum RandomPacket {
    /// Any agreement of protocol 86 to 101, or none.
    static func agreement(_ random: inout SeededRandom) -> WireAgreement {
        if random.chance(1, in: 12) { return .none }
        return WireAgreement(
            version: random.chance(1, in: 2) ? 101 : 86 + UInt32(random.below(16)),
            features: FeatureFlags(rawValue: UInt32(random.below(16))),
            digestByteCount: [0, 0, 4, 20, 32][Int(random.below(5))]
        )
    }

    /// A packet `command` with the number of bytes that trail it; nil if the agreement lacks it.
    static func packet(
        _ command: PacketCommand,
        under agreement: WireAgreement,
        _ random: inout SeededRandom
    ) -> (packet: Packet, trailing: Int)? {
        guard command.isAllowed(under: agreement) else { return nil }
        var draw = Draw(agreement: agreement, random: random)
        defer { random = draw.random }
        return draw.packet(command)
    }
}

private struct Draw {
    let agreement: WireAgreement
    var random: SeededRandom

    mutating func packet(_ command: PacketCommand) -> (packet: Packet, trailing: Int) {
        switch command {
        case .data: (.data(self.data()), self.payload())
        case .dataReply: (.dataReply(self.data()), self.payload())
        case .resyncDataReply: (.resyncDataReply(self.data()), self.payload())
        case .writeSame:
            (.writeSame(self.range()), 512 + Int(self.agreement.digestByteCount))
        case .trim: (.trim(self.range()), 0)
        case .zeroes: (.zeroes(self.range()), 0)
        case .barrier: (.barrier(BarrierNumber(rawValue: self.number32())), 0)
        case .barrierAck:
            (
                .barrierAck(
                    BarrierAck(
                        barrier: BarrierNumber(rawValue: self.number32()),
                        setSize: self.number32()
                    )
                ), 0
            )
        case .bitmap: (.bitmap, Int(self.random.below(511)) * 8)
        case .compressedBitmap:
            (
                .compressedBitmap(
                    CompressedBitmapHeader(
                        startsWithSetBits: self.random.chance(1, in: 2),
                        padBits: UInt8(self.random.below(8))
                    )
                ), 1 + Int(self.random.below(4079))
            )
        case .authChallenge: (.authChallenge, 64 + Int(self.random.below(65)))
        case .authResponse: (.authResponse, 1 + Int(self.random.below(64)))
        case .dataRequest: (.dataRequest(self.request()), 0)
        case .resyncDataRequest: (.resyncDataRequest(self.request()), 0)
        case .thinResyncRequest: (.thinResyncRequest(self.request()), 0)
        case .verifyRequest: (.verifyRequest(self.request()), 0)
        case .verifyReply: (.verifyReply(self.request()), 4)
        case .checksumResyncRequest: (.checksumResyncRequest(self.request()), 64)
        case .outOfSync: (.outOfSync(self.blockRange()), 0)
        case .deallocated: (.deallocated(self.blockRange()), 0)
        case .unplugRemote: (.unplugRemote, 0)
        case .ping: (.ping, 0)
        case .pingAck: (.pingAck, 0)
        case .initialMeta: (.initialMeta, 0)
        case .initialData: (.initialData, 0)
        case .delayProbe:
            (
                .delayProbe(
                    DelayProbe(sequenceNumber: self.number32(), microseconds: self.number32())
                ), 0
            )
        case .receiveAck: (.receiveAck(self.ack()), 0)
        case .writeAck: (.writeAck(self.ack()), 0)
        case .resyncWriteAck: (.resyncWriteAck(self.ack()), 0)
        case .superseded: (.superseded(self.ack()), 0)
        case .negativeAck: (.negativeAck(self.ack()), 0)
        case .negativeDataReply: (.negativeDataReply(self.ack()), 0)
        case .negativeResyncDataReply: (.negativeResyncDataReply(self.ack()), 0)
        case .isInSync: (.isInSync(self.ack()), 0)
        case .resyncCancel: (.resyncCancel(self.ack()), 0)
        case .retryWrite: (.retryWrite(self.ack()), 0)
        case .verifyResult: (.verifyResult(self.verifyResult()), 0)
        case .features, .protocolParameters, .protocolUpdate, .syncParameters88, .syncParameters,
            .uuids, .sizes, .state, .syncUUID, .stateChangeRequest, .stateChangeReply,
            .connectionStateChangeRequest, .connectionStateChangeReply:
            (self.handshake(command), 0)
        }
    }

    private mutating func handshake(_ command: PacketCommand) -> Packet {
        switch command {
        case .features:
            .features(
                ConnectionFeatures(
                    versionMinimum: self.number32(),
                    versionMaximum: self.number32(),
                    flags: FeatureFlags(rawValue: self.number32())
                )
            )
        case .protocolParameters: .protocolParameters(self.protocolParameters())
        case .protocolUpdate: .protocolUpdate(self.protocolParameters())
        case .syncParameters88: .syncParameters88(self.syncParameters(isOld: true))
        case .syncParameters: .syncParameters(self.syncParameters(isOld: false))
        case .uuids: .uuids(self.uuids())
        case .sizes: .sizes(self.sizes())
        case .state: .state(RandomState.word(&self.random))
        case .syncUUID: .syncUUID(self.random.next())
        case .stateChangeRequest: .stateChangeRequest(RandomState.request(&self.random))
        case .stateChangeReply: .stateChangeReply(self.reply())
        case .connectionStateChangeRequest:
            .connectionStateChangeRequest(RandomState.request(&self.random))
        default: .connectionStateChangeReply(self.reply())
        }
    }

    private mutating func number32() -> UInt32 { UInt32(truncatingIfNeeded: self.random.next()) }

    private mutating func payload() -> Int {
        let sectors = UInt64(self.agreement.payloadLimit / 512)
        let count =
            self.random.chance(1, in: 2) ? 1 + self.random.below(8) : 1 + self.random.below(sectors)
        return Int(count) * 512 + Int(self.agreement.digestByteCount)
    }

    private mutating func size(below limit: UInt32) -> UInt32 {
        (1 + UInt32(self.random.below(UInt64(limit / 512)))) * 512
    }

    /// Any sector that leaves room for the largest request.
    private mutating func sector() -> UInt64 { self.random.next() >> 10 & ~0xf_ffff }

    private mutating func blockID() -> BlockID { BlockID(rawValue: self.random.next()) }

    private mutating func data() -> DataHeader {
        DataHeader(
            sector: self.sector(),
            blockID: self.blockID(),
            sequenceNumber: self.number32(),
            flags: DataFlags(rawValue: self.number32())
        )
    }

    private mutating func range() -> RangeHeader {
        RangeHeader(data: self.data(), byteCount: self.size(below: self.agreement.discardLimit))
    }

    private mutating func blockRange() -> BlockRange {
        BlockRange(
            sector: self.sector(),
            byteCount: self.size(below: self.agreement.discardLimit)
        )
    }

    private mutating func request() -> BlockRequest {
        BlockRequest(
            sector: self.sector(),
            blockID: self.blockID(),
            byteCount: self.size(below: self.agreement.payloadLimit)
        )
    }

    private mutating func ack() -> BlockAck {
        BlockAck(
            sector: self.sector(),
            blockID: self.blockID(),
            byteCount: self.size(below: self.agreement.discardLimit),
            sequenceNumber: self.number32()
        )
    }

    private mutating func verifyResult() -> VerifyResult {
        VerifyResult(
            sector: self.sector(),
            code: self.random.next(),
            byteCount: self.size(below: self.agreement.discardLimit),
            sequenceNumber: self.number32()
        )
    }

    private mutating func name() -> AlgorithmName {
        let letters = (0..<self.random.below(23)).map { _ in
            Character(Unicode.Scalar(UInt8(33 + self.random.below(90))))
        }
        return AlgorithmName(String(letters)) ?? AlgorithmName()
    }

    private mutating func protocolParameters() -> ProtocolParameters {
        let policies = AfterSplitBrainPolicy.allCases
        return ProtocolParameters(
            replicationProtocol: [.a, .b, .c][Int(self.random.below(3))],
            afterSplitBrain0: policies[Int(self.random.below(11))],
            afterSplitBrain1: policies[Int(self.random.below(11))],
            afterSplitBrain2: policies[Int(self.random.below(11))],
            flags: ConnectFlags(rawValue: self.number32()),
            allowTwoPrimaries: self.random.chance(1, in: 2),
            integrityAlgorithm: self.agreement.version >= 87 ? self.name() : AlgorithmName()
        )
    }

    private mutating func syncParameters(isOld: Bool) -> SyncParameters {
        var parameters = SyncParameters()
        parameters.resyncRateKibibytesPerSecond = self.number32()
        if self.agreement.version >= 88 { parameters.verifyAlgorithm = self.name() }
        guard !isOld else { return parameters }
        parameters.checksumAlgorithm = self.name()
        guard self.agreement.version >= 95 else { return parameters }
        parameters.planAheadDeciseconds = self.number32()
        parameters.delayTargetDeciseconds = self.number32()
        parameters.fillTargetSectors = self.number32()
        parameters.maximumRateKibibytesPerSecond = self.number32()
        return parameters
    }

    private mutating func uuids() -> UUIDSet {
        UUIDSet(
            current: self.random.next(),
            bitmap: self.random.next(),
            history0: self.random.next(),
            history1: self.random.next(),
            dirtyBits: self.random.next(),
            flags: UUIDFlags(rawValue: self.random.next())
        )
    }

    private mutating func sizes() -> Sizes {
        var sizes = Sizes(
            diskSectors: self.random.next(),
            userSectors: self.random.next(),
            currentSectors: self.random.next(),
            maximumRequestByteCount: self.number32(),
            flags: SizesFlags(rawValue: UInt16(truncatingIfNeeded: self.random.next()))
        )
        sizes.queueOrderType = UInt16(truncatingIfNeeded: self.random.next())
        guard self.agreement.features.contains(.writeSame) else { return sizes }
        var limits = QueueLimits()
        limits.physicalBlockSize = self.number32()
        limits.logicalBlockSize = self.number32()
        limits.alignmentOffset = self.number32()
        limits.minimumIOSize = self.number32()
        limits.optimalIOSize = self.number32()
        limits.discardEnabled = self.random.chance(1, in: 2)
        limits.discardZeroesData = self.random.chance(1, in: 2)
        limits.writeSameCapable = self.random.chance(1, in: 2)
        sizes.limits = limits
        return sizes
    }

    private mutating func reply() -> StateReply {
        let results = StateChangeResult.allCases
        return StateReply(results[Int(self.random.below(UInt64(results.count)))])
    }
}

/// Draws states and requests.
enum RandomState {
    static func word(_ random: inout SeededRandom) -> StateWord {
        StateWord(
            role: self.any(&random),
            peer: self.any(&random),
            connection: self.any(&random),
            disk: self.any(&random),
            peerDisk: self.any(&random),
            flags: StateFlags(rawValue: UInt32(truncatingIfNeeded: random.next()))
        )
    }

    /// DRBD 9's numbers make a requested DUnknown mean Outdated, so it is left out.
    static func request(_ random: inout SeededRandom) -> StateRequest {
        func sometimes<Value: CaseIterable>() -> Value? {
            random.chance(1, in: 2) ? self.any(&random) : nil
        }
        let disk: DiskState? = sometimes()
        let peerDisk: DiskState? = sometimes()
        return StateRequest(
            role: sometimes(),
            peer: sometimes(),
            connection: sometimes(),
            disk: disk == .unknown ? nil : disk,
            peerDisk: peerDisk == .unknown ? nil : peerDisk,
            flagMask: StateFlags(rawValue: UInt32(truncatingIfNeeded: random.next())),
            flags: StateFlags(rawValue: UInt32(truncatingIfNeeded: random.next()))
        )
    }

    static func any<Value: CaseIterable>(_ random: inout SeededRandom) -> Value {
        let values = Array(Value.allCases)
        return values[Int(random.below(UInt64(values.count)))]
    }
}
