// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Admission of the application's requests and their way to the disk and the peer.
///
///     request ─▶ admitted ─▶ no overlap with writes in flight or resync reads
///             ─▶ extents hot in the activity log ─▶ dispatched to disk and peer
extension Resource {
    mutating func receive(_ client: ClientRequest, at now: Instant) {
        guard self.volumes[client.volume].state.role == .primary else {
            return self.refuse(client, .notPrimary)
        }
        guard client.range.end <= self.volumes[client.volume].sizes.exposedSectors else {
            return self.refuse(client, .invalid)
        }
        if !self.waiting.isEmpty || self.suspendsIO || self.requests.isFull {
            self.waiting.append(client)
        } else {
            self.admit(client, at: now)
        }
    }

    /// Admits what waited for room, for a generation that had to become durable, or for the bitmap
    /// exchange.
    mutating func admitWaiting(at now: Instant) {
        while !self.waiting.isEmpty, !self.suspendsIO, !self.requests.isFull {
            guard let client = self.waiting.popFirst() else { return }
            self.admit(client, at: now)
        }
    }

    private mutating func refuse(_ client: ClientRequest, _ error: ClientError) {
        self.actions.append(.complete(request: client.identifier, error))
    }

    private mutating func admit(_ client: ClientRequest, at now: Instant) {
        guard let slot = self.requests.take(Request(client: client, submittedAt: now)) else {
            invariantBroken("a free slot was seen")
        }
        switch client.kind {
        case .read: self.submitRead(slot, at: now)
        case .flush: self.submitFlush(slot, at: now)
        case .write, .trim, .writeZeroes: self.submitWrite(slot, at: now)
        }
    }

    // MARK: Writes

    private mutating func submitWrite(_ slot: UInt32, at now: Instant) {
        let index = self.requests[slot].client.volume
        let range = self.requests[slot].range
        if let older = self.volumes[index].waitingWrites.newestOverlap(of: range) {
            self.beginWaiting(slot)
            self.wait(slot, behind: older)
        } else {
            self.startUnlessBlocked(slot, at: now)
        }
    }

    mutating func startWrite(_ slot: UInt32, at now: Instant) {
        self.hasWrittenDuringDemotion = true
        let index = self.requests[slot].client.volume
        self.requests[slot].interval =
            self.volumes[index].writesInFlight.insert(
                self.requests[slot].range,
                tag: slot
            ) ?? .max
        self.requests[slot].flags.insert(.inFlight)
        guard self.volumes[index].usesActivityLog else {
            return self.dispatchWrite(slot, at: now)
        }
        switch self.volumes[index].beginActivity(self.requests[slot].range, request: slot) {
        case .hot:
            self.requests[slot].flags.insert(.holdsExtents)
            self.dispatchWrite(slot, at: now)
        case .wait: self.advanceActivityLog(index, at: now)
        case .failed: self.dispatchWrite(slot, at: now)
        }
    }

    /// Sends a write to the disk and to the peer, or notes that the peer does not get it.
    mutating func dispatchWrite(_ slot: UInt32, at now: Instant) {
        let index = self.requests[slot].client.volume
        let isLocal = self.volumes[index].state.disk >= .inconsistent
        let isCopy = self.volumes[index].state.disk == .upToDate
        let mode = self.replicationMode(index)
        guard isCopy || mode == .data else {
            return self.endWrite(slot, localFailure: true, at: now)
        }
        if !isCopy { self.requests[slot].flags.insert(.peerIsOnlyCopy) }
        switch mode {
        case .data:
            self.sendWrite(slot, at: now)
        case .outOfSyncNotice:
            if self.setOutOfSync(self.requests[slot].range, in: index) > 0 {
                self.closeEpoch(at: now)
                self.sendOutOfSync(self.requests[slot].range, in: index)
            }
        case .none:
            _ = self.setOutOfSync(self.requests[slot].range, in: index)
            self.nameOwnWrites(index, at: now)
        }
        guard isLocal else { return self.endWrite(slot, localFailure: true, at: now) }
        self.requests[slot].flags.insert(.localPending)
        self.submitToDisk(slot)
    }

    /// From the first write that only this node has, its data has a name of its own.
    mutating func nameOwnWrites(_ index: UInt16, at now: Instant) {
        guard self.volumes.contains(index), self.volumes[index].state.disk == .upToDate,
            self.volumes[index].generations.peerMayHaveCurrent
        else { return }
        guard self.role == .primary else {
            return self.startNewGeneration(index, then: .announceGeneration, at: now)
        }
        self.startNewGeneration(index, at: now)
        if self.volumes[index].state.connection >= .connected { self.sendGenerations(index) }
    }

    private mutating func submitToDisk(_ slot: UInt32) {
        let client = self.requests[slot].client
        self.volumes[client.volume].operationsInFlight += 1
        let token = IOToken(.requestWrite, slot: slot)
        switch client.kind {
        case .write:
            self.actions.append(
                .write(
                    volume: client.volume,
                    token,
                    client.range,
                    client.buffer,
                    isForcedUnitAccess: client.isForcedUnitAccess
                )
            )
        case .trim:
            self.actions.append(
                .writeZeroes(volume: client.volume, token, client.range, mayUnmap: true)
            )
        case .writeZeroes:
            self.actions.append(
                .writeZeroes(
                    volume: client.volume,
                    token,
                    client.range,
                    mayUnmap: client.mayUnmap
                )
            )
        case .read, .flush:
            invariantBroken("only writes are dispatched")
        }
    }

    /// Puts a write into the transfer log and on its way.
    ///
    /// Every protocol waits for something of the peer: A until the packet is in the send buffer.
    private mutating func sendWrite(_ slot: UInt32, at now: Instant) {
        if self.epochs.mustCloseBeforeNextWrite { self.closeEpoch(at: now) }
        self.requests[slot].epoch = self.epochs.current
        self.requests[slot].flags.insert(.inTransferLog)
        self.blockCounter &+= 1
        self.requests[slot].blockID = UInt64(self.blockCounter) << 32 | UInt64(slot) + 1
        self.requests[slot].flags.insert(.awaitsPeer)
        self.requests[slot].resyncRound =
            self.volumes[self.requests[slot].client.volume].resyncRound
        self.sendDataPacket(slot)
        self.requests[slot].packetNumber = self.dataPacketsQueued
        self.transferLog.append(slot, in: &self.requests)
        if self.transferLog.count == 1 { self.updateOldestRequest(at: now) }
        if self.nextHandOver == Request.none { self.nextHandOver = slot }
        let isFull = self.epochs.add(
            bytes: self.requests[slot].range.byteCount,
            limit: self.parameters.network.maximumEpochSize,
            at: now
        )
        if isFull { self.closeEpoch(at: now) }
    }

    /// Ends the current epoch with P_BARRIER.
    mutating func closeEpoch(at now: Instant) {
        if let number = self.epochs.close(at: now) { self.sendBarrier(number) }
    }

    // MARK: Flushes

    /// Protocol C: complete after the local flush and the acknowledgement of every epoch so far.
    ///
    /// Protocols A and B: after the local flush, unless the peer has the only copy.
    private mutating func submitFlush(_ slot: UInt32, at now: Instant) {
        let index = self.requests[slot].client.volume
        let isCopy = self.volumes[index].state.disk == .upToDate
        if !isCopy { self.requests[slot].flags.insert(.peerIsOnlyCopy) }
        if self.replicationMode(index) == .data,
            !isCopy || self.agreedProtocol == .c
        {
            self.closeEpoch(at: now)
            if let epoch = self.epochs.youngestUnacknowledged {
                self.requests[slot].epoch = epoch
                self.requests[slot].flags.insert(.awaitsPeer)
                self.flushesAwaitingPeer.append(slot, in: &self.requests)
            } else {
                self.requests[slot].flags.insert(.peerDone)
            }
        }
        if self.volumes[index].state.disk >= .inconsistent {
            self.requests[slot].flags.insert(.localPending)
            self.volumes[index].requestsAwaitingFlush += 1
            self.awaitFlush(index, .request(slot), at: now)
        } else {
            self.requests[slot].flags.insert(.localFailed)
            self.finishFlush(slot, at: now)
        }
    }

    /// Completes a flush when nothing of it is outstanding: it has succeeded if this node's disk
    /// has flushed, or if the peer, which holds the only copy, has confirmed every epoch.
    mutating func finishFlush(_ slot: UInt32, at now: Instant) {
        let flags = self.requests[slot].flags
        guard flags.isDisjoint(with: [.localPending, .awaitsPeer]) else { return }
        let index = self.requests[slot].client.volume
        let isLocal = flags.contains(.localDone) && !flags.contains(.peerIsOnlyCopy)
        let peerHasAll =
            flags.contains(.peerDone) && !flags.contains(.peerLost)
            && self.volumes[index].state.mayReadFromPeer
        self.tellClient(slot, isLocal || peerHasAll ? nil : .io, at: now)
        self.requests.release(slot)
        self.admitWaiting(at: now)
    }

    // MARK: Reads

    private mutating func submitRead(_ slot: UInt32, at now: Instant) {
        let client = self.requests[slot].client
        if self.volumes[client.volume].mayReadLocally(client.range) {
            self.requests[slot].flags.insert(.localPending)
            self.volumes[client.volume].operationsInFlight += 1
            self.actions.append(
                .read(
                    volume: client.volume,
                    IOToken(.requestRead, slot: slot),
                    client.range,
                    client.buffer
                )
            )
        } else {
            self.readRemotely(slot, at: now)
        }
    }

    /// Asks the peer for data that this node does not have, or fails the read.
    mutating func readRemotely(_ slot: UInt32, at now: Instant) {
        let client = self.requests[slot].client
        guard self.volumes[client.volume].state.mayReadFromPeer else {
            self.tellClient(slot, .io, at: now)
            self.requests.release(slot)
            return self.admitWaiting(at: now)
        }
        self.blockCounter &+= 1
        self.requests[slot].blockID = UInt64(self.blockCounter) << 32 | UInt64(slot) + 1
        self.requests[slot].flags.insert([.remoteRead, .awaitsPeer])
        self.closeEpoch(at: now)
        self.remoteReads.append(slot, in: &self.requests)
        self.sendReadRequest(slot)
    }
}
