// SPDX-License-Identifier: Apache-2.0

package import Administration
import CLinux
import Foundation
import Glibc
import Locking

/// A TCP link between two sites in user space: it listens, connects on, and passes both streams
/// with the delay, rate and outages of a WAN.
///
/// TCP itself is not simulated: each end has a local connection to the link, which acknowledges
/// at once what it buffers.
package final class Link: Sendable {
    /// Where the link listens, with the ports that were chosen.
    package let routes: [LinkRoute]

    let listeners: [TCPSocket]
    /// Readable when the inbox holds something.
    let wakeup: Int32
    private let settings: LinkSettings
    private let inbox = Guarded(Inbox())

    private struct Inbox {
        var requests: [PendingRequest] = []
        var isStopping = false
        var hasEnded = false

        /// No request is taken from now on; those that were are handed back.
        mutating func end() -> [PendingRequest] {
            self.hasEnded = true
            defer { self.requests = [] }
            return self.requests
        }
    }

    /// Listens at every route's address; connections are served by ``run()``.
    ///
    /// - Throws: ``LinkError`` if an address cannot be used.
    package init(_ routes: [LinkRoute], _ settings: LinkSettings) throws(LinkError) {
        guard routes.count <= LinkLimits.routes else {
            throw .tooMany("pairs of addresses", limit: LinkLimits.routes)
        }
        var listeners: [TCPSocket] = []
        do throws(LinkError) {
            for route in routes { listeners.append(try TCPSocket.listening(at: route.listen)) }
            self.wakeup = clinux_make_event_counter()
            guard self.wakeup >= 0 else {
                throw .system(operation: "make", object: "an event counter", errno: -self.wakeup)
            }
        } catch {
            for listener in listeners { listener.close() }
            throw error
        }
        self.listeners = listeners
        self.settings = settings
        self.routes = zip(routes, listeners).map { route, listener in
            LinkRoute(
                listen: LinkAddress(boundTo: listener.descriptor) ?? route.listen,
                target: route.target
            )
        }
    }

    deinit {
        for listener in self.listeners { listener.close() }
        Glibc.close(self.wakeup)
    }

    /// Serves the link on the calling thread until ``stop()``; may be called once.
    package func run() {
        var loop = LinkLoop(self, self.settings)
        while let requests = self.nextRequests() {
            for request in requests { request.answer(loop.perform(request.request)) }
            loop.turn()
        }
        loop.closeAll()
        for request in self.inbox.withLock({ $0.end() }) { request.answer(.stopped) }
    }

    /// Makes ``run()`` return, which closes every connection.
    package func stop() {
        self.inbox.withLock { $0.isStopping = true }
        self.wake()
    }

    /// Has the running link perform `request` and waits for it.
    package func perform(_ request: LinkRequest) -> LinkAnswer {
        let pending = PendingRequest(request)
        let isTaken = self.inbox.withLock { inbox in
            guard !inbox.hasEnded else { return false }
            inbox.requests.append(pending)
            return true
        }
        guard isTaken else { return .stopped }
        self.wake()
        return pending.wait()
    }

    /// Answers on a control socket at `path` as long as the server lives.
    package func serveControl(at path: String) throws(ControlError) -> ControlServer<LinkControl> {
        try ControlServer<LinkControl>(path: path) { request, stream in
            switch self.perform(request) {
            case .done(let report): stream.finish(payload: report)
            case .refused(let error): stream.finish(.refused, ["\(error)"])
            case .stopped: stream.finish(.failed, ["the link is being stopped"])
            }
        }
    }

    /// What has come in; nil when the link has to stop.
    private func nextRequests() -> [PendingRequest]? {
        self.inbox.withLock { inbox in
            guard !inbox.isStopping else { return nil }
            defer { inbox.requests = [] }
            return inbox.requests
        }
    }

    private func wake() {
        var one: UInt64 = 1
        _ = write(self.wakeup, &one, MemoryLayout<UInt64>.size)
    }
}

/// What came of a request.
package enum LinkAnswer: Sendable {
    case done(LinkReport)
    /// The request is at fault; nothing has changed.
    case refused(LinkError)
    /// The link does not run any more.
    case stopped
}

/// A request that another thread waits for.
private final class PendingRequest: Sendable {
    let request: LinkRequest
    private let result = Guarded(LinkAnswer.stopped)
    private let ready = DispatchSemaphore(value: 0)

    init(_ request: LinkRequest) { self.request = request }

    func answer(_ answer: LinkAnswer) {
        self.result.withLock { $0 = answer }
        self.ready.signal()
    }

    func wait() -> LinkAnswer {
        self.ready.wait()
        return self.result.withLock { $0 }
    }
}
