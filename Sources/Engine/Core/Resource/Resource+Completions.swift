// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// What follows when the disk or the peer has done its part of a request.
extension Resource {
    // MARK: Local disk

    mutating func localWriteDone(_ slot: UInt32, _ result: IOResult, at now: Instant) {
        let client = self.requests[slot].client
        guard result.isSuccess, client.isForcedUnitAccess, client.kind != .write else {
            return self.localWriteStable(slot, result, at: now)
        }
        self.volumes[client.volume].requestsAwaitingFlush += 1
        self.awaitFlush(client.volume, .zeroes(slot), at: now)
    }

    mutating func localZeroesFlushed(_ slot: UInt32, _ succeeded: Bool, at now: Instant) {
        self.volumes[self.requests[slot].client.volume].requestsAwaitingFlush -= 1
        self.localWriteStable(slot, succeeded ? .success : .failure(errno: 5), at: now)
    }

    /// The disk has done a write, and made it stable if it has to be.
    private mutating func localWriteStable(_ slot: UInt32, _ result: IOResult, at now: Instant) {
        let index = self.requests[slot].client.volume
        self.requests[slot].flags.remove(.localPending)
        if result.isSuccess {
            self.requests[slot].flags.insert(.localDone)
            self.volumes[index].statistics.written += self.requests[slot].range.count
        } else {
            self.requests[slot].flags.insert(.localFailed)
            _ = self.setOutOfSync(self.requests[slot].range, in: index)
            self.diskFailed(index, result, at: now)
        }
        self.endWrite(slot, localFailure: !result.isSuccess, at: now)
    }

    /// The local part of a write is over, or there is none.
    mutating func endWrite(_ slot: UInt32, localFailure: Bool, at now: Instant) {
        let index = self.requests[slot].client.volume
        if localFailure {
            self.requests[slot].flags.insert(.localFailed)
            self.awaitOnlyCopy(slot)
        }
        if self.requests[slot].flags.contains(.inFlight) {
            self.requests[slot].flags.remove(.inFlight)
            self.volumes[index].writesInFlight.remove(self.requests[slot].interval)
            self.releaseWaiters(of: slot, at: now)
            self.retryHeldReads(in: index, at: now)
            if self.volumes[index].isWalking { self.resyncProgressed(index, at: now) }
        }
        self.finishWrite(slot, at: now)
    }

    /// The peer's copy is the only one: the write completes no earlier than the peer has written
    /// it.
    private mutating func awaitOnlyCopy(_ slot: UInt32) {
        let flags = self.requests[slot].flags
        if flags.contains(.inTransferLog), flags.isDisjoint(with: [.peerDone, .peerFailed]) {
            self.requests[slot].flags.insert(.awaitsPeer)
        }
    }

    /// The own copy is invalidated or given up: no write that is not complete yet may count on it.
    mutating func peerBecomesOnlyCopy(_ index: UInt16) {
        var slot = self.transferLog.first
        while slot != Request.none {
            if self.requests[slot].client.volume == index,
                !self.requests[slot].flags.contains(.completed)
            {
                self.requests[slot].flags.insert(.peerIsOnlyCopy)
                self.awaitOnlyCopy(slot)
            }
            slot = self.requests[slot].next
        }
    }

    mutating func localReadDone(_ slot: UInt32, _ result: IOResult, at now: Instant) {
        let client = self.requests[slot].client
        self.requests[slot].flags.remove(.localPending)
        if result.isSuccess {
            self.volumes[client.volume].statistics.read += client.range.count
            self.tellClient(slot, nil, at: now)
            self.requests.release(slot)
            self.admitWaiting(at: now)
        } else {
            self.readRemotely(slot, at: now)
        }
    }

    mutating func localFlushDone(_ slot: UInt32, _ succeeded: Bool, at now: Instant) {
        let index = self.requests[slot].client.volume
        self.volumes[index].requestsAwaitingFlush -= 1
        self.requests[slot].flags.remove([.localPending])
        self.requests[slot].flags.insert(succeeded ? .localDone : .localFailed)
        self.finishFlush(slot, at: now)
    }

    // MARK: Peer

    /// P_RECV_ACK, P_WRITE_ACK, P_RS_WRITE_ACK or P_NEG_ACK for a write of this node.
    mutating func writeAcknowledged(
        _ slot: UInt32,
        as kind: WriteAcknowledgement,
        at now: Instant
    ) {
        let index = self.requests[slot].client.volume
        switch kind {
        case .received:
            self.stopAwaitingPeer(slot)
        case .written:
            self.requests[slot].flags.insert(.peerDone)
            self.requests[slot].flags.remove(.awaitsPeer)
        case .writtenInSync:
            self.requests[slot].flags.insert(.peerDone)
            self.requests[slot].flags.remove(.awaitsPeer)
            // The own disk may still be writing: until it is done the extents are hot in the
            // activity log, and if it fails the bits are set again.
            // After another resync than that of its time, a later write may have set them.
            if !self.requests[slot].flags.contains(.localFailed),
                self.volumes[index].mayClearBits(in: self.requests[slot].resyncRound)
            {
                self.setInSync(self.requests[slot].range, in: index)
            }
        case .failed:
            self.requests[slot].flags.insert(.peerFailed)
            self.requests[slot].flags.remove(.awaitsPeer)
            _ = self.setOutOfSync(self.requests[slot].range, in: index)
            self.peerLacksWrite(slot, at: now)
        }
        self.finishWrite(slot, at: now)
    }

    /// The peer's disk has failed, and its P_STATE, on the other socket, may be long in coming:
    /// until then nothing would name the data that only this node has.
    ///
    /// Unless the peer has been synchronised since, and the answer is late.
    private mutating func peerLacksWrite(_ slot: UInt32, at now: Instant) {
        let index = self.requests[slot].client.volume
        guard self.volumes[index].state.peerDisk == .upToDate,
            self.requests[slot].resyncRound == self.volumes[index].resyncRound
        else { return }
        self.change(index, StateChange(peerDisk: .failed), at: now)
    }

    /// P_BARRIER_ACK: all writes of the oldest epoch are confirmed.
    mutating func barrierAcknowledged(
        number: UInt32,
        writes: UInt32,
        at now: Instant
    ) throws(WriteEpochs.AckError) {
        let count = try self.epochs.acknowledge(number: number, writes: writes)
        for _ in 0..<count {
            guard let slot = self.transferLog.popFirst(in: &self.requests) else {
                invariantBroken("the transfer log holds every write of an epoch")
            }
            if self.nextHandOver == slot {
                self.nextHandOver = self.transferLog.first
            }
            self.requests[slot].flags.remove([.inTransferLog, .awaitsPeer])
            self.requests[slot].flags.insert(.peerDone)
            self.finishWrite(slot, at: now)
        }
        self.updateOldestRequest(at: now)
        self.releaseFlushes(upTo: number, at: now)
    }

    private mutating func releaseFlushes(upTo epoch: UInt32, at now: Instant) {
        while self.flushesAwaitingPeer.first != Request.none,
            Int32(bitPattern: self.requests[self.flushesAwaitingPeer.first].epoch &- epoch) <= 0,
            let slot = self.flushesAwaitingPeer.popFirst(in: &self.requests)
        {
            self.requests[slot].flags.remove(.awaitsPeer)
            self.requests[slot].flags.insert(.peerDone)
            self.finishFlush(slot, at: now)
        }
    }

    /// Whether ``ResourceEvent/dataPacketsSent(_:)`` is of interest: with protocol A only.
    ///
    /// Mutating because a getter's resource would be copied.
    package var awaitsSentPackets: Bool {
        mutating get {
            self.agreedProtocol == .a && self.nextHandOver != Request.none
        }
    }

    /// Protocol A: writes whose packets the kernel has taken may complete.
    mutating func dataPacketsSent(_ count: UInt64, at now: Instant) {
        guard self.agreedProtocol == .a else { return }
        while self.nextHandOver != Request.none,
            self.requests[self.nextHandOver].packetNumber <= count
        {
            let slot = self.nextHandOver
            self.nextHandOver = self.requests[slot].next
            self.stopAwaitingPeer(slot)
            self.finishWrite(slot, at: now)
        }
    }

    /// The peer has done what the protocol asks; not enough if it holds the only copy.
    private mutating func stopAwaitingPeer(_ slot: UInt32) {
        if self.requests[slot].flags.isDisjoint(with: [.localFailed, .peerIsOnlyCopy]) {
            self.requests[slot].flags.remove(.awaitsPeer)
        }
    }

    // MARK: The end

    /// Tells the client of a write and forgets the request, as far as nothing is outstanding.
    mutating func finishWrite(_ slot: UInt32, at now: Instant) {
        let flags = self.requests[slot].flags
        guard flags.isDisjoint(with: [.localPending, .inFlight]) else { return }
        guard !flags.isDisjoint(with: [.localDone, .localFailed]) else { return }
        if flags.isDisjoint(with: [.completed, .awaitsPeer]) {
            self.epochs.completed(epoch: self.requests[slot].epoch)
            self.requests[slot].flags.insert(.completed)
            let outcome = self.outcomeOfWrite(slot)
            let index = self.requests[slot].client.volume
            if outcome == nil, !flags.contains(.localDone),
                self.volumes[index].state.disk != .upToDate
            {
                self.volumes[index].exposesPeerData = true
            }
            self.tellClient(slot, outcome, at: now)
        }
        guard self.requests[slot].flags.contains(.completed), !flags.contains(.inTransferLog) else {
            return
        }
        if flags.contains(.holdsExtents) {
            let index = self.requests[slot].client.volume
            self.volumes[index].endActivity(self.requests[slot].range)
            self.advanceActivityLog(index, at: now)
        }
        self.requests.release(slot)
        self.admitWaiting(at: now)
    }

    /// A write has succeeded if one copy that counts has it.
    @inline(__always)
    private func outcomeOfWrite(_ slot: UInt32) -> ClientError? {
        let flags = self.requests[slot].flags
        if flags.contains(.localDone), !flags.contains(.peerIsOnlyCopy) { return nil }
        let peerHasIt = flags.contains(.peerDone) && !flags.contains(.peerFailed)
        let peerCounts = self.volumes[self.requests[slot].client.volume].state.mayReadFromPeer
        return peerHasIt && peerCounts ? nil : .io
    }

    /// Answers the client, or keeps the answer until the generation is durable that makes it safe.
    mutating func tellClient(_ slot: UInt32, _ error: ClientError?, at now: Instant) {
        let client = self.requests[slot].client
        if self.holdsCompletions, client.kind != .read {
            self.heldCompletions.append(
                HeldCompletion(volume: client.volume, identifier: client.identifier, error: error)
            )
            return
        }
        self.actions.append(.complete(request: client.identifier, error))
    }
}

/// What the peer says about a write of this node.
enum WriteAcknowledgement: BitwiseCopyable {
    /// P_RECV_ACK.
    case received
    /// P_WRITE_ACK.
    case written
    /// P_RS_WRITE_ACK: written, and the blocks are equal now.
    case writtenInSync
    /// P_NEG_ACK.
    case failed
}
