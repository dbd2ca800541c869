// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor
import Wire

/// Requests of NBD clients become requests of the core, in parts that a packet can carry.
extension EngineLoop {
    // MARK: Memory

    /// Finds memory for the payload of a request, or has it wait until some comes back.
    func provideMemory(_ index: Int, _ slot: UInt32, for wait: ClientRequestState.Wait) {
        let client = self.client(index)
        guard client.pointee.waitingForBuffers.isEmpty, self.leaseParts(index, slot) else {
            client.pointee.requests[Int(slot)].wait = wait
            client.pointee.waitingForBuffers.append(slot)
            self.state.pointee.hasBufferWaiters = true
            return
        }
        self.memoryProvided(index, slot, for: wait)
    }

    private func memoryProvided(_ index: Int, _ slot: UInt32, for wait: ClientRequestState.Wait) {
        let client = self.client(index)
        client.pointee.requests[Int(slot)].wait = .nothing
        switch wait {
        case .nothing: break
        case .payloadMemory:
            client.pointee.payload = IncomingPayload(
                slot: slot,
                piece: client.pointee.requests[Int(slot)].first,
                filled: 0
            )
            self.noteProgress(index)
            self.fillFromStage(index)
        case .readMemory: self.submitParts(index, slot)
        }
    }

    /// Takes buffers for `payloadByteCount` bytes; false, and none taken, if there are too few.
    private func leaseParts(_ index: Int, _ slot: UInt32) -> Bool {
        let client = self.client(index)
        let isFirst = client.pointee.buffers.isEmpty
        var left = Int(client.pointee.requests[Int(slot)].payloadByteCount)
        while left > 0 {
            let count = min(left, Int(ClientRequest.payloadMaximum))
            let buffer = self.reactor.buffers.lease(
                count,
                for: &client.pointee.buffers,
                isFirstRequest: isFirst
            )
            guard let buffer else {
                self.releaseParts(index, slot)
                return false
            }
            guard self.appendPart(index, slot, buffer, count) else {
                self.reactor.buffers.release(buffer)
                client.pointee.buffers.remove(buffer)
                self.releaseParts(index, slot)
                return false
            }
            left -= count
        }
        return true
    }

    private func appendPart(
        _ index: Int,
        _ slot: UInt32,
        _ buffer: BufferHandle,
        _ byteCount: Int
    ) -> Bool {
        let client = self.client(index)
        let piece = self.state.pointee.pieces.take(
            Piece(
                client: index,
                slot: slot,
                buffer: buffer,
                byteCount: UInt32(byteCount),
                next: Piece.none
            )
        )
        guard let piece else { return false }
        if client.pointee.requests[Int(slot)].first == Piece.none {
            client.pointee.requests[Int(slot)].first = piece
        } else {
            self.state.pointee.pieces[client.pointee.requests[Int(slot)].last].next = piece
        }
        client.pointee.requests[Int(slot)].last = piece
        return true
    }

    private func releaseParts(_ index: Int, _ slot: UInt32) {
        let client = self.client(index)
        var piece = client.pointee.requests[Int(slot)].first
        while piece != Piece.none {
            let part = self.state.pointee.pieces[piece]
            if part.buffer != .none {
                self.reactor.buffers.release(part.buffer)
                client.pointee.buffers.remove(part.buffer)
            }
            self.state.pointee.pieces.release(piece)
            piece = part.next
        }
        client.pointee.requests[Int(slot)].first = Piece.none
        client.pointee.requests[Int(slot)].last = Piece.none
    }

    func releaseRequest(_ index: Int, _ slot: UInt32) {
        self.releaseParts(index, slot)
        self.client(index).pointee.requests[Int(slot)] = ClientRequestState()
    }

    /// Gives memory that has come back to those who wait, clients in turn.
    func serveBufferWaiters() {
        guard self.state.pointee.hasBufferWaiters else { return }
        self.state.pointee.hasBufferWaiters = false
        for index in 0..<self.state.pointee.clients.end
        where self.state.pointee.clients.contains(index) {
            self.serveBufferWaiters(index)
        }
        for index in 0..<self.state.pointee.resources.end
        where self.state.pointee.resources.contains(index) {
            self.resumePeer(index)
        }
        if self.state.pointee.hasBufferWaiters { self.dropStalledClients() }
    }

    private func serveBufferWaiters(_ index: Int) {
        while self.state.pointee.clients.contains(index) {
            let client = self.client(index)
            guard !client.pointee.waitingForBuffers.isEmpty else { return }
            let slot = client.pointee.waitingForBuffers[0]
            guard self.leaseParts(index, slot) else {
                self.state.pointee.hasBufferWaiters = true
                return
            }
            client.pointee.waitingForBuffers.remove(at: 0)
            let wait = client.pointee.requests[Int(slot)].wait
            self.memoryProvided(index, slot, for: wait)
            if wait == .payloadMemory, client.pointee.isLost { self.abandonPayload(index) }
            self.resumeClient(index)
        }
    }

    // MARK: Payload of writes

    /// Moves payload bytes that are staged already to their buffers.
    private func fillFromStage(_ index: Int) {
        let client = self.client(index)
        while var payload = client.pointee.payload, !client.pointee.staged.isEmpty {
            let part = self.state.pointee.pieces[payload.piece]
            let count = min(client.pointee.staged.count, Int(part.byteCount) - payload.filled)
            if let start = client.pointee.stage.baseAddress {
                (self.reactor.buffers.payload(part.buffer) + payload.filled).copyMemory(
                    from: start + client.pointee.staged.lowerBound,
                    byteCount: count
                )
            }
            client.pointee.staged = client.pointee.staged.dropFirst(count)
            payload.filled += count
            client.pointee.payload = payload
            self.advancePayload(index)
        }
    }

    /// Receives what is missing of a part straight into its buffer.
    func receivePayload(_ index: Int) {
        let client = self.client(index)
        guard let payload = client.pointee.payload else { return }
        let part = self.state.pointee.pieces[payload.piece]
        let memory = UnsafeMutableRawBufferPointer(
            start: self.reactor.buffers.payload(part.buffer) + payload.filled,
            count: Int(part.byteCount) - payload.filled
        )
        client.pointee.isReceiving = self.reactor.receive(
            on: client.pointee.connection,
            into: memory,
            atLeast: memory.count
        )
    }

    func payloadReceived(_ index: Int, _ count: Int) {
        let client = self.client(index)
        client.pointee.payload?.filled += count
        self.advancePayload(index)
    }

    private func advancePayload(_ index: Int) {
        let client = self.client(index)
        guard let payload = client.pointee.payload else { return }
        let part = self.state.pointee.pieces[payload.piece]
        guard payload.filled == Int(part.byteCount) else { return }
        self.noteProgress(index)
        if part.next == Piece.none {
            client.pointee.payload = nil
            self.tell(index, .payloadRead(slot: payload.slot))
        } else {
            client.pointee.payload = IncomingPayload(
                slot: payload.slot,
                piece: part.next,
                filled: 0
            )
        }
    }

    /// The connection is gone: nothing will be written to the payload's buffers any more.
    func abandonPayload(_ index: Int) {
        let client = self.client(index)
        if let payload = client.pointee.payload {
            client.pointee.payload = nil
            self.tell(index, .payloadRead(slot: payload.slot))
        }
        var offset = 0
        while offset < client.pointee.waitingForBuffers.count {
            let slot = client.pointee.waitingForBuffers[offset]
            guard client.pointee.requests[Int(slot)].wait == .payloadMemory else {
                offset += 1
                continue
            }
            client.pointee.waitingForBuffers.remove(at: offset)
            client.pointee.requests[Int(slot)].wait = .nothing
            self.tell(index, .payloadRead(slot: slot))
        }
    }

    // MARK: To the core

    func submit(_ index: Int, _ slot: UInt32, _ request: ExportRequest) {
        let client = self.client(index)
        client.pointee.requests[Int(slot)].request = request
        client.pointee.requests[Int(slot)].nextOffset = request.offset
        client.pointee.requests[Int(slot)].error = nil
        switch request.kind {
        case .read:
            client.pointee.requests[Int(slot)].payloadByteCount = request.byteCount
            self.provideMemory(index, slot, for: .readMemory)
        case .write: self.submitParts(index, slot)
        case .flush: self.submitFlush(index, slot)
        case .trim, .writeZeroes: self.submitRangePortion(index, slot)
        case .blockStatus: self.tell(index, .completed(slot: slot, nil))
        }
    }

    private func submitParts(_ index: Int, _ slot: UInt32) {
        let client = self.client(index)
        guard let request = client.pointee.requests[Int(slot)].request else { return }
        var piece = client.pointee.requests[Int(slot)].first
        var offset = request.offset
        // A part may complete before the next one is given to the core.
        client.pointee.requests[Int(slot)].pending = 1
        while piece != Piece.none {
            let part = self.state.pointee.pieces[piece]
            client.pointee.requests[Int(slot)].pending += 1
            self.deliver(
                .request(
                    ClientRequest(
                        identifier: piece,
                        volume: client.pointee.volume,
                        kind: request.kind == .read ? .read : .write,
                        isForcedUnitAccess: request.isForcedUnitAccess,
                        range: SectorRange(
                            start: offset / 512,
                            count: UInt64(part.byteCount) / 512
                        ),
                        buffer: part.buffer
                    )
                ),
                to: client.pointee.resource
            )
            offset += UInt64(part.byteCount)
            piece = part.next
        }
        self.partDone(index, slot, nil)
    }

    private func submitFlush(_ index: Int, _ slot: UInt32) {
        self.submitRange(index, slot, .flush, SectorRange(start: 0, count: 0))
    }

    /// The next portion of a trim or of zeroes, up to the end of its activity-log extent.
    private func submitRangePortion(_ index: Int, _ slot: UInt32) {
        let client = self.client(index)
        guard let request = client.pointee.requests[Int(slot)].request else { return }
        let offset = client.pointee.requests[Int(slot)].nextOffset
        let end = request.offset + UInt64(request.byteCount)
        let limit = (offset / ClientRequest.rangeMaximum + 1) * ClientRequest.rangeMaximum
        let stop = min(end, limit)
        client.pointee.requests[Int(slot)].nextOffset = stop
        self.submitRange(
            index,
            slot,
            request.kind == .trim ? .trim : .writeZeroes,
            SectorRange(start: offset / 512, count: (stop - offset) / 512)
        )
    }

    private func submitRange(
        _ index: Int,
        _ slot: UInt32,
        _ kind: ClientRequest.Kind,
        _ range: SectorRange
    ) {
        let client = self.client(index)
        guard let request = client.pointee.requests[Int(slot)].request else { return }
        self.releaseParts(index, slot)
        guard self.appendPart(index, slot, .none, 0) else {
            return self.tell(index, .completed(slot: slot, .inputOutput))
        }
        client.pointee.requests[Int(slot)].pending = 1
        self.deliver(
            .request(
                ClientRequest(
                    identifier: client.pointee.requests[Int(slot)].first,
                    volume: client.pointee.volume,
                    kind: kind,
                    isForcedUnitAccess: request.isForcedUnitAccess,
                    mayUnmap: request.mayUnmap,
                    range: range,
                    buffer: .none
                )
            ),
            to: client.pointee.resource
        )
    }

    // MARK: From the core

    /// A part is done; `buffer` has the data if the peer has read it for us.
    func completed(_ piece: UInt32, _ error: ClientError?, buffer: BufferHandle = .none) {
        let part = self.state.pointee.pieces[piece]
        if buffer != .none {
            let client = self.client(part.client)
            self.reactor.buffers.release(part.buffer)
            client.pointee.buffers.remove(part.buffer)
            client.pointee.buffers.add(buffer)
            self.state.pointee.pieces[piece].buffer = buffer
        }
        self.partDone(part.client, part.slot, error)
    }

    private func partDone(_ index: Int, _ slot: UInt32, _ error: ClientError?) {
        let client = self.client(index)
        let state = client.pointee.requests + Int(slot)
        if let error { state.pointee.error = error }
        state.pointee.pending -= 1
        guard state.pointee.pending == 0 else { return }
        if state.pointee.error == nil, let request = state.pointee.request,
            request.kind == .trim || request.kind == .writeZeroes,
            state.pointee.nextOffset < request.offset + UInt64(request.byteCount)
        {
            return self.submitRangePortion(index, slot)
        }
        self.tell(index, .completed(slot: slot, state.pointee.error.map(\.nbd)))
    }

    private func resumeClient(_ index: Int) {
        guard self.state.pointee.clients.contains(index) else { return }
        self.applyClientActions(index)
    }
}

extension ClientError {
    /// The number that NBD clients get.
    var nbd: NBDError {
        switch self {
        case .io: .inputOutput
        case .noSpace: .noSpace
        case .notPrimary: .notPermitted
        case .invalid: .invalid
        }
    }
}
