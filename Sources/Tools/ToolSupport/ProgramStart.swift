// SPDX-License-Identifier: Apache-2.0

package import ArgumentParser
import Foundation

extension ParsableCommand {
    /// Runs the command with the arguments of the process, for which `-V` is `--version`.
    package static func runProgram() { Self.main(Arguments.ofProcess) }
}

/// The command line as the argument parser takes it.
package enum Arguments {
    /// The arguments of the process, program name excluded, with `--version` for `-V`.
    package static var ofProcess: [String] { Self.normalized(CommandLine.arguments.dropFirst()) }

    /// `words` with `--version` for `-V` in front of `--`.
    package static func normalized(_ words: some Sequence<String>) -> [String] {
        var isBehindDashes = false
        return words.map { word in
            if word == "--" { isBehindDashes = true }
            return word == "-V" && !isBehindDashes ? "--version" : word
        }
    }
}

/// Signals that would end a daemon where a system call can return an error.
package enum IgnoredSignals {
    /// Has writes beyond a limit of the file size (`ulimit -f`) fail with EFBIG, and writes to
    /// closed pipes with EPIPE.
    package static func set() {
        signal(SIGXFSZ, SIG_IGN)
        signal(SIGPIPE, SIG_IGN)
    }
}
