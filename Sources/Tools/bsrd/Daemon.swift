// SPDX-License-Identifier: Apache-2.0

import Administration
import Engine
import Foundation
import Logging
import Reactor

/// The parts of a running engine: the loop on the main thread, the control socket on its own.
struct Daemon {
    let nodeName: String
    let runDirectory: String
    let nbdListen: [String]
    let logger: Logger

    func run() throws {
        try self.makeRunDirectory()
        let logger = self.logger
        let log = LoopLog(
            note: { logger.info("\($0)") },
            warn: { logger.warning("\($0)") }
        )
        let path = EngineControl.socketPath(inRunDirectory: self.runDirectory)
        try Self.checkNotRunning(path)
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
        let server = try ControlServer<EngineControl>(path: path) { request, stream in
            service.answer(request, stream)
        }
        logger.info("node \(self.nodeName) is ready at \(path)")
        loop.run()
        loop.onChange = nil
        server.stop()
        logger.info("stopped")
    }

    /// A second daemon must not take over the sockets of the first one.
    private static func checkNotRunning(_ path: String) throws {
        do throws(ControlError) {
            _ = try ControlClient<EngineControl>(path: path)
        } catch { return }
        throw DaemonError(text: "another bsrd answers at \(path); stop it or use another --run-dir")
    }

    private func makeRunDirectory() throws {
        do {
            try FileManager.default.createDirectory(
                atPath: self.runDirectory,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o755]
            )
        } catch {
            throw DaemonError(
                text: "cannot make the run directory \(self.runDirectory): "
                    + "\(error.localizedDescription); give another one with --run-dir"
            )
        }
    }

    private func nbdAddresses() throws -> [SocketAddress] {
        var addresses = [try SocketAddress.unix("\(self.runDirectory)/nbd.sock")]
        for text in self.nbdListen {
            guard let colon = text.lastIndex(of: ":"),
                let port = UInt16(text[text.index(after: colon)...])
            else {
                throw DaemonError(text: "--nbd-listen \(text): expected ADDRESS:PORT")
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

/// Why the daemon cannot run.
struct DaemonError: Error, CustomStringConvertible {
    let text: String

    var description: String { self.text }
}
