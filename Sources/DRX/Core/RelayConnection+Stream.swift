// SPDX-License-Identifier: Apache-2.0

internal import Primitives
internal import Wire

/// What arrives from the remote relay about streams.
extension RelayConnection {
    mutating func receive(
        _ signal: BridgeSignal,
        _ slot: Int,
        _ socket: SocketID,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard self.heard(slot, socket, at: now) else { return }
        switch signal {
        case .open(let generation, let type):
            self.opened(slot, generation: generation, type, at: now, into: &actions)
        case .established(let generation):
            self.remoteEstablished(slot, generation: generation, at: now, into: &actions)
        case .close(let generation, _, let byteCount):
            self.closed(slot, generation: generation, byteCount, at: now, into: &actions)
        case .abort(let generation, _):
            self.aborted(slot, generation: generation, at: now, into: &actions)
        case .keepAlive(let sentAt, let states):
            self.remoteStates = states
            self.send(.keepAliveEcho(sentAt: sentAt), slot, into: &actions)
        case .keepAliveEcho(let sentAt):
            self.roundTrip = now.since(Instant(nanoseconds: sentAt))
        case .laneRequest:
            self.laneRequested(slot, at: now, into: &actions)
        }
    }

    mutating func dataArrived(
        _ slot: Int,
        generation: UInt32,
        position: UInt64,
        byteCount: UInt32,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard let stream = self.liveStream(slot, generation), stream.isEstablished,
            position == stream.receivedByteCount
        else {
            self.cutBridge(slot, .violation, at: now, into: &actions)
            return
        }
        self.lanes[slot].stream?.receivedByteCount += UInt64(byteCount)
        let id = self.lanes[slot].id
        if self.takesData(slot, stream.closing) {
            actions.append(.deliver(id, byteCount: byteCount))
        } else {
            actions.append(.discard(id, byteCount: byteCount))
        }
    }

    /// Whether the engine is still to be served: not when it is gone, and not when the driver was
    /// told already to report the last delivery.
    private func takesData(_ slot: Int, _ closing: Lane.Closing?) -> Bool {
        guard self.lanes[slot].engineSocket != nil else { return false }
        switch closing {
        case nil, .awaitingDelivery, .awaitingEnd: return true
        case .draining, .held, .delivering, .ending: return false
        }
    }

    private mutating func opened(
        _ slot: Int,
        generation: UInt32,
        _ type: ChannelType,
        at now: Instant,
        into actions: inout Actions
    ) {
        if case .removing = self.phase {
            self.cutBridge(slot, .down, at: now, into: &actions)
            return
        }
        guard self.lanes[slot].id.role == .connector, self.lanes[slot].stream == nil,
            generation > self.lanes[slot].generation
        else {
            self.cutBridge(slot, .violation, at: now, into: &actions)
            return
        }
        self.lanes[slot].generation = generation
        self.lanes[slot].stream = Lane.Stream(generation: generation, type: type)
        self.lanes[slot].engineBackoff.reset()
        self.dialEngine(slot, at: now, into: &actions)
    }

    private mutating func remoteEstablished(
        _ slot: Int,
        generation: UInt32,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard self.lanes[slot].id.role == .acceptor,
            let stream = self.liveStream(slot, generation), !stream.isEstablished
        else {
            self.cutBridge(slot, .violation, at: now, into: &actions)
            return
        }
        if stream.closing == nil {
            self.startRelaying(slot, into: &actions)
        } else {
            self.lanes[slot].stream?.isEstablished = true
        }
    }

    private mutating func closed(
        _ slot: Int,
        generation: UInt32,
        _ byteCount: UInt64,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard let stream = self.liveStream(slot, generation), stream.isEstablished,
            byteCount == stream.receivedByteCount
        else {
            self.cutBridge(slot, .violation, at: now, into: &actions)
            return
        }
        self.lanes[slot].stream?.receivedEnd = true
        switch stream.closing {
        case nil: self.beginDelivery(slot, .remoteEnded, at: now, into: &actions)
        case .draining, .held: self.endNow(slot, .remoteEnded, at: now, into: &actions)
        case .awaitingEnd: self.deliver(slot, into: &actions)
        case .delivering, .awaitingDelivery: break
        case .ending: self.finishStream(slot, at: now, into: &actions)
        }
    }

    private mutating func aborted(
        _ slot: Int,
        generation: UInt32,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard let stream = self.liveStream(slot, generation) else {
            self.cutBridge(slot, .violation, at: now, into: &actions)
            return
        }
        self.lanes[slot].stream?.receivedEnd = true
        switch stream.closing {
        case nil, .draining, .held, .awaitingEnd:
            self.endNow(slot, .remoteEnded, at: now, into: &actions)
        case .delivering, .awaitingDelivery: break
        case .ending: self.finishStream(slot, at: now, into: &actions)
        }
    }

    /// The stream that a frame of `generation` may belong to.
    private func liveStream(_ slot: Int, _ generation: UInt32) -> Lane.Stream? {
        guard let stream = self.lanes[slot].stream, stream.generation == generation,
            !stream.receivedEnd
        else { return nil }
        return stream
    }
}
