// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Primitives
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

            Exit code: 0 ended in good order, 20 it could not start, 64 wrong command line.
            """,
        version: Release.line("drxd")
    )

    @OptionGroup var options: DaemonOptions

    static func main() { Self.runProgram() }

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
