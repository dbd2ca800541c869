// SPDX-License-Identifier: Apache-2.0

import Foundation

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
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let text = String(decoding: output, as: UTF8.self)
        guard process.terminationStatus == 0 else {
            throw KillTestFailure(
                "\(path) \(arguments) exited with \(process.terminationStatus): \(text)"
            )
        }
        return text
    }
}
