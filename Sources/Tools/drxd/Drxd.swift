// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import ToolSupport

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

    @OptionGroup var options: DaemonOptions

    func run() throws {
        try self.options.run("drxd") { logger in
            try Daemon(
                nodeName: self.options.nodeName,
                runDirectory: self.options.runDirectory,
                logger: logger
            ).run()
        }
    }
}
