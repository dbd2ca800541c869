// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Reads that the peer asks for: by its application, or as the target of a resync.
///
/// A resync block must never carry older data than a write that was sent before it. So the read
/// waits for overlapping writes of this node's application, and such writes wait for the read:
/// whatever is sent later is at least as new.
///
/// Nor may a block be sent that a power cut could still take back: both nodes clear its bits when
/// the target has it on stable storage. Writes of the own application are in the activity log until
/// they are stable; those of the peer, from a time when it had no disk, are flushed first.
///
/// A read of the peer's application waits for overlapping writes that arrived before it: with
/// protocols A and B they may be complete there and not yet on this disk.
extension Resource {
    mutating func receivePeerRead(_ read: PeerRequest, at now: Instant) {
        let index = read.volume
        guard self.mayServe(read) else { return self.refusePeerRead(read) }
        guard let slot = self.peerRequests.take(read) else {
            return self.closeConnection(.protocolError(.tooManyRequests), at: now)
        }
        if read.kind == .resyncRead {
            self.volumes[index].unacknowledgedResync += 1
        }
        if self.mustWaitForWrites(slot) {
            self.volumes[index].heldReads.append(slot)
        } else {
            self.startPeerRead(slot)
        }
    }

    private func mayServe(_ read: PeerRequest) -> Bool {
        let state = self.volumes[read.volume].state
        if read.kind == .resyncRead {
            return state.disk == .upToDate
                && (state.connection == .syncSource || state.connection == .pausedSyncS)
        }
        return state.disk == .upToDate
    }

    private func refusePeerReadCancels(_ read: PeerRequest) -> Bool {
        read.kind == .resyncRead && self.volumes[read.volume].state.connection == .ahead
    }

    private mutating func refusePeerRead(_ read: PeerRequest) {
        if self.refusePeerReadCancels(read) {
            self.sendAck(.resyncCancelled, for: read)
        } else {
            self.sendAck(read.kind == .read ? .negativeRead : .negativeResyncRead, for: read)
        }
    }

    private func mustWaitForWrites(_ slot: UInt32) -> Bool {
        let read = self.peerRequests[slot]
        if read.kind == .resyncRead,
            self.volumes[read.volume].writesInFlight.overlaps(read.range)
        {
            return true
        }
        return self.volumes[read.volume].peerWritesInFlight.overlaps(read.range)
            || self.overlapsHeldPeerWrite(read)
    }

    private func overlapsHeldPeerWrite(_ read: PeerRequest) -> Bool {
        for offset in 0..<self.heldPeerWrites.count {
            let write = self.peerRequests[self.heldPeerWrites[offset]]
            if write.volume == read.volume, write.range.overlaps(read.range) { return true }
        }
        return false
    }

    private mutating func startPeerRead(_ slot: UInt32) {
        let read = self.peerRequests[slot]
        guard self.volumes[read.volume].state.disk >= .inconsistent else {
            self.peerRequests.release(slot)
            return self.refusePeerRead(read)
        }
        self.peerRequests[slot].flags.insert(.submitted)
        if read.kind == .resyncRead {
            self.peerRequests[slot].interval =
                self.volumes[read.volume].resyncReads.insert(read.range) ?? .max
        }
        self.volumes[read.volume].operationsInFlight += 1
        self.actions.append(
            .read(volume: read.volume, IOToken(.peerRead, slot: slot), read.range, .none)
        )
    }

    /// Starts reads whose overlapping writes are done.
    mutating func retryHeldReads(in index: UInt16, at now: Instant) {
        let count = self.volumes[index].heldReads.count
        guard count > 0 else { return }
        for _ in 0..<count {
            guard let slot = self.volumes[index].heldReads.popFirst() else { return }
            if self.mustWaitForWrites(slot) {
                self.volumes[index].heldReads.append(slot)
            } else {
                self.startPeerRead(slot)
            }
        }
    }

    /// The disk has read for the peer; `buffer` has the data.
    mutating func peerReadDone(
        _ slot: UInt32,
        _ result: IOResult,
        _ buffer: BufferHandle,
        at now: Instant
    ) {
        self.peerRequests[slot].buffer = buffer
        let read = self.peerRequests[slot]
        let index = read.volume
        if read.kind == .resyncRead, result.isSuccess, !read.flags.contains(.orphaned),
            !self.volumes[index].flushes.covers(self.volumes[index].peerWriteMark)
        {
            return self.awaitFlush(index, .resyncRead(slot), at: now)
        }
        self.endPeerRead(slot, result, at: now)
    }

    /// A flush covers what the block may have in it, or has failed.
    mutating func resyncReadFlushed(_ slot: UInt32, _ succeeded: Bool, at now: Instant) {
        self.endPeerRead(slot, succeeded ? .success : .failure(errno: 5), at: now)
    }

    private mutating func endPeerRead(_ slot: UInt32, _ result: IOResult, at now: Instant) {
        let read = self.peerRequests[slot]
        let index = read.volume
        let buffer = read.buffer
        if read.kind == .resyncRead { self.volumes[index].resyncReads.remove(read.interval) }
        self.peerRequests.release(slot)
        if read.flags.contains(.orphaned) {
            self.releaseBuffer(buffer)
        } else if result.isSuccess {
            self.sendReadReply(read)
            self.releaseBuffer(buffer)
        } else {
            self.releaseBuffer(buffer)
            self.refusePeerRead(read)
        }
        if read.kind == .resyncRead {
            self.releaseWritesAwaitingResync(of: read.range, in: index, at: now)
        }
        self.resumeAfterDrain(at: now)
    }

    /// P_RS_WRITE_ACK or P_NEG_ACK for a resync block: the target has written it, or has failed to.
    ///
    /// After an end of the resync before its time the block may have been written again here.
    mutating func resyncBlockAcknowledged(
        _ range: SectorRange,
        in index: UInt16,
        succeeded: Bool,
        at now: Instant
    ) {
        if self.volumes[index].unacknowledgedResync > 0 {
            self.volumes[index].unacknowledgedResync -= 1
        }
        guard self.volumes[index].state.connection.isResyncing else { return }
        if succeeded {
            self.setInSync(range, in: index)
        } else {
            self.volumes[index].failedResyncBlocks += (range.count + 7) / 8
        }
    }
}
