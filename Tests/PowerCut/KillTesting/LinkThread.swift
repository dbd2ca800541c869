// SPDX-License-Identifier: Apache-2.0

import Foundation
import LinkSimulation
import TestSupport

/// A link that `drxsim link` would be, on a thread of this process.
final class LinkThread {
    private let link: Link
    private let running = DispatchGroup()

    /// The ports at which the link listens, one for each target.
    let ports: [UInt16]

    /// Starts a link towards loopback ports.
    init(towards targets: [UInt16], _ settings: LinkSettings = LinkSettings()) throws {
        let ports = try targets.map { _ in try freePort() }
        let routes = try zip(ports, targets).map { port, target in
            LinkRoute(
                listen: try LinkAddress("127.0.0.1:\(port)"),
                target: try LinkAddress("127.0.0.1:\(target)")
            )
        }
        let link = try Link(routes, settings)
        self.link = link
        self.ports = ports
        let running = self.running
        running.enter()
        Thread.detachNewThread {
            link.run()
            running.leave()
        }
    }

    deinit {
        self.link.stop()
        self.running.wait()
    }

    /// Nothing passes any more, and nothing is closed.
    func cut() throws { _ = try self.perform(.cut) }

    /// Ends a cut.
    func heal() throws { _ = try self.perform(.heal) }

    /// The bytes of resync blocks that have passed, by P_RS_DATA_REPLY.
    func resyncByteCount() throws -> UInt64 {
        try self.perform(.counters).counters.packets("P_RS_DATA_REPLY").payloadBytes
    }

    private func perform(_ request: LinkRequest) throws -> LinkReport {
        switch self.link.perform(request) {
        case .done(let report): return report
        case .refused(let error): throw error
        case .stopped: throw KillTestFailure("a link has stopped")
        }
    }
}
