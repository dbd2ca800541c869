// SPDX-License-Identifier: Apache-2.0

import Administration
import ArgumentParser
import Engine
import Foundation
import Logging
import Reactor

/// The engine: serves volumes over NBD and mirrors them to their peers.
@main
struct Bsrd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bsrd",
        abstract: "The bsr engine: serves volumes over NBD and mirrors each write to the peer.",
        discussion: """
            Runs in the foreground, logs to stderr and starts with nothing configured; bsradm up brings \
            resources up. It is ready when its control socket, RUN-DIR/bsrd.sock, answers. NBD clients \
            connect to RUN-DIR/nbd.sock, or to the addresses of --nbd-listen.
            """,
        version: "0.1.0"
    )

    @Option(
        name: [.customShort("c"), .customLong("config-file"), .customLong("config")],
        help: "The configuration file; tools read it, the engine itself does not."
    )
    var configFile: String?

    @Option(help: "The name of this node (environment: BSR_NODE; default: the host name).")
    var node: String?

    @Option(help: "Where the sockets are (environment: BSR_RUN_DIR; default: /run/bsr).")
    var runDir: String?

    @Option(help: "ADDRESS:PORT where NBD clients may connect over TCP; may be repeated.")
    var nbdListen: [String] = []

    @Option(help: "What is logged: trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    func run() throws {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "bsrd")
        guard let level = Logger.Level(rawValue: self.logLevel) else {
            throw ValidationError("--log-level \(self.logLevel) is not known")
        }
        logger.logLevel = level
        let daemon = Daemon(
            nodeName: self.node ?? Self.environment("BSR_NODE") ?? ProcessInfo.processInfo.hostName,
            runDirectory: self.runDir ?? Self.environment("BSR_RUN_DIR") ?? "/run/bsr",
            nbdListen: self.nbdListen,
            logger: logger
        )
        do {
            try daemon.run()
        } catch {
            logger.critical("\(error)")
            throw ExitCode(20)
        }
    }

    private static func environment(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}
