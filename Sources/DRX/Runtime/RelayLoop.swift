// SPDX-License-Identifier: Apache-2.0

import Administration
import DRXCore
import Primitives
package import Reactor
import Wire

/// The thread of a relay: one reactor with all connections' sockets.
///
/// It decides nothing about streams; each connection's ``RelayDriver`` carries out what its machine
/// says. Other threads talk to it by ``LoopHandle<RelayLoop>/perform(_:)``.
package final class RelayLoop {
    /// Who a connection of the reactor belongs to; kept until the reactor has let go of it, because
    /// it owns the memory that is lent.
    enum Owner {
        case none
        case bridge(BridgeSocket)
        case engine(EngineSocket)
    }

    package let reactor: Reactor
    let log: LoopLog
    /// Tells a relay that dials itself.
    let incarnation = UInt64.random(in: 0 ... .max)
    let mailbox: Mailbox<LoopTask<RelayLoop>>
    private(set) var drivers: [String: RelayDriver] = [:]
    private var owners: [Owner]
    /// Accepted connections whose remote relay has not greeted.
    private var greeting: [BridgeSocket] = []
    /// By address: connections may share their outside address.
    private var outsides: [String: Outside] = [:]
    private var stopDeadline: Instant?
    /// What others can cause as often as they like.
    private var warnings = MessageLimit(burst: 5, interval: .seconds(10))

    private struct Outside {
        var settings: RelaySettings
        var users = 0
        var listener: ListenerID?
        var retryAt = Instant.distantFuture
        var hasWarned = false
    }

    /// Connections that one relay carries.
    static let connectionMaximum = 120
    /// Strangers who have not said who they are.
    private static let greetingMaximum = 64
    private static let greetingTime = TimeSpan.seconds(6)
    private static let stopTime = TimeSpan.seconds(5)

    /// Sets up the loop.
    ///
    /// - Throws: ``Reactor/ReactorError`` if io_uring is not available.
    package init(log: LoopLog) throws(ReactorError) {
        var limits = ReactorLimits()
        limits.connections = 16 * Self.connectionMaximum + Self.greetingMaximum
        limits.listeners = 4 * Self.connectionMaximum
        limits.files = 1
        limits.fileOperations = 16
        self.reactor = try Reactor(limits)
        self.log = log
        self.mailbox = Mailbox(waking: self.reactor.waker)
        self.owners = Array(repeating: .none, count: limits.connections)
    }

    /// What other threads use to talk to the loop.
    package var handle: LoopHandle<RelayLoop> {
        LoopHandle(mailbox: self.mailbox, waker: self.reactor.waker)
    }

    /// Runs until a signal or another thread asks it to stop; then what was accepted is delivered,
    /// for a few seconds.
    package func run() {
        while !self.isStopped {
            self.reactor.turn(until: self.nextDeadline)
            while let event = self.reactor.next() { self.handle(event) }
            self.serveDeadlines()
        }
    }

    private func warnLimited(_ text: String) {
        if let text = self.warnings.admitted(text, at: self.reactor.now) { self.log.warn(text) }
    }

    func own(_ owner: Owner, _ connection: ConnectionID) {
        self.owners[Int(connection.slot)] = owner
    }

    // MARK: Events

    private func handle(_ event: Event) {
        switch event {
        case .accepted(let connection, let listener): self.accepted(connection, by: listener)
        case .connected(let connection): self.connected(connection)
        case .received(let connection, _, let count):
            self.received(connection, count, isEnd: false)
        case .endOfStream(let connection, _, let count):
            self.received(connection, count, isEnd: true)
        case .receiveAbandoned: break
        case .sent(let connection, let token): self.sent(connection, token, runs: true)
        case .sendAbandoned(let connection, let token): self.sent(connection, token, runs: false)
        case .sendReady: break
        case .failed(let connection, let code): self.failed(connection, code)
        case .closed(let connection): self.owners[Int(connection.slot)] = .none
        case .acceptFailed(_, let code):
            self.warnLimited("accepting a connection failed: \(code)")
        case .fileCompleted, .fileFailed, .fileClosed: break
        case .messages: for task in self.mailbox.drain() { task.body(self) }
        case .stopRequested, .signal: self.beginStop()
        }
    }

    private func accepted(_ connection: ConnectionID, by listener: ListenerID) {
        for driver in self.drivers.values where driver.insideListener == listener {
            return driver.engineArrived(connection)
        }
        let isOutside = self.outsides.values.contains { $0.listener == listener }
        guard isOutside else { return self.reactor.abort(connection) }
        if self.greeting.count == Self.greetingMaximum, let oldest = self.greeting.first {
            self.dropStranger(oldest, "gave way to a newer one before it said who it is")
        }
        let bridge = BridgeSocket(connection)
        bridge.greetingDeadline = self.reactor.now + Self.greetingTime
        self.own(.bridge(bridge), connection)
        self.greeting.append(bridge)
        bridge.isReceiving = self.reactor.receive(on: connection, into: bridge.receiveMemory())
    }

    private func connected(_ connection: ConnectionID) {
        switch self.owners[Int(connection.slot)] {
        case .none: break
        case .bridge(let bridge):
            guard let lane = bridge.lane else { return }
            lane.driver.post(.bridgeConnected(lane.id, bridge.socket))
        case .engine(let engine):
            guard let lane = engine.lane else { return }
            lane.driver.post(.engineConnected(lane.id, engine.socket))
        }
    }

    private func received(_ connection: ConnectionID, _ count: Int, isEnd: Bool) {
        switch self.owners[Int(connection.slot)] {
        case .none: break
        case .bridge(let bridge):
            bridge.arrived(count)
            if isEnd { bridge.hasEnded = true }
            if let lane = bridge.lane {
                lane.driver.run()
            } else if bridge.greetingDeadline != .distantFuture {
                self.readGreeting(bridge)
            }
        case .engine(let engine):
            engine.isReceiving = false
            guard let lane = engine.lane else { return }
            lane.driver.engineReceived(lane, count)
            if isEnd {
                lane.driver.run()
                lane.driver.engineLost(lane)
            }
            lane.driver.run()
        }
    }

    private func sent(_ connection: ConnectionID, _ token: UInt64, runs: Bool) {
        switch self.owners[Int(connection.slot)] {
        case .none: break
        case .bridge(let bridge):
            bridge.releaseFrame(Int(token))
            if runs { bridge.lane?.driver.run() }
        case .engine(let engine):
            engine.release(Int(token))
            if runs { engine.lane?.driver.run() }
        }
    }

    private func failed(_ connection: ConnectionID, _ code: Errno) {
        switch self.owners[Int(connection.slot)] {
        case .none: break
        case .bridge(let bridge):
            self.greeting.removeAll { $0 === bridge }
            guard let lane = bridge.lane else { return }
            lane.driver.bridgeLost(lane, "\(code)")
            lane.driver.run()
        case .engine(let engine):
            guard let lane = engine.lane else { return }
            lane.driver.engineLost(lane)
            lane.driver.run()
        }
    }

    // MARK: Greetings

    private func readGreeting(_ bridge: BridgeSocket) {
        do throws(BridgeError) {
            if let (frame, byteCount) = try BridgeFrame.decode(bridge.received.bytes) {
                bridge.consume(byteCount)
                guard case .hello(let hello) = frame else {
                    return self.dropStranger(bridge, "did not begin with a hello")
                }
                return self.greeted(bridge, hello)
            }
        } catch {
            return self.dropStranger(bridge, "\(error)")
        }
        guard !bridge.hasEnded else {
            return self.dropStranger(bridge, "left before it said who it is")
        }
        bridge.isReceiving = self.reactor.receive(on: bridge.id, into: bridge.receiveMemory())
    }

    private func greeted(_ bridge: BridgeSocket, _ hello: BridgeHello) {
        self.greeting.removeAll { $0 === bridge }
        bridge.greetingDeadline = .distantFuture
        guard let driver = self.drivers.values.first(where: { $0.agreement.isMeant(by: hello) })
        else { return self.refuse(bridge, BridgeAgreement.unknown(hello)) }
        switch driver.agreement.answer(hello) {
        case .failure(let refusal): self.refuse(bridge, refusal)
        case .success:
            guard driver.acceptsBridges else {
                let text = "connection \(driver.settings.name.text) is not ready"
                return self.refuse(bridge, BridgeRefusal(code: .notWanted, text: text))
            }
            driver.bridgeArrived(bridge, lane: hello.lane)
        }
    }

    private func refuse(_ bridge: BridgeSocket, _ refusal: BridgeRefusal) {
        self.warnLimited("a bridge was refused: \(refusal.text)")
        _ = refusal.bytes.withUnsafeBytes { self.reactor.send(copying: $0, on: bridge.id) }
        self.reactor.close(bridge.id, deadline: self.reactor.now + RelayLane.closingTime)
    }

    private func dropStranger(_ bridge: BridgeSocket, _ reason: String) {
        let peer = self.reactor.peerAddress(of: bridge.id).map { "\($0)" } ?? "somebody"
        self.warnLimited("a bridge from \(peer) was closed: \(reason)")
        self.greeting.removeAll { $0 === bridge }
        self.reactor.abort(bridge.id)
    }

    // MARK: Outside addresses

    /// Takes part in, or leaves, the listener at the outside address.
    func listenOutside(_ settings: RelaySettings, _ isWanted: Bool) {
        let key = settings.outside.description
        var outside = self.outsides[key] ?? Outside(settings: settings)
        outside.users += isWanted ? 1 : -1
        if outside.users == 0 {
            if let listener = outside.listener { self.reactor.close(listener) }
            self.outsides[key] = nil
            return
        }
        self.outsides[key] = outside
        if outside.listener == nil { self.openOutside(key) }
    }

    private func openOutside(_ key: String) {
        guard var outside = self.outsides[key] else { return }
        outside.retryAt = .distantFuture
        do throws(ReactorError) {
            outside.listener = try self.reactor.listen(
                on: outside.settings.outside,
                options: outside.settings.bridgeOptions
            )
        } catch {
            if !outside.hasWarned { self.log.warn("waiting for outside: \(error)") }
            outside.hasWarned = true
            outside.retryAt = self.reactor.now + .milliseconds(500)
        }
        self.outsides[key] = outside
    }

    // MARK: Connections

    /// Begins to relay a connection whose name is not in use.
    func add(_ settings: RelaySettings) {
        let driver = RelayDriver(settings, self)
        self.drivers[settings.arguments.name] = driver
        driver.post(.up)
    }

    /// A connection has closed everything.
    func finished(_ driver: RelayDriver) {
        self.drivers[driver.settings.arguments.name] = nil
        let callbacks = driver.onFinished
        driver.onFinished = []
        for callback in callbacks { callback() }
    }

    func bufferGrew(_ name: String, _ memory: ObjectIdentifier, to usable: Int?) {
        self.drivers[name]?.bufferGrew(memory, to: usable)
    }

    // MARK: Time and end

    private var nextDeadline: Instant {
        var next = self.stopDeadline ?? .distantFuture
        for driver in self.drivers.values { next = min(next, driver.nextDeadline) }
        for bridge in self.greeting { next = min(next, bridge.greetingDeadline) }
        for outside in self.outsides.values { next = min(next, outside.retryAt) }
        return next
    }

    private func serveDeadlines() {
        let now = self.reactor.now
        for driver in Array(self.drivers.values) where driver.nextDeadline <= now {
            driver.serveDeadlines()
        }
        for bridge in self.greeting where bridge.greetingDeadline <= now {
            self.dropStranger(bridge, "did not say who it is in time")
        }
        for (key, outside) in self.outsides where outside.retryAt <= now { self.openOutside(key) }
    }

    private func beginStop() {
        guard self.stopDeadline == nil else { return }
        self.stopDeadline = self.reactor.now + Self.stopTime
        for driver in Array(self.drivers.values) { driver.post(.down) }
    }

    private var isStopped: Bool {
        guard let deadline = self.stopDeadline else { return false }
        return self.drivers.isEmpty || deadline <= self.reactor.now
    }
}
