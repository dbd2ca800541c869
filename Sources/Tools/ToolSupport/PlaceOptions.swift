// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation

/// Where a program looks for its configuration, its sockets and its own name.
///
/// Several sets of daemons run on one machine, each with its own; every daemon and tool takes these
/// options.
package struct PlaceOptions: ParsableArguments {
    @Option(
        name: [.customShort("c"), .customLong("config-file"), .customLong("config")],
        help: """
            The configuration file (environment: BSR_CONFIG; default: /etc/bsr.conf). Tools read \
            it, daemons do not.
            """
    )
    private var configFile: String?

    @Option(help: "The name of this node (environment: BSR_NODE; default: the host name).")
    private var node: String?

    @Option(help: "Where the sockets are (environment: BSR_RUN_DIR; default: /run/bsr).")
    private var runDir: String?

    package init() {}

    /// The path of the configuration file.
    package var configurationFile: String {
        self.configFile ?? Self.environment("BSR_CONFIG") ?? "/etc/bsr.conf"
    }

    /// The name that was given for this node; nil stands for the host name.
    package var nodeName: String? { self.node ?? Self.environment("BSR_NODE") }

    /// The folder of the control sockets and of `nbd.sock`.
    package var runDirectory: String {
        self.runDir ?? Self.environment("BSR_RUN_DIR") ?? "/run/bsr"
    }

    /// The value of an environment variable that is set and not empty.
    private static func environment(_ name: String) -> String? {
        ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 }
    }
}
