// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Writes that the peer sends: replicated writes of its application and resync blocks.
///
/// Replicated writes reach the disk epoch by epoch. Writes that overlap, of either kind, reach it
/// in the order in which they arrived, so a resync block never replaces newer replicated data: the
/// source reads for the resync only while no write of its application to the range is on its way.
extension Resource {
    /// Takes a replicated write from the data socket.
    mutating func receivePeerWrite(_ write: PeerRequest, at now: Instant) {
        var write = write
        let index = write.volume
        write.epoch = self.received.add()
        self.volumes[index].statistics.received += write.range.count
        guard self.volumes[index].state.disk >= .inconsistent else {
            self.sendAck(.negative, for: write)
            self.releaseBuffer(write.buffer)
            self.received.done(write.epoch)
            return self.advanceReceivedEpochs(at: now)
        }
        if self.volumes[index].state.peerDisk < .inconsistent {
            self.nameOwnWrites(index, at: now)
            let isNew = self.setOutOfSync(write.range, in: index) > 0
            if isNew || self.generationsPending > 0 { write.flags.insert(.awaitsMarks) }
        }
        if write.flags.contains(.acknowledgeReceipt) { self.sendAck(.received, for: write) }
        self.enqueuePeerWrite(write, at: now)
    }

    /// Takes a resync block from the data socket.
    mutating func receiveResyncBlock(_ write: PeerRequest, at now: Instant) {
        let index = write.volume
        self.volumes[index].statistics.received += write.range.count
        if let request = write.resyncRequest { self.volumes[index].walk.answered(request, at: now) }
        guard self.volumes[index].state.disk >= .inconsistent else {
            self.sendAck(.negative, for: write)
            return self.releaseBuffer(write.buffer)
        }
        self.enqueuePeerWrite(write, at: now)
    }

    private mutating func enqueuePeerWrite(_ write: PeerRequest, at now: Instant) {
        var write = write
        write.resyncRound = self.volumes[write.volume].resyncRound
        guard let slot = self.peerRequests.take(write) else {
            // The driver reads no packet while the table is full.
            return self.closeConnection(.protocolError(.tooManyRequests), at: now)
        }
        if self.mayStartPeerWrite(slot, behind: self.heldPeerWrites.count) {
            self.startPeerWrite(slot)
        } else {
            self.heldPeerWrites.append(slot)
            guard write.flags.contains(.awaitsMarks) else { return }
            self.persist(write.volume, then: .markPeerWrite(slot))
        }
    }

    /// The bits of a write are durable, or there is no disk for it any more.
    mutating func peerWriteMarked(_ slot: UInt32, at now: Instant) {
        self.peerRequests[slot].flags.remove(.awaitsMarks)
        self.retryHeldPeerWrites()
        self.advanceReceivedEpochs(at: now)
    }

    /// Whether nothing keeps the write from the disk: its epoch, writes in flight, or one of the
    /// first
    /// `count` of those that wait.
    private func mayStartPeerWrite(_ slot: UInt32, behind count: Int) -> Bool {
        let write = self.peerRequests[slot]
        if write.flags.contains(.awaitsMarks) { return false }
        if write.countsInEpoch, !self.received.maySubmit(write.epoch) { return false }
        if self.volumes[write.volume].holdsPeerWrites { return false }
        if self.volumes[write.volume].peerWritesInFlight.overlaps(write.range) { return false }
        for offset in 0..<count {
            let other = self.peerRequests[self.heldPeerWrites[offset]]
            if other.volume == write.volume, other.range.overlaps(write.range) { return false }
        }
        return true
    }

    private mutating func startPeerWrite(_ slot: UInt32) {
        let write = self.peerRequests[slot]
        self.peerRequests[slot].flags.insert(.submitted)
        guard self.volumes[write.volume].state.disk >= .inconsistent else {
            self.deferred.append(.peerWriteRefused(slot))
            return
        }
        self.peerRequests[slot].interval =
            self.volumes[write.volume].peerWritesInFlight.insert(write.range) ?? .max
        self.volumes[write.volume].operationsInFlight += 1
        let token = IOToken(.peerWrite, slot: slot)
        switch write.kind {
        case .write, .resyncWrite:
            self.actions.append(
                .write(
                    volume: write.volume,
                    token,
                    write.range,
                    write.buffer,
                    isForcedUnitAccess: write.flags.contains(.forcedUnitAccess)
                )
            )
        case .trim, .resyncZeroes:
            self.actions.append(
                .writeZeroes(volume: write.volume, token, write.range, mayUnmap: true)
            )
        case .writeZeroes:
            self.actions.append(
                .writeZeroes(
                    volume: write.volume,
                    token,
                    write.range,
                    mayUnmap: write.flags.contains(.mayUnmap)
                )
            )
        case .read, .resyncRead:
            invariantBroken("a read is not among the writes")
        }
    }

    /// Starts what waited for an epoch or for an overlapping write.
    mutating func retryHeldPeerWrites() {
        var offset = 0
        while offset < self.heldPeerWrites.count {
            let slot = self.heldPeerWrites[offset]
            if self.mayStartPeerWrite(slot, behind: offset) {
                self.heldPeerWrites.remove(at: offset)
                self.startPeerWrite(slot)
            } else {
                offset += 1
            }
        }
    }

    /// The disk has been given up while the write waited for its turn.
    mutating func peerWriteRefused(_ slot: UInt32, at now: Instant) {
        let write = self.peerRequests[slot]
        self.releaseBuffer(write.buffer)
        self.sendAck(.negative, for: write)
        self.finishPeerWrite(slot, failed: true, at: now)
        self.retryHeldPeerWrites()
        self.retryHeldReads(in: write.volume, at: now)
        self.advanceReceivedEpochs(at: now)
        self.resumeAfterDrain(at: now)
    }

    /// The disk has done a write of the peer.
    mutating func peerWriteDone(_ slot: UInt32, _ result: IOResult, at now: Instant) {
        let write = self.peerRequests[slot]
        let index = write.volume
        self.volumes[index].peerWritesInFlight.remove(write.interval)
        self.releaseBuffer(write.buffer)
        if result.isSuccess {
            self.volumes[index].statistics.written += write.range.count
            self.volumes[index].hasUnflushedPeerWrites = true
            self.volumes[index].peerWriteMark = self.volumes[index].flushes.mark
            self.acknowledgePeerWrite(write, slot: slot, at: now)
        } else {
            self.sendAck(.negative, for: write)
            self.finishPeerWrite(slot, failed: true, at: now)
            self.diskFailed(index, result, at: now)
        }
        self.retryHeldPeerWrites()
        self.retryHeldReads(in: index, at: now)
        self.advanceReceivedEpochs(at: now)
    }

    /// Answers a write that is done: at once, or after the flush that lets bits be cleared or makes
    /// zeroes stable.
    private mutating func acknowledgePeerWrite(_ write: PeerRequest, slot: UInt32, at now: Instant)
    {
        if write.flags.contains(.orphaned) {
            self.finishPeerWrite(slot, failed: false, at: now)
        } else if write.flags.contains(.maySetInSync), self.mayClearBits(write) {
            self.awaitFlush(write.volume, .acknowledgement(slot), at: now)
        } else if write.flags.contains(.forcedUnitAccess), write.kind != .write {
            self.volumes[write.volume].requestsAwaitingFlush += 1
            self.awaitFlush(write.volume, .peerZeroes(slot), at: now)
        } else {
            self.acknowledgeWritten(write)
            self.finishPeerWrite(slot, failed: false, at: now)
        }
    }

    /// Whether the resync still runs to which the write belongs.
    ///
    /// One that comes to its turn later says nothing about bits that newer writes have set.
    private func mayClearBits(_ write: PeerRequest) -> Bool {
        self.volumes[write.volume].mayClearBits(in: write.resyncRound)
    }

    /// Nobody waits for a block of a resync that is over.
    private mutating func acknowledgeWritten(_ write: PeerRequest) {
        if write.flags.contains(.acknowledge), !write.isResync {
            self.sendAck(.written, for: write)
        }
    }

    mutating func finishPeerWrite(_ slot: UInt32, failed: Bool, at now: Instant) {
        let write = self.peerRequests[slot]
        if write.countsInEpoch { self.received.done(write.epoch) }
        if write.isResync {
            self.resyncBlockDone(write, failed: failed, at: now)
        }
        self.peerRequests.release(slot)
        if self.volumes[write.volume].isWalking {
            // Blocks that it kept from being asked for, or room for one.
            self.resyncProgressed(write.volume, at: now)
        }
    }

    // MARK: After a flush

    /// A flush covers zeroes that the peer wants stable, or has failed.
    mutating func peerZeroesFlushed(_ slot: UInt32, _ succeeded: Bool, at now: Instant) {
        let write = self.peerRequests[slot]
        self.volumes[write.volume].requestsAwaitingFlush -= 1
        if !write.flags.contains(.orphaned), write.flags.contains(.acknowledge) || !succeeded {
            self.sendAck(succeeded ? .written : .negative, for: write)
        }
        self.finishPeerWrite(slot, failed: !succeeded, at: now)
        self.advanceReceivedEpochs(at: now)
    }

    /// A flush covers the write, or has failed: its bits are cleared, and the peer learns it.
    mutating func acknowledgeInSync(_ slot: UInt32, flushed: Bool, at now: Instant) {
        let write = self.peerRequests[slot]
        let clearsBits = flushed && self.mayClearBits(write)
        if clearsBits { self.setInSync(write.range, in: write.volume) }
        if !write.flags.contains(.orphaned) {
            if !flushed {
                self.sendAck(.negative, for: write)
            } else if !clearsBits {
                self.acknowledgeWritten(write)
            } else if write.isResync || write.flags.contains(.acknowledge) {
                self.sendAck(.inSync, for: write)
            }
        }
        self.finishPeerWrite(slot, failed: !flushed, at: now)
        self.advanceReceivedEpochs(at: now)
    }

    // MARK: Epochs

    /// P_BARRIER: the youngest epoch is complete.
    mutating func receiveBarrier(_ number: UInt32, at now: Instant) {
        if self.received.close(barrier: number) { self.advanceReceivedEpochs(at: now) }
    }

    /// Flushes the oldest epoch when all its writes are done.
    mutating func advanceReceivedEpochs(at now: Instant) {
        guard self.received.isReadyToFlush else { return }
        self.received.beginFlush()
        self.epochFlushesPending = 1
        for index in self.volumes.indices where self.volumes[index].hasUnflushedPeerWrites {
            self.volumes[index].hasUnflushedPeerWrites = false
            self.epochFlushesPending += 1
            self.awaitFlush(index, .epoch, at: now)
        }
        self.epochFlushed(true, at: now)
    }

    /// One of the flushes that an epoch needs is over.
    mutating func epochFlushed(_ succeeded: Bool, at now: Instant) {
        if !succeeded { self.epochFlushFailed = true }
        self.epochFlushesPending -= 1
        guard self.epochFlushesPending == 0 else { return }
        guard let epoch = self.received.flushed() else {
            invariantBroken("the flushed epoch is there")
        }
        if self.epochFlushFailed {
            // The peer believes what P_BARRIER_ACK says; without it the writes count as lost.
            self.epochFlushFailed = false
            self.closeConnection(.networkFailure(.flushFailed), at: now)
        } else if self.isEstablished {
            self.sendBarrierAck(number: epoch.barrier, writes: epoch.writes)
            self.endResyncsWhoseWritesAreStable(at: now)
        }
        self.retryHeldPeerWrites()
        self.advanceReceivedEpochs(at: now)
        self.resumeAfterDrain(at: now)
    }
}
