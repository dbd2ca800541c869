// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor
import Wire

/// NBD clients: bytes in, the session's actions, replies out.
extension EngineLoop {
    static var clientOptions: ConnectionOptions {
        var options = ConnectionOptions()
        options.sendSegments = 2048
        options.sendCopyByteCount = 131_072
        // A client whose machine is gone must not keep a volume in use.
        options.keepAlive = ConnectionOptions.KeepAlive(
            idle: .seconds(15),
            interval: .seconds(5),
            probes: 3
        )
        options.userTimeout = .seconds(30)
        return options
    }

    func client(_ index: Int) -> UnsafeMutablePointer<NBDClient> {
        self.state.pointee.clients.address(index)
    }

    func clientConnected(_ connection: ConnectionID) {
        guard !self.state.pointee.clients.isFull, !self.state.pointee.isStopping else {
            self.log.warn(
                "an NBD client is turned away: \(EngineConfiguration.clientMaximum) are connected"
            )
            return self.reactor.abort(connection)
        }
        let index = self.state.pointee.clients.add(NBDClient(connection: connection))
        self.state.pointee.owners[Int(connection.slot)] = .client(index)
        self.tell(index, .connected)
    }

    /// Gives the session an event and carries out what it asks for.
    func tell(_ index: Int, _ event: ExportEvent) {
        let client = self.client(index)
        client.pointee.session.receive(
            event,
            exports: self.state.pointee.directory,
            at: self.reactor.now,
            into: &client.pointee.actions
        )
        self.noteClientDeadline(client.pointee.session.nextDeadline)
        self.applyClientActions(index)
    }

    func applyClientActions(_ index: Int) {
        let client = self.client(index)
        guard !client.pointee.isApplying else { return }
        client.pointee.isApplying = true
        repeat {
            while let action = client.pointee.actions.popFirst() { self.apply(action, of: index) }
        } while self.takeStagedBytes(index)
        client.pointee.isApplying = false
        if client.pointee.isFinished {
            self.forgetClientIfGone(index)
        } else {
            self.receiveMore(index)
        }
    }

    private func apply(_ action: ExportAction, of index: Int) {
        let client = self.client(index)
        switch action {
        case .sendOutput: self.sendOutput(index)
        case .enterTransmission(let export): self.enterTransmission(index, export: export)
        case .readPayload(let slot, let count):
            client.pointee.requests[Int(slot)] = ClientRequestState()
            client.pointee.requests[Int(slot)].payloadByteCount = count
            self.provideMemory(index, slot, for: .payloadMemory)
        case .submit(let slot, let request): self.submit(index, slot, request)
        case .reply(let slot, let count):
            client.pointee.requests[Int(slot)].payloadByteCount = count
            client.pointee.requests[Int(slot)].isBlockStatus = false
            self.reply(index, slot)
        case .replyBlockStatus(let slot):
            client.pointee.requests[Int(slot)].payloadByteCount = 0
            client.pointee.requests[Int(slot)].isBlockStatus = true
            self.reply(index, slot)
        case .release(let slot): self.releaseRequest(index, slot)
        case .close(let reason): self.closeClient(index, reason)
        case .finished:
            client.pointee.isFinished = true
            self.updateInUse(client.pointee.resource, client.pointee.volume)
        }
    }

    private func sendOutput(_ index: Int) {
        let client = self.client(index)
        let isQueued = self.reactor.send(
            client.pointee.session.output,
            on: client.pointee.connection,
            token: ClientToken.output.raw
        )
        if !isQueued { self.tell(index, .outputSent) }
    }

    private func enterTransmission(_ index: Int, export: UInt32) {
        let client = self.client(index)
        client.pointee.resource = Int(export >> 16)
        client.pointee.volume = UInt16(truncatingIfNeeded: export)
        self.updateInUse(client.pointee.resource, client.pointee.volume)
    }

    // MARK: Bytes in

    func clientReceived(_ index: Int, _ count: Int, isEnd: Bool) {
        let client = self.client(index)
        client.pointee.isReceiving = false
        if client.pointee.payload != nil {
            self.payloadReceived(index, count)
        } else {
            client.pointee.staged =
                client.pointee.staged.lowerBound..<client.pointee.staged.upperBound + count
        }
        if isEnd {
            self.clientLost(index)
        } else {
            self.applyClientActions(index)
        }
    }

    func clientReceiveAbandoned(_ index: Int) {
        self.client(index).pointee.isReceiving = false
        self.abandonPayload(index)
    }

    func clientLost(_ index: Int) {
        let client = self.client(index)
        guard !client.pointee.isLost else { return }
        client.pointee.isLost = true
        self.tell(index, .connectionLost)
        if !client.pointee.isReceiving { self.abandonPayload(index) }
    }

    /// Hands staged bytes to the session.
    ///
    /// True if it has taken any.
    private func takeStagedBytes(_ index: Int) -> Bool {
        let client = self.client(index)
        guard !client.pointee.staged.isEmpty, client.pointee.payload == nil,
            case .bytes(let minimum) = client.pointee.session.input,
            client.pointee.staged.count >= minimum
        else { return false }
        let bytes = UnsafeRawBufferPointer(
            rebasing: client.pointee.stage[client.pointee.staged]
        )
        let consumed = client.pointee.session.receive(
            bytes.bytes,
            exports: self.state.pointee.directory,
            at: self.reactor.now,
            into: &client.pointee.actions
        )
        client.pointee.staged = client.pointee.staged.dropFirst(consumed)
        return consumed > 0 || !client.pointee.actions.isEmpty
    }

    /// Starts the next receive, if the session wants bytes.
    private func receiveMore(_ index: Int) {
        let client = self.client(index)
        guard !client.pointee.isReceiving, !client.pointee.isLost, !client.pointee.isClosed else {
            return
        }
        if client.pointee.payload != nil { return self.receivePayload(index) }
        guard case .bytes(let minimum) = client.pointee.session.input else { return }
        self.compactStage(index)
        let free = UnsafeMutableRawBufferPointer(
            rebasing: client.pointee.stage[client.pointee.staged.upperBound...]
        )
        let missing = max(1, minimum - client.pointee.staged.count)
        guard missing <= free.count else { return }
        client.pointee.isReceiving = self.reactor.receive(
            on: client.pointee.connection,
            into: free,
            atLeast: missing
        )
    }

    private func compactStage(_ index: Int) {
        let client = self.client(index)
        let staged = client.pointee.staged
        if staged.isEmpty {
            client.pointee.staged = 0..<0
        } else if staged.lowerBound > client.pointee.stage.count / 2 {
            if let base = client.pointee.stage.baseAddress {
                base.copyMemory(from: base + staged.lowerBound, byteCount: staged.count)
            }
            client.pointee.staged = 0..<staged.count
        }
    }

    // MARK: Replies out

    /// Sends a reply, or has it wait for room.
    private func reply(_ index: Int, _ slot: UInt32) {
        let client = self.client(index)
        guard client.pointee.waitingToReply.isEmpty, self.trySend(index, slot) else {
            return client.pointee.waitingToReply.append(slot)
        }
    }

    /// Queues head and payload of a reply; false if there is no room for all of it.
    private func trySend(_ index: Int, _ slot: UInt32) -> Bool {
        let client = self.client(index)
        if client.pointee.isLost || client.pointee.isClosed {
            self.tell(index, .replySent(slot: slot))
            return true
        }
        let memory = self.state.pointee.head
        let count = self.encodeHead(index, slot, into: memory)
        let isQueued = self.reactor.send(
            copying: UnsafeRawBufferPointer(start: memory.baseAddress, count: count),
            on: client.pointee.connection
        )
        guard isQueued else { return false }
        if client.pointee.requests[Int(slot)].payloadByteCount == 0 {
            self.tell(index, .replySent(slot: slot))
        } else {
            self.sendPayload(index, slot)
        }
        return true
    }

    private func encodeHead(
        _ index: Int,
        _ slot: UInt32,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        let client = self.client(index)
        let state = client.pointee.requests + Int(slot)
        guard state.pointee.isBlockStatus, let request = state.pointee.request else {
            return client.pointee.session.encodeReply(of: slot, into: memory)
        }
        // What is allocated is not known here: everything counts as data.
        return client.pointee.session.encodeBlockStatus(
            of: slot,
            request.emptyExtentList,
            into: memory
        )
    }

    private func sendPayload(_ index: Int, _ slot: UInt32) {
        let client = self.client(index)
        var piece = client.pointee.requests[Int(slot)].first
        if !client.pointee.holdsUpMemory { self.noteProgress(index) }
        while piece != Piece.none {
            let part = self.state.pointee.pieces[piece]
            let isLast = part.next == Piece.none
            let isQueued = self.reactor.send(
                UnsafeRawBufferPointer(
                    start: self.reactor.buffers.payload(part.buffer),
                    count: Int(part.byteCount)
                ),
                on: client.pointee.connection,
                token: (isLast ? ClientToken.reply(slot) : .replyPart).raw
            )
            guard isQueued else {
                // The queue has room for every reply that a session may have in flight.
                self.reactor.abort(client.pointee.connection)
                return self.tell(index, .replySent(slot: slot))
            }
            client.pointee.repliesInFlight += 1
            piece = part.next
        }
    }

    func clientSent(_ index: Int, _ token: UInt64) {
        switch ClientToken(raw: token) {
        case .output: self.tell(index, .outputSent)
        case .replyPart: self.replyPartSent(index)
        case .reply(let slot):
            self.replyPartSent(index)
            self.tell(index, .replySent(slot: slot))
        }
    }

    private func replyPartSent(_ index: Int) {
        self.client(index).pointee.repliesInFlight -= 1
        self.noteProgress(index)
    }

    func clientSendReady(_ index: Int) {
        let client = self.client(index)
        while !client.pointee.waitingToReply.isEmpty,
            self.trySend(index, client.pointee.waitingToReply[0])
        {
            client.pointee.waitingToReply.remove(at: 0)
        }
    }

    // MARK: The end

    private func closeClient(_ index: Int, _ reason: ExportCloseReason) {
        let client = self.client(index)
        client.pointee.isClosed = true
        if !reason.isOrderly { self.log.note("NBD client: \(reason.message)") }
        while !client.pointee.waitingToReply.isEmpty {
            let slot = client.pointee.waitingToReply[0]
            client.pointee.waitingToReply.remove(at: 0)
            self.tell(index, .replySent(slot: slot))
        }
        if reason == .stalled {
            self.reactor.abort(client.pointee.connection)
        } else {
            self.reactor.close(client.pointee.connection, deadline: self.reactor.now + .seconds(5))
        }
        if !client.pointee.isReceiving { self.abandonPayload(index) }
    }

    /// The reactor has let go of the connection.
    func clientClosed(_ index: Int) {
        let client = self.client(index)
        client.pointee.isReceiving = false
        client.pointee.isClosed = true
        self.clientLost(index)
        self.abandonPayload(index)
        client.pointee.isGone = true
        self.forgetClientIfGone(index)
    }

    private func forgetClientIfGone(_ index: Int) {
        let client = self.client(index)
        guard client.pointee.isFinished, client.pointee.isGone, !client.pointee.isApplying else {
            if client.pointee.isFinished, !client.pointee.isClosed {
                client.pointee.isClosed = true
                self.reactor.close(
                    client.pointee.connection,
                    deadline: self.reactor.now + .seconds(5)
                )
            }
            return
        }
        self.state.pointee.clients.remove(index)
    }

    /// Ends the sessions of all clients: those of one resource by force, or all in good order.
    func disconnectClients(of resource: Int) {
        for index in 0..<self.state.pointee.clients.end
        where self.state.pointee.clients.contains(index)
            && self.client(index).pointee.resource == resource
        {
            self.tell(index, .forceClose)
        }
    }

    func shutdownClients() {
        for index in 0..<self.state.pointee.clients.end
        where self.state.pointee.clients.contains(index) {
            self.tell(index, .shutdown)
        }
    }

    // MARK: Deadlines

    /// The client has sent or received a part of a request.
    func noteProgress(_ index: Int) {
        self.client(index).pointee.stallDeadline = self.reactor.now + ExportLimits.stallTime
    }

    /// Others wait for memory: drops the clients that keep theirs and do not go on.
    func dropStalledClients() {
        let now = self.reactor.now
        for index in 0..<self.state.pointee.clients.end
        where self.state.pointee.clients.contains(index) {
            let client = self.client(index)
            guard client.pointee.holdsUpMemory, !client.pointee.isClosed else { continue }
            if client.pointee.stallDeadline <= now {
                self.tell(index, .stalled)
            } else {
                self.noteClientDeadline(client.pointee.stallDeadline)
            }
        }
    }

    private func noteClientDeadline(_ deadline: Instant) {
        if deadline < self.state.pointee.nextClientDeadline {
            self.state.pointee.nextClientDeadline = deadline
        }
    }

    func serveClientDeadlines() {
        let now = self.reactor.now
        self.state.pointee.nextClientDeadline = .distantFuture
        for index in 0..<self.state.pointee.clients.end
        where self.state.pointee.clients.contains(index) {
            if self.client(index).pointee.session.nextDeadline <= now { self.tell(index, .timer) }
            guard self.state.pointee.clients.contains(index) else { continue }
            self.noteClientDeadline(self.client(index).pointee.session.nextDeadline)
        }
    }
}

/// What a segment sent to a client was.
enum ClientToken {
    case output
    /// A part of a reply's payload.
    case replyPart
    /// The last part.
    case reply(UInt32)

    init(raw: UInt64) {
        self =
            switch raw {
            case 0: .output
            case 1: .replyPart
            default: .reply(UInt32(truncatingIfNeeded: raw - 2))
            }
    }

    var raw: UInt64 {
        switch self {
        case .output: 0
        case .replyPart: 1
        case .reply(let slot): UInt64(slot) + 2
        }
    }
}
