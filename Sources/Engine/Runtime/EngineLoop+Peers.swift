// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor
import Wire

/// The two sockets of an established connection: packets in, packets out.
extension EngineLoop {
    func applyPeer(_ action: ResourceAction, of index: Int) {
        switch action {
        case .openTransport: self.openTransport(index)
        case .closeTransport: self.closeTransport(index, peerHasEnded: false)
        case .send, .sendBitmap, .sendAuthentication: self.queue(action, of: index)
        case .adopt(let agreement): self.resource(index).pointee.agreement = agreement
        case .computeResponses(let challenge): self.computeResponses(index, challenge)
        case .read, .write, .writeZeroes, .flushData, .writeActivityLogBlock, .writeBitmapPage,
            .writeSuperblock, .flushMetadata, .attached, .closeDisk, .complete, .completeRead,
            .disconnectClients, .releaseBuffer, .reply, .changed, .moved:
            invariantBroken("an action of the peer's sockets")
        }
    }

    func stream(_ index: Int, _ socket: PacketSocket) -> UnsafeMutablePointer<PeerStream>? {
        let resource = self.resource(index)
        return socket == .data ? resource.pointee.data : resource.pointee.meta
    }

    // MARK: Out

    /// Sends a packet, or has it wait behind those that wait for room.
    private func queue(_ action: ResourceAction, of index: Int) {
        guard let stream = self.stream(index, action.socket) else { return }
        if case .send(_, _, _, let buffer, _) = action, buffer != .none {
            self.reactor.buffers.retain(buffer)
        }
        guard stream.pointee.unsent.isEmpty, self.trySend(action, index, stream) else {
            stream.pointee.unsent.append(action)
            return self.noteBlocked(index, stream)
        }
    }

    private func noteBlocked(_ index: Int, _ stream: UnsafeMutablePointer<PeerStream>) {
        guard !stream.pointee.isSendBlocked else { return }
        stream.pointee.isSendBlocked = true
        self.deliver(.sendBlocked(stream.pointee.socket), to: index)
    }

    private func trySend(
        _ action: ResourceAction,
        _ index: Int,
        _ stream: UnsafeMutablePointer<PeerStream>
    ) -> Bool {
        switch action {
        case .send(_, let volume, let packet, let buffer, let bytes):
            return self.send(index, stream, volume, packet, buffer, bytes)
        case .sendBitmap(let volume): return self.sendBitmap(index, stream, volume)
        case .sendAuthentication(let step, let bytes):
            return self.sendAuthentication(index, stream, step.packet, bytes)
        default: invariantBroken("an action that sends")
        }
    }

    private func send(
        _ index: Int,
        _ stream: UnsafeMutablePointer<PeerStream>,
        _ volume: UInt16,
        _ packet: Packet,
        _ buffer: BufferHandle,
        _ bytes: UInt32
    ) -> Bool {
        guard self.reactor.reserve(2, byteCount: 8192, on: stream.pointee.connection) else {
            return false
        }
        let agreement = self.resource(index).pointee.agreement
        let memory = self.state.pointee.head
        let count = packet.encode(
            into: memory,
            volume: volume,
            trailing: Int(bytes),
            under: agreement
        )
        _ = self.reactor.send(
            copying: UnsafeRawBufferPointer(start: memory.baseAddress, count: count),
            on: stream.pointee.connection
        )
        stream.pointee.sentPackets += 1
        guard buffer != .none else {
            if packet.isWriteWithoutPayload { self.markSent(stream) }
            return true
        }
        let isQueued = self.reactor.send(
            UnsafeRawBufferPointer(
                start: self.reactor.buffers.payload(buffer),
                count: Int(bytes)
            ),
            on: stream.pointee.connection,
            token: PeerToken(buffer: buffer, packet: stream.pointee.sentPackets).raw
        )
        if !isQueued { self.reactor.buffers.release(buffer) }
        return true
    }

    /// Has the reactor report when the kernel has taken what is queued: an empty segment with a
    /// token.
    private func markSent(_ stream: UnsafeMutablePointer<PeerStream>) {
        _ = self.reactor.send(
            UnsafeRawBufferPointer(start: nil, count: 0),
            on: stream.pointee.connection,
            token: PeerToken(buffer: .none, packet: stream.pointee.sentPackets).raw
        )
    }

    /// All packets of a bitmap at once: nothing may come between them.
    private func sendBitmap(
        _ index: Int,
        _ stream: UnsafeMutablePointer<PeerStream>,
        _ volume: UInt16
    ) -> Bool {
        let agreement = self.resource(index).pointee.agreement
        guard let number = self.number(index, volume) else { return true }
        stream.pointee.sentPackets += 1
        return withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 8) { memory in
            let trailing = UnsafeMutableRawBufferPointer(rebasing: memory[4096...])
            while self.reactor.reserve(2, byteCount: 8192, on: stream.pointee.connection) {
                guard
                    let next = self.resource(index).pointee.core.nextBitmapPacket(
                        volume,
                        into: trailing
                    )
                else { return true }
                let count = next.packet.encode(
                    into: UnsafeMutableRawBufferPointer(rebasing: memory[..<4096]),
                    volume: number,
                    trailing: next.trailing,
                    under: agreement
                )
                _ = self.reactor.send(
                    copying: UnsafeRawBufferPointer(rebasing: memory[..<count]),
                    on: stream.pointee.connection
                )
                _ = self.reactor.send(
                    copying: UnsafeRawBufferPointer(rebasing: trailing[..<next.trailing]),
                    on: stream.pointee.connection
                )
            }
            // The rest goes on from where the core's transfer stands.
            stream.pointee.sentPackets -= 1
            return false
        }
    }

    private func number(_ index: Int, _ volume: UInt16) -> UInt16? {
        let core = self.resource(index)
        guard core.pointee.core.volumeIndices.contains(volume) else { return nil }
        return core.pointee.core.volumeSnapshot(volume).number
    }

    private func sendAuthentication(
        _ index: Int,
        _ stream: UnsafeMutablePointer<PeerStream>,
        _ packet: Packet,
        _ bytes: ShortBytes
    ) -> Bool {
        let agreement = self.resource(index).pointee.agreement
        withUnsafeTemporaryAllocation(byteCount: 512, alignment: 8) { memory in
            let count = packet.encode(into: memory, trailing: bytes.count, under: agreement)
            for offset in 0..<bytes.count { memory[count + offset] = bytes[offset] }
            _ = self.reactor.send(
                copying: UnsafeRawBufferPointer(rebasing: memory[..<(count + bytes.count)]),
                on: stream.pointee.connection
            )
        }
        return true
    }

    /// The kernel has taken a packet with payload, or a write without.
    func peerSent(_ index: Int, _ socket: PacketSocket, _ token: UInt64) {
        self.releaseSent(token)
        guard self.resource(index).pointee.core.awaitsSentPackets, socket == .data,
            let stream = self.stream(index, socket)
        else { return }
        let low = PeerToken(raw: token).packet
        var packet = stream.pointee.sentPackets & ~0xFFFF_FFFF | low
        if packet > stream.pointee.sentPackets { packet -= 1 << 32 }
        self.deliver(.dataPacketsSent(packet), to: index)
    }

    func releaseSent(_ token: UInt64) {
        let buffer = PeerToken(raw: token).buffer
        guard buffer != .none else { return }
        self.reactor.buffers.release(buffer)
        self.state.pointee.hasBufferWaiters = true
    }

    func peerSendReady(_ index: Int, _ socket: PacketSocket) {
        guard let stream = self.stream(index, socket) else { return }
        while !stream.pointee.unsent.isEmpty {
            guard self.trySend(stream.pointee.unsent[0], index, stream) else {
                return self.deliver(.sendBlocked(socket), to: index)
            }
            _ = stream.pointee.unsent.popFirst()
        }
        stream.pointee.isSendBlocked = false
        self.deliver(.sendDrained(socket), to: index)
    }

    // MARK: In

    func receivePeer(_ index: Int, _ stream: UnsafeMutablePointer<PeerStream>) {
        guard !stream.pointee.isReceiving, self.isCurrent(index, stream) else { return }
        if let incoming = stream.pointee.incoming {
            let memory = UnsafeMutableRawBufferPointer(
                start: self.reactor.buffers.payload(incoming.buffer) + incoming.filled,
                count: incoming.frame.trailingByteCount - incoming.filled
            )
            stream.pointee.isReceiving = self.reactor.receive(
                on: stream.pointee.connection,
                into: memory,
                atLeast: memory.count
            )
            return
        }
        stream.pointee.compact()
        stream.pointee.isReceiving = self.reactor.receive(
            on: stream.pointee.connection,
            into: UnsafeMutableRawBufferPointer(
                rebasing: stream.pointee.stage[stream.pointee.staged.upperBound...]
            )
        )
    }

    private func isCurrent(_ index: Int, _ stream: UnsafeMutablePointer<PeerStream>) -> Bool {
        self.state.pointee.resources.contains(index)
            && self.stream(index, stream.pointee.socket) == stream
    }

    func peerReceived(_ index: Int, _ socket: PacketSocket, _ count: Int, isEnd: Bool) {
        guard let stream = self.stream(index, socket) else { return }
        stream.pointee.isReceiving = false
        if stream.pointee.incoming != nil {
            stream.pointee.incoming?.filled += count
            if !isEnd { self.finishIncoming(index, stream) }
        } else {
            stream.pointee.staged =
                stream.pointee.staged.lowerBound..<stream.pointee.staged.upperBound + count
        }
        if isEnd {
            self.decodeStaged(index, stream)
            if self.isCurrent(index, stream) { self.peerLost(index, socket, .closed) }
            return
        }
        self.decodeStaged(index, stream)
        self.receiveUnlessFull(index, stream)
    }

    /// Reads on when there is room for what the peer may ask.
    private func receiveUnlessFull(_ index: Int, _ stream: UnsafeMutablePointer<PeerStream>) {
        guard self.isCurrent(index, stream) else { return }
        guard !stream.pointee.isStarved else {
            self.state.pointee.hasBufferWaiters = true
            return
        }
        self.receivePeer(index, stream)
    }

    /// Memory, or room in the core's tables, has come back.
    func resumePeer(_ index: Int) {
        self.resumeReadsForPeer(index)
        guard let stream = self.resource(index).pointee.data, stream.pointee.isStarved else {
            return
        }
        stream.pointee.isStarved = false
        self.decodeStaged(index, stream)
        self.receiveUnlessFull(index, stream)
    }

    private func decodeStaged(_ index: Int, _ stream: UnsafeMutablePointer<PeerStream>) {
        while self.isCurrent(index, stream), stream.pointee.incoming == nil,
            !stream.pointee.staged.isEmpty
        {
            if stream.pointee.socket == .data,
                !self.resource(index).pointee.core.acceptsPeerRequests
            {
                stream.pointee.isStarved = true
                return
            }
            do throws(WireError) {
                guard try self.decodeNext(index, stream) else { return }
            } catch {
                return self.lose(index, .protocolError(.undecodable(error)))
            }
        }
    }

    /// Takes the next packet from the stage; false if it has not all arrived or has no memory.
    private func decodeNext(_ index: Int, _ stream: UnsafeMutablePointer<PeerStream>)
        throws(WireError) -> Bool
    {
        let bytes = UnsafeRawBufferPointer(rebasing: stream.pointee.stage[stream.pointee.staged])
        let progress = try PacketFrame.decode(
            bytes.bytes,
            on: stream.pointee.socket,
            under: self.resource(index).pointee.agreement
        )
        guard case .head(let frame) = progress else { return false }
        switch frame.packet {
        case .data, .dataReply, .resyncDataReply: return self.beginPayload(index, stream, frame)
        default: break
        }
        guard bytes.count >= frame.headByteCount + frame.trailingByteCount else {
            return false
        }
        let trailing = UnsafeRawBufferPointer(
            rebasing: bytes[frame.headByteCount..<frame.headByteCount + frame.trailingByteCount]
        )
        stream.pointee.staged = stream.pointee.staged.dropFirst(
            frame.headByteCount + frame.trailingByteCount
        )
        self.deliver(frame, trailing, index, stream)
        return true
    }

    private func deliver(
        _ frame: PacketFrame,
        _ trailing: UnsafeRawBufferPointer,
        _ index: Int,
        _ stream: UnsafeMutablePointer<PeerStream>
    ) {
        let resource = self.resource(index)
        switch frame.packet {
        case .bitmap, .compressedBitmap:
            resource.pointee.core.receiveBitmap(
                volume: frame.header.volume,
                frame.packet,
                bytes: trailing,
                at: self.reactor.now,
                into: &resource.pointee.actions
            )
            self.applyActions(of: index)
        case .authChallenge: self.deliver(.challenge, trailing, to: index)
        case .authResponse: self.deliver(.response, trailing, to: index)
        default:
            self.deliver(
                .packet(
                    stream.pointee.socket,
                    volume: frame.header.volume,
                    frame.packet,
                    .none,
                    payloadBytes: 0
                ),
                to: index
            )
        }
    }

    private func deliver(
        _ step: AuthenticationStep,
        _ trailing: UnsafeRawBufferPointer,
        to index: Int
    ) {
        let bytes = ShortBytes(trailing.prefix(ShortBytes.capacity)) ?? ShortBytes()
        self.deliver(.authentication(step, bytes, length: UInt32(trailing.count)), to: index)
    }

    /// A packet with payload: staged bytes are moved to a buffer, the rest is received into it.
    private func beginPayload(
        _ index: Int,
        _ stream: UnsafeMutablePointer<PeerStream>,
        _ frame: PacketFrame
    ) -> Bool {
        guard let buffer = self.reactor.buffers.lease(max(1, frame.trailingByteCount)) else {
            stream.pointee.isStarved = true
            return false
        }
        stream.pointee.staged = stream.pointee.staged.dropFirst(frame.headByteCount)
        let count = min(stream.pointee.staged.count, frame.trailingByteCount)
        if let start = stream.pointee.stage.baseAddress {
            self.reactor.buffers.payload(buffer).copyMemory(
                from: start + stream.pointee.staged.lowerBound,
                byteCount: count
            )
        }
        stream.pointee.staged = stream.pointee.staged.dropFirst(count)
        stream.pointee.incoming = IncomingPacket(frame: frame, buffer: buffer, filled: count)
        self.finishIncoming(index, stream)
        return true
    }

    private func finishIncoming(_ index: Int, _ stream: UnsafeMutablePointer<PeerStream>) {
        guard let incoming = stream.pointee.incoming,
            incoming.filled == incoming.frame.trailingByteCount
        else { return }
        stream.pointee.incoming = nil
        self.deliver(
            .packet(
                stream.pointee.socket,
                volume: incoming.frame.header.volume,
                incoming.frame.packet,
                incoming.buffer,
                payloadBytes: UInt32(incoming.frame.trailingByteCount)
            ),
            to: index
        )
    }

    // MARK: The end

    func peerFailed(_ index: Int, _ socket: PacketSocket, _ code: Errno) {
        self.peerLost(index, socket, .failed(errno: code.number))
    }

    /// A socket has ended.
    ///
    /// What the peer has sent on the data socket before it closed both is still read: it says why,
    /// and the meta socket's end may overtake it.
    private func peerLost(_ index: Int, _ socket: PacketSocket, _ end: SocketEnd) {
        guard socket == .meta else { return self.lose(index, .brokenPipe(end)) }
        let resource = self.resource(index)
        resource.pointee.metaSocketEnd = end
        resource.pointee.lossDeadline = self.reactor.now + Self.lastWordsTime
    }

    /// How long the data socket may take to end after the meta socket.
    private static var lastWordsTime: TimeSpan { .milliseconds(300) }

    /// The data socket has not ended with the meta socket.
    func lastWordsOver(_ index: Int) {
        self.lose(index, .networkFailure(.socket(self.resource(index).pointee.metaSocketEnd)))
    }

    private func lose(_ index: Int, _ loss: ConnectionLoss) {
        self.closeTransport(index, peerHasEnded: true)
        self.deliver(.transportLost(loss), to: index)
    }

    /// Closes a socket after what is queued, and keeps its memory until the reactor has let go of
    /// it.
    func closeStream(_ stream: UnsafeMutablePointer<PeerStream>, afterPeer: Bool) {
        self.state.pointee.owners[Int(stream.pointee.connection.slot)] = .none
        while let action = stream.pointee.unsent.popFirst() {
            if case .send(_, _, _, let buffer, _) = action, buffer != .none {
                self.reactor.buffers.release(buffer)
            }
        }
        self.state.pointee.retiredStreams[stream.pointee.connection.slot] = stream
        self.reactor.close(
            stream.pointee.connection,
            deadline: self.reactor.now + .seconds(2),
            afterPeer: afterPeer
        )
    }

    /// The reactor has let go of a connection: its memory may be used again.
    func releaseRetired(_ slot: UInt32) {
        if let stream = self.state.pointee.retiredStreams.removeValue(forKey: slot) {
            if let incoming = stream.pointee.incoming {
                self.reactor.buffers.release(incoming.buffer)
            }
            PeerStream.destroy(stream)
        }
        self.state.pointee.retiredMemory.removeValue(forKey: slot)?.deallocate()
    }

    private func computeResponses(_ index: Int, _ challenge: ShortBytes) {
        let resource = self.resource(index)
        guard let peer = resource.pointee.peer, let digest = peer.digest else { return }
        let own = digest.authenticate(challenge, key: peer.secret)
        let expected = digest.authenticate(resource.pointee.ownChallenge, key: peer.secret)
        resource.pointee.core.receiveResponses(
            own: own,
            expected: expected,
            at: self.reactor.now,
            into: &resource.pointee.actions
        )
        self.applyActions(of: index)
    }
}

extension ResourceAction {
    /// The socket that a sending action belongs to.
    fileprivate var socket: PacketSocket {
        if case .send(let socket, _, _, _, _) = self { return socket }
        return .data
    }
}

/// What a payload sent to a peer was: its buffer, and the number of its packet on the socket.
struct PeerToken {
    let buffer: BufferHandle
    /// Modulo 2^32, made whole by the receiver of the event.
    let packet: UInt64

    init(buffer: BufferHandle, packet: UInt64) {
        self.buffer = buffer
        self.packet = packet
    }

    init(raw: UInt64) {
        self.buffer = BufferHandle(number: UInt32(truncatingIfNeeded: raw))
        self.packet = raw >> 32
    }

    var raw: UInt64 { self.packet << 32 | UInt64(self.buffer.number) }
}
