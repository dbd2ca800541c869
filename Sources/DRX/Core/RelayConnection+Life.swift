// SPDX-License-Identifier: Apache-2.0

internal import Primitives
internal import Wire

/// Up, down, and all deadlines.
extension RelayConnection {
    mutating func bringUp(at now: Instant, into actions: inout Actions) {
        guard case .idle = self.phase else { return }
        self.phase = .allocating(retryAt: .distantFuture)
        for slot in 0..<4 where self.lanes[slot].id.isPrimary {
            self.enter(.allocating, slot, into: &actions)
        }
        actions.append(.allocateBuffer)
    }

    mutating func bufferReady(at now: Instant, into actions: inout Actions) {
        guard case .allocating = self.phase else { return }
        self.phase = .running
        actions.append(.acceptBridges(true))
        for slot in 0..<4 where self.lanes[slot].id.isPrimary {
            self.enter(.bridging, slot, into: &actions)
            if self.lanes[slot].id.role == .connector {
                self.dialBridge(slot, at: now, into: &actions)
            }
        }
    }

    mutating func bufferFailed(at now: Instant) {
        guard case .allocating = self.phase else { return }
        self.phase = .allocating(retryAt: now + self.times.bridgeRetryMaximum)
    }

    mutating func takeDown(at now: Instant, into actions: inout Actions) {
        switch self.phase {
        case .removing, .removed: return
        case .idle, .allocating, .running: break
        }
        let wasRunning = if case .running = self.phase { true } else { false }
        self.phase = .removing
        if wasRunning { actions.append(.acceptBridges(false)) }
        for slot in 0..<4 {
            if self.lanes[slot].stream == nil {
                self.dropEngine(slot, into: &actions)
                self.lanes[slot].pendingType = nil
                if !self.lanes[slot].isBridgeUp { self.shutBridge(slot, .down, into: &actions) }
            } else if self.lanes[slot].isEstablished {
                self.beginDrain(slot, .stopped, at: now, into: &actions)
            } else if self.lanes[slot].isOpen {
                self.endNow(slot, .stopped, at: now, into: &actions)
            }
        }
    }

    /// Closes the bridges when the last stream has ended; they carry the streams' ends until then.
    mutating func finishRemoval(into actions: inout Actions) {
        guard case .removing = self.phase else { return }
        for slot in 0..<4 where self.lanes[slot].stream != nil { return }
        self.phase = .removed
        for slot in 0..<4 {
            self.shutBridge(slot, .down, into: &actions)
            self.lanes[slot].deadline = .distantFuture
            self.enter(.stopped, slot, into: &actions)
        }
        actions.append(.finished)
    }

    mutating func deadlinesReached(at now: Instant, into actions: inout Actions) {
        if case .allocating(let retryAt) = self.phase, retryAt <= now {
            self.phase = .allocating(retryAt: .distantFuture)
            actions.append(.allocateBuffer)
        }
        for slot in 0..<4 {
            self.bridgeDeadline(slot, at: now, into: &actions)
            self.engineDeadline(slot, at: now, into: &actions)
            self.streamDeadline(slot, at: now, into: &actions)
        }
    }

    private mutating func bridgeDeadline(_ slot: Int, at now: Instant, into actions: inout Actions)
    {
        switch self.lanes[slot].bridge {
        case .down: break
        case .pausing(let until):
            if until <= now { self.dialBridge(slot, at: now, into: &actions) }
        case .dialling(let socket, let deadline):
            guard deadline <= now else { return }
            actions.append(.closeBridge(self.lanes[slot].id, socket, .dialTimeout))
            self.dialFailed(slot, at: now, into: &actions)
        case .up:
            if self.lanes[slot].silenceAt <= now {
                self.cutBridge(slot, .silence, at: now, into: &actions)
            } else if self.lanes[slot].keepAliveAt <= now {
                self.sendKeepAlive(slot, at: now, into: &actions)
                if self.lanes[slot].id == LaneID(.acceptor, 0) {
                    self.requestLane(into: &actions)
                }
            }
        }
    }

    private mutating func engineDeadline(_ slot: Int, at now: Instant, into actions: inout Actions)
    {
        switch self.lanes[slot].engine {
        case .absent, .open: break
        case .pausing(let until):
            if until <= now { self.dialEngine(slot, at: now, into: &actions) }
        case .dialling(let socket, let deadline):
            guard deadline <= now else { return }
            actions.append(.closeEngine(self.lanes[slot].id, socket, orderly: false))
            self.pauseEngine(slot, at: now)
        case .greeting(_, let deadline):
            guard deadline <= now else { return }
            self.dropEngine(slot, into: &actions)
            self.becomeIdle(slot, at: now, into: &actions)
        }
    }

    private mutating func streamDeadline(_ slot: Int, at now: Instant, into actions: inout Actions)
    {
        guard self.lanes[slot].deadline <= now else { return }
        self.lanes[slot].deadline = .distantFuture
        if self.lanes[slot].pendingType != nil {
            self.dropEngine(slot, into: &actions)
            self.lanes[slot].pendingType = nil
            self.becomeIdle(slot, at: now, into: &actions)
            return
        }
        guard let stream = self.lanes[slot].stream else { return }
        switch stream.closing {
        case nil:
            self.endNow(slot, .establishTimeout, at: now, into: &actions)
        case .draining, .held, .delivering, .awaitingDelivery, .awaitingEnd:
            self.endNow(slot, .drainTimeout, at: now, into: &actions)
        case .ending:
            self.cutBridge(slot, .remoteEndTimeout, at: now, into: &actions)
        }
    }
}
