// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// From the decision for a resync to its end.
///
///     source: WFBitMapS ─own bitmap durable, sent─▶ ─peer's merged, durable─▶
///             ─generation durable─▶ SyncSource: P_SYNC_UUID, answers requests ─▶ Connected
///     target: WFBitMapT ─source's merged, durable─▶ sends its own ─▶ WFSyncUUID ─P_SYNC_UUID─▶
///             ─Inconsistent durable─▶ SyncTarget: asks, writes, flushes, acknowledges ─▶ Connected
extension Resource {
    // MARK: Bitmap exchange

    /// Writes of which the peer has said nothing may have met it without its disk: it refuses them
    /// on the other socket, maybe after the bitmap was sent.
    mutating func enteredBitmapSource(_ index: UInt16, at now: Instant) {
        self.markUnconfirmed(in: index)
        self.volumes[index].bitmapReceiver = nil
        self.writeBitmap(index, then: .sendBitmapAsSource, at: now)
    }

    /// The peer's bitmap is complete and merged into ours.
    mutating func bitmapReceived(_ index: UInt16, at now: Instant) {
        switch self.volumes[index].state.connection {
        case .wfBitMapS: self.writeBitmap(index, then: .nameResync, at: now)
        case .wfBitMapT: self.writeBitmap(index, then: .sendBitmapAsTarget, at: now)
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams, .connected, .startingSyncS,
            .startingSyncT, .wfSyncUUID, .syncSource, .syncTarget, .verifyS, .verifyT,
            .pausedSyncS, .pausedSyncT, .ahead, .behind:
            break
        }
    }

    /// invalidate, invalidate-remote: both sides set all bits, no bitmap travels.
    ///
    /// The nodes' data has one name until now, by which they would find nothing to do if they had
    /// to start over. So both superblocks say first what is going to happen: the source's has the
    /// resync's name, the target's the mark Inconsistent.
    mutating func startFullSync(_ index: UInt16, at now: Instant) {
        self.setAllOutOfSync(index)
        self.volumes[index].needsFullSync = true
        if self.volumes[index].state.connection == .startingSyncS {
            _ = self.volumes[index].generations.startResyncAsSource()
        } else {
            self.volumes[index].holdsPeerWrites = true
            self.change(index, StateChange(disk: .inconsistent), at: now)
            self.peerBecomesOnlyCopy(index)
        }
        self.persist(index, then: .recordFullSync)
    }

    /// The superblock says that all bits are set: now the bitmap has to.
    mutating func recordFullSync(_ index: UInt16, at now: Instant) {
        let isSource = self.volumes[index].state.connection == .startingSyncS
        if !isSource { self.releasePeerWrites(index) }
        self.writeBitmap(index, then: .fullSyncRecorded, at: now)
        self.writeBitmap(index, then: isSource ? .enterSyncSource : .awaitSyncUUID, at: now)
    }

    /// The bitmap is durable: the next step, if the state still asks for it.
    mutating func bitmapWritten(_ index: UInt16, _ step: AfterBitmap, at now: Instant) {
        let connection = self.volumes[index].state.connection
        switch step {
        case .nothing: break
        case .activityLog: self.activityLogPagesWritten(index, at: now)
        case .sendBitmapAsSource:
            if connection == .wfBitMapS { self.sendBitmap(index) }
        case .sendBitmapAsTarget:
            guard connection == .wfBitMapT else { return }
            self.sendBitmap(index)
            self.change(index, StateChange(connection: .wfSyncUUID), at: now)
        case .awaitSyncUUID:
            guard connection == .startingSyncT else { return }
            self.change(index, StateChange(connection: .wfSyncUUID), at: now)
            if let early = self.volumes[index].earlySyncUUID {
                self.receiveSyncUUID(index, early, at: now)
            }
        case .nameResync:
            guard connection == .wfBitMapS else { return }
            _ = self.volumes[index].generations.startResyncAsSource()
            self.persist(index, then: .enterSyncSource)
        case .enterSyncSource: self.enterSyncSource(index, at: now)
        case .demotion(let command): self.demotionStepDone(command, at: now)
        case .peerWrite(let slot): self.peerWriteMarked(slot, at: now)
        case .fullSyncRecorded:
            self.volumes[index].needsFullSync = false
            self.persist(index)
        case .endResyncAsTarget:
            guard self.volumes[index].resyncEnd == .awaitsBitmap else { return }
            self.volumes[index].resyncEnd = .none
            self.endResyncAsTarget(index, at: now)
        case .recordEndOfResync:
            self.volumes[index].generationsDuringResync = nil
            self.persist(index)
        case .detach: self.persist(index, then: .detach)
        }
    }

    // MARK: Source

    /// The resync has a durable name: it starts.
    ///
    /// P_RS_WRITE_ACK does not say to which resync it belongs, and those of the last one may be
    /// slower than all that has been agreed on the data socket since. The target sends no more of
    /// them, so all have come with the answer to a ping.
    mutating func enterSyncSource(_ index: UInt16, at now: Instant) {
        let connection = self.volumes[index].state.connection
        guard connection == .wfBitMapS || connection == .startingSyncS || connection == .ahead
        else { return }
        if self.volumes[index].mayBeAcknowledgedLate {
            self.liveness(.pingWanted, at: now)
            self.volumes[index].beginningPing = self.pingsSent
            return
        }
        self.change(
            index,
            StateChange(connection: .syncSource, peerDisk: .inconsistent),
            at: now
        )
    }

    mutating func enteredSyncSource(_ index: UInt16, at now: Instant) {
        self.volumes[index].failedResyncBlocks = 0
        self.volumes[index].resyncStarted = ResyncProgress(
            total: self.volumes[index].outOfSyncBits,
            at: now
        )
        self.sendSyncUUID(index)
    }

    /// The target says that it is done.
    ///
    /// It has asked for a ping before, so every acknowledgement of it has arrived.
    mutating func sourceSeesEndOfResync(
        _ index: UInt16,
        _ report: PeerStateReport,
        at now: Instant
    ) {
        guard self.volumes[index].outOfSyncBits <= self.volumes[index].failedResyncBlocks else {
            return
        }
        self.volumes[index].generationsDuringResync = self.volumes[index].generations
        self.volumes[index].generations.finishResyncAsSource()
        self.peerHasOurGenerations(index)
        var change = StateChange(
            peerRole: report.role,
            connection: .connected,
            peerDisk: .upToDate
        )
        change.pausedByPeer = report.pausesResync
        self.change(index, change, at: now)
        self.writeBitmap(index, then: .recordEndOfResync, at: now)
    }

    /// A resync has ended: both nodes have the same generations, and the next one starts from them
    /// though no P_UUIDS comes before it.
    private mutating func peerHasOurGenerations(_ index: UInt16) {
        self.volumes[index].peerGenerations = PeerGenerations(
            generations: self.volumes[index].generations,
            dirtyBits: 0,
            discardsData: false,
            crashedPrimary: false,
            isInconsistent: false
        )
    }

    // MARK: Target

    mutating func receiveSyncUUID(_ index: UInt16, _ generation: GenerationID, at now: Instant) {
        switch self.volumes[index].state.connection {
        case .startingSyncT:
            self.volumes[index].earlySyncUUID = generation
        case .wfSyncUUID, .behind:
            self.volumes[index].earlySyncUUID = nil
            self.volumes[index].hasPeersMarks = true
            self.volumes[index].exposedGeneration =
                self.volumes[index].peerGenerations?.generations.current ?? .empty
            self.volumes[index].resyncSource = self.volumes[index].peerGenerations?.generations
            self.volumes[index].generations.startResyncAsTarget(
                generation,
                role: self.volumes[index].state.role
            )
            self.volumes[index].holdsPeerWrites = true
            self.change(
                index,
                StateChange(connection: .syncTarget, disk: .inconsistent),
                at: now
            )
            self.persist(index, then: .startResyncAsTarget)
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams, .connected, .startingSyncS,
            .wfBitMapS, .wfBitMapT, .syncSource, .syncTarget, .verifyS, .verifyT, .pausedSyncS,
            .pausedSyncT, .ahead:
            self.closeConnection(.protocolError(.unexpectedPacket(.syncUUID)), at: now)
        }
    }

    /// The mark Inconsistent and the resync's generation are durable: blocks may be written.
    mutating func startResyncAsTarget(_ index: UInt16, at now: Instant) {
        self.releasePeerWrites(index)
        let connection = self.volumes[index].state.connection
        guard connection == .syncTarget || connection == .pausedSyncT else { return }
        self.volumes[index].isWalking = true
        self.volumes[index].walk.begin(
            dirtyBlocks: Int(self.volumes[index].outOfSyncBits),
            at: now
        )
        self.resyncProgressed(index, at: now)
    }

    /// The superblock says Inconsistent: the peer's writes may make it so.
    mutating func releasePeerWrites(_ index: UInt16) {
        self.volumes[index].holdsPeerWrites = false
        self.retryHeldPeerWrites()
    }

    /// Asks for as many blocks as the window allows, and ends the resync when nothing is left.
    mutating func resyncProgressed(_ index: UInt16, at now: Instant) {
        while self.volumes[index].state.connection == .syncTarget, self.volumes[index].isWalking,
            self.peerRequests.count < self.peerRequests.capacity / 2
        {
            switch self.volumes[index].nextResyncStep(at: now) {
            case .request(_, let range): self.sendResyncRequest(range, in: index)
            case .wait: return
            case .finished: return self.beginEndOfResync(index, at: now)
            }
        }
    }

    mutating func resyncBlockDone(_ write: PeerRequest, failed: Bool, at now: Instant) {
        guard !write.flags.contains(.orphaned), let request = write.resyncRequest else { return }
        let range = self.volumes[write.volume].walk.finish(
            request,
            failed ? .failed : .synchronised
        )
        self.releaseWritesAwaitingResync(of: range, in: write.volume, at: now)
        self.resyncProgressed(write.volume, at: now)
    }

    /// P_NEG_RS_DREPLY or P_RS_CANCEL: the source does not send the block.
    mutating func resyncBlockRefused(
        _ index: UInt16,
        _ range: SectorRange,
        cancelled: Bool,
        at now: Instant
    ) {
        guard let request = self.volumes[index].walk.request(for: range) else { return }
        self.volumes[index].walk.answered(request, at: now)
        let block = self.volumes[index].walk.finish(request, cancelled ? .cancelled : .failed)
        self.releaseWritesAwaitingResync(of: block, in: index, at: now)
        self.resyncProgressed(index, at: now)
    }

    /// A ping whose answer proves that the source has seen all our acknowledgements.
    private mutating func beginEndOfResync(_ index: UInt16, at now: Instant) {
        guard self.volumes[index].resyncEnd == .none else { return }
        self.liveness(.pingWanted, at: now)
        self.volumes[index].resyncEnd = .awaitsPing(self.pingsSent)
    }

    /// P_PING_ACK for ping `number`: resyncs that waited for it end when everything is on stable
    /// storage that has arrived so far.
    ///
    /// The blocks of a resync overtake the writes that wait for their epoch, and may be newer than
    /// those.
    mutating func pingAnswered(_ number: UInt64, at now: Instant) {
        for index in self.volumes.indices {
            if let awaited = self.volumes[index].beginningPing, awaited <= number {
                self.volumes[index].beginningPing = nil
                self.volumes[index].mayBeAcknowledgedLate = false
                self.enterSyncSource(index, at: now)
            }
            if case .awaitsPing(let awaited) = self.volumes[index].resyncEnd, awaited <= number {
                self.volumes[index].resyncEnd = .awaitsEpochs(
                    before: self.received.indexBehindArrived
                )
            }
        }
        self.endResyncsWhoseWritesAreStable(at: now)
    }

    /// An epoch is on stable storage: resyncs that waited for it end when their bitmap is.
    ///
    /// Else a crash could leave bits behind that no resync clears, because the data has one name.
    mutating func endResyncsWhoseWritesAreStable(at now: Instant) {
        for index in self.volumes.indices {
            guard case .awaitsEpochs(let epoch) = self.volumes[index].resyncEnd,
                epoch <= self.received.oldest
            else { continue }
            self.volumes[index].resyncEnd = .awaitsBitmap
            self.writeBitmap(index, then: .endResyncAsTarget, at: now)
        }
    }

    private mutating func endResyncAsTarget(_ index: UInt16, at now: Instant) {
        guard self.volumes[index].state.connection == .syncTarget,
            self.volumes[index].isWalking,
            self.volumes[index].outOfSyncBits <= self.volumes[index].walk.failedBlocks,
            self.volumes[index].walk.outstanding == 0
        else { return self.resyncProgressed(index, at: now) }
        guard self.hasSourceOfResync(index) else {
            if !self.isDetachPending(index) {
                self.closeConnection(.networkFailure(.resyncSourceWentOn), at: now)
            }
            return
        }
        let hasFailures = self.volumes[index].walk.failedBlocks > 0
        self.volumes[index].endWalk()
        if !hasFailures, let peer = self.volumes[index].peerGenerations {
            self.volumes[index].generations.finishResyncAsTarget(
                source: peer.generations,
                role: self.volumes[index].state.role
            )
            self.peerHasOurGenerations(index)
            self.volumes[index].exposesPeerData = false
        }
        self.change(
            index,
            StateChange(
                connection: .connected,
                disk: hasFailures ? .inconsistent : .upToDate,
                peerDisk: .upToDate
            ),
            at: now
        )
        self.persist(index, then: .sendState)
    }

    /// Whether the source's data still has the name that it had when the resync began.
    ///
    /// It goes on in a new one when it does not count this disk as a copy any more.
    private func hasSourceOfResync(_ index: UInt16) -> Bool {
        guard let source = self.volumes[index].resyncSource,
            let peer = self.volumes[index].peerGenerations
        else { return false }
        return source.current.names(peer.generations.current)
    }

    /// A resync that ended or was aborted leaves nothing behind.
    mutating func resyncStopped(_ index: UInt16, at now: Instant) {
        self.volumes[index].endWalk()
        self.volumes[index].resyncEnd = .none
        if self.volumes[index].unacknowledgedResync > 0 {
            self.volumes[index].mayBeAcknowledgedLate = true
        }
        self.volumes[index].unacknowledgedResync = 0
        self.releaseWritesAwaitingResync(of: nil, in: index, at: now)
    }

    // MARK: Bits

    /// Marks every block of a range as different from the peer.
    ///
    /// Returns how many were not before.
    mutating func setOutOfSync(_ range: SectorRange, in index: UInt16) -> UInt64 {
        self.volumes[index].setOutOfSync(range)
    }

    /// Marks the blocks that lie wholly in a range as equal.
    mutating func setInSync(_ range: SectorRange, in index: UInt16) {
        self.volumes[index].setInSync(range)
    }

    mutating func setAllOutOfSync(_ index: UInt16) { self.volumes[index].setAllOutOfSync() }
}

/// How far the target of a resync that has all its blocks is with ending it.
enum ResyncEnd: Equatable, BitwiseCopyable {
    /// Blocks are outstanding, or there is no resync.
    case none
    /// The ping whose answer says that the source has seen every acknowledgement.
    case awaitsPing(UInt64)
    /// All epochs of the peer's writes before this one have to be stable.
    case awaitsEpochs(before: UInt64)
    case awaitsBitmap
}

/// What comes after the bitmap was written and flushed.
enum AfterBitmap: Hashable, BitwiseCopyable {
    case nothing
    /// The activity log may evict the extents.
    case activityLog
    case sendBitmapAsSource
    case sendBitmapAsTarget
    case nameResync
    case enterSyncSource
    case awaitSyncUUID
    case endResyncAsTarget
    /// The superblock of the source may say that the resync has ended.
    case recordEndOfResync
    /// The node becomes Secondary on this command.
    case demotion(command: UInt32)
    /// A write of the peer, whose only other copy is here, may reach the disk.
    case peerWrite(UInt32)
    /// The disk is closed.
    case detach
    /// The superblock need not say any more that all bits are to be set.
    case fullSyncRecorded
}

extension AfterBitmap {
    /// What is left of the step when the connection is gone: it must not fire in the next one.
    mutating func connectionLost() {
        switch self {
        case .sendBitmapAsSource, .sendBitmapAsTarget, .nameResync, .enterSyncSource,
            .awaitSyncUUID, .endResyncAsTarget:
            self = .nothing
        case .nothing, .activityLog, .demotion, .peerWrite, .detach, .fullSyncRecorded,
            .recordEndOfResync:
            break
        }
    }
}
