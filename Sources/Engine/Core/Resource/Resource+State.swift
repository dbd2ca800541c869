// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Changes of a volume's state and what follows from them.
extension Resource {
    /// What the state rules must know beside the state.
    func stateContext(_ index: UInt16) -> StateContext {
        var context = StateContext()
        context.deviceInUse = self.volumes[index].isInUse
        context.agreedVersion = self.agreedVersion
        context.handshakeRunning = self.volumes[index].handshakeRunning
        context.attachedDisks = self.volumes[index].attachedDisks
        context.peerIsPrimaryElsewhere = self.volumes.indices.contains {
            $0 != index && self.volumes[$0].state.peerRole == .primary
        }
        return context
    }

    /// Changes the state of one volume, if the rules allow it, and does what follows.
    @discardableResult
    mutating func change(
        _ index: UInt16,
        _ change: StateChange,
        _ kind: StateChangeKind = .happened,
        at now: Instant
    ) -> StateChangeCode {
        let old = self.volumes[index].state
        let outcome = old.evaluate(change, kind, in: self.stateContext(index))
        guard outcome.code.isSuccess, outcome.state != old else { return outcome.code }
        self.volumes[index].state = outcome.state
        self.stateChanged(index, from: old, at: now)
        return outcome.code
    }

    private mutating func stateChanged(_ index: UInt16, from old: VolumeState, at now: Instant) {
        let new = self.volumes[index].state
        self.noteChanges(index, from: old, to: new)
        self.clearCrashMarkIfEqual(index)
        if GenerationRules.needsNew(
            from: old,
            to: new,
            generations: self.volumes[index].generations
        ) {
            let isConnected = new.connection >= .connected
            self.startNewGeneration(
                index,
                then: isConnected ? .announceGeneration : .generation,
                at: now
            )
        }
        if new.disk > .negotiating { self.volumes[index].recordedDisk = new.disk }
        if new.disk == .upToDate { self.volumes[index].staleGeneration = .empty }
        if old.metadataView != new.metadataView, new.disk > .negotiating { self.persist(index) }
        if old.disk == .upToDate, new.disk < .upToDate { self.noteExposedGeneration(index) }
        if new.disk == .failed, old.disk != .failed {
            // Before anything that the own disk lacks: the peer then keeps account of it.
            if self.isEstablished { self.sendState(index) }
            self.peerBecomesOnlyCopy(index)
            if self.leavesPeerAlone(index, from: old) {
                self.recordStaleDisk(index, at: now)
            } else if self.missesPeersWrites(index, from: old) {
                self.recordOutdatedDisk(index, at: now)
            } else {
                self.beginDetach(index, at: now)
            }
        }
        if self.volumes[index].awaitsStaleMark, !new.mayReadFromPeer {
            // What the disk lacks fails now, instead of completing.
            self.releaseStaleDisk(index, at: now)
        }
        if old.connection >= .syncSource && old.connection <= .pausedSyncT,
            new.connection == .connected
        {
            self.resyncStopped(index, at: now)
        }
        if new.connection.isResyncing, !old.connection.isResyncing {
            self.volumes[index].resyncRound &+= 1
        }
        if new.connection != old.connection {
            self.volumes[index].beginningPing = nil
            self.connectionChanged(index, from: old, to: new, at: now)
            if old.connection == .wfReportParams { self.deferred.append(.attachFlushed(index)) }
        }
        if new.role != old.role || new.connection != old.connection || new.disk != old.disk {
            self.admitWaiting(at: now)
        }
    }

    private mutating func connectionChanged(
        _ index: UInt16,
        from old: VolumeState,
        to new: VolumeState,
        at now: Instant
    ) {
        switch new.connection {
        case .wfBitMapS: self.enteredBitmapSource(index, at: now)
        case .wfBitMapT: self.volumes[index].bitmapReceiver = nil
        case .startingSyncS, .startingSyncT: self.startFullSync(index, at: now)
        case .syncSource, .pausedSyncS:
            if old.connection < .syncSource || old.connection > .pausedSyncT {
                self.enteredSyncSource(index, at: now)
            }
        case .networkFailure:
            if self.isEstablished { self.deferred.append(.diskLostBeforeResync) }
        case .syncTarget:
            if old.connection == .pausedSyncT { self.resyncProgressed(index, at: now) }
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .protocolError,
            .tearDown, .wfConnection, .wfReportParams, .connected, .wfSyncUUID, .verifyS, .verifyT,
            .pausedSyncT, .ahead, .behind:
            break
        }
    }

    private mutating func noteChanges(
        _ index: UInt16,
        from old: VolumeState,
        to new: VolumeState
    ) {
        self.actions.append(.moved(volume: index, from: old, to: new))
        if old.role != new.role || old.suspension != new.suspension {
            self.actions.append(.changed(.resource))
        }
        if old.disk != new.disk { self.actions.append(.changed(.volume(index))) }
        if old.peerRole != new.peerRole { self.actions.append(.changed(.connection)) }
        if old.connection != new.connection || old.peerDisk != new.peerDisk
            || old.resyncPause != new.resyncPause
        {
            self.actions.append(.changed(.peerDevice(index)))
        }
    }

    /// Both copies are current: nothing of an earlier crash is left to make up for.
    private mutating func clearCrashMarkIfEqual(_ index: UInt16) {
        let state = self.volumes[index].state
        if self.volumes[index].crashedPrimary, state.disk == .upToDate,
            state.peerDisk == .upToDate, self.volumes[index].outOfSyncBits == 0
        {
            self.volumes[index].crashedPrimary = false
            self.persist(index)
        }
    }

    /// From now on this node has data that the peer lacks.
    ///
    /// No write is completed, and none begins, before the generation's name is durable: else a
    /// crash could hide a split brain.
    ///
    /// - Parameter step: `generation` or `announceGeneration`.
    mutating func startNewGeneration(
        _ index: UInt16,
        then step: AfterPersist = .generation,
        at now: Instant
    ) {
        self.volumes[index].generations.startNew(
            self.random.next(),
            role: self.volumes[index].state.role
        )
        self.persist(index, then: step)
        self.generationsPending += 1
    }

    // MARK: Disk failures

    /// The data or metadata device has failed.
    ///
    /// A failed flush is final, and so is everything else until error policies are configurable:
    /// the disk is given up.
    mutating func diskFailed(_ index: UInt16, _ result: IOResult, at now: Instant) {
        guard self.volumes[index].hasDisk else { return }
        self.volumes[index].lastError = result
        guard self.volumes[index].state.disk != .failed else {
            if self.volumes[index].metadataFailed, !self.volumes[index].isDetaching {
                return self.beginDetach(index, at: now)
            }
            return self.failFlushWaiters(index, at: now)
        }
        self.change(index, StateChange(disk: .failed), at: now)
    }

    /// Whether the application of this Primary goes on with the peer's disk after an error of its
    /// own.
    private func leavesPeerAlone(_ index: UInt16, from old: VolumeState) -> Bool {
        let volume = self.volumes[index].state
        return old.disk == .upToDate && self.volumes[index].lastError != nil
            && volume.role == .primary && volume.mayReadFromPeer
    }

    /// A disk has failed that the peer's disk takes the place of: before any write completes that
    /// it lacks, its superblock says Inconsistent, or the peer's data durably has a new name.
    ///
    /// The connection may be lost before the peer hears of the failure. Without one of the two the
    /// disk, attached again later, would look like the one of a crashed Primary, and win. Its
    /// metadata may have failed, too, or never answer.
    private mutating func recordStaleDisk(_ index: UInt16, at now: Instant) {
        self.volumes[index].recordedDisk = .inconsistent
        self.volumes[index].staleGeneration = self.volumes[index].generations.current
        if self.newNameOfPeer(index) == nil, !self.volumes[index].awaitsStaleMark {
            self.volumes[index].awaitsStaleMark = true
            self.generationsPending += 1
        }
        self.recordFailure(index, at: now)
    }

    /// The superblock says what `recordedDisk` says, if it can soon; then the disk is closed.
    ///
    /// What waits for a flush or the activity log fails no earlier: a demotion would go on, and the
    /// superblock say Secondary, so that the activity log did not count.
    private mutating func recordFailure(_ index: UInt16, at now: Instant) {
        if self.volumes[index].metadataFailed { return self.beginDetach(index, at: now) }
        self.markDeadline = min(self.markDeadline, now + Self.markTimeout)
        self.persist(index, then: .giveUpDisk)
    }

    /// How long the metadata of a failed disk may take to say so.
    static var markTimeout: TimeSpan { .seconds(10) }

    /// Closes the disks whose metadata has not answered in time.
    mutating func markTimedOut(at now: Instant) {
        guard self.markDeadline <= now else { return }
        self.markDeadline = .distantFuture
        for index in self.volumes.indices
        where self.volumes[index].hasDisk && self.volumes[index].state.disk == .failed
            && !self.volumes[index].isDetaching
        {
            self.beginDetach(index, at: now)
        }
    }

    /// Whether the disk of a Secondary has failed that a Primary writes on without.
    private func missesPeersWrites(_ index: UInt16, from old: VolumeState) -> Bool {
        let volume = self.volumes[index].state
        return old.disk == .upToDate && self.volumes[index].lastError != nil
            && volume.role == .secondary && volume.peerRole == .primary && volume.mayReadFromPeer
    }

    /// The superblock says Outdated, if it can: attached again while the Primary is gone, the disk
    /// is not promoted unasked.
    private mutating func recordOutdatedDisk(_ index: UInt16, at now: Instant) {
        self.volumes[index].recordedDisk = .outdated
        self.recordFailure(index, at: now)
    }

    /// What the application of this node has seen when the own disk does not count any more.
    ///
    /// The peer may have named its data already, as the one who will be asked from now on.
    private mutating func noteExposedGeneration(_ index: UInt16) {
        self.volumes[index].exposedGeneration =
            self.newNameOfPeer(index) ?? self.volumes[index].generations.current
    }

    /// The name of the peer's good data, if it is none that this node's data has had.
    private func newNameOfPeer(_ index: UInt16) -> GenerationID? {
        guard self.volumes[index].state.mayReadFromPeer,
            let peer = self.volumes[index].peerGenerations?.generations.current,
            !self.volumes[index].generations.contains(peer)
        else { return nil }
        return peer
    }

    /// The superblock of a failed disk says Inconsistent, or it will never be written.
    mutating func staleDiskRecorded(_ index: UInt16, at now: Instant) {
        guard self.volumes.contains(index), self.volumes[index].hasDisk,
            self.volumes[index].state.disk == .failed, !self.volumes[index].isDetaching
        else { return }
        self.releaseStaleDisk(index, at: now)
        self.beginDetach(index, at: now)
    }

    /// The peer's P_UUIDS: it sends a new name when that is durable.
    mutating func peerNamedItsData(_ index: UInt16, _ current: GenerationID, at now: Instant) {
        guard self.volumes[index].awaitsStaleMark,
            !self.volumes[index].generations.contains(current)
        else { return }
        self.releaseStaleDisk(index, at: now)
        if self.volumes[index].state.disk == .failed, !self.volumes[index].isDetaching {
            self.beginDetach(index, at: now)
        }
    }

    /// What waits for the end of a failed disk goes on.
    private mutating func releaseStaleDisk(_ index: UInt16, at now: Instant) {
        guard self.volumes[index].awaitsStaleMark else { return }
        self.volumes[index].awaitsStaleMark = false
        self.generationPersisted(at: now)
    }

    /// Waits for what is in flight on the disk, then closes it.
    mutating func beginDetach(_ index: UInt16, at now: Instant) {
        self.volumes[index].isDetaching = true
        self.failMetadataWaiters(index, at: now)
        self.finishDetachIfIdle(index, at: now)
    }

    /// Diskless, as soon as no operation of the disk is in flight.
    mutating func finishDetachIfIdle(_ index: UInt16, at now: Instant) {
        guard self.volumes[index].isDetaching, self.volumes[index].operationsInFlight == 0,
            self.volumes[index].flushWaiters.isEmpty
        else { return }
        guard self.volumes[index].hasDetachFlush || self.volumes[index].isLost else {
            self.volumes[index].hasDetachFlush = true
            self.volumes[index].operationsInFlight += 1
            self.actions.append(.flushData(volume: index, IOToken(.detachFlush)))
            return
        }
        self.volumes[index].isDetaching = false
        if self.volumes[index].awaitsAttach {
            self.volumes[index].awaitsAttach = false
            self.actions.append(
                .attached(volume: index, self.volumes[index].lastError ?? .failure(errno: 5))
            )
        }
        self.forgetExtents(of: index)
        self.volumes[index].dropDisk()
        self.actions.append(.closeDisk(volume: index))
        self.change(index, StateChange(disk: .diskless), at: now)
        if self.isEstablished { self.sendState(index) }
        self.diskClosed(index, at: now)
        self.retryHeldPeerWrites()
    }

    mutating func detachFlushDone(_ index: UInt16, _ result: IOResult) {
        if result.isSuccess {
            self.volumes[index].hasUnflushedPeerWrites = false
        } else {
            self.volumes[index].lastError = result
        }
    }

    /// Requests that are not over hold no extents of the next activity log.
    private mutating func forgetExtents(of index: UInt16) {
        for slot in 0..<UInt32(self.requests.capacity)
        where self.requests.contains(slot) && self.requests[slot].client.volume == index {
            self.requests[slot].flags.remove(.holdsExtents)
        }
    }
}

extension VolumeState {
    /// What of the state the superblock records.
    struct MetadataView: Equatable {
        var disk: DiskState
        var isPrimary: Bool
        var isConnected: Bool
        var peerIsOutdated: Bool
        var peerSeen: Bool
    }

    var metadataView: MetadataView {
        MetadataView(
            disk: self.disk,
            isPrimary: self.role == .primary,
            isConnected: self.connection >= .connected,
            peerIsOutdated: self.peerDisk >= .inconsistent && self.peerDisk <= .outdated,
            peerSeen: self.peerDisk >= .inconsistent && self.peerDisk != .unknown
        )
    }

    /// Whether the peer's copy may be read instead of the own.
    var mayReadFromPeer: Bool { self.connection >= .connected && self.peerDisk == .upToDate }
}
