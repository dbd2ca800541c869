// SPDX-License-Identifier: Apache-2.0

import Foundation
import Locking

/// The control socket of a daemon: one thread that accepts, one for each client.
///
/// The socket has mode 0600, and a client has to be root or the daemon's user. Whatever a client
/// sends, the answer to a line that is no request is an error, and the connection is closed.
package final class ControlServer<Service: ControlService>: Sendable {
    /// Answers one request on the client's own thread: any number of items, then the last reply.
    ///
    /// It may wait, but has to look at ``ResponseStream/isOpen`` about once a second.
    package typealias Handler = @Sendable (Service.Request, ResponseStream<Service>) -> Void

    /// The path of the socket.
    package let path: String

    private let listener: LocalSocket
    private let permittedUsers: Set<UInt32>
    private let handler: Handler
    private let running = DispatchGroup()
    private let state: Guarded<State>

    private struct State: ~Copyable {
        var claim: SocketClaim?
        var clients: Set<Int32> = []
        var isStopping = false
    }

    /// Listens at `path` and answers from now on, until ``stop()``.
    ///
    /// - Parameter permittedUsers: who may ask; by default root and the user of this process.
    /// - Throws: ``ControlError`` if the path cannot be used or a daemon answers there already.
    package convenience init(
        path: String,
        permittedUsers: Set<UInt32> = [0, geteuid()],
        handler: @escaping Handler
    ) throws(ControlError) {
        self.init(
            claim: try SocketClaim(path: path, daemon: Service.daemonName),
            permittedUsers: permittedUsers,
            handler: handler
        )
    }

    /// Answers from now on at a socket that was claimed before, until ``stop()``.
    ///
    /// Clients that came in between are answered now.
    /// - Parameter permittedUsers: who may ask; by default root and the user of this process.
    package init(
        claim: consuming SocketClaim,
        permittedUsers: Set<UInt32> = [0, geteuid()],
        handler: @escaping Handler
    ) {
        self.path = claim.path
        self.listener = claim.listener
        self.permittedUsers = permittedUsers
        self.handler = handler
        self.state = Guarded(State(claim: consume claim))
        self.startThread("control") { $0.acceptClients() }
    }

    /// Closes the socket and waits for the handlers, at most `AdministrationLimits.stopTime`; the
    /// result tells whether all of them have ended.
    ///
    /// Handlers may end their answers for `AdministrationLimits.lastAnswerTime`, then the
    /// connections are closed.
    @discardableResult
    package func stop() -> Bool {
        self.state.withLock { state in
            guard !state.isStopping else { return }
            state.isStopping = true
            for client in state.clients { shutdown(client, Int32(SHUT_RD)) }
            shutdown(self.listener.descriptor, Int32(SHUT_RDWR))
        }
        let answerTime = AdministrationLimits.lastAnswerTime
        var ended = self.waitForHandlers(answerTime)
        if !ended {
            self.state.withLock { state in
                for client in state.clients { shutdown(client, Int32(SHUT_RDWR)) }
            }
            ended = self.waitForHandlers(AdministrationLimits.stopTime - answerTime)
        }
        self.state.withLock { state in
            state.claim = nil
        }
        return ended
    }

    private func waitForHandlers(_ time: Duration) -> Bool {
        let seconds = Int(time.components.seconds)
        return self.running.wait(timeout: .now() + .seconds(seconds)) == .success
    }

    private func startThread(_ name: String, _ body: @escaping @Sendable (ControlServer) -> Void) {
        self.running.enter()
        let thread = Thread {
            body(self)
            self.running.leave()
        }
        thread.name = name
        thread.start()
    }

    private func acceptClients() {
        while true {
            let descriptor = accept(self.listener.descriptor, nil, nil)
            if descriptor >= 0 {
                let socket = LocalSocket(descriptor: descriptor)
                socket.makeNonBlocking()
                self.admit(socket)
                continue
            }
            switch errno {
            case EINTR, ECONNABORTED: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                // Nothing can be said to the client; others will close theirs.
                Thread.sleep(forTimeInterval: 0.1)
                if self.state.withLock({ $0.isStopping }) { return }
            default: return
            }
        }
    }

    private enum Admission {
        case admitted
        case full
        case stopping
    }

    private func admit(_ socket: LocalSocket) {
        guard let user = socket.peerUserID, self.permittedUsers.contains(user) else {
            self.turnAway(
                socket,
                "permission denied: only root and the user of \(Service.daemonName) may use \(path)"
            )
            return
        }
        let admission = self.state.withLock { state -> Admission in
            if state.isStopping { return .stopping }
            guard state.clients.count < AdministrationLimits.clients else { return .full }
            state.clients.insert(socket.descriptor)
            return .admitted
        }
        switch admission {
        case .admitted: self.startThread("control-client") { $0.serve(socket) }
        case .full:
            self.turnAway(
                socket,
                "\(Service.daemonName) has \(AdministrationLimits.clients) control clients; "
                    + "close some of them"
            )
        case .stopping: close(socket.descriptor)
        }
    }

    private func turnAway(_ socket: LocalSocket, _ sentence: String) {
        ResponseStream<Service>(socket).finish(.failed, [sentence])
        close(socket.descriptor)
    }

    private func serve(_ socket: LocalSocket) {
        do throws(ControlError) {
            try self.answerRequests(of: socket)
        } catch {
            ResponseStream<Service>(socket).finish(.failed, ["\(error)"])
        }
        self.state.withLock { _ = $0.clients.remove(socket.descriptor) }
        close(socket.descriptor)
    }

    private func answerRequests(of socket: LocalSocket) throws(ControlError) {
        var framer = LineFramer(maximum: AdministrationLimits.requestLineBytes)
        var deadline = Deadline.after(AdministrationLimits.requestTime)
        while true {
            if let line = try framer.next() {
                let request = try ControlCoding.decode(Service.Request.self, from: line)
                let stream = ResponseStream<Service>(socket)
                self.handler(request, stream)
                stream.finishForgotten()
                guard stream.isOpen else { return }
                deadline = .after(AdministrationLimits.requestTime)
                continue
            }
            guard let received = try socket.receive(until: deadline) else {
                throw .timedOut(what: "no whole request line in time")
            }
            guard !received.isEmpty else {
                // An end between requests is a client's way to go.
                if framer.hasPartialLine { throw .closed }
                return
            }
            framer.append(received)
        }
    }
}
