// SPDX-License-Identifier: Apache-2.0

internal import Primitives
internal import Wire

/// The sockets of the local engine.
extension RelayConnection {
    /// The lane that could take a socket of the local engine; nil if it must be refused.
    var slotForEngine: Int? {
        let first = LaneID(.acceptor, 0).slot
        let second = LaneID(.acceptor, 1).slot
        guard self.lanes[first].isBridgeUp else { return nil }
        if self.lanes[first].isFree { return first }
        return self.lanes[second].isFree ? second : nil
    }

    mutating func engineArrived(
        _ socket: SocketID,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard case .running = self.phase, let slot = self.slotForEngine else {
            actions.append(.closeEngine(LaneID(.acceptor, 0), socket, orderly: false))
            return
        }
        self.lanes[slot].engine = .greeting(socket, deadline: now + self.times.initialPacket)
        self.enter(.connected, slot, into: &actions)
        actions.append(.readInitialPacket(self.lanes[slot].id, socket))
    }

    mutating func initialPacket(
        _ slot: Int,
        _ socket: SocketID,
        _ type: ChannelType?,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard case .greeting(socket, _) = self.lanes[slot].engine else { return }
        guard let type else {
            self.dropEngine(slot, into: &actions)
            self.becomeIdle(slot, at: now, into: &actions)
            return
        }
        self.lanes[slot].engine = .open(socket)
        self.lanes[slot].pendingType = type
        self.replaceOlder(than: slot, type, at: now, into: &actions)
        if self.lanes[slot].isBridgeUp {
            self.openStream(slot, type, at: now, into: &actions)
        } else {
            self.lanes[slot].deadline = now + self.times.establish
            self.requestLane(into: &actions)
        }
    }

    /// An engine has one socket of a type: a second one means that it has given up the first.
    private mutating func replaceOlder(
        than slot: Int,
        _ type: ChannelType,
        at now: Instant,
        into actions: inout Actions
    ) {
        let other = slot ^ 1
        guard self.lanes[other].type == type else { return }
        if self.lanes[other].isOpen {
            self.endNow(other, .replaced, at: now, into: &actions)
        } else if self.lanes[other].pendingType != nil {
            self.dropEngine(other, into: &actions)
            self.lanes[other].pendingType = nil
            self.lanes[other].deadline = .distantFuture
            self.becomeIdle(other, at: now, into: &actions)
        }
    }

    mutating func openStream(
        _ slot: Int,
        _ type: ChannelType,
        at now: Instant,
        into actions: inout Actions
    ) {
        self.lanes[slot].pendingType = nil
        self.lanes[slot].generation += 1
        let generation = self.lanes[slot].generation
        self.lanes[slot].stream = Lane.Stream(generation: generation, type: type)
        self.lanes[slot].deadline = now + self.times.establish
        self.send(.open(generation: generation, type), slot, into: &actions)
        self.enter(.establishing, slot, into: &actions)
    }

    mutating func dialEngine(_ slot: Int, at now: Instant, into actions: inout Actions) {
        let socket = self.nextSocket()
        self.lanes[slot].engine = .dialling(socket, deadline: now + self.times.engineDial)
        actions.append(.dialEngine(self.lanes[slot].id, socket))
    }

    mutating func pauseEngine(_ slot: Int, at now: Instant) {
        let pause = self.lanes[slot].engineBackoff.next(&self.random)
        self.lanes[slot].engine = .pausing(until: now + pause)
    }

    mutating func engineConnected(_ slot: Int, _ socket: SocketID, into actions: inout Actions) {
        guard case .dialling(socket, _) = self.lanes[slot].engine,
            let stream = self.lanes[slot].stream
        else { return }
        self.lanes[slot].engine = .open(socket)
        self.lanes[slot].engineBackoff.reset()
        self.enter(.establishing, slot, into: &actions)
        self.send(.established(generation: stream.generation), slot, into: &actions)
        self.startRelaying(slot, into: &actions)
    }

    mutating func startRelaying(_ slot: Int, into actions: inout Actions) {
        guard let stream = self.lanes[slot].stream, let socket = self.lanes[slot].engineSocket
        else { return }
        self.lanes[slot].stream?.isEstablished = true
        self.lanes[slot].deadline = .distantFuture
        actions.append(
            .startRelaying(self.lanes[slot].id, socket, generation: stream.generation)
        )
        self.enter(.established, slot, into: &actions)
    }

    mutating func engineClosed(
        _ slot: Int,
        _ socket: SocketID,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard self.lanes[slot].engineSocket == socket else { return }
        if case .dialling = self.lanes[slot].engine {
            self.pauseEngine(slot, at: now)
            return
        }
        self.lanes[slot].engine = .absent
        guard let stream = self.lanes[slot].stream else {
            self.lanes[slot].pendingType = nil
            self.lanes[slot].deadline = .distantFuture
            self.becomeIdle(slot, at: now, into: &actions)
            return
        }
        if stream.closing == nil, stream.isEstablished {
            self.beginDrain(slot, .engineClosed, at: now, into: &actions)
        } else {
            self.endNow(slot, .engineClosed, at: now, into: &actions)
        }
    }

    /// Closes the engine's socket, or gives up dialling it.
    mutating func dropEngine(_ slot: Int, orderly: Bool = false, into actions: inout Actions) {
        if let socket = self.lanes[slot].engineSocket {
            actions.append(.closeEngine(self.lanes[slot].id, socket, orderly: orderly))
        }
        self.lanes[slot].engine = .absent
    }
}
