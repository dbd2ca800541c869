// SPDX-License-Identifier: Apache-2.0

import Administration
import DRX
import Foundation
import Logging
import Reactor

/// The parts of a running relay: the loop on the main thread, the control socket on its own.
struct Daemon {
    let nodeName: String
    let runDirectory: String
    let logger: Logger

    func run() throws {
        try self.makeRunDirectory()
        let logger = self.logger
        let log = RelayLog(
            note: { logger.info("\($0)") },
            warn: { logger.warning("\($0)") }
        )
        let path = RelayControl.socketPath(inRunDirectory: self.runDirectory)
        try Self.checkNotRunning(path)
        let loop = try RelayLoop(log: log)
        try loop.reactor.watchSignals([SIGTERM, SIGINT])
        let service = RelayService(loop.handle)
        let server = try ControlServer<RelayControl>(path: path) { request, stream in
            service.answer(request, stream)
        }
        logger.info("node \(self.nodeName) is ready at \(path)")
        loop.run()
        server.stop()
        logger.info("stopped")
    }

    /// A second daemon must not take over the sockets of the first one.
    private static func checkNotRunning(_ path: String) throws {
        do throws(ControlError) {
            _ = try ControlClient<RelayControl>(path: path)
        } catch { return }
        throw DaemonError(text: "another drxd answers at \(path); stop it or use another --run-dir")
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
}

/// Why the daemon cannot run.
struct DaemonError: Error, CustomStringConvertible {
    let text: String

    var description: String { self.text }
}
