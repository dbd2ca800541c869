// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// A command that is being carried out.
///
/// One at a time; others wait in their order.
struct PendingCommand: BitwiseCopyable {
    enum Phase: BitwiseCopyable {
        /// Waits for P_STATE_CHG_REPLY for this volume.
        case volumeReply(UInt16)
        /// Waits for P_CONN_ST_CHG_REPLY.
        case connectionReply
        /// The peer has agreed to a disconnect: waits until it closes its sockets.
        case peerCloses
        /// Promotion: waits until the writes of a lost connection are on the disk.
        case peerWrites
        /// Demotion: waits until the application has nothing outstanding and the peer has it all.
        case drain
        /// Demotion: waits until data and bitmaps are durable.
        case flushes
        /// Waits until the disk is closed.
        case detach
    }

    var identifier: UInt32
    var command: ResourceCommand
    var phase: Phase
    var deadline: Instant
    /// Demotion: what was outstanding when the deadline was set.
    var outstanding = 0
    /// Promotion and disconnect repeat their request with other fields.
    var attempts = 0
    /// Volumes that the step is done for are below this index.
    var nextVolume: UInt16 = 0
}

/// Commands of the administrator, and requests of the peer's.
extension Resource {
    /// How long a command may wait for the peer or for outstanding requests.
    static var commandTimeout: TimeSpan { .seconds(20) }

    mutating func receive(_ command: ResourceCommand, _ identifier: UInt32, at now: Instant) {
        guard self.pending == nil else {
            self.waitingCommands.append((identifier, command))
            return
        }
        self.begin(command, identifier, at: now)
    }

    private mutating func begin(_ command: ResourceCommand, _ identifier: UInt32, at now: Instant) {
        self.pending = PendingCommand(
            identifier: identifier,
            command: command,
            phase: .drain,
            deadline: now + Self.commandTimeout
        )
        switch command {
        case .primary: self.beginPromotion(at: now)
        case .secondary(let force): self.beginDemotion(force: force, at: now)
        case .connect(let discardMyData): self.beginConnect(discardMyData, at: now)
        case .disconnect(let force): self.beginDisconnect(force: force, at: now)
        case .detach(let index, let force): self.beginDetachCommand(index, force: force, at: now)
        case .outdate(let index): self.beginOutdate(index, at: now)
        case .invalidate(let index): self.beginFullSyncRequest(index, .startingSyncT, at: now)
        case .invalidateRemote(let index):
            self.beginFullSyncRequest(index, .startingSyncS, at: now)
        case .down: self.beginDown(at: now)
        }
    }

    /// Answers the pending command and begins the next one.
    mutating func finishCommand(_ code: StateChangeCode, at now: Instant) {
        guard let pending = self.pending else { return }
        self.pending = nil
        self.actions.append(.reply(command: pending.identifier, code))
        if case .secondary(force: true) = pending.command {
            self.actions.append(.changed(.resource))
        }
        self.beginNextCommand(at: now)
    }

    private mutating func beginNextCommand(at now: Instant) {
        guard self.pending == nil, !self.waitingCommands.isEmpty else { return }
        let (identifier, command) = self.waitingCommands.removeFirst()
        self.begin(command, identifier, at: now)
    }

    /// The pending command waits no longer.
    ///
    /// A demotion may take as long as the peer goes on confirming: when it ceases to, the
    /// connection ends by its own timeouts.
    mutating func commandTimedOut(at now: Instant) {
        guard let pending = self.pending, pending.deadline <= now else { return }
        switch (pending.phase, pending.command) {
        case (.drain, _) where self.outstanding < pending.outstanding:
            self.awaitDrain(until: now + Self.commandTimeout)
        case (.peerCloses, _): self.closeConnection(.disconnected, at: now)
        case (.volumeReply, .primary): self.abortPromotion(.inTransientState, at: now)
        default: self.finishCommand(.inTransientState, at: now)
        }
    }

    // MARK: Promotion

    private mutating func beginPromotion(at now: Instant) {
        let isDone = !self.volumes.indices.contains { self.volumes[$0].state.role != .primary }
        if self.role == .primary, isDone { return self.finishCommand(.nothingToDo, at: now) }
        guard !self.volumes.isEmpty else {
            return self.finishCommand(.noUpToDateDisk, at: now)
        }
        self.pending?.phase = .peerWrites
    }

    /// Goes on with a command that waited for something of this node.
    mutating func resumePending(at now: Instant) {
        switch self.pending?.phase {
        case .peerWrites:
            if self.isEstablished || !self.isDraining { self.promoteNextVolume(at: now) }
        case .drain: self.resumeDrainWaiters(at: now)
        case .volumeReply, .connectionReply, .peerCloses, .flushes, .detach, .none: break
        }
    }

    /// Asks a connected peer to agree, volume by volume; then promotes all of them, or none.
    ///
    /// Of a Primary only the volumes that were added to it since.
    private mutating func promoteNextVolume(at now: Instant) {
        guard let pending = self.pending, case .primary(let force) = pending.command else { return }
        for index in self.volumes.indices where self.volumes[index].state.role != .primary {
            let code = self.promotionChange(index, force: force).1
            guard code.isSuccess else { return self.abortPromotion(code, at: now) }
        }
        let next = self.volumes.indices.first {
            $0 >= pending.nextVolume && self.volumes[$0].state.role != .primary
                && self.volumes[$0].state.connection >= .connected
        }
        guard let index = next else { return self.completePromotion(force: force, at: now) }
        let change = self.promotionChange(index, force: force).0
        self.liveness(.pingWanted, at: now)
        self.sendStateChangeRequest(StateRequest(change), volume: index)
        self.pending?.phase = .volumeReply(index)
    }

    private func promotionChange(_ index: UInt16, force: Bool) -> (StateChange, StateChangeCode) {
        let state = self.volumes[index].state
        let context = self.stateContext(index)
        var change = StateChange(role: .primary)
        var code = state.evaluate(change, .requested, in: context).code
        if force, code == .noUpToDateDisk || code == .inTransientState,
            state.disk >= .inconsistent, state.disk < .upToDate
        {
            change.disk = .upToDate
            code = state.evaluate(change, .requested, in: context).code
        }
        return (change, code)
    }

    private mutating func promote(_ index: UInt16, _ change: StateChange, at now: Instant) {
        let forced = change.disk != nil
        self.volumes[index].exposedGeneration =
            self.volumes[index].peerGenerations?.generations.current ?? .empty
        self.change(index, change, at: now)
        if self.volumes[index].state.disk == .upToDate {
            self.volumes[index].exposesPeerData = false
        }
        if GenerationRules.promotionNeedsNew(
            in: self.volumes[index].state,
            forced: forced,
            generations: self.volumes[index].generations
        ) {
            self.volumes[index].generations.startNew(self.random.next(), role: .primary)
        } else {
            self.volumes[index].generations.mark(for: .primary)
        }
        self.persist(index, then: .generation)
        self.generationsPending += 1
        guard self.volumes[index].state.connection >= .connected else { return }
        if forced { self.sendGenerations(index) }
        self.sendState(index)
    }

    private mutating func completePromotion(force: Bool, at now: Instant) {
        // What is written from now on is worth keeping, whatever `connect` was told before.
        self.keepsData()
        for index in self.volumes.indices where self.volumes[index].state.role != .primary {
            self.promote(index, self.promotionChange(index, force: force).0, at: now)
        }
        self.role = .primary
        self.actions.append(.changed(.resource))
        self.replyWhenPersisted(at: now)
    }

    /// Takes `--discard-my-data` back.
    private mutating func keepsData() {
        self.discardsDataAtConnect = false
        for index in self.volumes.indices { self.volumes[index].discardsData = false }
    }

    /// Answers the pending command when the superblocks of all volumes are durable as they are now.
    private mutating func replyWhenPersisted(at now: Instant) {
        guard let pending = self.pending else { return }
        guard !self.volumes.isEmpty else { return self.finishCommand(.success, at: now) }
        for index in self.volumes.indices { self.owePersisted(index, to: pending.identifier) }
        self.pending = nil
        self.beginNextCommand(at: now)
    }

    /// Answers the pending command when the superblock of a volume is durable as it is now.
    private mutating func replyWhenPersisted(_ index: UInt16, at now: Instant) {
        guard let pending = self.pending else { return }
        self.owePersisted(index, to: pending.identifier)
        self.pending = nil
        self.beginNextCommand(at: now)
    }

    private mutating func owePersisted(_ index: UInt16, to command: UInt32) {
        self.superblocksOwed[command, default: 0] += 1
        self.persist(index, then: .reply(command: command))
    }

    /// One of the superblocks that a command waits for is durable; the last one answers it.
    mutating func commandPersisted(_ command: UInt32) {
        guard let owed = self.superblocksOwed[command] else { return }
        self.superblocksOwed[command] = owed > 1 ? owed - 1 : nil
        if owed == 1 { self.actions.append(.reply(command: command, .success)) }
    }

    /// One volume cannot be promoted: neither are the others.
    ///
    /// A peer that has agreed, or is about to, learns that nothing came of it.
    private mutating func abortPromotion(_ code: StateChangeCode, at now: Instant) {
        if case .volumeReply(let last)? = self.pending?.phase {
            for index in self.volumes.indices
            where index <= last && self.volumes[index].state.connection >= .connected {
                self.sendState(index)
            }
        }
        self.finishCommand(code, at: now)
    }

    // MARK: Demotion

    private mutating func beginDemotion(force: Bool, at now: Instant) {
        guard self.role == .primary else { return self.finishCommand(.nothingToDo, at: now) }
        let isInUse = self.volumes.indices.contains { self.volumes[$0].isInUse }
        if isInUse, !force { return self.finishCommand(.deviceInUse, at: now) }
        if isInUse { self.actions.append(.disconnectClients) }
        if force { self.actions.append(.changed(.resource)) }
        self.pending?.phase = .drain
        self.awaitDrain(until: now + Self.commandTimeout)
        self.closeEpoch(at: now)
    }

    /// Goes on with a demotion when nothing is outstanding.
    private mutating func resumeDrainWaiters(at now: Instant) {
        guard let pending = self.pending else { return }
        switch pending.command {
        case .secondary, .down: break
        case .primary, .connect, .disconnect, .detach, .outdate, .invalidate, .invalidateRemote:
            return
        }
        guard self.role == .primary else { return self.afterDemotion(at: now) }
        guard self.isIdleAsPrimary else { return }
        self.pending?.phase = .flushes
        self.hasWrittenDuringDemotion = false
        self.demotionStepsPending = 1
        for index in self.volumes.indices {
            self.demotionStepsPending += 2
            self.awaitFlush(index, .demotion(command: pending.identifier), at: now)
            self.writeBitmap(index, then: .demotion(command: pending.identifier), at: now)
        }
        self.demotionStepDone(pending.identifier, at: now)
    }

    /// Whether clients may open a volume: not while they are being thrown out for a demotion.
    package var acceptsClients: Bool {
        if case .secondary(force: true)? = self.pending?.command { return false }
        return self.role == .primary
    }

    private mutating func awaitDrain(until deadline: Instant) {
        let outstanding = self.outstanding
        self.pending?.outstanding = outstanding
        self.pending?.deadline = deadline
    }

    /// What a demotion waits for, in requests that are not over on both nodes.
    private var outstanding: Int {
        self.requests.count + self.waiting.count + self.transferLog.count
    }

    /// Whether the application is away and the peer has everything.
    private var isIdleAsPrimary: Bool {
        !self.volumes.indices.contains { self.volumes[$0].isInUse } && self.requests.count == 0
            && self.waiting.isEmpty && self.epochs.isDrained
    }

    /// The application is back, or has been, before this node ceased to be Primary.
    ///
    /// What it has written since the flushes began is on no stable storage, nor are its bits.
    private mutating func repeatDemotion(_ pending: PendingCommand, at now: Instant) {
        switch pending.command {
        case .secondary(let force): self.beginDemotion(force: force, at: now)
        case .down: self.beginDown(at: now)
        case .primary, .connect, .disconnect, .detach, .outdate, .invalidate, .invalidateRemote:
            invariantBroken("only these demote")
        }
    }

    /// A bitmap or the data of a volume is durable; with the last one the superblocks may say that
    /// there is no Primary, so that the activity log does not count any more.
    mutating func demotionStepDone(_ command: UInt32, at now: Instant) {
        guard let pending = self.pending, pending.identifier == command,
            case .flushes = pending.phase
        else { return }
        self.demotionStepsPending -= 1
        guard self.demotionStepsPending == 0 else { return }
        guard self.isIdleAsPrimary, !self.hasWrittenDuringDemotion else {
            return self.repeatDemotion(pending, at: now)
        }
        self.role = .secondary
        for index in self.volumes.indices { self.demote(index, at: now) }
        self.actions.append(.changed(.resource))
        self.afterDemotion(at: now)
    }

    private mutating func demote(_ index: UInt16, at now: Instant) {
        self.change(index, StateChange(role: .secondary), at: now)
        self.volumes[index].generations.mark(for: .secondary)
        self.persist(index)
        if self.volumes[index].state.connection >= .connected { self.sendState(index) }
    }

    private mutating func afterDemotion(at now: Instant) {
        guard let pending = self.pending else { return }
        switch pending.command {
        case .down: self.continueDown(at: now)
        case .secondary, .primary, .connect, .disconnect, .detach, .outdate, .invalidate,
            .invalidateRemote:
            self.replyWhenPersisted(at: now)
        }
    }

    // MARK: Connection

    private mutating func beginConnect(_ discardMyData: Bool, at now: Instant) {
        if discardMyData, self.role == .primary {
            return self.finishCommand(.twoPrimaries, at: now)
        }
        switch self.link {
        case .standAlone:
            self.isConnectWanted = true
            self.failedConnects = 0
            self.discardsDataAtConnect = discardMyData
            for index in self.volumes.indices { self.volumes[index].discardsData = discardMyData }
            self.lastLoss = nil
            for index in self.volumes.indices {
                self.change(index, StateChange(connection: .unconnected), at: now)
            }
            self.link = .unconnected(until: now)
            self.finishCommand(.success, at: now)
            self.connectIfDue(at: now)
        case .unconnected, .connecting, .handshaking, .established, .closing:
            self.finishCommand(discardMyData ? .inTransientState : .nothingToDo, at: now)
        }
    }

    private mutating func beginDisconnect(force: Bool, at now: Instant) {
        if !force, self.needsPeerData { return self.finishCommand(.noUpToDateDisk, at: now) }
        self.isConnectWanted = false
        self.keepsData()
        switch self.link {
        case .standAlone: self.finishCommand(.alreadyStandAlone, at: now)
        case .established where !force:
            self.sendConnectionChangeRequest(StateRequest(connection: .disconnecting))
            self.pending?.phase = .connectionReply
        case .connecting, .handshaking, .established:
            self.closeConnection(.disconnected, at: now)
            self.finishCommand(.success, at: now)
        case .unconnected, .closing:
            self.standAlone(at: now)
            self.finishCommand(.success, at: now)
        }
    }

    /// Whether this node is Primary and has the UpToDate data of a volume from its peer only.
    private var needsPeerData: Bool {
        guard self.role == .primary, self.isEstablished else { return false }
        for index in self.volumes.indices
        where self.volumes[index].state.disk < .upToDate
            && self.volumes[index].state.peerDisk == .upToDate
        {
            return true
        }
        return false
    }

    // MARK: Disks

    private mutating func beginOutdate(_ index: UInt16, at now: Instant) {
        guard self.volumes.contains(index) else { return self.finishCommand(.isDiskless, at: now) }
        let code = self.change(index, StateChange(disk: .outdated), .requested, at: now)
        guard code.isSuccess else { return self.finishCommand(code, at: now) }
        self.replyWhenPersisted(index, at: now)
    }

    private mutating func beginDetachCommand(_ index: UInt16, force: Bool, at now: Instant) {
        guard self.volumes.contains(index), self.volumes[index].hasDisk else {
            return self.finishCommand(.nothingToDo, at: now)
        }
        let change = StateChange(disk: .failed)
        if !force {
            let code = self.volumes[index].state
                .evaluate(change, .requested, in: self.stateContext(index)).code
            guard code.isSuccess else { return self.finishCommand(code, at: now) }
            if self.volumes[index].state.connection >= .connected {
                self.sendStateChangeRequest(StateRequest(change), volume: index)
                self.pending?.phase = .volumeReply(index)
                return
            }
        }
        self.detach(index, at: now)
    }

    private mutating func detach(_ index: UInt16, at now: Instant) {
        self.pending?.phase = .detach
        self.writeBitmap(index, then: .detach, at: now)
    }

    /// Whether the volume is about to be detached on request, which the peer may know.
    func isDetachPending(_ index: UInt16) -> Bool {
        switch self.pending?.command {
        case .detach(let wanted, _): wanted == index
        case .down: true
        case .primary, .secondary, .connect, .disconnect, .outdate, .invalidate, .invalidateRemote,
            .none:
            false
        }
    }

    /// Bitmap and superblock are durable: the disk may go.
    mutating func detachAfterMetadata(_ index: UInt16, at now: Instant) {
        self.volumes[index].diskEnd = self.volumes[index].diskEnd ?? .detached
        self.change(index, StateChange(disk: .failed), at: now)
    }

    /// A volume is Diskless: whoever has waited for that goes on.
    mutating func diskClosed(_ index: UInt16, at now: Instant) {
        guard let pending = self.pending, case .detach = pending.phase else { return }
        switch pending.command {
        case .down: self.continueDown(at: now)
        case .detach(let wanted, _): if wanted == index { self.finishCommand(.success, at: now) }
        case .primary, .secondary, .connect, .disconnect, .outdate, .invalidate, .invalidateRemote:
            break
        }
    }

    private mutating func beginFullSyncRequest(
        _ index: UInt16,
        _ connection: ConnectionCode,
        at now: Instant
    ) {
        guard self.volumes.contains(index) else { return self.finishCommand(.isDiskless, at: now) }
        let change = StateChange(connection: connection)
        guard self.volumes[index].state.connection >= .connected else {
            return self.finishCommand(.needConnection, at: now)
        }
        let code = self.volumes[index].state
            .evaluate(change, .requested, in: self.stateContext(index)).code
        guard code.isSuccess else { return self.finishCommand(code, at: now) }
        self.sendStateChangeRequest(StateRequest(change), volume: index)
        self.pending?.phase = .volumeReply(index)
    }

    // MARK: Down

    private mutating func beginDown(at now: Instant) {
        guard self.role == .primary else { return self.continueDown(at: now) }
        let isInUse = self.volumes.indices.contains { self.volumes[$0].isInUse }
        if isInUse { return self.finishCommand(.deviceInUse, at: now) }
        self.pending?.phase = .drain
        self.awaitDrain(until: now + Self.commandTimeout)
        self.closeEpoch(at: now)
    }

    /// Demoted: disconnects, then detaches what is attached, then answers.
    private mutating func continueDown(at now: Instant) {
        self.isConnectWanted = false
        switch self.link {
        case .established:
            self.sendConnectionChangeRequest(StateRequest(connection: .disconnecting))
            self.pending?.phase = .connectionReply
            return
        case .connecting, .handshaking:
            self.closeConnection(.disconnected, at: now)
        case .unconnected, .closing: self.standAlone(at: now)
        case .standAlone: break
        }
        if let index = self.volumes.indices.first(where: { self.volumes[$0].hasDisk }) {
            self.detach(index, at: now)
        } else {
            self.finishCommand(.success, at: now)
        }
    }

    // MARK: The peer's word

    /// P_STATE_CHG_REPLY or P_CONN_ST_CHG_REPLY.
    mutating func receiveReply(_ code: Int32, ofConnection: Bool, at now: Instant) {
        guard let pending = self.pending else { return }
        let agreed = code >= 1
        switch (pending.phase, ofConnection) {
        case (.volumeReply(let index), false):
            agreed
                ? self.volumeChangeAgreed(pending, index, at: now)
                : self.volumeChangeRefused(pending, code, at: now)
        case (.connectionReply, true): self.disconnectAnswered(pending, agreed, at: now)
        case (.volumeReply, true), (.connectionReply, false), (.peerCloses, _), (.peerWrites, _),
            (.drain, _), (.flushes, _), (.detach, _):
            break
        }
    }

    private mutating func volumeChangeAgreed(
        _ pending: PendingCommand,
        _ index: UInt16,
        at now: Instant
    ) {
        switch pending.command {
        case .primary:
            self.pending?.nextVolume = index + 1
            self.promoteNextVolume(at: now)
        case .detach: self.detach(index, at: now)
        case .invalidate: self.beginFullSync(index, .startingSyncT, at: now)
        case .invalidateRemote: self.beginFullSync(index, .startingSyncS, at: now)
        case .secondary, .connect, .disconnect, .outdate, .down:
            invariantBroken("only changes of a volume ask the peer for it")
        }
    }

    /// The peer agrees to a full resync: it is answered when it cannot be forgotten any more.
    private mutating func beginFullSync(
        _ index: UInt16,
        _ connection: ConnectionCode,
        at now: Instant
    ) {
        let change = StateChange(connection: connection)
        let code = self.change(index, change, .requested, at: now)
        guard code.isSuccess else { return self.finishCommand(code, at: now) }
        self.replyWhenPersisted(index, at: now)
    }

    private mutating func volumeChangeRefused(
        _ pending: PendingCommand,
        _ code: Int32,
        at now: Instant
    ) {
        let reason = code == StateChangeCode.concurrentStateChange.rawValue
        let answer: StateChangeCode = reason ? .concurrentStateChange : .failedByPeer
        switch pending.command {
        case .primary: self.abortPromotion(answer, at: now)
        case .secondary, .connect, .disconnect, .detach, .outdate, .invalidate, .invalidateRemote,
            .down:
            self.finishCommand(answer, at: now)
        }
    }

    /// The peer agrees to a disconnect, or not: then once more with this node's disk Outdated.
    ///
    /// A peer that agrees closes its sockets. DRBD 8.4 takes an end that comes before that for a
    /// failure, so this node closes second, or when the peer has taken its time.
    private mutating func disconnectAnswered(
        _ pending: PendingCommand,
        _ agreed: Bool,
        at now: Instant
    ) {
        if !agreed, pending.attempts == 0, self.role != .primary {
            self.pending?.attempts = 1
            return self.sendConnectionChangeRequest(
                StateRequest(connection: .disconnecting, disk: .outdated)
            )
        }
        guard agreed else { return self.finishCommand(.failedByPeer, at: now) }
        self.pending?.phase = .peerCloses
        self.pending?.deadline = now + self.parameters.network.pingTimeout
    }

    private mutating func connectionCommandDone(_ pending: PendingCommand, at now: Instant) {
        guard self.pending != nil else { return }
        switch pending.command {
        case .down: self.continueDown(at: now)
        case .disconnect, .primary, .secondary, .connect, .detach, .outdate, .invalidate,
            .invalidateRemote:
            self.finishCommand(.success, at: now)
        }
    }

    /// What disconnect or down asked the peer for has happened.
    mutating func disconnectedMeanwhile(at now: Instant) {
        guard let pending = self.pending, pending.endsConnection else { return }
        if self.link != .standAlone { self.standAlone(at: now) }
        self.connectionCommandDone(pending, at: now)
    }

    /// The connection is gone while a command waited for the peer's word.
    mutating func endChange(becauseOf loss: ConnectionLoss, at now: Instant) {
        guard let pending = self.pending else { return }
        switch pending.phase {
        case .connectionReply where loss != .disconnected:
            // What was asked for has happened by itself.
            self.isConnectWanted = false
            self.deferred.append(.disconnectedMeanwhile)
        case .peerCloses: self.deferred.append(.disconnectedMeanwhile)
        case .volumeReply:
            switch pending.command {
            case .primary: self.abortPromotion(.inTransientState, at: now)
            case .secondary, .connect, .disconnect, .detach, .outdate, .invalidate,
                .invalidateRemote, .down:
                self.finishCommand(.inTransientState, at: now)
            }
        case .connectionReply, .peerWrites, .drain, .flushes, .detach: break
        }
    }

    /// P_STATE_CHG_REQ: the peer's administrator asks for a change of a volume.
    mutating func receiveStateRequest(_ index: UInt16, _ request: StateRequest, at now: Instant) {
        if self.resolvesConflicts, self.pending?.asksPeer == true {
            return self.sendStateReply(.concurrentStateChange, volume: index)
        }
        let change = StateChange(request.asSeenByPeer())
        let old = self.volumes[index].state
        // The reply goes first: what follows from the change may send packets of its own.
        let code = old.evaluate(change, .requested, in: self.stateContext(index)).code
        self.sendStateReply(code, volume: index)
        guard code.isSuccess else { return }
        if change.peerRole == .primary, change.peerDisk == .upToDate, old.disk == .inconsistent,
            old.peerDisk == .inconsistent
        {
            self.volumes[index].considersResync = true
        }
        self.change(index, change, .requested, at: now)
    }

    /// P_CONN_ST_CHG_REQ: the peer disconnects, or (DRBD 9) changes its role.
    mutating func receiveConnectionRequest(_ request: StateRequest, at now: Instant) {
        if self.resolvesConflicts, self.pending?.asksPeer == true {
            return self.sendConnectionStateReply(.concurrentStateChange)
        }
        var change = StateChange(request.asSeenByPeer())
        let isDisconnect = change.connection == .tearDown
        change.connection = nil
        for index in self.volumes.indices {
            var own = change
            if self.volumes[index].state.disk < .outdated { own.disk = nil }
            if isDisconnect { own.disk = nil }
            let code = self.volumes[index].state
                .evaluate(own, .requested, in: self.stateContext(index)).code
            guard code.isSuccess else { return self.sendConnectionStateReply(code) }
        }
        if isDisconnect, self.needsPeerData {
            return self.sendConnectionStateReply(.noUpToDateDisk)
        }
        self.sendConnectionStateReply(.success)
        if isDisconnect {
            // Flushes our answer before it closes the sockets.
            self.closeConnection(.tearDown, at: now)
        } else {
            for index in self.volumes.indices { self.change(index, change, .requested, at: now) }
        }
    }
}

extension PendingCommand {
    /// Whether the peer's word is awaited.
    var asksPeer: Bool {
        switch self.phase {
        case .volumeReply, .connectionReply: true
        case .peerCloses, .peerWrites, .drain, .flushes, .detach: false
        }
    }

    /// Whether the command goes on when the connection is gone.
    var endsConnection: Bool {
        switch self.phase {
        case .connectionReply, .peerCloses: true
        case .volumeReply, .peerWrites, .drain, .flushes, .detach: false
        }
    }
}
