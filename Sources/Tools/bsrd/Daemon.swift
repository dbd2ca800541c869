// SPDX-License-Identifier: Apache-2.0

import Administration
import Engine
import Foundation
import Logging
import Reactor
import ToolSupport

/// The parts of a running engine: the loop on the main thread, the control socket on its own.
struct Daemon {
    let nodeName: String
    let runDirectory: String
    let nbdListen: [String]
    let logger: Logger

    func run() throws {
        let logger = self.logger
        let log = LoopLog(
            note: { logger.info("\($0)") },
            warn: { logger.warning("\($0)") }
        )
        // A file that may not grow is an error of that disk, not the end of the engine.
        signal(SIGXFSZ, SIG_IGN)
        let claim = try RunDirectory.claim(self.runDirectory, for: EngineControl.self)
        let loop = try EngineLoop(
            EngineConfiguration(nodeName: self.nodeName, nbdAddresses: try self.nbdAddresses()),
            log: log
        )
        try loop.reactor.watchSignals([SIGTERM, SIGINT])
        let service = EngineService(loop.handle)
        loop.onChange = { resource, _ in
            guard service.events.hasListeners else { return }
            service.events.changed(loop.snapshot(resource))
        }
        let server = ControlServer<EngineControl>(claim: claim) { request, stream in
            service.answer(request, stream)
        }
        logger.info("node \(self.nodeName) is ready at \(server.path)")
        loop.run()
        loop.onChange = nil
        server.stop()
        logger.info("stopped")
    }

    private func nbdAddresses() throws -> [SocketAddress] {
        var addresses = [try SocketAddress.unix("\(self.runDirectory)/nbd.sock")]
        for text in self.nbdListen {
            guard let colon = text.lastIndex(of: ":"),
                let port = UInt16(text[text.index(after: colon)...])
            else {
                throw ListenAddressError(text: text)
            }
            let host = text[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
            if host != "::1", !host.hasPrefix("127.") {
                self.logger.warning(
                    """
                    --nbd-listen \(text) is reachable from other machines, and NBD clients are not \
                    authenticated: protect the network
                    """
                )
            }
            addresses.append(try .ip(host, port: port))
        }
        return addresses
    }
}

/// An argument of `--nbd-listen` that names no address.
struct ListenAddressError: Error, CustomStringConvertible {
    let text: String

    var description: String { "--nbd-listen \(self.text): expected ADDRESS:PORT" }
}
