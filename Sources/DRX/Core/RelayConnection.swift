// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Wire

/// Decides how one connection of a resource is relayed: two channels, an acceptor and a connector,
/// each between a socket of the local engine and a TCP connection with the remote relay.
///
///     preparing      allocating ─▶ bridging ─▶ bridged ─▶ waiting (acceptor) | connecting
///     acceptor       waiting ─▶ connected ─▶ establishing ─▶ established
///     connector      connecting ─▶ establishing ─▶ established
///     disconnecting  established ─▶ close_pending (data) ─▶ stopping ─▶ stopped
///                    stopped ─▶ waiting, connecting (the bridge lives) or bridging (it does not)
///
/// What it guarantees:
/// - Bytes of one socket arrive in order and without a gap, or both sockets are closed. Streams are
///   numbered on each TCP connection, positions are checked; a violation ends the TCP connection.
/// - Data and meta never share a TCP connection. A node that dials both of its sockets gets a
///   second *lane* (`Docs/decisions/0002-lanes.md`).
/// - Once both sockets of the engines are there, each loss ends both. Before, while DRBD still
///   sorts out crossed connects, sockets come and go alone.
/// - When an engine or a relay goes away, data that was accepted is delivered first, meta stays
///   open meanwhile, and all of it has a deadline.
///
/// The driver carries out actions in order and reports what happens. It reports nothing more about
/// a socket that it was told to close, and stale names do no harm. After every event it calls again
/// with ``Event/deadline`` at ``nextDeadline``.
package struct RelayConnection: ~Copyable {
    /// What has happened.
    package enum Event: Hashable, Sendable, BitwiseCopyable {
        /// The administrator wants the connection up, or down.
        case up
        case down
        /// The first part of the transmit buffer can be used; the rest follows while the relay
        /// works.
        case bufferReady
        case bufferFailed

        /// A connector has reached the remote relay by TCP.
        case bridgeConnected(LaneID, SocketID)
        /// The remote relay has accepted our greeting.
        case bridgeWelcomed(LaneID, SocketID)
        /// A remote relay has greeted an acceptor, and ``BridgeAgreement`` agrees with it.
        case bridgeArrived(LaneID, SocketID)
        /// Dialling failed, the greeting was refused, or the TCP connection was lost or was no
        /// longer to be understood.
        case bridgeClosed(LaneID, SocketID)
        /// The driver stopped receiving because the engine does not take what has arrived.
        case bridgePaused(LaneID, SocketID)
        case bridgeResumed(LaneID, SocketID)
        case signal(LaneID, SocketID, BridgeSignal)
        /// A data frame has arrived whole and its checksum is right.
        case data(LaneID, SocketID, generation: UInt32, position: UInt64, byteCount: UInt32)

        /// The local engine has dialled `inside`.
        case engineArrived(SocketID)
        /// The engine's first packet; nil if it names no type.
        case initialPacket(LaneID, SocketID, ChannelType?)
        /// A connector has reached the local engine.
        case engineConnected(LaneID, SocketID)
        /// Dialling failed, or the engine has closed its socket. What was read before stays
        /// accepted.
        case engineClosed(LaneID, SocketID)

        /// All that was accepted, `byteCount` bytes of the stream, was given to the bridge.
        case transmitDrained(LaneID, generation: UInt32, byteCount: UInt64)
        /// All that has arrived was given to the engine.
        case deliveryDrained(LaneID, generation: UInt32)
        case deadline
    }

    /// What the driver must do.
    package enum Action: Hashable, Sendable, BitwiseCopyable {
        case allocateBuffer
        /// Open, or close, the listener for the remote relay at `outside`.
        case acceptBridges(Bool)
        /// Open, or close, the listener for the local engine at `inside`.
        ///
        /// While it is closed the engine must be refused, or it would count the socket as its own.
        case acceptEngines(Bool)

        case dialBridge(LaneID, SocketID)
        case sendHello(LaneID, SocketID)
        case sendWelcome(LaneID, SocketID)
        case send(LaneID, SocketID, BridgeSignal)
        case closeBridge(LaneID, SocketID, BridgeEnd)

        /// Read the first packet, report it, keep it as the first bytes of the stream and read on.
        case readInitialPacket(LaneID, SocketID)
        case dialEngine(LaneID, SocketID)
        /// Close at once, or behind what was delivered already if `orderly`.
        ///
        /// Drop what was not delivered, and keep what was read.
        case closeEngine(LaneID, SocketID, orderly: Bool)

        /// Send what was read, and what will be read, as data frames of this stream from position
        /// 0.
        case startRelaying(LaneID, SocketID, generation: UInt32)
        /// Read no more from the engine; report when everything was sent.
        case finishTransmit(LaneID, generation: UInt32)
        /// Read no more from the engine and drop what was not sent.
        case dropTransmit(LaneID)
        /// The payload of the data frame just reported goes to the engine.
        case deliver(LaneID, byteCount: UInt32)
        /// The payload of the data frame just reported is dropped: its stream is ending.
        case discard(LaneID, byteCount: UInt32)
        /// Report when everything was delivered.
        case finishDelivery(LaneID, generation: UInt32)

        /// The lane may use the connection's large transmit buffer, or must no longer.
        case grantBuffer(LaneID)
        case releaseBuffer(LaneID)

        case stateChanged(LaneID, ChannelState)
        /// Everything is closed; the connection can be removed.
        case finished
    }

    /// One event's actions: at most four lanes, each through all of its states.
    package typealias Actions = ActionBuffer<128, Action>

    enum Phase: BitwiseCopyable {
        case idle
        case allocating(retryAt: Instant)
        case running
        case removing
        case removed
    }

    let times: RelayTimes
    var phase: Phase = .idle
    var lanes: InlineArray<4, Lane>
    var random: SeededRandom
    var isAcceptingEngines = false
    /// The lane that uses the large transmit buffer.
    package internal(set) var bufferHolder: LaneID?
    /// The states of the remote relay, as it reported them last; nil without a bridge.
    package internal(set) var remoteStates: ChannelStates?
    /// The latest round trip of a keep-alive, queues included.
    package internal(set) var roundTrip: TimeSpan?
    private var reportedStates: ChannelStates?
    private var lastSocket: UInt32 = 0

    /// Creates a connection that is down.
    ///
    /// `seed` gives the jitter of its retries.
    package init(times: RelayTimes = RelayTimes(), seed: UInt64) {
        self.times = times
        self.random = SeededRandom(seed: seed)
        self.lanes = InlineArray { Lane(LaneID(slot: $0), times) }
    }

    /// A fresh name for a socket that the driver has accepted.
    package mutating func nextSocket() -> SocketID {
        self.lastSocket += 1
        return SocketID(self.lastSocket)
    }

    /// When ``Event/deadline`` is due.
    package var nextDeadline: Instant {
        var next = Instant.distantFuture
        if case .allocating(let instant) = self.phase { next = instant }
        for slot in 0..<4 { next = min(next, self.lanes[slot].nextDeadline) }
        return next
    }

    /// The states of the two channels.
    package var states: ChannelStates {
        ChannelStates(acceptor: self.state(of: .acceptor), connector: self.state(of: .connector))
    }

    /// The state of a channel: of its second lane if only that one has a stream.
    package func state(of role: ChannelRole) -> ChannelState {
        self.lanes[self.shownSlot(of: role)].state
    }

    /// The type of a channel; nil before the engine has connected.
    package func type(of role: ChannelRole) -> ChannelType? {
        self.lanes[self.shownSlot(of: role)].type
    }

    /// The state of one lane.
    package func state(of lane: LaneID) -> ChannelState { self.lanes[lane.slot].state }

    /// Whether the channel has a TCP connection with the remote relay.
    package func isBridged(_ role: ChannelRole) -> Bool {
        self.lanes[self.shownSlot(of: role)].isBridgeUp
    }

    /// Whether both lanes of the channel carry a stream: its engine has dialled both sockets.
    package func carriesBoth(_ role: ChannelRole) -> Bool {
        self.lanes[LaneID(role, 0).slot].isEstablished
            && self.lanes[LaneID(role, 1).slot].isEstablished
    }

    /// Takes one event and appends what the driver must do about it.
    package mutating func receive(_ event: Event, at now: Instant, into actions: inout Actions) {
        switch event {
        case .up: self.bringUp(at: now, into: &actions)
        case .down: self.takeDown(at: now, into: &actions)
        case .bufferReady: self.bufferReady(at: now, into: &actions)
        case .bufferFailed: self.bufferFailed(at: now)
        case .bridgeConnected(let lane, let socket):
            self.bridgeConnected(lane.slot, socket, into: &actions)
        case .bridgeWelcomed(let lane, let socket):
            self.bridgeWelcomed(lane.slot, socket, at: now, into: &actions)
        case .bridgeArrived(let lane, let socket):
            self.bridgeArrived(lane.slot, socket, at: now, into: &actions)
        case .bridgeClosed(let lane, let socket):
            self.bridgeClosed(lane.slot, socket, at: now, into: &actions)
        case .bridgePaused(let lane, let socket):
            self.bridgePaused(lane.slot, socket, true, at: now)
        case .bridgeResumed(let lane, let socket):
            self.bridgePaused(lane.slot, socket, false, at: now)
        case .signal(let lane, let socket, let signal):
            self.receive(signal, lane.slot, socket, at: now, into: &actions)
        case .data(let lane, let socket, let generation, let position, let byteCount):
            guard self.heard(lane.slot, socket, at: now) else { return }
            self.dataArrived(
                lane.slot,
                generation: generation,
                position: position,
                byteCount: byteCount,
                at: now,
                into: &actions
            )
        case .engineArrived(let socket): self.engineArrived(socket, at: now, into: &actions)
        case .initialPacket(let lane, let socket, let type):
            self.initialPacket(lane.slot, socket, type, at: now, into: &actions)
        case .engineConnected(let lane, let socket):
            self.engineConnected(lane.slot, socket, into: &actions)
        case .engineClosed(let lane, let socket):
            self.engineClosed(lane.slot, socket, at: now, into: &actions)
        case .transmitDrained(let lane, let generation, let byteCount):
            self.transmitDrained(
                lane.slot,
                generation: generation,
                byteCount: byteCount,
                at: now,
                into: &actions
            )
        case .deliveryDrained(let lane, let generation):
            self.deliveryDrained(lane.slot, generation: generation, at: now, into: &actions)
        case .deadline: self.deadlinesReached(at: now, into: &actions)
        }
        self.settle(at: now, into: &actions)
    }

    mutating func enter(_ state: ChannelState, _ slot: Int, into actions: inout Actions) {
        guard self.lanes[slot].state != state else { return }
        self.lanes[slot].state = state
        actions.append(.stateChanged(self.lanes[slot].id, state))
    }

    private func shownSlot(of role: ChannelRole) -> Int {
        let primary = LaneID(role, 0).slot
        let secondary = LaneID(role, 1).slot
        let isIdle = self.lanes[primary].isFree
        return isIdle && !self.lanes[secondary].isFree ? secondary : primary
    }

    /// Draws the consequences that depend on several lanes, once after each event.
    private mutating func settle(at now: Instant, into actions: inout Actions) {
        self.formPair()
        self.assignBuffer(into: &actions)
        self.finishRemoval(into: &actions)
        self.updateAcceptance(into: &actions)
        self.reportStates(at: now, into: &actions)
    }

    /// Joins a data and a meta stream that are established and the only ones that are not joined.
    private mutating func formPair() {
        var found: InlineArray<4, Int> = .init(repeating: 0)
        var count = 0
        for slot in 0..<4 where self.lanes[slot].isOpen {
            if self.lanes[slot].stream?.partner != nil { continue }
            guard self.lanes[slot].isEstablished else { return }
            found[count] = slot
            count += 1
        }
        guard count == 2 else { return }
        let (one, other) = (found[0], found[1])
        guard self.lanes[one].type != self.lanes[other].type else { return }
        self.lanes[one].stream?.partner = LaneID(slot: other)
        self.lanes[other].stream?.partner = LaneID(slot: one)
    }

    private mutating func assignBuffer(into actions: inout Actions) {
        guard self.bufferHolder == nil else { return }
        for slot in 0..<4 where self.lanes[slot].isEstablished {
            guard let stream = self.lanes[slot].stream else { continue }
            guard stream.type == .data, stream.partner != nil else { continue }
            self.bufferHolder = self.lanes[slot].id
            actions.append(.grantBuffer(self.lanes[slot].id))
            return
        }
    }

    private mutating func updateAcceptance(into actions: inout Actions) {
        var wanted = false
        if case .running = self.phase { wanted = self.slotForEngine != nil }
        guard wanted != self.isAcceptingEngines else { return }
        self.isAcceptingEngines = wanted
        actions.append(.acceptEngines(wanted))
    }

    /// Tells the remote relay at once when our states have changed; it needs them for its
    /// diagnosis.
    private mutating func reportStates(at now: Instant, into actions: inout Actions) {
        var isBridged = false
        for slot in 0..<4 where self.lanes[slot].isBridgeUp { isBridged = true }
        if !isBridged { (self.remoteStates, self.roundTrip) = (nil, nil) }
        let states = self.states
        guard states != self.reportedStates else { return }
        self.reportedStates = states
        for slot in 0..<4 { self.sendKeepAlive(slot, at: now, into: &actions) }
    }
}

/// Why a relay ends a TCP connection with the other one; for the log.
package enum BridgeEnd: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// Nothing was heard for ``RelayTimes/silence``.
    case silence
    /// The remote relay did not answer in time.
    case dialTimeout
    /// A frame that its stream forbids: late, early, with a gap.
    case violation
    /// The remote relay has dialled anew.
    case replaced
    /// The remote relay did not end a stream in time.
    case remoteEndTimeout
    /// The second lane is no longer needed.
    case notWanted
    /// The connection is taken down.
    case down
}
