// SPDX-License-Identifier: Apache-2.0

import Administration
import DRXCore
import Foundation
import Primitives
import Reactor
import Wire

/// Drives the ``RelayConnection`` of one connection: carries out its actions on the loop's sockets
/// and reports what happens.
///
/// Events that an action causes at once wait in `pending`; the machine is never entered twice.
final class RelayDriver {
    let settings: RelaySettings
    let agreement: BridgeAgreement
    unowned let loop: RelayLoop
    private(set) var machine: RelayConnection
    private var actions = RelayConnection.Actions()
    private(set) var lanes: [RelayLane] = []
    private var buffer: ByteRing?

    /// The listener for the engine, and when to try again to open it.
    private(set) var insideListener: ListenerID?
    private(set) var insideRetryAt = Instant.distantFuture
    private var insideFailures = 0
    private(set) var acceptsBridges = false
    /// Accepted connections that the machine has not placed yet.
    private var arrivedBridges: [SocketID: BridgeSocket] = [:]
    private var arrivedEngines: [SocketID: EngineSocket] = [:]

    /// The data frame that the machine is told of, until it says where the payload goes.
    var arrived: (data: BridgeData, payload: UnsafeRawBufferPointer)?

    /// What others can cause as often as they like.
    private var notes = MessageLimit(burst: 100, interval: .milliseconds(500))
    private var warnings = MessageLimit(burst: 5, interval: .seconds(10))

    private var pending: [RelayConnection.Event] = []
    private var isRunning = false
    private var hasFed = false
    private(set) var isFinished = false
    /// Called when everything is closed.
    var onFinished: [() -> Void] = []

    init(_ settings: RelaySettings, _ loop: RelayLoop) {
        self.settings = settings
        self.loop = loop
        self.agreement = BridgeAgreement(
            name: settings.name,
            plugins: settings.plugins,
            incarnation: loop.incarnation
        )
        self.machine = RelayConnection(times: settings.times, seed: UInt64.random(in: 0 ... .max))
        self.lanes = LaneID.all.map { RelayLane($0, self) }
    }

    var reactor: Reactor { self.loop.reactor }

    var nextDeadline: Instant { min(self.machine.nextDeadline, self.insideRetryAt) }

    func lane(_ id: LaneID) -> RelayLane { self.lanes[Int(id.role.rawValue) * 2 + Int(id.index)] }

    // MARK: Turns

    /// Reports `event` and does all that follows.
    func post(_ event: RelayConnection.Event) {
        self.pending.append(event)
        self.run()
    }

    /// Feeds the machine and moves bytes until nothing changes.
    func run() {
        guard !self.isRunning, !self.isFinished else { return }
        self.isRunning = true
        repeat {
            self.hasFed = false
            while !self.pending.isEmpty { self.feed(self.pending.removeFirst()) }
            for lane in self.lanes { self.pump(lane) }
        } while self.hasFed || !self.pending.isEmpty
        self.isRunning = false
        if self.isFinished { self.loop.finished(self) }
    }

    func serveDeadlines() {
        let now = self.reactor.now
        if self.insideRetryAt <= now { self.openInside() }
        if self.machine.nextDeadline <= now { self.post(.deadline) }
    }

    /// Enters the machine; only for ``run()`` and what it calls.
    func feed(_ event: RelayConnection.Event) {
        self.hasFed = true
        self.machine.receive(event, at: self.reactor.now, into: &self.actions)
        while let action = self.actions.popFirst() { self.apply(action) }
    }

    private func apply(_ action: RelayConnection.Action) {
        switch action {
        case .allocateBuffer: self.allocate()
        case .acceptBridges(let isWanted): self.acceptBridges(isWanted)
        case .acceptEngines(let isWanted):
            if isWanted { self.openInside() } else { self.closeInside() }
        case .dialBridge(let id, let socket): self.dialBridge(self.lane(id), socket)
        case .sendHello(let id, let socket):
            self.send(self.agreement.hello(lane: id).bytes, self.lane(id), socket)
        case .sendWelcome(let id, let socket): self.adoptBridge(self.lane(id), socket)
        case .send(let id, let socket, let signal):
            var bytes = [UInt8](repeating: 0, count: BridgeLimits.headerByteCount)
            bytes.withUnsafeMutableBytes { signal.header.encode(into: $0) }
            self.send(bytes, self.lane(id), socket)
        case .closeBridge(let id, let socket, let end):
            self.closeBridge(self.lane(id), socket, end)
        case .readInitialPacket(let id, let socket): self.adoptEngine(self.lane(id), socket)
        case .dialEngine(let id, let socket): self.dialEngine(self.lane(id), socket)
        case .closeEngine(let id, let socket, let orderly):
            self.closeEngine(self.lane(id), socket, orderly: orderly)
        case .startRelaying(let id, _, let generation):
            self.startRelaying(self.lane(id), generation)
        case .finishTransmit(let id, let generation):
            self.lane(id).isReading = false
            self.lane(id).finishing = generation
        case .dropTransmit(let id):
            self.lane(id).isReading = false
            self.lane(id).relaying = nil
            self.lane(id).finishing = nil
            self.lane(id).transmit.removeAll()
        case .deliver(let id, let byteCount): self.deliver(self.lane(id), Int(byteCount))
        case .discard: break
        case .finishDelivery(let id, let generation): self.lane(id).delivering = generation
        case .grantBuffer(let id):
            if let buffer = self.buffer { self.lane(id).transmit.grant(buffer) }
        case .releaseBuffer(let id): self.lane(id).transmit.release()
        case .stateChanged(let id, let state): self.stateChanged(self.lane(id), state)
        case .finished:
            self.isFinished = true
            self.closeInside()
            self.buffer?.abandon()
        }
    }

    private func stateChanged(_ lane: RelayLane, _ state: ChannelState) {
        lane.upSince = state == .established ? Date() : nil
        let index = lane.id.index == 0 ? "" : " (second lane)"
        self.note("\(lane.id.role.name)\(index) is \(state.name)")
    }

    func note(_ text: String) {
        guard let text = self.notes.admitted(text, at: self.reactor.now) else { return }
        self.loop.log.note("\(self.settings.name.text): \(text)")
    }

    func warn(_ text: String) { self.loop.log.warn("\(self.settings.name.text): \(text)") }

    func warnLimited(_ text: String) {
        if let text = self.warnings.admitted(text, at: self.reactor.now) { self.warn(text) }
    }

    // MARK: The buffer

    private func allocate() {
        guard let memory = BufferMemory(byteCount: self.settings.memoryByteCount) else {
            self.bufferFailed()
            return
        }
        let ring = ByteRing(memory)
        self.buffer = ring
        let name = self.settings.arguments.name
        let number = ObjectIdentifier(memory)
        memory.populate { [handle = self.loop.handle] usable in
            _ = handle.perform { $0.bufferGrew(name, number, to: usable) }
        }
    }

    /// The thread of `memory` has faulted in more; nil if it could not.
    ///
    /// A thread that is on its way out still speaks of an earlier buffer of the same name.
    func bufferGrew(_ memory: ObjectIdentifier, to usable: Int?) {
        guard let buffer = self.buffer, buffer.isOn(memory) else { return }
        guard let usable else {
            if buffer.accounting.usable == 0 { return self.bufferFailed() }
            self.warn(
                "the machine has no more memory: the buffer stays at \(buffer.accounting.usable) "
                    + "of \(buffer.accounting.capacity) bytes; lower memlimit"
            )
            return
        }
        guard usable > Int(buffer.accounting.usable) else { return }
        let isFirst = buffer.accounting.usable == 0
        buffer.accounting.grow(to: UInt64(usable))
        if isFirst { self.post(.bufferReady) } else { self.run() }
    }

    private func bufferFailed() {
        self.buffer = nil
        self.warn("no memory for a buffer of \(self.settings.memoryByteCount) bytes; trying again")
        self.pending.append(.bufferFailed)
        self.run()
    }

    // MARK: Listeners

    private func acceptBridges(_ isWanted: Bool) {
        guard isWanted != self.acceptsBridges else { return }
        self.acceptsBridges = isWanted
        self.loop.listenOutside(self.settings, isWanted)
    }

    private func openInside() {
        self.insideRetryAt = .distantFuture
        guard self.insideListener == nil else { return }
        do throws(ReactorError) {
            self.insideListener = try self.reactor.listen(
                on: self.settings.inside,
                options: self.settings.engineOptions
            )
            self.insideFailures = 0
        } catch {
            // The listener before this one may still be on its way out.
            self.insideFailures += 1
            if self.insideFailures == 20 { self.warn("waiting for inside: \(error)") }
            let pause = min(1000, 10 * UInt64(self.insideFailures))
            self.insideRetryAt = self.reactor.now + .milliseconds(pause)
        }
    }

    private func closeInside() {
        self.insideRetryAt = .distantFuture
        self.insideFailures = 0
        guard let listener = self.insideListener else { return }
        self.insideListener = nil
        self.reactor.close(listener)
    }

    // MARK: Arrivals

    /// The local engine has dialled `inside`.
    func engineArrived(_ connection: ConnectionID) {
        let socket = self.machine.nextSocket()
        let engine = self.makeEngine(connection, socket)
        self.loop.own(.engine(engine), connection)
        self.arrivedEngines[socket] = engine
        self.post(.engineArrived(socket))
    }

    /// A remote relay has greeted, and the greeting agrees with this connection.
    func bridgeArrived(_ bridge: BridgeSocket, lane: UInt8) {
        let socket = self.machine.nextSocket()
        self.arrivedBridges[socket] = bridge
        self.post(.bridgeArrived(LaneID(.acceptor, lane), socket))
    }

    func takeArrivedBridge(_ socket: SocketID) -> BridgeSocket? {
        self.arrivedBridges.removeValue(forKey: socket)
    }

    func takeArrivedEngine(_ socket: SocketID) -> EngineSocket? {
        self.arrivedEngines.removeValue(forKey: socket)
    }

    /// Reports `event` when the machine is through with the present one.
    func postLater(_ event: RelayConnection.Event) { self.pending.append(event) }

    /// The buffer's books for the report.
    func report(_ report: inout RelayReport.Buffer) {
        report.size = UInt64(self.settings.memoryByteCount)
        guard let buffer = self.buffer else { return }
        report.usable = buffer.accounting.usable
        report.used = buffer.accounting.used
        report.begin = buffer.accounting.begin
        report.end = buffer.accounting.end
        report.latencyMilliseconds = buffer.accounting.latency(at: self.reactor.now).milliseconds
    }
}
