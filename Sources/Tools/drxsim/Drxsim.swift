// SPDX-License-Identifier: Apache-2.0

import Administration
import ArgumentParser
import Foundation
import LinkSimulation
import Primitives
import ToolSupport

/// Simulates what is between two sites.
struct Drxsim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drxsim",
        abstract: "Simulates the network between two sites.",
        version: Release.line("drxsim"),
        subcommands: [LinkTool.self, ControlTool.self]
    )

    /// Accepted in front of the verb, as by every bsr tool; links need nothing of it.
    @OptionGroup var place: PlaceOptions
}

/// Exit codes: 0 done or help, 1 it failed, 64 the command line is wrong.
@main
enum Program {
    static func main() {
        do {
            var command = try Drxsim.parseAsRoot(Arguments.ofProcess)
            do {
                try command.run()
            } catch let error
                where error is ToolError || error is LinkError || error is ControlError
            {
                Self.end("drxsim: \(error)", 1)
            }
        } catch {
            let message = Drxsim.fullMessage(for: error)
            guard Drxsim.exitCode(for: error) == .success else {
                Self.end(message, ExitCode.validationFailure.rawValue)
            }
            print(message)
        }
    }

    private static func end(_ message: String, _ code: Int32) -> Never {
        FileHandle.standardError.write(Data("\(message)\n".utf8))
        exit(code)
    }
}

/// A sentence that ends the tool.
struct ToolError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
