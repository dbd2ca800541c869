// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Testing
import Wire

/// The driver of one ``RelayConnection`` on the simulated network; uses the real frames and the
/// real bookkeeping of buffers.
final class SimulatedRelay {
    struct Settings {
        var memoryLimit: UInt64 = 65_536
        var smallBuffer: UInt64 = 8_192
        var receiveLimit = 16_384
        var frameMaximum = 4_096
    }

    let name: String
    let world: World
    let wide: Link
    let local: Link
    let settings: Settings
    weak var remote: SimulatedRelay?
    weak var engine: SimulatedEngine?

    /// Switches for situations: whether this relay's outside and the engine's address can be
    /// reached.
    var canBeReached = true
    var canReachEngine = true
    var allocationSteps = 4

    private(set) var visited: Set<ChannelState> = []
    private(set) var bridgeDials = 0
    private(set) var isFinished = false

    private var connection: RelayConnection?
    private var actions = RelayConnection.Actions()
    private var lanes: [SimulatedLane] = []
    private var agreement: BridgeAgreement
    private var life: UInt64 = 0
    private var arrivals: [SocketID: Endpoint] = [:]
    private var acceptsBridges = false
    private var acceptsEngines = false
    private var pending: [RelayConnection.Event] = []
    private var isTurning = false
    private var hasFed = false
    private var payload: [UInt8] = []
    private var plannedDeadline = Instant.distantFuture

    init(
        _ name: String,
        peer: String,
        _ world: World,
        wide: Link,
        settings: Settings,
        plugins: [Plugin] = []
    ) {
        self.name = name
        self.world = world
        self.wide = wide
        self.local = Link(world, delay: .microseconds(100))
        self.settings = settings
        self.agreement = BridgeAgreement(
            name: ConnectionName(resource: "r1", peerNodes: [peer], ownNodes: [name]),
            plugins: plugins,
            incarnation: 0
        )
    }

    var isRunning: Bool { self.connection != nil }
    var states: ChannelStates? { self.connection?.states }
    var remoteStates: ChannelStates? { self.connection?.remoteStates }
    var roundTrip: TimeSpan? { self.connection?.roundTrip }
    var bufferHolder: LaneID? { self.connection?.bufferHolder }

    func carriesBoth(_ role: ChannelRole) -> Bool { self.connection?.carriesBoth(role) ?? false }

    /// What the lane's latest engine socket gave and took.
    func acceptedByteCount(_ id: LaneID) -> Int { self.lane(id).acceptedByteCount }
    func deliveredByteCount(_ id: LaneID) -> Int { self.lane(id).deliveredByteCount }

    func start() {
        var times = RelayTimes()
        times.bridgeDial = .seconds(2)
        times.bridgeRetryMaximum = .seconds(1)
        times.establish = .seconds(6)
        times.drain = .seconds(4)
        times.remoteEnd = .seconds(6)
        times.keepAlive = .milliseconds(500)
        times.silence = .seconds(3)
        self.life += 1
        self.isFinished = false
        self.agreement.incarnation = self.world.random.next()
        self.connection = RelayConnection(times: times, seed: self.world.random.next())
        self.lanes = LaneID.all.map { SimulatedLane($0, self.settings) }
        self.plannedDeadline = .distantFuture
        self.post(.up)
    }

    func stop() { self.post(.down) }

    /// Ends the process; its sockets are reset, or nothing more is heard of them if the power went.
    func kill(power: Bool) {
        guard self.isRunning else { return }
        for lane in self.lanes {
            for endpoint in [lane.bridge, lane.engine] {
                if power && endpoint === lane.bridge {
                    endpoint?.vanish()
                } else {
                    endpoint?.reset()
                }
            }
        }
        self.connection = nil
        self.life += 1
        (self.acceptsBridges, self.acceptsEngines) = (false, false)
        self.pending = []
    }

    /// What a remote relay reaches when it dials `outside`.
    func bridgeListener() -> ((Endpoint) -> Void)? {
        guard self.acceptsBridges, self.canBeReached else { return nil }
        let life = self.life
        return { endpoint in
            endpoint.onChange = { [weak self] in self?.greeted(endpoint, life) }
        }
    }

    /// What the engine reaches when it dials `inside`.
    func engineListener() -> ((Endpoint) -> Void)? {
        guard self.acceptsEngines else { return nil }
        return { [self] endpoint in
            guard self.acceptsEngines, let socket = self.connection?.nextSocket() else {
                endpoint.reset()
                return
            }
            self.arrivals[socket] = endpoint
            self.post(.engineArrived(socket))
        }
    }

    private func greeted(_ endpoint: Endpoint, _ life: UInt64) {
        guard life == self.life, self.isRunning else { return }
        let bytes = endpoint.peek(4096)
        do {
            guard let (frame, count) = try BridgeFrame.decode(bytes.span.bytes) else { return }
            _ = endpoint.read(count)
            guard case .hello(let hello) = frame, self.agreement.isMeant(by: hello) else {
                endpoint.reset()
                return
            }
            switch self.agreement.answer(hello) {
            case .failure(let refusal):
                _ = endpoint.send(refusal.bytes[...])
                endpoint.close()
            case .success:
                guard let socket = self.connection?.nextSocket() else { return }
                self.arrivals[socket] = endpoint
                self.post(.bridgeArrived(LaneID(.acceptor, hello.lane), socket))
            }
        } catch {
            Issue.record("\(error)")
        }
    }

    // MARK: Turns

    private func post(_ event: RelayConnection.Event) {
        self.pending.append(event)
        self.turn()
    }

    /// Feeds the machine and moves bytes until nothing changes.
    private func turn() {
        guard !self.isTurning, self.isRunning else { return }
        self.isTurning = true
        repeat {
            self.hasFed = false
            while !self.pending.isEmpty, self.isRunning { self.feed(self.pending.removeFirst()) }
            for lane in self.lanes where self.isRunning { self.pump(lane) }
        } while self.hasFed && self.isRunning
        self.isTurning = false
        self.planDeadline()
    }

    private func feed(_ event: RelayConnection.Event) {
        self.hasFed = true
        self.connection?.receive(event, at: self.world.now, into: &self.actions)
        while let action = self.actions.popFirst() { self.apply(action) }
    }

    private func planDeadline() {
        guard let next = self.connection?.nextDeadline, next != self.plannedDeadline,
            next != .distantFuture
        else { return }
        self.plannedDeadline = next
        let life = self.life
        self.world.at(next) { [weak self] in
            guard let self, life == self.life, self.plannedDeadline == next else { return }
            self.plannedDeadline = .distantFuture
            self.post(.deadline)
        }
    }

    private func lane(_ id: LaneID) -> SimulatedLane {
        self.lanes[Int(id.role.rawValue) * 2 + Int(id.index)]
    }

    private func apply(_ action: RelayConnection.Action) {
        switch action {
        case .allocateBuffer: self.allocate()
        case .acceptBridges(let isWanted): self.acceptsBridges = isWanted
        case .acceptEngines(let isWanted): self.acceptsEngines = isWanted
        case .dialBridge(let id, let socket): self.dialBridge(id, socket)
        case .sendHello(let id, _):
            self.lane(id).bridgeOut += self.agreement.hello(lane: id).bytes
        case .sendWelcome(let id, let socket):
            self.adoptBridge(self.lane(id), socket)
            self.lane(id).bridgeOut +=
                BridgeWelcome(version: 1, incarnation: self.agreement.incarnation).bytes
        case .send(let id, let socket, let signal):
            if self.lane(id).bridgeID == socket { self.lane(id).append(signal.header) }
        case .closeBridge(let id, let socket, _): self.closeBridge(self.lane(id), socket)
        case .readInitialPacket(let id, let socket): self.adoptEngine(self.lane(id), socket)
        case .dialEngine(let id, let socket): self.dialEngine(id, socket)
        case .closeEngine(let id, let socket, let orderly):
            self.closeEngine(self.lane(id), socket, orderly)
        case .startRelaying(let id, _, let generation): self.lane(id).start(generation)
        case .finishTransmit(let id, let generation):
            self.lane(id).isReading = false
            self.lane(id).finishing = generation
        case .dropTransmit(let id):
            self.lane(id).isReading = false
            self.lane(id).relaying = nil
            self.lane(id).transmit.removeAll()
        case .deliver(let id, let byteCount):
            #expect(Int(byteCount) == self.payload.count)
            self.lane(id).received += self.payload
        case .discard: break
        case .finishDelivery(let id, let generation): self.lane(id).delivering = generation
        case .grantBuffer(let id): self.lane(id).transmit.grant()
        case .releaseBuffer(let id): self.lane(id).transmit.release()
        case .stateChanged(_, let state): self.visited.insert(state)
        case .finished: self.isFinished = true
        }
    }

    // MARK: Connections

    private func allocate() {
        let steps = UInt64(self.allocationSteps)
        for step in 1...steps {
            self.later(.milliseconds(100 * step)) { relay in
                for lane in relay.lanes {
                    lane.transmit.grow(to: relay.settings.memoryLimit * step / steps)
                }
                if step == 1 { relay.pending.append(.bufferReady) }
            }
        }
    }

    private func later(_ span: TimeSpan, _ work: @escaping (SimulatedRelay) -> Void) {
        let life = self.life
        self.world.after(span) { [weak self] in
            guard let self, life == self.life else { return }
            work(self)
            self.turn()
        }
    }

    private func dialBridge(_ id: LaneID, _ socket: SocketID) {
        self.bridgeDials += 1
        let life = self.life
        let lane = self.lane(id)
        lane.bridgeID = socket
        self.wide.connect({ [weak self] in self?.remote?.bridgeListener() }) {
            [weak self] endpoint in
            guard let self, life == self.life, lane.bridgeID == socket else {
                endpoint?.reset()
                return
            }
            guard let endpoint else {
                lane.bridgeID = nil
                self.post(.bridgeClosed(id, socket))
                return
            }
            self.watch(endpoint)
            lane.setBridge(endpoint, socket)
            self.post(.bridgeConnected(id, socket))
        }
    }

    private func adoptBridge(_ lane: SimulatedLane, _ socket: SocketID) {
        guard let endpoint = self.arrivals.removeValue(forKey: socket) else { return }
        self.watch(endpoint)
        lane.setBridge(endpoint, socket)
    }

    private func closeBridge(_ lane: SimulatedLane, _ socket: SocketID) {
        if let endpoint = self.arrivals.removeValue(forKey: socket) { endpoint.reset() }
        guard lane.bridgeID == socket else { return }
        lane.bridge?.reset()
        lane.dropBridge()
    }

    private func adoptEngine(_ lane: SimulatedLane, _ socket: SocketID) {
        guard let endpoint = self.arrivals.removeValue(forKey: socket) else { return }
        self.watch(endpoint)
        lane.setEngine(endpoint, socket)
        lane.awaitsInitialPacket = true
    }

    private func dialEngine(_ id: LaneID, _ socket: SocketID) {
        let life = self.life
        let lane = self.lane(id)
        lane.engineID = socket
        self.local.connect({ [weak self] in
            guard let self, self.canReachEngine else { return nil }
            return self.engine?.listener()
        }) { [weak self] endpoint in
            guard let self, life == self.life, lane.engineID == socket else {
                endpoint?.reset()
                return
            }
            guard let endpoint else {
                lane.engineID = nil
                self.post(.engineClosed(id, socket))
                return
            }
            self.watch(endpoint)
            lane.setEngine(endpoint, socket)
            self.post(.engineConnected(id, socket))
        }
    }

    private func closeEngine(_ lane: SimulatedLane, _ socket: SocketID, _ orderly: Bool) {
        if let endpoint = self.arrivals.removeValue(forKey: socket) { endpoint.reset() }
        guard lane.engineID == socket else { return }
        if orderly { lane.engine?.close() } else { lane.engine?.reset() }
        lane.dropEngine()
    }

    private func watch(_ endpoint: Endpoint) {
        let life = self.life
        endpoint.onChange = { [weak self] in
            guard let self, life == self.life else { return }
            self.turn()
        }
    }

    // MARK: Bytes

    private func pump(_ lane: SimulatedLane) {
        self.readEngine(lane)
        self.frameData(lane)
        self.flushBridge(lane)
        self.readBridge(lane)
        self.flushEngine(lane)
    }

    private func readEngine(_ lane: SimulatedLane) {
        guard let engine = lane.engine, let socket = lane.engineID else { return }
        while lane.isReading, engine.available > 0, lane.transmit.room > 0 {
            let bytes = engine.read(lane.transmit.room)
            lane.acceptedByteCount += bytes.count
            lane.transmit.append(bytes, at: self.world.now)
        }
        if lane.awaitsInitialPacket, lane.transmit.used >= 8 {
            lane.awaitsInitialPacket = false
            let packet = lane.transmit.peek(8)
            let type = ChannelType(initialPacket: packet.span.bytes)
            self.feed(.initialPacket(lane.id, socket, type))
        }
        if engine.hasEnded, lane.engineID == socket {
            lane.dropEngine()
            self.feed(.engineClosed(lane.id, socket))
        }
    }

    private func frameData(_ lane: SimulatedLane) {
        guard let generation = lane.relaying else { return }
        while lane.bridgeOut.count < 16_384, lane.transmit.used > 0 {
            let limit = 1 + Int(self.world.random.below(UInt64(self.settings.frameMaximum)))
            lane.appendFrame(lane.transmit.take(limit), generation)
        }
        if lane.finishing == generation, lane.transmit.used == 0 {
            lane.finishing = nil
            self.feed(
                .transmitDrained(lane.id, generation: generation, byteCount: lane.sentByteCount)
            )
        }
    }

    private func flushBridge(_ lane: SimulatedLane) {
        guard let bridge = lane.bridge else { return }
        lane.bridgeOut.removeFirst(bridge.send(lane.bridgeOut[...]))
    }

    private func readBridge(_ lane: SimulatedLane) {
        while let bridge = lane.bridge, let socket = lane.bridgeID {
            let isFull = lane.received.count > self.settings.receiveLimit
            if isFull != lane.isPaused {
                lane.isPaused = isFull
                self.feed(
                    isFull ? .bridgePaused(lane.id, socket) : .bridgeResumed(lane.id, socket)
                )
            }
            guard !isFull else { return }
            lane.bridgeIn += bridge.read(8_192)
            guard self.takeFrame(lane, socket) else {
                guard bridge.available == 0 else { continue }
                if bridge.hasEnded, lane.bridgeID == socket {
                    lane.dropBridge()
                    self.feed(.bridgeClosed(lane.id, socket))
                }
                return
            }
        }
    }

    /// Handles one frame; false if none is complete.
    private func takeFrame(_ lane: SimulatedLane, _ socket: SocketID) -> Bool {
        do {
            let bytes = lane.bridgeIn
            guard let (frame, count) = try BridgeFrame.decode(bytes.span.bytes) else {
                return false
            }
            switch frame {
            case .hello: Issue.record("a hello on a bridge")
            case .welcome(let welcome):
                #expect(self.agreement.objection(to: welcome) == nil)
                lane.bridgeIn.removeFirst(count)
                self.feed(.bridgeWelcomed(lane.id, socket))
            case .refusal:
                lane.bridge?.reset()
                lane.dropBridge()
                self.feed(.bridgeClosed(lane.id, socket))
            case .signal(let signal):
                lane.bridgeIn.removeFirst(count)
                self.feed(.signal(lane.id, socket, signal))
            case .data(let data):
                let end = count + Int(data.payloadByteCount)
                guard lane.bridgeIn.count >= end else { return false }
                self.payload = Array(lane.bridgeIn[count..<end])
                lane.bridgeIn.removeFirst(end)
                self.feed(
                    .data(
                        lane.id,
                        socket,
                        generation: data.generation,
                        position: data.position,
                        byteCount: data.contentByteCount
                    )
                )
            }
            return true
        } catch {
            Issue.record("\(error)")
            return false
        }
    }

    private func flushEngine(_ lane: SimulatedLane) {
        if let engine = lane.engine {
            let count = engine.send(lane.received[...])
            lane.received.removeFirst(count)
            lane.deliveredByteCount += count
        }
        if let generation = lane.delivering, lane.received.isEmpty {
            lane.delivering = nil
            self.feed(.deliveryDrained(lane.id, generation: generation))
        }
    }
}
