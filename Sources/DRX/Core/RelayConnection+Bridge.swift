// SPDX-License-Identifier: Apache-2.0

internal import Primitives
internal import Wire

/// The TCP connections with the remote relay.
extension RelayConnection {
    mutating func dialBridge(_ slot: Int, at now: Instant, into actions: inout Actions) {
        invariant(
            self.lanes[slot].stream == nil,
            "a bridge is dialled when the last stream is over"
        )
        let socket = self.nextSocket()
        self.lanes[slot].bridge = .dialling(socket, deadline: now + self.times.bridgeDial)
        actions.append(.dialBridge(self.lanes[slot].id, socket))
    }

    mutating func bridgeConnected(_ slot: Int, _ socket: SocketID, into actions: inout Actions) {
        guard case .dialling(socket, _) = self.lanes[slot].bridge else { return }
        actions.append(.sendHello(self.lanes[slot].id, socket))
    }

    mutating func bridgeWelcomed(
        _ slot: Int,
        _ socket: SocketID,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard case .dialling(socket, _) = self.lanes[slot].bridge else { return }
        self.bridgeUp(slot, socket, at: now, into: &actions)
    }

    /// Takes the connection that the remote relay has dialled; a newer one replaces an older one,
    /// which the remote relay must have given up.
    mutating func bridgeArrived(
        _ slot: Int,
        _ socket: SocketID,
        at now: Instant,
        into actions: inout Actions
    ) {
        let id = self.lanes[slot].id
        invariant(id.role == .acceptor, "only an acceptor is dialled")
        let isRunning = if case .running = self.phase { true } else { false }
        guard isRunning, id.isPrimary || self.lanes[slot].pendingType != nil else {
            actions.append(.closeBridge(id, socket, .notWanted))
            return
        }
        if self.lanes[slot].isBridgeUp { self.cutBridge(slot, .replaced, at: now, into: &actions) }
        actions.append(.sendWelcome(id, socket))
        self.bridgeUp(slot, socket, at: now, into: &actions)
    }

    mutating func bridgeClosed(
        _ slot: Int,
        _ socket: SocketID,
        at now: Instant,
        into actions: inout Actions
    ) {
        switch self.lanes[slot].bridge {
        case .down, .pausing: return
        case .dialling(socket, _): self.dialFailed(slot, at: now, into: &actions)
        case .up(socket, _): self.bridgeLost(slot, at: now, into: &actions)
        case .dialling, .up: return
        }
    }

    mutating func bridgePaused(
        _ slot: Int,
        _ socket: SocketID,
        _ isPaused: Bool,
        at now: Instant
    ) {
        guard case .up(socket, _) = self.lanes[slot].bridge else { return }
        self.lanes[slot].isPaused = isPaused
        self.lanes[slot].silenceAt = isPaused ? .distantFuture : now + self.times.silence
    }

    /// Notes that the remote relay lives; false if the connection is no longer ours.
    mutating func heard(_ slot: Int, _ socket: SocketID, at now: Instant) -> Bool {
        guard case .up(socket, _) = self.lanes[slot].bridge else { return false }
        if !self.lanes[slot].isPaused { self.lanes[slot].silenceAt = now + self.times.silence }
        return true
    }

    mutating func sendKeepAlive(_ slot: Int, at now: Instant, into actions: inout Actions) {
        let sentAt = now.nanoseconds & (1 << 62 - 1)
        self.send(.keepAlive(sentAt: sentAt, self.states), slot, into: &actions)
        if self.lanes[slot].isBridgeUp {
            self.lanes[slot].keepAliveAt = now + self.times.keepAlive
        }
    }

    mutating func send(_ signal: BridgeSignal, _ slot: Int, into actions: inout Actions) {
        guard case .up(let socket, _) = self.lanes[slot].bridge else { return }
        actions.append(.send(self.lanes[slot].id, socket, signal))
    }

    /// Asks for the second lane while an engine's socket waits for it; repeated with each
    /// keep-alive.
    mutating func requestLane(into actions: inout Actions) {
        let second = LaneID(.acceptor, 1).slot
        guard self.lanes[second].pendingType != nil, !self.lanes[second].isBridgeUp else { return }
        self.send(.laneRequest, LaneID(.acceptor, 0).slot, into: &actions)
    }

    mutating func laneRequested(_ slot: Int, at now: Instant, into actions: inout Actions) {
        guard self.lanes[slot].id == LaneID(.connector, 0) else {
            self.cutBridge(slot, .violation, at: now, into: &actions)
            return
        }
        let second = LaneID(.connector, 1).slot
        guard case .running = self.phase, case .down = self.lanes[second].bridge,
            self.lanes[second].stream == nil
        else { return }
        self.dialBridge(second, at: now, into: &actions)
        self.enter(.bridging, second, into: &actions)
    }

    mutating func dialFailed(_ slot: Int, at now: Instant, into actions: inout Actions) {
        self.lanes[slot].bridge = .down
        self.becomeIdle(slot, at: now, into: &actions)
    }

    /// Ends a bridge that is up, and draws the consequences as if it had been lost.
    mutating func cutBridge(
        _ slot: Int,
        _ end: BridgeEnd,
        at now: Instant,
        into actions: inout Actions
    ) {
        self.shutBridge(slot, end, into: &actions)
        self.bridgeLost(slot, at: now, into: &actions)
    }

    mutating func shutBridge(_ slot: Int, _ end: BridgeEnd, into actions: inout Actions) {
        if let socket = self.lanes[slot].bridgeSocket {
            actions.append(.closeBridge(self.lanes[slot].id, socket, end))
        }
        self.forgetBridge(slot)
    }

    /// Puts a lane without a stream where it waits for the next one, in the words of its role.
    mutating func becomeIdle(_ slot: Int, at now: Instant, into actions: inout Actions) {
        guard self.lanes[slot].stream == nil, case .running = self.phase else { return }
        let id = self.lanes[slot].id
        switch self.lanes[slot].bridge {
        case .up:
            if id.role == .connector {
                self.enter(.connecting, slot, into: &actions)
            } else if let type = self.lanes[slot].pendingType {
                self.openStream(slot, type, at: now, into: &actions)
            } else if id.isPrimary {
                self.enter(.waiting, slot, into: &actions)
            } else {
                self.shutBridge(slot, .notWanted, into: &actions)
                self.enter(.stopped, slot, into: &actions)
            }
        case .down:
            if self.lanes[slot].pendingType != nil { return }
            self.enter(id.isPrimary ? .bridging : .stopped, slot, into: &actions)
            if id == LaneID(.connector, 0) {
                let pause = self.lanes[slot].bridgeBackoff.next(&self.random)
                self.lanes[slot].bridge = .pausing(until: now + pause)
            }
        case .pausing, .dialling: break
        }
    }

    private mutating func bridgeUp(
        _ slot: Int,
        _ socket: SocketID,
        at now: Instant,
        into actions: inout Actions
    ) {
        self.lanes[slot].bridge = .up(socket, since: now)
        self.lanes[slot].generation = 0
        self.lanes[slot].silenceAt = now + self.times.silence
        self.sendKeepAlive(slot, at: now, into: &actions)
        if self.lanes[slot].stream == nil {
            self.enter(.bridged, slot, into: &actions)
            self.becomeIdle(slot, at: now, into: &actions)
        }
    }

    private mutating func bridgeLost(_ slot: Int, at now: Instant, into actions: inout Actions) {
        if case .up(_, let since) = self.lanes[slot].bridge {
            if now.since(since) >= self.times.silence { self.lanes[slot].bridgeBackoff.reset() }
        }
        self.forgetBridge(slot)
        if self.lanes[slot].id == LaneID(.acceptor, 0) {
            self.dropSecondWaiter(at: now, into: &actions)
        }
        guard self.lanes[slot].stream == nil else {
            self.streamLostBridge(slot, at: now, into: &actions)
            return
        }
        if self.lanes[slot].id.isPrimary { self.dropEngine(slot, into: &actions) }
        self.becomeIdle(slot, at: now, into: &actions)
    }

    /// Closes an engine's second socket that nothing can ask a bridge for any more.
    private mutating func dropSecondWaiter(at now: Instant, into actions: inout Actions) {
        let second = LaneID(.acceptor, 1).slot
        guard self.lanes[second].stream == nil, self.lanes[second].engineSocket != nil
        else { return }
        self.dropEngine(second, into: &actions)
        self.lanes[second].pendingType = nil
        self.lanes[second].deadline = .distantFuture
        self.becomeIdle(second, at: now, into: &actions)
    }

    private mutating func forgetBridge(_ slot: Int) {
        self.lanes[slot].bridge = .down
        self.lanes[slot].isPaused = false
        self.lanes[slot].keepAliveAt = .distantFuture
        self.lanes[slot].silenceAt = .distantFuture
    }
}
