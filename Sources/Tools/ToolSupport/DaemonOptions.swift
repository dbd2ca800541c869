// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
package import Logging

/// What every daemon takes on its command line.
package struct DaemonOptions: ParsableArguments {
    @OptionGroup private var place: PlaceOptions

    @Option(help: "What is logged: trace, debug, info, notice, warning, error or critical.")
    private var logLevel = "info"

    package init() {}

    /// The node's name, by default the host's.
    package var nodeName: String { self.place.nodeName ?? ProcessInfo.processInfo.hostName }

    /// The folder of the daemon's sockets.
    package var runDirectory: String { self.place.runDirectory }

    /// Runs a daemon whose log goes to standard error under `label`.
    ///
    /// - Throws: `ValidationError` for an unknown level; `ExitCode(20)`, after the reason is
    ///   logged, when `daemon` throws.
    package func run(_ label: String, _ daemon: (Logger) throws -> Void) throws {
        guard let level = Logger.Level(rawValue: self.logLevel) else {
            throw ValidationError("--log-level \(self.logLevel) is not known")
        }
        IgnoredSignals.set()
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: label)
        logger.logLevel = level
        do {
            try daemon(logger)
        } catch {
            logger.critical("\(error)", source: label)
            throw ExitCode(20)
        }
    }
}
