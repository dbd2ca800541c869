// SPDX-License-Identifier: Apache-2.0

import Foundation
import LinkSimulation
import Primitives
import TestSupport
import Testing

/// A link that runs on its own thread, and a listener behind it.
final class LinkHarness {
    let link: Link
    private let target: BlockingSocket
    private let running = DispatchGroup()

    init(_ settings: LinkSettings = LinkSettings()) throws {
        self.target = try BlockingSocket.listening()
        let route = LinkRoute(
            listen: try LinkAddress("127.0.0.1:0"),
            target: try LinkAddress("127.0.0.1:\(self.target.port)")
        )
        let link = try Link([route], settings)
        self.link = link
        let running = self.running
        running.enter()
        Thread {
            link.run()
            running.leave()
        }
        .start()
    }

    deinit {
        self.link.stop()
        self.running.wait()
    }

    /// A new connection through the link: who connected, and who was connected to.
    func connect() throws -> (near: BlockingSocket, far: BlockingSocket) {
        (try self.connectNear(), try self.target.accepted())
    }

    func connectNear() throws -> BlockingSocket {
        let text = "\(self.link.routes[0].listen)"
        let port = try #require(text.split(separator: ":").last.flatMap { UInt16($0) })
        return try BlockingSocket.connected(to: port)
    }

    /// Stops listening behind the link.
    func closeTarget() { self.target.close() }

    @discardableResult
    func perform(_ request: LinkRequest) throws -> LinkReport {
        guard case .done(let report) = self.link.perform(request) else {
            throw POSIXError(.EINVAL)
        }
        return report
    }
}
