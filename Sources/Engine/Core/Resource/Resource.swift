// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Wire

/// One replicated data set: its volumes, its application's requests and its connection to the peer.
///
/// Everything that decides is here and in the extensions; the driver, or the simulator, carries out
/// the actions and reports what came of them. An event may cause many actions; they are carried out
/// in their order. Nothing here reads a clock, touches a byte of payload or waits.
///
/// | Extension | Subject |
/// | --- | --- |
/// | `+Requests`, `+Completions` | the application's reads, writes and flushes |
/// | `+PeerWrites`, `+PeerReads` | what the peer asks of this node's disk |
/// | `+Flushes`, `+Metadata` | stable storage: data flushes, superblock, bitmap, activity log |
/// | `+Connection`, `+PeerState`, `+Loss` | from two sockets to a handshake to the end |
/// | `+UnsharedVolumes` | volumes that only one of the nodes has |
/// | `+State`, `+Commands` | state changes and who may ask for them |
/// | `+Resync` | making the copies equal |
/// | `+Packets`, `+Receiving` | values to packets and back |
package struct Resource: ~Copyable {
    package internal(set) var parameters: ResourceParameters
    package internal(set) var role = Role.secondary
    var random: SeededRandom

    // Application
    var volumes = VolumeTable()
    var requests: SlotTable<Request>
    /// How often a waiting write has been looked at again.
    package internal(set) var waitingWritesChecked = 0
    /// Requests that wait for room, for a durable generation or for the bitmap exchange.
    var waiting = ActionQueue<ClientRequest>(capacity: 256)
    var heldCompletions = ActionQueue<HeldCompletion>(capacity: 64)
    /// Generations whose superblocks are on their way; no write begins or completes meanwhile.
    var generationsPending = 0

    // Peer: what this node sends
    var transferLog = RequestList()
    var epochs = WriteEpochs()
    var flushesAwaitingPeer = RequestList()
    var remoteReads = RequestList()
    /// Protocol A: the oldest write whose packet the kernel has not taken.
    var nextHandOver = Request.none
    var blockCounter: UInt32 = 0
    var dataPacketsQueued: UInt64 = 0
    var pingsSent: UInt64 = 0

    // Peer: what it asks of this node
    var peerRequests: SlotTable<PeerRequest>
    /// Writes that wait for their epoch or for an overlapping one, in the order of their arrival.
    var heldPeerWrites = SlotQueue(capacity: 256)
    var received = ReceivedEpochs()
    var epochFlushesPending = 0
    var epochFlushFailed = false

    // Connection
    package internal(set) var link = Link.standAlone
    var handshake: Handshake?
    var liveness: Liveness?
    var agreement: WireAgreement?
    /// The protocol of this connection's writes; the configured one may change meanwhile.
    package internal(set) var agreedProtocol = ReplicationProtocol.c
    /// What the peer has sent last as P_PROTOCOL or P_PROTOCOL_UPDATE.
    package internal(set) var peerParameters: ProtocolParameters?
    var resolvesConflicts = false
    var isConnectWanted = false
    var discardsDataAtConnect = false
    var failedConnects: UInt64 = 0
    package internal(set) var lastLoss: ConnectionLoss?
    package internal(set) var lastHandshakeFailure: Handshake.Reason?
    /// When failed disks are given up whose superblocks still do not say so.
    var markDeadline = Instant.distantFuture
    /// When the peer counts as one that does not have the volumes that it has not spoken of.
    var volumesDeadline = Instant.distantFuture

    // Administration
    var pending: PendingCommand?
    var waitingCommands: [(UInt32, ResourceCommand)] = []
    /// Commands that are done, by how many superblocks have yet to become durable before the
    /// answer.
    var superblocksOwed: [UInt32: Int] = [:]
    var demotionStepsPending = 0
    /// A write of the application has begun since a demotion's flushes did.
    var hasWrittenDuringDemotion = false

    var actions = ActionQueue<ResourceAction>(capacity: 1024)
    /// What follows from an event without the driver's help, in a later step of the same event.
    var deferred = ActionQueue<DeferredEvent>(capacity: 64)

    /// Creates a resource without volumes, StandAlone and Secondary.
    ///
    /// - Parameter seed: for generation names, jitter and cookies; of high entropy in a daemon.
    package init(parameters: ResourceParameters, seed: UInt64) {
        self.parameters = parameters
        self.random = SeededRandom(seed: seed)
        self.requests = SlotTable(capacity: parameters.requestMaximum)
        self.peerRequests = SlotTable(capacity: parameters.peerRequestMaximum)
    }

    /// Takes one event and appends what the driver must do about it.
    package mutating func receive(
        _ event: ResourceEvent,
        at now: Instant,
        into actions: inout ActionQueue<ResourceAction>
    ) {
        swap(&self.actions, &actions)
        self.handle(event, at: now)
        self.handleDeferred(at: now)
        swap(&self.actions, &actions)
    }

    /// Carries out what follows from an event without the driver's help.
    mutating func handleDeferred(at now: Instant) {
        repeat {
            while let event = self.deferred.popFirst() { self.handle(event, at: now) }
            if self.pending != nil { self.resumePending(at: now) }
        } while !self.deferred.isEmpty
    }

    private mutating func handle(_ event: ResourceEvent, at now: Instant) {
        switch event {
        case .request(let request): self.receive(request, at: now)
        case .io(let index, let token, let result, let buffer):
            self.ioDone(index, token, result, buffer, at: now)
        case .transportEstablished(let resolvesConflicts, let challenge):
            self.transportEstablished(resolvesConflicts, challenge, at: now)
        case .transportLost(let loss): self.connectionLost(loss, at: now)
        case .packet(let socket, let volume, let packet, let buffer, let bytes):
            self.receive(socket, volume, packet, buffer, bytes, at: now)
        case .authentication(let step, let bytes, let length):
            self.receiveAuthentication(step, bytes, length, at: now)
        case .dataPacketsSent(let count): self.dataPacketsSent(count, at: now)
        case .sendBlocked(let socket):
            self.liveness(socket == .data ? .dataSendBlocked : .metaSendBlocked, at: now)
        case .sendDrained(let socket):
            self.liveness(socket == .data ? .dataSendDrained : .metaSendDrained, at: now)
        case .timer: self.timer(at: now)
        case .command(let identifier, let command): self.receive(command, identifier, at: now)
        case .volumeInUse(let index, let isInUse):
            guard self.volumes.contains(index) else { return }
            self.volumes[index].isInUse = isInUse
        }
    }

    private mutating func handle(_ event: DeferredEvent, at now: Instant) {
        switch event {
        case .flushed(let index):
            guard self.volumes.contains(index) else { return }
            self.flushDone(index, .success, at: now)
            self.finishDetachIfIdle(index, at: now)
        case .persisted(let index, let step): self.persisted(index, step, at: now)
        case .bitmapWritten(let index, let step): self.bitmapWritten(index, step, at: now)
        case .bitmapFlushed(let index): self.bitmapFlushed(index, .success, at: now)
        case .flushFailed(let index, let purpose): self.flushed(index, purpose, false, at: now)
        case .peerWriteRefused(let slot): self.peerWriteRefused(slot, at: now)
        case .attachFlushed(let index): self.continueAttach(index, at: now)
        case .diskLostBeforeResync:
            self.closeConnection(.networkFailure(.diskLostBeforeResync), at: now)
        case .disconnectedMeanwhile: self.disconnectedMeanwhile(at: now)
        }
    }

    private mutating func ioDone(
        _ index: UInt16,
        _ token: IOToken,
        _ result: IOResult,
        _ buffer: BufferHandle,
        at now: Instant
    ) {
        invariant(self.volumes[index].operationsInFlight > 0, "a completion for each operation")
        self.volumes[index].operationsInFlight -= 1
        if case .failure(let errno) = result { self.noteFailure(index, token, errno) }
        switch token.purpose {
        case .requestRead: self.localReadDone(token.slot, result, at: now)
        case .requestWrite: self.localWriteDone(token.slot, result, at: now)
        case .peerWrite: self.peerWriteDone(token.slot, result, at: now)
        case .peerRead: self.peerReadDone(token.slot, result, buffer, at: now)
        case .dataFlush: self.flushDone(index, result, at: now)
        case .attachFlush: self.attachFlushDone(index, result, at: now)
        case .detachFlush: self.detachFlushDone(index, result)
        case .activityLogWrite: self.activityLogWritten(index, result, at: now)
        case .activityLogFlush: self.activityLogFlushed(index, result, at: now)
        case .bitmapPage: self.bitmapPageWritten(index, token.slot, result, at: now)
        case .bitmapFlush: self.bitmapFlushed(index, result, at: now)
        case .superblockWrite: self.superblockWritten(index, result, at: now)
        case .superblockFlush: self.superblockFlushed(index, result, at: now)
        }
        if self.volumes.contains(index) { self.finishDetachIfIdle(index, at: now) }
        if !result.isSuccess { self.forgetHarmlessFailure(index) }
    }

    // MARK: Time

    /// When ``ResourceEvent/timer`` is due.
    ///
    /// Mutating because a getter's resource would be copied.
    package var nextDeadline: Instant {
        mutating get {
            var next = min(self.epochs.deadline, self.pending?.deadline ?? .distantFuture)
            next = min(next, self.volumesDeadline)
            next = min(next, self.markDeadline)
            switch self.handshake {
            case .some(let handshake): next = min(next, handshake.nextDeadline)
            case .none: break
            }
            switch self.liveness {
            case .some(let liveness): next = min(next, liveness.nextDeadline)
            case .none: break
            }
            if case .unconnected(let until) = self.link, !self.isDraining {
                next = min(next, until)
            }
            return next
        }
    }

    private mutating func timer(at now: Instant) {
        if self.epochs.deadline <= now { self.closeEpoch(at: now) }
        self.handshake(.deadline, at: now)
        self.liveness(.deadline, at: now)
        self.volumesTimedOut(at: now)
        self.markTimedOut(at: now)
        self.commandTimedOut(at: now)
        self.connectIfDue(at: now)
    }

    // MARK: What the parts ask

    /// What the peer is told of a write that starts now.
    @inline(__always)
    func replicationMode(_ index: UInt16) -> WriteReplication {
        guard self.isEstablished else { return .none }
        return self.volumes[index].state.replication(agreedVersion: self.agreedVersion)
    }

    /// Whether requests of the application have to wait.
    @inline(__always)
    var suspendsIO: Bool {
        if self.generationsPending > 0 { return true }
        for index in self.volumes.indices
        where self.volumes[index].state.admission(agreedVersion: self.agreedVersion) == .held {
            return true
        }
        return false
    }

    /// Whether writes that are done must not be told yet.
    var holdsCompletions: Bool { self.generationsPending > 0 }

    var isEstablished: Bool { self.link == .established }

    var agreedVersion: UInt32 { self.agreement?.version ?? 101 }

    var agreedWriteSame: Bool { self.agreement?.features.contains(.writeSame) ?? true }
}

/// How far the connection to the peer has come.
package enum Link: Hashable, Sendable, BitwiseCopyable {
    case standAlone
    /// Waits until the peer is tried again.
    case unconnected(until: Instant)
    /// Looks for the peer.
    case connecting
    /// Two sockets, not yet understood.
    case handshaking
    case established
    /// Being torn down within one event.
    case closing

    /// Whether there are sockets, or somebody looks for them.
    var isOpen: Bool {
        switch self {
        case .connecting, .handshaking, .established: true
        case .standAlone, .unconnected, .closing: false
        }
    }
}

/// A request that is done, and that the client may not hear of yet.
struct HeldCompletion: BitwiseCopyable {
    var volume: UInt16
    var identifier: UInt32
    var error: ClientError?
}

/// What an event leads to without the driver's help.
enum DeferredEvent: BitwiseCopyable {
    case flushed(UInt16)
    /// There is no disk any more that could be flushed.
    case flushFailed(UInt16, FlushWaiter.Purpose)
    /// A write of the peer has come to its turn, and there is no disk any more.
    case peerWriteRefused(UInt32)
    /// Nothing of an earlier process is in the page cache any more, and no handshake runs.
    case attachFlushed(UInt16)
    case persisted(UInt16, AfterPersist)
    case bitmapWritten(UInt16, AfterBitmap)
    case bitmapFlushed(UInt16)
    /// A disk is gone between the decision for a resync and its beginning.
    case diskLostBeforeResync
    /// The connection is gone while a command to end it was under way.
    case disconnectedMeanwhile
}
