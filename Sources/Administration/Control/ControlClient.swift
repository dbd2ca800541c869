// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A tool's connection to a daemon's control socket.
package struct ControlClient<Service: ControlService>: ~Copyable {
    private let socket: LocalSocket
    private var framer = LineFramer(maximum: AdministrationLimits.replyLineBytes)

    /// The descriptor, readable when a reply may have come, for a tool that waits for more.
    package var descriptor: Int32 { self.socket.descriptor }

    /// Whether ``nextReply(until:)`` has a reply without waiting.
    package var hasBufferedLine: Bool { self.framer.hasWholeLine }

    /// Connects to the daemon at `path`.
    ///
    /// - Throws: ``ControlError/unreachable(daemon:path:errno:)`` if nobody listens there.
    package init(path: String) throws(ControlError) {
        let address = try LocalSocket.address(of: path)
        let socket = try LocalSocket.make()
        socket.makeNonBlocking()
        let deadline = Deadline.after(AdministrationLimits.connectTime)
        var reason = socket.connect(to: address)
        while reason == EINTR || reason == EAGAIN, ContinuousClock.now < deadline {
            // The daemon's backlog is full; there is nothing to wait for but time.
            usleep(10_000)
            reason = socket.connect(to: address)
        }
        guard reason == 0 else {
            close(socket.descriptor)
            throw .unreachable(daemon: Service.daemonName, path: path, errno: reason)
        }
        self.socket = socket
    }

    deinit { close(self.socket.descriptor) }

    /// Sends `request`; its replies come by ``nextReply(until:)``.
    package mutating func send(_ request: Service.Request) throws(ControlError) {
        do throws(ControlError) {
            let line = ControlCoding.line(request)
            try self.socket.send(line, until: .after(AdministrationLimits.requestTime))
        } catch .closed {
            // A daemon that turns a client away says why before it closes.
            return
        }
    }

    /// The next reply; nil if the deadline passed first.
    ///
    /// A nil deadline waits for ever.
    package mutating func nextReply(until deadline: Deadline?) throws(ControlError)
        -> ControlReply<Service.Payload>?
    {
        while true {
            if let line = try self.framer.next() {
                return try ControlCoding.decode(ControlReply<Service.Payload>.self, from: line)
            }
            guard let received = try self.socket.receive(until: deadline) else { return nil }
            guard !received.isEmpty else { throw .closed }
            self.framer.append(received)
        }
    }

    /// Sends `request` and waits for the end of its answer; items before it go to `item`.
    ///
    /// - Parameter time: nil waits as long as the daemon lives.
    package mutating func call(
        _ request: Service.Request,
        within time: Duration? = AdministrationLimits.answerTime,
        item: (Service.Payload) -> Void = { _ in }
    ) throws(ControlError) -> ControlReply<Service.Payload> {
        let deadline = time.map { Deadline.after($0) }
        try self.send(request)
        while true {
            guard let reply = try self.nextReply(until: deadline) else {
                throw .timedOut(
                    what: "\(Service.daemonName) did not answer within "
                        + "\(time?.components.seconds ?? 0) seconds"
                )
            }
            if reply.isLast { return reply }
            if let payload = reply.payload { item(payload) }
        }
    }
}
