// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Testing
import Wire

private let acceptor = LaneID(.acceptor)
private let connector = LaneID(.connector)

/// Traces: event, expected actions.
@Suite struct RelayConnectionTests {
    @Test("DRX-11 allocating, then bridging: listen at outside, dial the remote outside")
    func bringUp() {
        let relay = Traced()
        #expect(
            relay.receive(.up) == [
                .stateChanged(acceptor, .allocating), .stateChanged(connector, .allocating),
                .allocateBuffer,
            ]
        )
        #expect(relay.receive(.up) == [])
        #expect(
            relay.receive(.bufferReady) == [
                .acceptBridges(true), .stateChanged(acceptor, .bridging),
                .stateChanged(connector, .bridging), .dialBridge(connector, SocketID(1)),
            ]
        )
    }

    @Test func `memory that cannot be had is asked for again`() {
        let relay = Traced()
        _ = relay.receive(.up)
        #expect(relay.receive(.bufferFailed) == [])
        #expect(relay.receiveDeadline() == [.allocateBuffer])
        #expect(relay.states.acceptor == .allocating)
    }

    @Test("DRX-06 DRX-12 DRX-13 a connector greets, is welcome and waits for the type")
    func connectorBridges() {
        let relay = Traced.up()
        let socket = SocketID(1)
        #expect(
            relay.receive(.bridgeConnected(connector, socket)) == [.sendHello(connector, socket)]
        )
        let actions = relay.receive(.bridgeWelcomed(connector, socket))
        #expect(states(actions) == [.bridged, .connecting])
        #expect(!actions.contains(.acceptEngines(true)))
    }

    @Test("DRX-04 DRX-14 an acceptor welcomes the remote relay and listens for its engine")
    func acceptorBridges() {
        let relay = Traced.up()
        let socket = relay.nextSocket()
        let actions = relay.receive(.bridgeArrived(acceptor, socket))
        #expect(actions.first == .sendWelcome(acceptor, socket))
        #expect(states(actions) == [.bridged, .waiting])
        #expect(actions.contains(.acceptEngines(true)))
    }

    @Test("DRX-05 DRX-16 the engine dials, its type is sent to the remote relay")
    func acceptorEstablishes() {
        let relay = Traced.bridged()
        let socket = relay.nextSocket()
        let arrived = relay.receive(.engineArrived(socket))
        #expect(states(arrived) == [.connected])
        #expect(arrived.contains(.readInitialPacket(acceptor, socket)))
        let typed = relay.receive(.initialPacket(acceptor, socket, .meta))
        #expect(states(typed) == [.establishing])
        #expect(typed.contains(.send(acceptor, relay.acceptorBridge, .open(generation: 1, .meta))))
        let established = relay.signal(acceptor, .established(generation: 1))
        #expect(states(established) == [.established])
        #expect(established.contains(.startRelaying(acceptor, socket, generation: 1)))
    }

    @Test("DRX-07 DRX-15 DRX-17 a type arrives, the engine is dialled, established is sent")
    func connectorEstablishes() {
        let relay = Traced.bridged()
        let opened = relay.signal(connector, .open(generation: 1, .data))
        guard case .dialEngine(connector, let first) = opened.first else {
            Issue.record("\(opened)")
            return
        }
        #expect(relay.states.connector == .connecting)
        #expect(relay.receive(.engineClosed(connector, first)) == [])
        let again = relay.receiveDeadline()
        guard case .dialEngine(connector, let second) = again.first else {
            Issue.record("\(again)")
            return
        }
        let actions = relay.receive(.engineConnected(connector, second))
        #expect(states(actions) == [.establishing, .established])
        #expect(
            actions.contains(.send(connector, relay.connectorBridge, .established(generation: 1)))
        )
        #expect(actions.contains(.startRelaying(connector, second, generation: 1)))
    }

    @Test("DRX-18 data of the right stream and position is delivered")
    func relays() {
        let relay = Traced.paired()
        #expect(relay.data(acceptor, position: 0, 100) == [.deliver(acceptor, byteCount: 100)])
        #expect(relay.data(acceptor, position: 100, 1) == [.deliver(acceptor, byteCount: 1)])
    }

    @Test(arguments: [(1, 1), (1, 99), (2, 100), (0, 100)] as [(UInt32, UInt64)])
    func `a gap, a repetition or another stream ends the bridge and both sockets`(
        generation: UInt32,
        position: UInt64
    ) {
        let relay = Traced.paired()
        _ = relay.data(acceptor, position: 0, 100)
        let actions = relay.receive(
            .data(
                acceptor,
                relay.acceptorBridge,
                generation: generation,
                position: position,
                byteCount: 1
            )
        )
        #expect(actions.first == .closeBridge(acceptor, relay.acceptorBridge, .violation))
        #expect(relay.states.acceptor == .closePending)
        let done = relay.receive(.deliveryDrained(acceptor, generation: 1))
        #expect(closedEngines(done) == [acceptor, connector])
        #expect(relay.states.acceptor == .bridging)
    }

    @Test("DRX-19 DRX-20 DRX-21 DRX-22 the engine leaves: data drains, then both end")
    func engineLeaves() {
        let relay = Traced.paired()
        let left = relay.receive(.engineClosed(acceptor, relay.acceptorEngine))
        #expect(states(left, of: acceptor) == [.closePending])
        #expect(states(left, of: connector) == [.stopping])
        #expect(closedEngines(left) == [connector])
        #expect(left.contains(.finishTransmit(acceptor, generation: 1)))
        #expect(!left.contains(.finishTransmit(connector, generation: 1)))

        let drained = relay.receive(.transmitDrained(acceptor, generation: 1, byteCount: 500))
        let end = BridgeSignal.close(generation: 1, .engineClosed, byteCount: 500)
        #expect(drained.contains(.send(acceptor, relay.acceptorBridge, end)))
        #expect(drained.contains(.finishTransmit(connector, generation: 1)))
        _ = relay.receive(.transmitDrained(connector, generation: 1, byteCount: 10))
        #expect(relay.states.acceptor == .stopping)

        let over = relay.signal(acceptor, .abort(generation: 1, .remoteEnded))
        #expect(states(over, of: acceptor) == [.stopped, .waiting])
        #expect(over.contains(.releaseBuffer(acceptor)))
        let other = relay.signal(connector, .abort(generation: 1, .remoteEnded))
        #expect(states(other, of: connector) == [.stopped, .connecting])
    }

    @Test("DRX-23 the remote engine leaves: what arrived is delivered, then both sockets close")
    func remoteEngineLeaves() {
        let relay = Traced.paired()
        _ = relay.data(acceptor, position: 0, 70)
        let ended = relay.signal(acceptor, .close(generation: 1, .engineClosed, byteCount: 70))
        #expect(states(ended, of: acceptor) == [.closePending])
        #expect(ended.contains(.finishDelivery(acceptor, generation: 1)))
        #expect(closedEngines(ended) == [])
        _ = relay.signal(connector, .close(generation: 1, .partnerLost, byteCount: 0))
        let delivered = relay.receive(.deliveryDrained(acceptor, generation: 1))
        #expect(closedEngines(delivered) == [acceptor, connector])
        #expect(relay.states == ChannelStates(acceptor: .waiting, connector: .connecting))
    }

    @Test func `when meta's end overtakes data's, meta stays open until data is delivered`() {
        let relay = Traced.paired()
        let ended = relay.signal(connector, .close(generation: 1, .partnerLost, byteCount: 0))
        #expect(closedEngines(ended) == [])
        #expect(relay.states == ChannelStates(acceptor: .closePending, connector: .stopping))
        #expect(relay.data(acceptor, position: 0, 9) == [.deliver(acceptor, byteCount: 9)])
        _ = relay.signal(acceptor, .close(generation: 1, .engineClosed, byteCount: 9))
        let delivered = relay.receive(.deliveryDrained(acceptor, generation: 1))
        #expect(closedEngines(delivered) == [acceptor, connector])
    }

    @Test func `an end that does not match what arrived is a gap`() {
        let relay = Traced.paired()
        let actions = relay.signal(acceptor, .close(generation: 1, .engineClosed, byteCount: 1))
        #expect(actions.first == .closeBridge(acceptor, relay.acceptorBridge, .violation))
    }

    @Test("DRX-24 a lost bridge ends both channels, each returns by its own bridge")
    func bridgeLost() {
        let relay = Traced.paired()
        let lost = relay.receive(.bridgeClosed(acceptor, relay.acceptorBridge))
        #expect(lost.contains(.dropTransmit(acceptor)))
        #expect(closedEngines(lost) == [])
        #expect(relay.states == ChannelStates(acceptor: .closePending, connector: .stopping))
        let done = relay.receive(.deliveryDrained(acceptor, generation: 1))
        #expect(closedEngines(done) == [acceptor, connector])
        #expect(states(done, of: acceptor) == [.stopping, .stopped, .bridging])
        _ = relay.signal(connector, .abort(generation: 1, .partnerLost))
        #expect(relay.states == ChannelStates(acceptor: .bridging, connector: .connecting))
    }

    @Test func `a newer bridge replaces the older one and counts its streams anew`() {
        let relay = Traced.bridged()
        _ = relay.dial(.data)
        let newer = relay.nextSocket()
        let actions = relay.receive(.bridgeArrived(acceptor, newer))
        #expect(actions.first == .closeBridge(acceptor, relay.acceptorBridge, .replaced))
        #expect(closedEngines(actions) == [acceptor])
        #expect(actions.contains(.sendWelcome(acceptor, newer)))
        let again = relay.nextSocket()
        _ = relay.receive(.engineArrived(again))
        let typed = relay.receive(.initialPacket(acceptor, again, .data))
        #expect(typed.contains(.send(acceptor, newer, .open(generation: 1, .data))))
    }

    @Test func `a frame of a stream that is over ends the bridge`() {
        let relay = Traced.paired()
        _ = relay.signal(acceptor, .abort(generation: 1, .engineClosed))
        #expect(relay.states.acceptor == .waiting)
        let actions = relay.data(acceptor, position: 0, 10)
        #expect(actions.first == .closeBridge(acceptor, relay.acceptorBridge, .violation))
    }

    @Test func `one socket alone comes and goes alone`() {
        let relay = Traced.paired(connectorType: .data)
        let left = relay.receive(.engineClosed(acceptor, relay.acceptorEngine))
        #expect(closedEngines(left) == [])
        #expect(relay.states.connector == .established)
    }

    @Test func `a silent bridge is lost, a paused one is not silent`() {
        let relay = Traced.bridged()
        _ = relay.receive(.bridgePaused(acceptor, relay.acceptorBridge))
        _ = relay.signal(acceptor, .keepAliveEcho(sentAt: 0))
        var closed: [RelayConnection.Action] = []
        for _ in 0..<40 {
            closed += relay.receiveDeadline().filter {
                if case .closeBridge = $0 { true } else { false }
            }
        }
        #expect(closed.first == .closeBridge(connector, relay.connectorBridge, .silence))
        #expect(!closed.contains(.closeBridge(acceptor, relay.acceptorBridge, .silence)))
    }

    @Test func `dialling pauses longer each time, up to its bound`() {
        let relay = Traced.up()
        var pauses: [UInt64] = []
        var socket = SocketID(1)
        for _ in 0..<12 {
            let failedAt = relay.now
            _ = relay.receive(.bridgeClosed(connector, socket))
            let actions = relay.receiveDeadline()
            pauses.append(relay.now.since(failedAt).milliseconds)
            guard case .dialBridge(connector, let next) = actions.first else {
                Issue.record("\(actions)")
                return
            }
            socket = next
        }
        #expect(pauses[0] >= 150 && pauses[0] <= 250)
        #expect(pauses.suffix(5).allSatisfy { (3_000...5_000).contains($0) })
        #expect(Set(pauses.suffix(5)).count > 1)
    }

    @Test func `a drain that takes too long is dropped with its connection`() {
        let relay = Traced.paired()
        _ = relay.receive(.engineClosed(acceptor, relay.acceptorEngine))
        let actions = relay.advance(.seconds(30))
        #expect(actions.contains(.dropTransmit(acceptor)))
        let end = BridgeSignal.abort(generation: 1, .drainTimeout)
        #expect(actions.contains(.send(acceptor, relay.acceptorBridge, end)))
    }

    @Test func `a socket that names no type is closed`() {
        let relay = Traced.bridged()
        let socket = relay.nextSocket()
        _ = relay.receive(.engineArrived(socket))
        let actions = relay.receive(.initialPacket(acceptor, socket, nil))
        #expect(actions.contains(.closeEngine(acceptor, socket, orderly: false)))
        #expect(relay.states.acceptor == .waiting)
    }

    @Test func `a newer socket of the same type replaces the older one`() {
        let relay = Traced.bridged()
        let older = relay.dial(.data)
        let newer = relay.nextSocket()
        _ = relay.receive(.engineArrived(newer))
        let actions = relay.receive(.initialPacket(LaneID(.acceptor, 1), newer, .data))
        #expect(actions.contains(.closeEngine(acceptor, older, orderly: false)))
        let end = BridgeSignal.abort(generation: 1, .replaced)
        #expect(actions.contains(.send(acceptor, relay.acceptorBridge, end)))
        #expect(actions.contains(.send(acceptor, relay.acceptorBridge, .laneRequest)))
    }

    @Test func `a socket that waits for the second lane goes with the first one's bridge`() {
        let relay = Traced.bridged()
        _ = relay.dial(.data)
        let second = relay.nextSocket()
        _ = relay.receive(.engineArrived(second))
        _ = relay.receive(.initialPacket(LaneID(.acceptor, 1), second, .meta))
        let lost = relay.receive(.bridgeClosed(acceptor, relay.acceptorBridge))
        #expect(closedEngines(lost).contains(LaneID(.acceptor, 1)))
        #expect(relay.states.acceptor == .bridging)
    }

    @Test func `the large buffer belongs to data, once both sockets are there`() {
        let relay = Traced.bridged()
        _ = relay.dial(.meta)
        #expect(relay.connection.bufferHolder == nil)
        let opened = relay.signal(connector, .open(generation: 1, .data))
        guard case .dialEngine(connector, let socket) = opened.first else {
            Issue.record("\(opened)")
            return
        }
        _ = relay.receive(.engineConnected(connector, socket))
        #expect(relay.connection.bufferHolder == nil)
        let established = relay.signal(acceptor, .established(generation: 1))
        #expect(established.contains(.grantBuffer(connector)))
    }

    @Test func `stale reports about given-up sockets change nothing`() {
        let relay = Traced.paired()
        let old = SocketID(0)
        for event: RelayConnection.Event in [
            .bridgeClosed(acceptor, old), .engineClosed(acceptor, old),
            .engineConnected(connector, old), .bridgeWelcomed(connector, old),
            .signal(acceptor, old, .abort(generation: 1, .stopped)),
            .data(acceptor, old, generation: 9, position: 9, byteCount: 9),
            .transmitDrained(acceptor, generation: 1, byteCount: 0),
            .deliveryDrained(acceptor, generation: 1), .initialPacket(acceptor, old, .data),
            .bufferReady, .bufferFailed, .up,
        ] {
            #expect(relay.receive(event) == [])
        }
    }

    @Test(arguments: 0..<10)
    func `no order of events traps, and every wait ends`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let relay = Traced.up()
        for _ in 0..<10_000 {
            _ = relay.receive(randomEvent(&random, relay))
            if random.chance(1, in: 10) { _ = relay.receiveDeadline() }
            if relay.isFinished { return }
        }
        _ = relay.receive(.down)
        for _ in 0..<200 where !relay.isFinished { _ = relay.receiveDeadline() }
        #expect(relay.isFinished)
    }

    private func randomEvent(_ random: inout SeededRandom, _ relay: Traced) -> RelayConnection.Event
    {
        let lane = LaneID.all[Int(random.below(4))]
        let incoming = LaneID(.acceptor, UInt8(random.below(2)))
        let socket = SocketID(UInt32(relay.lastSocket) &- UInt32(random.below(6)))
        let generation = UInt32(random.below(4))
        let type = ChannelType.allCases[Int(random.below(2))]
        let states = ChannelStates(acceptor: .waiting, connector: .stopped)
        let signals: [BridgeSignal] = [
            .open(generation: generation, type), .established(generation: generation),
            .close(generation: generation, .engineClosed, byteCount: 0),
            .abort(generation: generation, .engineClosed), .keepAliveEcho(sentAt: 1),
            .keepAlive(sentAt: 7, states), .laneRequest,
        ]
        let events: [RelayConnection.Event] = [
            .bridgeConnected(lane, socket), .bridgeWelcomed(lane, socket),
            .bridgeArrived(incoming, relay.nextSocket()), .bridgeClosed(lane, socket),
            .bridgePaused(lane, socket), .bridgeResumed(lane, socket),
            .signal(lane, socket, signals[Int(random.below(7))]),
            .signal(lane, socket, signals[Int(random.below(7))]),
            .data(lane, socket, generation: generation, position: 0, byteCount: 1),
            .engineArrived(relay.nextSocket()), .initialPacket(lane, socket, type),
            .engineConnected(lane, socket), .engineClosed(lane, socket),
            .transmitDrained(lane, generation: generation, byteCount: 0),
            .deliveryDrained(lane, generation: generation),
        ]
        return events[Int(random.below(UInt64(events.count)))]
    }
}

/// A connection with its clock, in legal states that tests begin with.
private final class Traced {
    var connection = RelayConnection(seed: 1)
    var actions = RelayConnection.Actions()
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private(set) var acceptorBridge = SocketID(0)
    private(set) var connectorBridge = SocketID(0)
    private(set) var acceptorEngine = SocketID(0)
    private(set) var lastSocket: UInt32 = 0
    private(set) var isFinished = false

    static func up() -> Traced {
        let relay = Traced()
        _ = relay.receive(.up)
        _ = relay.receive(.bufferReady)
        return relay
    }

    static func bridged() -> Traced {
        let relay = Self.up()
        relay.connectorBridge = SocketID(1)
        _ = relay.receive(.bridgeConnected(connector, relay.connectorBridge))
        _ = relay.receive(.bridgeWelcomed(connector, relay.connectorBridge))
        relay.acceptorBridge = relay.nextSocket()
        _ = relay.receive(.bridgeArrived(acceptor, relay.acceptorBridge))
        return relay
    }

    /// Both channels established, data in the acceptor.
    static func paired(connectorType: ChannelType = .meta) -> Traced {
        let relay = Self.bridged()
        relay.acceptorEngine = relay.dial(.data)
        _ = relay.signal(acceptor, .established(generation: 1))
        let opened = relay.signal(connector, .open(generation: 1, connectorType))
        guard case .dialEngine(_, let socket) = opened.first else { return relay }
        _ = relay.receive(.engineConnected(connector, socket))
        return relay
    }

    var states: ChannelStates { self.connection.states }

    func nextSocket() -> SocketID {
        let socket = self.connection.nextSocket()
        self.lastSocket = socket.number
        return socket
    }

    func receive(_ event: RelayConnection.Event) -> [RelayConnection.Action] {
        self.connection.receive(event, at: self.now, into: &self.actions)
        var result: [RelayConnection.Action] = []
        while let action = self.actions.popFirst() {
            // The states are told to the remote relay with every change: left out of the traces.
            if case .send(_, _, .keepAlive) = action { continue }
            switch action {
            case .dialBridge(_, let socket), .dialEngine(_, let socket):
                self.lastSocket = socket.number
            case .finished: self.isFinished = true
            default: break
            }
            result.append(action)
        }
        return result
    }

    func signal(_ lane: LaneID, _ signal: BridgeSignal) -> [RelayConnection.Action] {
        let socket = lane.role == .acceptor ? self.acceptorBridge : self.connectorBridge
        return self.receive(.signal(lane, socket, signal))
    }

    func data(_ lane: LaneID, position: UInt64, _ byteCount: UInt32) -> [RelayConnection.Action] {
        self.receive(
            .data(
                lane,
                self.acceptorBridge,
                generation: 1,
                position: position,
                byteCount: byteCount
            )
        )
    }

    /// The engine dials and names a type.
    func dial(_ type: ChannelType) -> SocketID {
        let socket = self.nextSocket()
        _ = self.receive(.engineArrived(socket))
        _ = self.receive(.initialPacket(acceptor, socket, type))
        return socket
    }

    func receiveDeadline() -> [RelayConnection.Action] {
        let next = self.connection.nextDeadline
        if next != .distantFuture { self.now = max(self.now, next) }
        return self.receive(.deadline)
    }

    /// Lets time pass while the remote relay lives.
    func advance(_ span: TimeSpan) -> [RelayConnection.Action] {
        let end = self.now + span
        var result: [RelayConnection.Action] = []
        while self.connection.nextDeadline <= end {
            result += self.receiveDeadline()
            for lane in [acceptor, connector] {
                result += self.signal(lane, .keepAliveEcho(sentAt: 0))
            }
        }
        return result
    }
}

private func states(
    _ actions: [RelayConnection.Action],
    of lane: LaneID? = nil
) -> [ChannelState] {
    actions.compactMap { action in
        guard case .stateChanged(let changed, let state) = action else { return nil }
        return lane == nil || lane == changed ? state : nil
    }
}

private func closedEngines(_ actions: [RelayConnection.Action]) -> [LaneID] {
    actions.compactMap { action in
        guard case .closeEngine(let lane, _, _) = action else { return nil }
        return lane
    }
}
