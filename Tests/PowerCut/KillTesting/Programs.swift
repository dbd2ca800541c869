// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// What a test of processes found wrong.
package struct KillTestFailure: Error, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

/// The built programs of this package.
package struct Programs: Sendable {
    package let folder: String

    package init(folder: String) { self.folder = folder }

    func path(_ name: String) -> String { self.folder + "/" + name }

    /// Runs a program to its end; throws with its output if it does not exit with 0.
    @discardableResult
    static func run(_ path: String, _ arguments: [String]) throws -> String {
        let output = try Program.run(path, arguments)
        guard output.exitCode == 0 else {
            throw KillTestFailure(
                "\(path) \(arguments) exited with \(output.exitCode): \(output.everything)"
            )
        }
        return output.everything
    }
}
