// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Logging

/// The relay: carries replication between two sites through a large buffer.
@main
struct Drxd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drxd",
        abstract: "The bsr relay: carries replication over a WAN through a large buffer.",
        discussion: """
            Runs in the foreground, logs to stderr and starts with nothing configured; drxctl up \
            brings connections up. It is ready when its control socket, RUN-DIR/drxd.sock, answers.
            """,
        version: "0.1.0"
    )

    @Option(
        name: [.customShort("c"), .customLong("config-file"), .customLong("config")],
        help: "The configuration file; tools read it, the relay itself does not."
    )
    var configFile: String?

    @Option(help: "The name of this node (environment: BSR_NODE; default: the host name).")
    var node: String?

    @Option(help: "Where the sockets are (environment: BSR_RUN_DIR; default: /run/bsr).")
    var runDir: String?

    @Option(help: "What is logged: trace, debug, info, notice, warning, error or critical.")
    var logLevel = "info"

    func run() throws {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "drxd")
        guard let level = Logger.Level(rawValue: self.logLevel) else {
            throw ValidationError("--log-level \(self.logLevel) is not known")
        }
        logger.logLevel = level
        let daemon = Daemon(
            nodeName: self.node ?? Self.environment("BSR_NODE") ?? ProcessInfo.processInfo.hostName,
            runDirectory: self.runDir ?? Self.environment("BSR_RUN_DIR") ?? "/run/bsr",
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
