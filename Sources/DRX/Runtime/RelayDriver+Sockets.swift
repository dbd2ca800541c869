// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Reactor
import Wire

/// Dialling, adopting and closing.
extension RelayDriver {
    /// The machine has deadlines of its own; this one only ends what it forgot.
    private var dialDeadline: Instant { self.reactor.now + .seconds(60) }

    // MARK: Bridges

    func dialBridge(_ lane: RelayLane, _ socket: SocketID) {
        do throws(ReactorError) {
            let connection = try self.reactor.connect(
                to: self.settings.peerOutside,
                deadline: self.dialDeadline,
                options: self.settings.bridgeOptions
            )
            let bridge = BridgeSocket(connection)
            self.loop.own(.bridge(bridge), connection)
            lane.setBridge(bridge, socket)
        } catch {
            self.warn("cannot dial the remote relay: \(error)")
            self.postLater(.bridgeClosed(lane.id, socket))
        }
    }

    /// Takes the connection of a remote relay that has greeted, and answers.
    func adoptBridge(_ lane: RelayLane, _ socket: SocketID) {
        guard let bridge = self.takeArrivedBridge(socket) else { return }
        bridge.isWelcomed = true
        lane.toldLoss = nil
        self.reactor.apply(self.settings.bridgeOptions, to: bridge.id)
        lane.setBridge(bridge, socket)
        let version = BridgeLimits.versions.upperBound
        let welcome = BridgeWelcome(version: version, incarnation: self.agreement.incarnation)
        self.send(welcome.bytes, lane, socket)
    }

    func send(_ bytes: [UInt8], _ lane: RelayLane, _ socket: SocketID) {
        guard let bridge = lane.bridge, bridge.socket == socket else { return }
        if bytes.withUnsafeBytes({ self.reactor.send(copying: $0, on: bridge.id) }) { return }
        self.bridgeLost(lane, "its queue takes no more")
    }

    func closeBridge(_ lane: RelayLane, _ socket: SocketID, _ end: BridgeEnd) {
        if let bridge = self.takeArrivedBridge(socket) { self.reactor.abort(bridge.id) }
        guard let bridge = lane.bridge, bridge.socket == socket else { return }
        switch end {
        case .down, .notWanted:
            // The ends of streams are still in the queue.
            self.reactor.close(bridge.id, deadline: self.reactor.now + RelayLane.closingTime)
        case .dialTimeout:
            self.noteLoss(lane, "the remote relay does not answer")
            self.reactor.abort(bridge.id)
        case .silence, .violation, .replaced, .remoteEndTimeout:
            self.warn("\(lane.id.role.name): bridge closed: \(end.text)")
            self.reactor.abort(bridge.id)
        }
        lane.dropBridge()
    }

    /// Gives up a bridge that failed or cannot be understood, and reports it.
    func bridgeLost(_ lane: RelayLane, _ reason: String) {
        guard let bridge = lane.bridge else { return }
        self.noteLoss(lane, reason)
        let socket = bridge.socket
        lane.dropBridge()
        self.reactor.abort(bridge.id)
        self.postLater(.bridgeClosed(lane.id, socket))
    }

    /// Says once per outage, and once for every other reason, why there is no bridge.
    private func noteLoss(_ lane: RelayLane, _ reason: String) {
        guard lane.toldLoss != reason else { return }
        lane.toldLoss = reason
        self.note("\(lane.id.role.name): no bridge: \(reason)")
    }

    // MARK: Engines

    func adoptEngine(_ lane: RelayLane, _ socket: SocketID) {
        guard let engine = self.takeArrivedEngine(socket) else { return }
        lane.setEngine(engine)
        lane.awaitsInitialPacket = true
    }

    func dialEngine(_ lane: RelayLane, _ socket: SocketID) {
        do throws(ReactorError) {
            let connection = try self.reactor.connect(
                to: self.settings.engine,
                deadline: self.dialDeadline,
                options: self.settings.engineOptions
            )
            let engine = self.makeEngine(connection, socket)
            self.loop.own(.engine(engine), connection)
            lane.setEngine(engine)
        } catch {
            self.warn("cannot dial the local engine: \(error)")
            self.postLater(.engineClosed(lane.id, socket))
        }
    }

    func closeEngine(_ lane: RelayLane, _ socket: SocketID, orderly: Bool) {
        if let engine = self.takeArrivedEngine(socket) { self.reactor.abort(engine.id) }
        guard let engine = lane.engine, engine.socket == socket else { return }
        if lane.awaitsInitialPacket { self.refuseStranger(engine, "said nothing in time") }
        if orderly {
            self.reactor.close(engine.id, deadline: self.reactor.now + RelayLane.closingTime)
        } else {
            self.reactor.abort(engine.id)
        }
        lane.dropEngine()
    }

    func makeEngine(_ connection: ConnectionID, _ socket: SocketID) -> EngineSocket {
        EngineSocket(
            connection,
            socket,
            blockCount: self.settings.receiveBlockCount,
            segmentMaximum: self.settings.receiveSegmentCount - 1
        )
    }

    /// The engine has ended its stream or its socket has failed.
    func engineLost(_ lane: RelayLane) {
        guard let engine = lane.engine else { return }
        let socket = engine.socket
        self.reactor.close(engine.id, deadline: self.reactor.now + RelayLane.closingTime)
        lane.dropEngine()
        self.postLater(.engineClosed(lane.id, socket))
    }

    /// Says who dialled `inside` and is no engine.
    func refuseStranger(_ engine: EngineSocket, _ reason: String) {
        let peer = self.reactor.peerAddress(of: engine.id).map { "\($0)" } ?? "somebody"
        let text =
            "\(peer) dialled inside \(self.settings.inside) and \(reason): closed; only the local "
            + "engine should use this address"
        self.warnLimited(text)
    }
}

extension BridgeEnd {
    fileprivate var text: String {
        switch self {
        case .silence: "nothing was heard of the remote relay; it is dead, frozen or cut off"
        case .dialTimeout: "the remote relay does not answer"
        case .violation: "the remote relay sent a frame that its stream forbids"
        case .replaced: "the remote relay has dialled anew"
        case .remoteEndTimeout: "the remote relay did not end a stream in time"
        case .notWanted: "it is not needed"
        case .down: "the connection is taken down"
        }
    }
}
