// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Packets of the peer become what they mean.
extension Resource {
    mutating func receive(
        _ socket: PacketSocket,
        _ volume: UInt16,
        _ packet: Packet,
        _ buffer: BufferHandle,
        _ bytes: UInt32,
        at now: Instant
    ) {
        switch self.link {
        case .handshaking:
            self.releaseBuffer(buffer)
            self.receiveInHandshake(packet, at: now)
        case .established:
            self.liveness(socket == .data ? .dataReceived : .metaReceived, at: now)
            socket == .data
                ? self.receiveData(volume, packet, buffer, bytes, at: now)
                : self.receiveMeta(volume, packet, at: now)
        case .standAlone, .unconnected, .connecting, .closing: self.releaseBuffer(buffer)
        }
    }

    private mutating func receiveInHandshake(_ packet: Packet, at now: Instant) {
        switch packet {
        case .features(let features): self.handshake(.features(features), at: now)
        case .protocolParameters(let parameters):
            self.peerParameters = parameters
            self.handshake(.parameters(parameters), at: now)
        default: self.handshake(.otherPacket, at: now)
        }
    }

    // MARK: Data socket

    private mutating func receiveData(
        _ volume: UInt16,
        _ packet: Packet,
        _ buffer: BufferHandle,
        _ bytes: UInt32,
        at now: Instant
    ) {
        switch packet {
        case .barrier(let barrier): return self.receiveBarrier(barrier.rawValue, at: now)
        case .connectionStateChangeRequest(let request):
            return self.receiveConnectionRequest(request, at: now)
        case .protocolUpdate(let parameters):
            return self.receiveProtocolUpdate(parameters, at: now)
        case .unplugRemote, .delayProbe: return
        default: break
        }
        guard let index = self.volumes.index(ofNumber: volume) else {
            self.releaseBuffer(buffer)
            guard !packet.isAboutVolumeSetup else { return }
            return self.closeConnection(.protocolError(.unknownVolume(volume)), at: now)
        }
        self.receiveVolumeData(index, packet, buffer, bytes, at: now)
    }

    private mutating func receiveVolumeData(
        _ index: UInt16,
        _ packet: Packet,
        _ buffer: BufferHandle,
        _ bytes: UInt32,
        at now: Instant
    ) {
        switch packet {
        case .data(let header):
            self.receiveWrite(index, .write, header, bytes, buffer, at: now)
        case .trim(let header):
            self.receiveWrite(index, .trim, header.data, header.byteCount, .none, at: now)
        case .zeroes(let header):
            self.receiveWrite(index, .writeZeroes, header.data, header.byteCount, .none, at: now)
        case .resyncDataReply(let header):
            self.receiveResyncReply(index, header, bytes, buffer, at: now)
        case .deallocated(let range):
            self.receiveDeallocated(index, range, at: now)
        case .dataReply(let header):
            self.receiveReadReply(index, header, bytes, buffer, at: now)
        case .dataRequest(let request): self.receiveReadRequest(index, .read, request, at: now)
        case .resyncDataRequest(let request), .thinResyncRequest(let request):
            self.receiveReadRequest(index, .resyncRead, request, at: now)
        case .outOfSync(let range):
            guard self.isInside(range.sectors, index) else {
                return self.outOfRange(range.sector, range.byteCount, at: now)
            }
            _ = self.setOutOfSync(range.sectors, in: index)
        case .syncParameters, .syncParameters88: break
        case .sizes(let sizes): self.receiveSizes(index, sizes, at: now)
        case .uuids(let set): self.receiveGenerations(index, set, at: now)
        case .state(let word): self.receiveState(index, PeerStateReport(word), at: now)
        case .syncUUID(let uuid): self.receiveSyncUUID(index, GenerationID(uuid), at: now)
        case .stateChangeRequest(let request):
            self.receiveStateRequest(index, request, at: now)
        default:
            self.releaseBuffer(buffer)
            self.closeConnection(.protocolError(.unexpectedPacket(packet.command)), at: now)
        }
    }

    private func isInside(_ range: SectorRange, _ index: UInt16) -> Bool {
        let (end, overflow) = range.start.addingReportingOverflow(range.count)
        return !overflow && range.count > 0 && end <= self.volumes[index].sizes.exposedSectors
    }

    private mutating func outOfRange(_ sector: UInt64, _ bytes: UInt32, at now: Instant) {
        self.closeConnection(.protocolError(.outOfRange(sector: sector, bytes: bytes)), at: now)
    }

    private mutating func receiveWrite(
        _ index: UInt16,
        _ kind: PeerRequest.Kind,
        _ header: DataHeader,
        _ bytes: UInt32,
        _ buffer: BufferHandle,
        at now: Instant
    ) {
        let range = SectorRange(start: header.sector, count: UInt64(bytes) / 512)
        guard self.isInside(range, index) else {
            self.releaseBuffer(buffer)
            return self.outOfRange(header.sector, bytes, at: now)
        }
        var flags: PeerRequest.Flags = []
        if header.flags.contains(.maySetInSync) { flags.insert(.maySetInSync) }
        if header.flags.contains(.sendWriteAck) { flags.insert(.acknowledge) }
        if header.flags.contains(.sendReceiveAck) { flags.insert(.acknowledgeReceipt) }
        if header.flags.contains(.fua) { flags.insert(.forcedUnitAccess) }
        if header.flags.contains(.discard) { flags.insert(.mayUnmap) }
        self.receivePeerWrite(
            PeerRequest(
                kind: kind,
                flags: flags,
                volume: index,
                range: range,
                buffer: buffer,
                blockID: header.blockID.rawValue
            ),
            at: now
        )
    }

    private mutating func receiveResyncReply(
        _ index: UInt16,
        _ header: DataHeader,
        _ bytes: UInt32,
        _ buffer: BufferHandle,
        at now: Instant
    ) {
        let range = SectorRange(start: header.sector, count: UInt64(bytes) / 512)
        guard self.isInside(range, index) else {
            self.releaseBuffer(buffer)
            return self.outOfRange(header.sector, bytes, at: now)
        }
        guard let request = self.volumes[index].walk.request(for: range) else {
            self.releaseBuffer(buffer)
            guard self.volumes[index].hasDisk, self.volumes[index].isWalking else { return }
            return self.closeConnection(
                .protocolError(.unknownBlock(sector: header.sector)),
                at: now
            )
        }
        self.receiveResyncBlock(
            PeerRequest(
                kind: .resyncWrite,
                flags: [.acknowledge, .maySetInSync],
                volume: index,
                range: range,
                buffer: buffer,
                blockID: header.blockID.rawValue,
                resyncRequest: request
            ),
            at: now
        )
    }

    /// P_RS_DEALLOCATED: the block is all zero at the source.
    private mutating func receiveDeallocated(
        _ index: UInt16,
        _ block: BlockRange,
        at now: Instant
    ) {
        guard self.volumes[index].hasDisk, self.volumes[index].isWalking else { return }
        guard self.isInside(block.sectors, index),
            let request = self.volumes[index].walk.request(for: block.sectors)
        else { return self.outOfRange(block.sector, block.byteCount, at: now) }
        self.receiveResyncBlock(
            PeerRequest(
                kind: .resyncZeroes,
                flags: [.acknowledge, .maySetInSync, .mayUnmap],
                volume: index,
                range: block.sectors,
                buffer: .none,
                blockID: BlockID.syncer.rawValue,
                resyncRequest: request
            ),
            at: now
        )
    }

    private mutating func receiveReadRequest(
        _ index: UInt16,
        _ kind: PeerRequest.Kind,
        _ request: BlockRequest,
        at now: Instant
    ) {
        guard self.isInside(request.sectors, index) else {
            return self.outOfRange(request.sector, request.byteCount, at: now)
        }
        self.receivePeerRead(
            PeerRequest(
                kind: kind,
                volume: index,
                range: request.sectors,
                buffer: .none,
                blockID: request.blockID.rawValue
            ),
            at: now
        )
    }

    private mutating func receiveReadReply(
        _ index: UInt16,
        _ header: DataHeader,
        _ bytes: UInt32,
        _ buffer: BufferHandle,
        at now: Instant
    ) {
        guard let slot = self.slot(of: header.blockID, sector: header.sector),
            self.requests[slot].flags.contains(.remoteRead)
        else {
            self.releaseBuffer(buffer)
            return self.unknownBlock(header.sector, at: now)
        }
        let client = self.requests[slot].client
        guard UInt64(bytes) == client.range.count * 512 else {
            self.releaseBuffer(buffer)
            return self.outOfRange(header.sector, bytes, at: now)
        }
        self.remoteReads.remove(slot, in: &self.requests)
        self.requests.release(slot)
        self.actions.append(.completeRead(request: client.identifier, buffer))
        self.admitWaiting(at: now)
    }

    // MARK: Meta socket

    private mutating func receiveMeta(_ volume: UInt16, _ packet: Packet, at now: Instant) {
        switch packet {
        case .ping: return self.sendPingAck()
        case .pingAck: return self.liveness(.pingAnswered, at: now)
        case .barrierAck(let ack): return self.receiveBarrierAck(ack, at: now)
        case .connectionStateChangeReply(let reply):
            return self.receiveReply(reply.code, ofConnection: true, at: now)
        default: break
        }
        guard let index = self.volumes.index(ofNumber: volume) else {
            return self.closeConnection(.protocolError(.unknownVolume(volume)), at: now)
        }
        switch packet {
        case .stateChangeReply(let reply):
            self.receiveReply(reply.code, ofConnection: false, at: now)
        case .receiveAck(let ack): self.receiveWriteAck(ack, .received, at: now)
        case .writeAck(let ack): self.receiveWriteAck(ack, .written, at: now)
        case .resyncWriteAck(let ack):
            ack.blockID == .syncer
                ? self.receiveResyncAck(index, ack, succeeded: true, at: now)
                : self.receiveWriteAck(ack, .writtenInSync, at: now)
        case .negativeAck(let ack):
            ack.blockID == .syncer
                ? self.receiveResyncAck(index, ack, succeeded: false, at: now)
                : self.receiveNegativeAck(index, ack, at: now)
        case .negativeDataReply(let ack): self.receiveReadFailure(ack, at: now)
        case .negativeResyncDataReply(let ack):
            self.resyncBlockRefused(index, ack.sectors, cancelled: false, at: now)
        case .resyncCancel(let ack):
            self.resyncBlockRefused(index, ack.sectors, cancelled: true, at: now)
        default: self.closeConnection(.protocolError(.unexpectedPacket(packet.command)), at: now)
        }
    }

    private mutating func receiveBarrierAck(_ ack: BarrierAck, at now: Instant) {
        self.liveness(.acknowledged, at: now)
        do throws(WriteEpochs.AckError) {
            try self.barrierAcknowledged(
                number: ack.barrier.rawValue,
                writes: ack.setSize,
                at: now
            )
        } catch {
            self.closeConnection(
                .protocolError(.barrierAck(number: ack.barrier.rawValue, writes: ack.setSize)),
                at: now
            )
        }
    }

    /// The request that the peer echoes; nil if there is none.
    private func slot(of blockID: BlockID, sector: UInt64) -> UInt32? {
        let low = UInt32(truncatingIfNeeded: blockID.rawValue)
        guard low > 0, self.requests.contains(low - 1) else { return nil }
        let request = self.requests[low - 1]
        guard request.blockID == blockID.rawValue, request.range.start == sector else { return nil }
        return low - 1
    }

    private mutating func receiveWriteAck(
        _ ack: BlockAck,
        _ kind: WriteAcknowledgement,
        at now: Instant
    ) {
        guard let slot = self.slot(of: ack.blockID, sector: ack.sector),
            self.requests[slot].flags.contains(.inTransferLog)
        else { return self.unknownBlock(ack.sector, at: now) }
        self.liveness(.acknowledged, at: now)
        self.writeAcknowledged(slot, as: kind, at: now)
    }

    /// A failed write may be one that is long completed here (protocol A): its range differs now.
    private mutating func receiveNegativeAck(_ index: UInt16, _ ack: BlockAck, at now: Instant) {
        if let slot = self.slot(of: ack.blockID, sector: ack.sector),
            self.requests[slot].flags.contains(.inTransferLog)
        {
            self.liveness(.acknowledged, at: now)
            return self.writeAcknowledged(slot, as: .failed, at: now)
        }
        guard self.isInside(ack.sectors, index) else {
            return self.outOfRange(ack.sector, ack.byteCount, at: now)
        }
        _ = self.setOutOfSync(ack.sectors, in: index)
    }

    private mutating func receiveResyncAck(
        _ index: UInt16,
        _ ack: BlockAck,
        succeeded: Bool,
        at now: Instant
    ) {
        guard self.isInside(ack.sectors, index) else {
            return self.outOfRange(ack.sector, ack.byteCount, at: now)
        }
        self.liveness(.acknowledged, at: now)
        self.resyncBlockAcknowledged(ack.sectors, in: index, succeeded: succeeded, at: now)
    }

    private mutating func receiveReadFailure(_ ack: BlockAck, at now: Instant) {
        guard let slot = self.slot(of: ack.blockID, sector: ack.sector),
            self.requests[slot].flags.contains(.remoteRead)
        else { return self.unknownBlock(ack.sector, at: now) }
        self.remoteReads.remove(slot, in: &self.requests)
        self.tellClient(slot, .io, at: now)
        self.requests.release(slot)
        self.admitWaiting(at: now)
    }

    private mutating func unknownBlock(_ sector: UInt64, at now: Instant) {
        self.closeConnection(.protocolError(.unknownBlock(sector: sector)), at: now)
    }
}

extension Packet {
    /// Whether the packet is a write of which the peer gets no data: P_TRIM and P_ZEROES.
    package var isWriteWithoutPayload: Bool {
        switch self {
        case .trim, .zeroes: true
        default: false
        }
    }

    /// Whether the packet is skipped when it speaks of a volume that this node does not have.
    var isAboutVolumeSetup: Bool {
        switch self {
        case .syncParameters, .syncParameters88, .sizes, .uuids, .state: true
        default: false
        }
    }
}

extension PeerStateReport {
    /// What a state word says, in the peer's view.
    init(_ word: StateWord) {
        self.init(
            role: word.role,
            connection: word.connection,
            disk: word.disk,
            peerDisk: word.peerDisk,
            pausesResync: word.pausesResync
        )
    }
}
