// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// The end of a connection.
///
/// What the peer has not confirmed counts as different: its bits are set before anything else
/// happens. Writes of the peer that have arrived are still carried out, in their order, before the
/// next connection begins.
extension Resource {
    /// Ends the connection from this side.
    mutating func closeConnection(_ loss: ConnectionLoss, at now: Instant) {
        guard self.link.isOpen else { return }
        self.actions.append(.closeTransport)
        self.connectionLost(loss, at: now)
    }

    /// The connection is gone.
    mutating func connectionLost(_ loss: ConnectionLoss, at now: Instant) {
        guard self.link.isOpen else { return }
        let loss = self.isClosingOnRequest ? .disconnected : loss
        self.lastLoss = loss
        let wasEstablished = self.isEstablished
        self.link = .closing
        self.handshake = nil
        self.markUnconfirmed()
        for index in self.volumes.indices {
            self.giveUpIfOutOfDate(index, at: now)
            self.volumes[index].superblock.connectionLost()
            self.volumes[index].bitmapWriter.connectionLost()
            self.volumes[index].handshakeRunning = false
            self.change(index, self.changeOfLoss(index, loss), at: now)
        }
        if wasEstablished { self.abandonPeerRequests(at: now) }
        self.releaseTransferLog(at: now)
        self.epochs.connectionLost()
        self.liveness = nil
        self.volumesDeadline = .distantFuture
        self.agreement = nil
        self.dataPacketsQueued = 0
        self.pingsSent = 0
        self.endChange(becauseOf: loss, at: now)
        self.actions.append(.changed(.connection))
        if loss.reconnects, self.isConnectWanted {
            self.failedConnects = wasEstablished ? 0 : self.failedConnects + 1
            self.unconnect(at: now)
        } else {
            self.isConnectWanted = false
            self.standAlone(at: now)
        }
    }

    /// The peer is gone that a disk, attached to a Primary, was to be brought up to date from.
    private mutating func giveUpIfOutOfDate(_ index: UInt16, at now: Instant) {
        if self.needsPeerToAttach(index) { self.diskIsOutOfDate(index, at: now) }
    }

    /// Whether a disk is being attached that lacks what the application of this Primary was told.
    func needsPeerToAttach(_ index: UInt16) -> Bool {
        let state = self.volumes[index].state
        return state.disk == .negotiating && state.role == .primary
            && self.volumes[index].exposesPeerData
    }

    /// Whether both nodes have agreed on the end of the connection, and the peer is to close first.
    private var isClosingOnRequest: Bool {
        if case .peerCloses = self.pending?.phase { true } else { false }
    }

    /// A Secondary whose Primary goes away in good order knows that its data will be outdated.
    private func changeOfLoss(_ index: UInt16, _ loss: ConnectionLoss) -> StateChange {
        var change = StateChange(connection: loss.code)
        let state = self.volumes[index].state
        switch loss {
        case .tearDown, .disconnected:
            if state.role == .secondary, state.peerRole == .primary, state.disk == .upToDate {
                change.disk = .outdated
            }
        case .brokenPipe, .networkFailure, .timeout, .protocolError, .refused:
            break
        }
        return change
    }

    /// Sets the bits of every write that the peer has not confirmed, while their extents are hot.
    private mutating func markUnconfirmed() {
        for index in self.volumes.indices { self.markUnconfirmed(in: index, evenAnswered: true) }
    }

    /// Sets the bits of the writes of a volume that the peer has not confirmed.
    ///
    /// - Parameter evenAnswered: also of those that it has answered and may lose with its power.
    mutating func markUnconfirmed(in index: UInt16, evenAnswered: Bool = false) {
        var slot = self.transferLog.first
        while slot != Request.none {
            let request = self.requests[slot]
            if request.client.volume == index, evenAnswered || !request.flags.contains(.peerDone) {
                _ = self.setOutOfSync(request.range, in: index)
            }
            slot = request.next
        }
    }

    /// Lets requests go on without the peer.
    private mutating func releaseTransferLog(at now: Instant) {
        self.nextHandOver = Request.none
        while let slot = self.transferLog.popFirst(in: &self.requests) {
            // A target that has ended its resync meanwhile has the same generation without it.
            self.nameOwnWrites(self.requests[slot].client.volume, at: now)
            self.requests[slot].flags.remove([.inTransferLog, .awaitsPeer])
            self.requests[slot].flags.insert(.peerLost)
            self.finishWrite(slot, at: now)
        }
        while let slot = self.flushesAwaitingPeer.popFirst(in: &self.requests) {
            self.requests[slot].flags.remove(.awaitsPeer)
            self.requests[slot].flags.insert(.peerLost)
            self.finishFlush(slot, at: now)
        }
        while let slot = self.remoteReads.popFirst(in: &self.requests) {
            self.requests[slot].flags.remove([.remoteRead, .awaitsPeer])
            self.readRemotely(slot, at: now)
        }
    }

    /// Nobody waits for answers any more.
    ///
    /// Reads that have not begun are dropped, writes go on.
    private mutating func abandonPeerRequests(at now: Instant) {
        for slot in 0..<UInt32(self.peerRequests.capacity) where self.peerRequests.contains(slot) {
            self.peerRequests[slot].flags.insert(.orphaned)
        }
        for index in self.volumes.indices {
            while let slot = self.volumes[index].heldReads.popFirst() {
                self.peerRequests.release(slot)
            }
            self.volumes[index].bitmapReceiver = nil
            self.volumes[index].bitmapSender = nil
            self.volumes[index].peerGenerations = nil
            self.volumes[index].considersResync = false
            self.volumes[index].earlySyncUUID = nil
            self.resyncStopped(index, at: now)
            self.volumes[index].mayBeAcknowledgedLate = false
        }
        self.retryHeldPeerWrites()
        // The barrier of the last epoch is lost; the writes of the next connection come after it.
        _ = self.received.close(barrier: 0)
        self.advanceReceivedEpochs(at: now)
    }

    /// Whether writes of a lost connection are still on their way to the disk.
    var isDraining: Bool { self.peerRequests.count > 0 || self.received.isFlushing }

    /// Looks for the peer again, when the writes of the last connection are done and a pause is
    /// over.
    mutating func unconnect(at now: Instant) {
        self.link = .unconnected(until: now + self.reconnectPause())
        for index in self.volumes.indices {
            self.change(index, StateChange(connection: .unconnected), at: now)
        }
        self.actions.append(.changed(.connection))
    }

    /// A second, doubled for every attempt that failed, up to connect-int, ± an eighth.
    private mutating func reconnectPause() -> TimeSpan {
        let longest = max(self.parameters.network.connectInterval, .seconds(1)).nanoseconds
        let doubled = TimeSpan.seconds(1).nanoseconds << UInt64(min(self.failedConnects, 6))
        let pause = min(longest, doubled)
        return TimeSpan(nanoseconds: pause - pause / 8 + self.random.below(pause / 4))
    }

    mutating func standAlone(at now: Instant) {
        self.link = .standAlone
        for index in self.volumes.indices {
            self.change(index, StateChange(connection: .disconnecting), at: now)
            self.change(index, StateChange(connection: .standAlone), at: now)
        }
        self.actions.append(.changed(.connection))
    }

    /// Starts looking for the peer if that is due.
    mutating func connectIfDue(at now: Instant) {
        guard case .unconnected(let until) = self.link, until <= now, !self.isDraining else {
            return
        }
        self.received.reset()
        for index in self.volumes.indices { self.volumes[index].sequence = 0 }
        self.link = .connecting
        for index in self.volumes.indices {
            self.change(index, StateChange(connection: .wfConnection), at: now)
        }
        self.actions.append(.openTransport)
        self.actions.append(.changed(.connection))
    }

    /// A write of a lost connection is done, or an epoch: the next connection may be due.
    mutating func resumeAfterDrain(at now: Instant) { self.connectIfDue(at: now) }
}
