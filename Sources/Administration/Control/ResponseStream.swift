// SPDX-License-Identifier: Apache-2.0

import Locking

/// The way of a handler's answer to one client.
///
/// May be used from any thread; lines are never mixed.
package final class ResponseStream<Service: ControlService>: Sendable {
    private let socket: LocalSocket
    private let state = Guarded(State.open)

    private enum State {
        case open
        /// The last reply was sent; the connection lives.
        case finished
        /// The client went away or does not read.
        case broken
    }

    init(_ socket: LocalSocket) { self.socket = socket }

    /// Whether the client still listens; false after it went away or the server is being stopped.
    package var isOpen: Bool {
        self.state.withLock { $0 != .broken } && self.socket.isPeerThere
    }

    /// Sends one item of the answer.
    ///
    /// - Returns: false if the client is gone, so that the handler may stop.
    @discardableResult
    package func send(_ payload: Service.Payload) -> Bool {
        self.write(.item(payload), then: .open)
    }

    /// Ends the answer; later calls do nothing.
    package func finish(
        _ code: ControlCode = .success,
        _ texts: [String] = [],
        payload: Service.Payload? = nil
    ) {
        self.write(.last(code, texts, payload: payload), then: .finished)
    }

    /// Answers in place of a handler that did not.
    func finishForgotten() {
        self.finish(.failed, ["\(Service.daemonName) gave no answer to this request"])
    }

    @discardableResult
    private func write(_ reply: ControlReply<Service.Payload>, then next: State) -> Bool {
        let line = ControlCoding.line(reply)
        return self.state.withLock { state in
            guard state == .open else { return false }
            do throws(ControlError) {
                try self.socket.send(line, until: .after(AdministrationLimits.replyTime))
                state = next
                return true
            } catch {
                state = .broken
                return false
            }
        }
    }
}
