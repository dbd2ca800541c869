// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Which answer a request of the peer gets.
enum PeerAnswer: BitwiseCopyable {
    case received
    case written
    case inSync
    case negative
    case negativeRead
    case negativeResyncRead
    case resyncCancelled
}

/// Values become packets here, and nowhere else.
extension Resource {
    private mutating func send(
        _ socket: PacketSocket,
        _ packet: Packet,
        volume: UInt16 = 0,
        buffer: BufferHandle = .none,
        payloadBytes: UInt32 = 0
    ) {
        if socket == .data { self.dataPacketsQueued += 1 }
        self.actions.append(
            .send(socket, volume: volume, packet, buffer, payloadBytes: payloadBytes)
        )
    }

    /// The next number of a volume's sequence: writes and acknowledgements share it, without gaps.
    private mutating func nextSequence(_ index: UInt16) -> UInt32 {
        self.volumes[index].sequence &+= 1
        return self.volumes[index].sequence
    }

    // MARK: Data path

    mutating func sendDataPacket(_ slot: UInt32) {
        let client = self.requests[slot].client
        let index = client.volume
        let header = DataHeader(
            sector: client.range.start,
            blockID: BlockID(rawValue: self.requests[slot].blockID),
            sequenceNumber: self.nextSequence(index),
            flags: self.dataFlags(client, self.requests[slot].flags)
        )
        let number = self.volumes[index].number
        self.volumes[index].statistics.sent += client.range.count
        let bytes = UInt32(client.range.byteCount)
        switch client.kind {
        case .write:
            self.send(
                .data,
                .data(header),
                volume: number,
                buffer: client.buffer,
                payloadBytes: bytes
            )
        case .trim:
            self.send(.data, .trim(RangeHeader(data: header, byteCount: bytes)), volume: number)
        case .writeZeroes:
            self.send(.data, .zeroes(RangeHeader(data: header, byteCount: bytes)), volume: number)
        case .read, .flush:
            invariantBroken("only writes are sent")
        }
    }

    @inline(__always)
    private func dataFlags(_ client: ClientRequest, _ state: Request.Flags) -> DataFlags {
        var flags = DataFlags(rawValue: 0)
        if client.isForcedUnitAccess { flags.formUnion([.fua, .synchronous]) }
        if self.volumes[client.volume].state.writeMaySetInSync {
            flags.formUnion([.maySetInSync, .sendWriteAck])
        }
        switch self.agreedProtocol {
        case .a: break
        case .b: flags.insert(.sendReceiveAck)
        case .c: flags.insert(.sendWriteAck)
        }
        if state.contains(.peerIsOnlyCopy) { flags.insert(.sendWriteAck) }
        switch client.kind {
        case .write, .read, .flush: break
        case .trim: flags.insert(.discard)
        case .writeZeroes:
            flags.insert(.zeroes)
            if client.mayUnmap { flags.insert(.discard) }
        }
        return flags
    }

    mutating func sendBarrier(_ number: UInt32) {
        self.send(.data, .barrier(BarrierNumber(rawValue: number)))
    }

    mutating func sendOutOfSync(_ range: SectorRange, in index: UInt16) {
        self.send(
            .data,
            .outOfSync(BlockRange(sector: range.start, byteCount: UInt32(range.byteCount))),
            volume: self.volumes[index].number
        )
    }

    mutating func sendReadRequest(_ slot: UInt32) {
        let request = self.requests[slot]
        self.send(
            .data,
            .dataRequest(
                BlockRequest(
                    sector: request.range.start,
                    blockID: BlockID(rawValue: request.blockID),
                    byteCount: UInt32(request.range.byteCount)
                )
            ),
            volume: self.volumes[request.client.volume].number
        )
    }

    mutating func sendResyncRequest(_ range: SectorRange, in index: UInt16) {
        self.send(
            .data,
            .resyncDataRequest(
                BlockRequest(
                    sector: range.start,
                    blockID: .syncer,
                    byteCount: UInt32(range.byteCount)
                )
            ),
            volume: self.volumes[index].number
        )
    }

    mutating func sendReadReply(_ read: PeerRequest) {
        let header = DataHeader(
            sector: read.range.start,
            blockID: BlockID(rawValue: read.blockID),
            sequenceNumber: 0
        )
        self.volumes[read.volume].statistics.sent += read.range.count
        self.send(
            .data,
            read.kind == .resyncRead ? .resyncDataReply(header) : .dataReply(header),
            volume: self.volumes[read.volume].number,
            buffer: read.buffer,
            payloadBytes: UInt32(read.range.byteCount)
        )
    }

    /// Answers a request of the peer on the meta socket; nothing if its connection is gone.
    mutating func sendAck(_ answer: PeerAnswer, for request: PeerRequest) {
        guard self.isEstablished, !request.flags.contains(.orphaned) else { return }
        let ack = BlockAck(
            sector: request.range.start,
            blockID: BlockID(rawValue: request.blockID),
            byteCount: UInt32(request.range.byteCount),
            sequenceNumber: self.nextSequence(request.volume)
        )
        let packet: Packet =
            switch answer {
            case .received: .receiveAck(ack)
            case .written: .writeAck(ack)
            case .inSync: .resyncWriteAck(ack)
            case .negative: .negativeAck(ack)
            case .negativeRead: .negativeDataReply(ack)
            case .negativeResyncRead: .negativeResyncDataReply(ack)
            case .resyncCancelled: .resyncCancel(ack)
            }
        self.send(.meta, packet, volume: self.volumes[request.volume].number)
    }

    mutating func sendBarrierAck(number: UInt32, writes: UInt32) {
        self.send(
            .meta,
            .barrierAck(BarrierAck(barrier: BarrierNumber(rawValue: number), setSize: writes))
        )
    }

    // MARK: Handshake and state

    mutating func sendSyncParameters(_ index: UInt16) {
        self.send(.data, .syncParameters(SyncParameters()), volume: self.volumes[index].number)
    }

    mutating func sendSizes(_ index: UInt16, asksForAnswer: Bool = false) {
        let volume = self.volumes[index].sizes
        var limits = QueueLimits()
        limits.discardEnabled = self.volumes[index].hasDisk
        let sizes = Sizes(
            diskSectors: volume.diskSectors,
            userSectors: volume.userSectors,
            currentSectors: asksForAnswer ? 0 : volume.exposedSectors,
            maximumRequestByteCount: UInt32(ClientRequest.payloadMaximum),
            limits: limits
        )
        self.send(.data, .sizes(sizes), volume: self.volumes[index].number)
    }

    /// Sends the generations as they are, or as they were.
    mutating func sendGenerations(_ index: UInt16, _ former: Generations? = nil) {
        let generations = former ?? self.volumes[index].generations
        var flags: UUIDFlags = []
        if self.volumes[index].discardsData { flags.insert(.discardMyData) }
        if self.volumes[index].crashedPrimary { flags.insert(.crashedPrimary) }
        if self.volumes[index].state.disk == .negotiating,
            self.volumes[index].attachedDisks?.disk == .inconsistent
        {
            flags.insert(.inconsistent)
        }
        self.send(
            .data,
            .uuids(
                UUIDSet(
                    current: generations.current.rawValue,
                    bitmap: generations.bitmap.rawValue,
                    history0: generations.history0.rawValue,
                    history1: generations.history1.rawValue,
                    dirtyBits: self.volumes[index].outOfSyncBits,
                    flags: flags
                )
            ),
            volume: self.volumes[index].number
        )
    }

    mutating func sendState(_ index: UInt16) {
        self.sendState(index, as: self.volumes[index].state)
    }

    mutating func sendState(_ index: UInt16, as state: VolumeState) {
        self.send(.data, .state(StateWord(state)), volume: self.volumes[index].number)
    }

    mutating func sendSyncUUID(_ index: UInt16) {
        self.send(
            .data,
            .syncUUID(self.volumes[index].generations.bitmap.rawValue),
            volume: self.volumes[index].number
        )
    }

    /// The packets of a bitmap count as one for the order of the data socket.
    mutating func sendBitmap(_ index: UInt16) {
        self.dataPacketsQueued += 1
        self.actions.append(.sendBitmap(volume: index))
    }

    mutating func sendPing() {
        self.pingsSent += 1
        self.send(.meta, .ping)
    }

    mutating func sendPingAck() { self.send(.meta, .pingAck) }

    mutating func sendStateChangeRequest(_ request: StateRequest, volume index: UInt16) {
        self.send(.data, .stateChangeRequest(request), volume: self.volumes[index].number)
    }

    mutating func sendConnectionChangeRequest(_ request: StateRequest) {
        self.send(.data, .connectionStateChangeRequest(request))
    }

    mutating func sendStateReply(_ code: StateChangeCode, volume index: UInt16) {
        self.send(
            .meta,
            .stateChangeReply(StateReply(code)),
            volume: self.volumes[index].number
        )
    }

    mutating func sendConnectionStateReply(_ code: StateChangeCode) {
        self.send(.meta, .connectionStateChangeReply(StateReply(code)))
    }

    mutating func sendFeatures() { self.send(.data, .features(.announced)) }

    mutating func sendProtocol(_ parameters: ProtocolParameters) {
        self.send(.data, .protocolParameters(parameters))
    }

    mutating func releaseBuffer(_ buffer: BufferHandle) {
        if buffer != .none { self.actions.append(.releaseBuffer(buffer)) }
    }
}
