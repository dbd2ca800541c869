// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Primitives
import ToolSupport

/// The engine: serves volumes over NBD and mirrors each write to its peers.
@main
struct Bsrd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bsrd",
        abstract: "The bsr engine: serves volumes over NBD and mirrors each write to the peer.",
        discussion: """
            Runs in the foreground, logs to stderr and starts with nothing configured; bsradm up \
            brings resources up. It is ready when its control socket, RUN-DIR/bsrd.sock, answers. \
            NBD clients connect to RUN-DIR/nbd.sock, or to the addresses of --nbd-listen.

            Exit code: 0 ended in good order, 20 it could not start, 64 wrong command line.
            """,
        version: Release.line("bsrd")
    )

    @OptionGroup var options: DaemonOptions

    @Option(help: "ADDRESS:PORT where NBD clients may connect over TCP; may be repeated.")
    var nbdListen: [String] = []

    static func main() { Self.runProgram() }

    func run() throws {
        try self.options.run("bsrd") { logger in
            try Daemon(
                nodeName: self.options.nodeName,
                runDirectory: self.options.runDirectory,
                nbdListen: self.nbdListen,
                logger: logger
            ).run()
        }
    }
}
