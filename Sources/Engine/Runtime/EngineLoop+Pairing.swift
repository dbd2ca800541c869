// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Glibc
import Primitives
import Reactor
import Wire

/// Looking for the peer: listening, dialling, and sorting out which two sockets to use.
extension EngineLoop {
    func openTransport(_ index: Int) {
        let resource = self.resource(index)
        guard let peer = resource.pointee.peer else { return }
        do throws(ReactorError) {
            let listener = try self.reactor.listen(on: peer.local, options: peer.options)
            resource.pointee.listener = listener
            self.state.pointee.peerListeners[listener.slot] = index
        } catch {
            self.log.warn(
                "resource \(resource.pointee.name): cannot listen for the peer on "
                    + "\(peer.local): \(error)"
            )
        }
        let network = resource.pointee.core.parameters.network
        resource.pointee.pairing = SocketPairing(
            timing: SocketPairing.Timing(
                connectInterval: network.connectInterval,
                pingTimeout: network.pingTimeout,
                socketCheckTimeout: network.socketCheckTimeout
            ),
            start: self.reactor.now
        )
    }

    /// Closes whatever there is of a transport; the core hears nothing more of it.
    ///
    /// The meta socket ends after the peer's: a peer that sees its end first never reads why, from
    /// the data socket, and would connect again where it should not.
    func closeTransport(_ index: Int, peerHasEnded: Bool) {
        let resource = self.resource(index)
        if resource.pointee.pairing != nil { self.pairing(.stop, of: index) }
        self.endPairing(index)
        if let data = resource.pointee.data { self.closeStream(data, afterPeer: false) }
        if let meta = resource.pointee.meta { self.closeStream(meta, afterPeer: !peerHasEnded) }
        resource.pointee.data = nil
        resource.pointee.meta = nil
        resource.pointee.agreement = .none
        resource.pointee.lossDeadline = .distantFuture
    }

    private func endPairing(_ index: Int) {
        let resource = self.resource(index)
        resource.pointee.pairing = nil
        for (_, socket) in resource.pointee.pairingSockets { self.closePairing(socket) }
        resource.pointee.pairingSockets = [:]
        if let listener = resource.pointee.listener {
            self.state.pointee.peerListeners[listener.slot] = nil
            self.reactor.close(listener)
            resource.pointee.listener = nil
        }
    }

    private func closePairing(_ socket: PairingSocket) {
        self.state.pointee.owners[Int(socket.connection.slot)] = .none
        if let header = socket.header {
            self.state.pointee.retiredMemory[socket.connection.slot] = header
        }
        self.reactor.close(socket.connection, deadline: self.reactor.now + .seconds(1))
    }

    /// Gives the pairing an event and carries out what it asks for.
    func pairing(_ event: SocketPairing.Event, of index: Int) {
        let resource = self.resource(index)
        guard resource.pointee.pairing != nil else { return }
        resource.pointee.pairing?.receive(
            event,
            random: self.state.pointee.random.next(),
            at: self.reactor.now,
            into: &resource.pointee.pairingActions
        )
        while let action = resource.pointee.pairingActions.popFirst() {
            self.apply(action, of: index)
        }
    }

    private func apply(_ action: SocketPairing.Action, of index: Int) {
        let resource = self.resource(index)
        switch action {
        case .dial: self.dial(index)
        case .cancelDial:
            for (slot, socket) in resource.pointee.pairingSockets
            where !self.reactor.isOpen(socket.connection) {
                self.closePairing(socket)
                resource.pointee.pairingSockets[slot] = nil
            }
        case .sendFirstPacket(let slot, let kind): self.sendFirstPacket(index, slot, kind)
        case .readFirstPacket(let slot): self.readFirstPacket(index, slot)
        case .close(let slot):
            guard let socket = resource.pointee.pairingSockets.removeValue(forKey: slot) else {
                return
            }
            self.closePairing(socket)
        case .probe(let data, let meta):
            let dataIsAlive = self.isAlive(index, data)
            let metaIsAlive = self.isAlive(index, meta)
            self.pairing(.probed(dataIsAlive: dataIsAlive, metaIsAlive: metaIsAlive), of: index)
        case .established(let data, let meta, let resolvesConflicts):
            self.established(index, data, meta, resolvesConflicts)
        }
    }

    private func dial(_ index: Int) {
        let resource = self.resource(index)
        guard let peer = resource.pointee.peer else { return }
        let limit = resource.pointee.core.parameters.network.connectInterval
        do throws(ReactorError) {
            let connection = try self.reactor.connect(
                to: peer.remote,
                deadline: self.reactor.now + limit,
                options: peer.options
            )
            self.state.pointee.owners[Int(connection.slot)] = .pairing(resource: index)
            resource.pointee.pairingSockets[connection.slot] = PairingSocket(connection: connection)
        } catch {
            self.later { loop in
                guard loop.state.pointee.resources.contains(index) else { return }
                loop.pairing(.dialFailed, of: index)
            }
        }
    }

    func peerConnected(_ connection: ConnectionID) {
        guard case .pairing(let index) = self.owner(of: connection) else { return }
        self.resource(index).pointee.pairingSockets[connection.slot]?.isConnected = true
        self.pairing(.dialled(connection.slot), of: index)
    }

    func peerAccepted(_ connection: ConnectionID, resource index: Int) {
        let resource = self.resource(index)
        guard resource.pointee.pairing != nil else { return self.reactor.abort(connection) }
        self.state.pointee.owners[Int(connection.slot)] = .pairing(resource: index)
        resource.pointee.pairingSockets[connection.slot] = PairingSocket(
            connection: connection,
            isConnected: true
        )
        self.pairing(.accepted(connection.slot), of: index)
    }

    private func sendFirstPacket(_ index: Int, _ slot: UInt32, _ kind: SocketPairing.Kind) {
        guard let socket = self.resource(index).pointee.pairingSockets[slot] else { return }
        let packet: Packet = kind == .data ? .initialData : .initialMeta
        withUnsafeTemporaryAllocation(
            byteCount: ReplicationLimits.headByteCount,
            alignment: 8
        ) { memory in
            let count = packet.encode(into: memory, under: .none)
            _ = self.reactor.send(
                copying: UnsafeRawBufferPointer(rebasing: memory[..<count]),
                on: socket.connection
            )
        }
    }

    private func readFirstPacket(_ index: Int, _ slot: UInt32) {
        guard var socket = self.resource(index).pointee.pairingSockets[slot] else { return }
        let header = UnsafeMutableRawBufferPointer.allocate(byteCount: 8, alignment: 8)
        socket.header = header
        self.resource(index).pointee.pairingSockets[slot] = socket
        self.reactor.receive(on: socket.connection, into: header, atLeast: header.count)
    }

    func pairingReceived(_ connection: ConnectionID, _ index: Int, _ count: Int, isEnd: Bool) {
        let resource = self.resource(index)
        guard var socket = resource.pointee.pairingSockets[connection.slot],
            let header = socket.header
        else { return }
        if isEnd { return self.pairing(.closed(connection.slot), of: index) }
        let kind = Self.kind(UnsafeRawBufferPointer(header))
        header.deallocate()
        socket.header = nil
        resource.pointee.pairingSockets[connection.slot] = socket
        if let kind {
            self.pairing(.firstPacket(connection.slot, kind), of: index)
        } else {
            self.pairing(.badFirstPacket(connection.slot), of: index)
        }
    }

    /// What the first packet of a socket says it is for; nil if it is another packet.
    private static func kind(_ bytes: UnsafeRawBufferPointer) -> SocketPairing.Kind? {
        do throws(WireError) {
            let progress = try PacketFrame.decode(bytes.bytes, on: .undecided, under: .none)
            guard case .head(let frame) = progress else { return nil }
            if frame.packet == .initialData { return .data }
            return frame.packet == .initialMeta ? .meta : nil
        } catch { return nil }
    }

    func pairingFailed(_ connection: ConnectionID, _ index: Int, _ code: Errno) {
        let resource = self.resource(index)
        guard let socket = resource.pointee.pairingSockets[connection.slot] else { return }
        self.state.pointee.owners[Int(connection.slot)] = .none
        if let header = socket.header {
            self.state.pointee.retiredMemory[connection.slot] = header
        }
        resource.pointee.pairingSockets[connection.slot] = nil
        self.pairing(socket.isConnected ? .closed(connection.slot) : .dialFailed, of: index)
    }

    private func isAlive(_ index: Int, _ slot: UInt32) -> Bool {
        guard let socket = self.resource(index).pointee.pairingSockets[slot] else { return false }
        return self.reactor.isAlive(socket.connection)
    }

    private func established(
        _ index: Int,
        _ data: UInt32,
        _ meta: UInt32,
        _ resolvesConflicts: Bool
    ) {
        let resource = self.resource(index)
        guard let dataSocket = resource.pointee.pairingSockets.removeValue(forKey: data),
            let metaSocket = resource.pointee.pairingSockets.removeValue(forKey: meta)
        else { return }
        self.endPairing(index)
        let dataStream = PeerStream.make(connection: dataSocket.connection, socket: .data)
        let metaStream = PeerStream.make(connection: metaSocket.connection, socket: .meta)
        resource.pointee.data = dataStream
        resource.pointee.meta = metaStream
        resource.pointee.agreement = .none
        self.state.pointee.owners[Int(dataSocket.connection.slot)] = .peer(resource: index, .data)
        self.state.pointee.owners[Int(metaSocket.connection.slot)] = .peer(resource: index, .meta)
        var challenge = [UInt8](repeating: 0, count: ShortBytes.capacity)
        _ = getentropy(&challenge, challenge.count)
        resource.pointee.ownChallenge = ShortBytes(challenge) ?? ShortBytes()
        self.deliver(
            .transportEstablished(
                resolvesConflicts: resolvesConflicts,
                challenge: resource.pointee.ownChallenge
            ),
            to: index
        )
        self.receivePeer(index, dataStream)
    }

    /// Reads the meta socket once the handshake is over.
    ///
    /// A peer that is through with it pings at once, and the ping may overtake its handshake, which
    /// goes over the data socket.
    func receiveMeta(_ index: Int) {
        let resource = self.resource(index)
        guard resource.pointee.core.link == .established, let meta = resource.pointee.meta else {
            return
        }
        self.receivePeer(index, meta)
    }
}
