// SPDX-License-Identifier: Apache-2.0

package import EngineCore
import Primitives
package import Reactor

/// One reactor's thread of the engine: NBD clients, resources, their disks and their peers.
///
/// It carries out what ``EngineCore/Resource`` and ``EngineCore/ExportSession`` decide and reports
/// what came of it; it decides nothing about data. Other threads talk to it by ``perform(_:)``.
package final class EngineLoop {
    package let reactor: Reactor
    let configuration: EngineConfiguration
    let state: UnsafeMutablePointer<EngineState>
    let mailbox: Mailbox<LoopTask<EngineLoop>>
    let log: LoopLog
    /// Nil but in tests of power cuts.
    let interposer: (any DiskInterposer)?
    /// Called on the loop's thread when something has changed that `status` shows.
    package var onChange: ((_ resource: Int, _ change: ResourceChange) -> Void)?

    /// Sets up the loop and listens for NBD clients.
    ///
    /// - Throws: ``Reactor/ReactorError`` if io_uring is not available or an address is taken.
    package init(
        _ configuration: EngineConfiguration,
        log: LoopLog,
        interposer: (any DiskInterposer)? = nil
    ) throws(ReactorError) {
        var limits = ReactorLimits()
        limits.connections =
            EngineConfiguration.clientMaximum + 8
            + 4 * EngineConfiguration.resourceMaximum
        limits.listeners = EngineConfiguration.resourceMaximum + 16
        limits.files = 1024
        // Whatever the clients have under way, the metadata's and the peers' operations find room.
        limits.fileOperations = EngineState.pieceMaximum + 32_768
        limits.buffers = EngineConfiguration.bufferClasses
        self.reactor = try Reactor(limits)
        self.configuration = configuration
        self.log = log
        self.interposer = interposer
        self.mailbox = Mailbox(waking: self.reactor.waker)
        self.state = .allocate(capacity: 1)
        self.state.initialize(
            to: EngineState(
                connections: limits.connections,
                files: limits.files,
                seed: UInt64.random(in: 0 ... .max)
            )
        )
        for address in configuration.nbdAddresses {
            let listener = try self.reactor.listen(on: address, options: Self.clientOptions)
            self.state.pointee.nbdListeners.append(listener)
        }
        if let notice = self.reactor.bufferNotice { log.note(notice) }
    }

    deinit {
        self.state.deinitialize(count: 1)
        self.state.deallocate()
    }

    /// What other threads use to talk to the loop.
    package var handle: LoopHandle<EngineLoop> {
        LoopHandle(mailbox: self.mailbox, waker: self.reactor.waker)
    }

    /// Has `task` carried out later on the loop's thread.
    func later(_ task: @escaping @Sendable (EngineLoop) -> Void) {
        let isPosted = self.mailbox.post(LoopTask(body: task))
        invariant(isPosted, "the mailbox has room for the loop's own tasks")
    }

    /// Runs until another thread asks the loop to stop by the reactor's waker.
    package func run() {
        while !self.state.pointee.isStopping || !self.isStopped {
            self.reactor.turn(until: self.nextDeadline)
            while let event = self.reactor.next() { self.handle(event) }
            self.serveMessages()
            self.serveInterposer()
            self.serveDeadlines()
            self.serveBufferWaiters()
        }
        self.endCommands()
    }

    private func handle(_ event: Event) {
        switch event {
        case .accepted(let connection, let listener): self.accepted(connection, by: listener)
        case .connected(let connection): self.peerConnected(connection)
        case .received(let connection, _, let count): self.received(connection, count, isEnd: false)
        case .endOfStream(let connection, _, let count):
            self.received(connection, count, isEnd: true)
        case .receiveAbandoned(let connection, _): self.receiveAbandoned(connection)
        case .sent(let connection, let token): self.sent(connection, token)
        case .sendAbandoned(let connection, let token): self.sendAbandoned(connection, token)
        case .sendReady(let connection): self.sendReady(connection)
        case .failed(let connection, let code): self.connectionFailed(connection, code)
        case .closed(let connection): self.connectionClosed(connection)
        case .acceptFailed(_, let code): self.log.warn("accepting a connection failed: \(code)")
        case .fileCompleted(let file, let token, let count):
            self.fileDone(file, token, count, nil)
        case .fileFailed(let file, let token, let code): self.fileDone(file, token, 0, code)
        case .fileClosed(let file): self.fileClosed(file)
        case .messages: self.state.pointee.hasMessages = true
        case .stopRequested: self.beginStop()
        case .signal: self.beginStop()
        }
    }

    /// Carries out what other threads ask for, after all else that has happened: who closes a
    /// client, and then gives a command, finds the client gone.
    private func serveMessages() {
        guard self.state.pointee.hasMessages else { return }
        self.state.pointee.hasMessages = false
        for task in self.mailbox.drain() { task.body(self) }
    }

    /// What a connection is, from the word that the reactor keeps for it.
    func owner(of connection: ConnectionID) -> ConnectionOwner {
        self.state.pointee.owners[Int(connection.slot)]
    }

    private func accepted(_ connection: ConnectionID, by listener: ListenerID) {
        if self.state.pointee.nbdListeners.contains(listener) {
            self.clientConnected(connection)
        } else if let resource = self.state.pointee.peerListeners[listener.slot] {
            self.peerAccepted(connection, resource: resource)
        } else {
            self.reactor.abort(connection)
        }
    }

    private func received(_ connection: ConnectionID, _ count: Int, isEnd: Bool) {
        switch self.owner(of: connection) {
        case .none: break
        case .client(let index): self.clientReceived(index, count, isEnd: isEnd)
        case .pairing(let resource): self.pairingReceived(connection, resource, count, isEnd: isEnd)
        case .peer(let resource, let socket):
            self.peerReceived(resource, socket, count, isEnd: isEnd)
        }
    }

    private func receiveAbandoned(_ connection: ConnectionID) {
        if case .client(let index) = self.owner(of: connection) {
            self.clientReceiveAbandoned(index)
        }
    }

    private func sent(_ connection: ConnectionID, _ token: UInt64) {
        switch self.owner(of: connection) {
        case .none, .pairing: self.releaseSent(token)
        case .client(let index): self.clientSent(index, token)
        case .peer(let resource, let socket): self.peerSent(resource, socket, token)
        }
    }

    private func sendAbandoned(_ connection: ConnectionID, _ token: UInt64) {
        switch self.owner(of: connection) {
        case .none, .pairing, .peer: self.releaseSent(token)
        case .client(let index): self.clientSent(index, token)
        }
    }

    private func sendReady(_ connection: ConnectionID) {
        switch self.owner(of: connection) {
        case .none, .pairing: break
        case .client(let index): self.clientSendReady(index)
        case .peer(let resource, let socket): self.peerSendReady(resource, socket)
        }
    }

    private func connectionFailed(_ connection: ConnectionID, _ code: Errno) {
        switch self.owner(of: connection) {
        case .none: break
        case .client(let index): self.clientLost(index)
        case .pairing(let resource): self.pairingFailed(connection, resource, code)
        case .peer(let resource, let socket): self.peerFailed(resource, socket, code)
        }
    }

    private func connectionClosed(_ connection: ConnectionID) {
        let owner = self.owner(of: connection)
        self.state.pointee.owners[Int(connection.slot)] = .none
        self.releaseRetired(connection.slot)
        if case .client(let index) = owner { self.clientClosed(index) }
    }

    // MARK: Time and end

    private var nextDeadline: Instant {
        var next = Instant.distantFuture
        for index in 0..<self.state.pointee.resources.end
        where self.state.pointee.resources.contains(index) {
            let resource = self.state.pointee.resources.address(index)
            next = min(next, resource.pointee.nextDeadline)
        }
        if let interposer = self.interposer { next = min(next, interposer.nextCompletion) }
        return min(next, self.state.pointee.nextClientDeadline)
    }

    private func serveDeadlines() {
        let now = self.reactor.now
        for index in 0..<self.state.pointee.resources.end
        where self.state.pointee.resources.contains(index) {
            let resource = self.state.pointee.resources.address(index)
            if resource.pointee.core.nextDeadline <= now { self.deliver(.timer, to: index) }
            if resource.pointee.lossDeadline <= now { self.lastWordsOver(index) }
            if resource.pointee.pairingDeadline <= now { self.pairing(.deadline, of: index) }
        }
        if self.state.pointee.nextClientDeadline <= now { self.serveClientDeadlines() }
    }

    /// The loop ends when every client has got its answers, or after a few seconds.
    private func beginStop() {
        guard !self.state.pointee.isStopping else { return }
        self.state.pointee.isStopping = true
        self.state.pointee.stopDeadline = self.reactor.now + .seconds(5)
        for listener in self.state.pointee.nbdListeners { self.reactor.close(listener) }
        self.shutdownClients()
    }

    private var isStopped: Bool {
        self.state.pointee.clients.count == 0 || self.state.pointee.stopDeadline <= self.reactor.now
    }
}
