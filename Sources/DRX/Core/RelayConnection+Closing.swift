// SPDX-License-Identifier: Apache-2.0

internal import Primitives
internal import Wire

/// How streams end. Joined streams end together, in one of three ways:
///
/// - **drain**: our engine is gone. What it wrote goes to the remote relay, then the end of data,
///   then that of meta, so that the remote engine keeps both sockets until it has everything.
/// - **deliver**: the remote engine, its relay or the bridge is gone. What has arrived goes to our
///   engine, then both sockets are closed. What our engine wrote has no receiver and is dropped.
/// - **now**: both are gone, or a deadline has passed. Everything is dropped.
extension RelayConnection {
    mutating func beginDrain(
        _ slot: Int,
        _ reason: StreamEnd,
        at now: Instant,
        into actions: inout Actions
    ) {
        let partner = self.partnerSlot(slot)
        let leader = self.leader(slot, partner)
        for member in [slot, partner].compacted {
            self.dropEngine(member, orderly: true, into: &actions)
            self.lanes[member].stream?.reason = member == slot ? reason : .partnerLost
            self.lanes[member].deadline = now + self.times.drain
            if member == leader {
                self.drain(member, into: &actions)
            } else {
                self.lanes[member].stream?.closing = .held
                self.enter(.stopping, member, into: &actions)
            }
        }
    }

    mutating func transmitDrained(
        _ slot: Int,
        generation: UInt32,
        byteCount: UInt64,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard let stream = self.lanes[slot].stream, stream.generation == generation,
            case .draining = stream.closing
        else { return }
        self.send(
            .close(generation: generation, stream.reason, byteCount: byteCount),
            slot,
            into: &actions
        )
        self.lanes[slot].stream?.sentEnd = true
        let partner = self.partnerSlot(slot)
        self.awaitRemoteEnd(slot, at: now, into: &actions)
        if let partner, case .held = self.lanes[partner].stream?.closing {
            self.drain(partner, into: &actions)
        }
    }

    mutating func beginDelivery(
        _ slot: Int,
        _ reason: StreamEnd,
        at now: Instant,
        into actions: inout Actions
    ) {
        let partner = self.partnerSlot(slot)
        let leader = self.leader(slot, partner)
        for member in [slot, partner].compacted {
            actions.append(.dropTransmit(self.lanes[member].id))
            self.lanes[member].stream?.reason = member == slot ? reason : .partnerLost
            self.lanes[member].deadline = now + self.times.drain
            if member != leader {
                self.lanes[member].stream?.closing = .awaitingDelivery
                self.enter(.stopping, member, into: &actions)
            } else if member == slot || reason == .bridgeLost {
                self.deliver(member, into: &actions)
            } else {
                self.lanes[member].stream?.closing = .awaitingEnd
                self.enter(.closePending, member, into: &actions)
            }
        }
    }

    mutating func deliver(_ slot: Int, into actions: inout Actions) {
        guard let stream = self.lanes[slot].stream else { return }
        self.lanes[slot].stream?.closing = .delivering
        self.enter(stream.type == .data ? .closePending : .stopping, slot, into: &actions)
        actions.append(.finishDelivery(self.lanes[slot].id, generation: stream.generation))
    }

    mutating func deliveryDrained(
        _ slot: Int,
        generation: UInt32,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard let stream = self.lanes[slot].stream, stream.generation == generation,
            case .delivering = stream.closing
        else { return }
        let partner = self.partnerSlot(slot)
        for member in [slot, partner].compacted {
            self.dropEngine(member, orderly: true, into: &actions)
        }
        for member in [slot, partner].compacted {
            self.sendAbort(member, into: &actions)
            self.awaitRemoteEnd(member, at: now, into: &actions)
        }
    }

    /// Ends the stream and its partner without regard to what is under way.
    mutating func endNow(
        _ slot: Int,
        _ reason: StreamEnd,
        at now: Instant,
        into actions: inout Actions
    ) {
        let partner = self.partnerSlot(slot)
        for member in [slot, partner].compacted {
            guard let stream = self.lanes[member].stream else { continue }
            if case .ending = stream.closing { continue }
            self.dropEngine(member, into: &actions)
            actions.append(.dropTransmit(self.lanes[member].id))
            self.lanes[member].stream?.reason = member == slot ? reason : .partnerLost
            self.sendAbort(member, into: &actions)
            self.awaitRemoteEnd(member, at: now, into: &actions)
        }
    }

    /// The bridge under a stream is gone: no end can be sent or will arrive.
    mutating func streamLostBridge(_ slot: Int, at now: Instant, into actions: inout Actions) {
        guard let stream = self.lanes[slot].stream else { return }
        self.lanes[slot].stream?.sentEnd = true
        self.lanes[slot].stream?.receivedEnd = true
        switch stream.closing {
        case nil:
            if stream.isEstablished {
                self.beginDelivery(slot, .bridgeLost, at: now, into: &actions)
            } else {
                self.endNow(slot, .bridgeLost, at: now, into: &actions)
            }
        case .draining, .held: self.endNow(slot, .bridgeLost, at: now, into: &actions)
        case .awaitingEnd: self.deliver(slot, into: &actions)
        case .delivering, .awaitingDelivery: break
        case .ending: self.finishStream(slot, at: now, into: &actions)
        }
    }

    /// Forgets a stream whose two ends were exchanged.
    mutating func finishStream(_ slot: Int, at now: Instant, into actions: inout Actions) {
        guard let stream = self.lanes[slot].stream, case .ending = stream.closing,
            stream.sentEnd, stream.receivedEnd
        else { return }
        invariant(self.lanes[slot].engineSocket == nil, "a stream ends after its engine's socket")
        if let partner = self.partnerSlot(slot) { self.lanes[partner].stream?.partner = nil }
        if self.bufferHolder == self.lanes[slot].id {
            self.bufferHolder = nil
            actions.append(.releaseBuffer(self.lanes[slot].id))
        }
        self.lanes[slot].stream = nil
        self.lanes[slot].deadline = .distantFuture
        self.enter(.stopped, slot, into: &actions)
        self.becomeIdle(slot, at: now, into: &actions)
    }

    private mutating func drain(_ slot: Int, into actions: inout Actions) {
        guard let stream = self.lanes[slot].stream else { return }
        self.lanes[slot].stream?.closing = .draining
        self.enter(stream.type == .data ? .closePending : .stopping, slot, into: &actions)
        actions.append(.finishTransmit(self.lanes[slot].id, generation: stream.generation))
    }

    private mutating func sendAbort(_ slot: Int, into actions: inout Actions) {
        guard let stream = self.lanes[slot].stream, !stream.sentEnd else { return }
        self.send(.abort(generation: stream.generation, stream.reason), slot, into: &actions)
        self.lanes[slot].stream?.sentEnd = true
    }

    private mutating func awaitRemoteEnd(_ slot: Int, at now: Instant, into actions: inout Actions)
    {
        self.lanes[slot].stream?.closing = .ending
        self.lanes[slot].deadline = now + self.times.remoteEnd
        self.enter(.stopping, slot, into: &actions)
        self.finishStream(slot, at: now, into: &actions)
    }

    private func partnerSlot(_ slot: Int) -> Int? { self.lanes[slot].stream?.partner?.slot }

    /// The stream that is drained or delivered first: data.
    private func leader(_ slot: Int, _ partner: Int?) -> Int {
        guard let partner else { return slot }
        return self.lanes[slot].stream?.type == .data ? slot : partner
    }
}

extension [Int?] {
    fileprivate var compacted: [Int] { self.compactMap { $0 } }
}
