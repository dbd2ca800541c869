// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Runs programs, ours and other people's.
package enum Program {
    /// What a program left behind.
    package struct Output: Sendable {
        package var exitCode: Int32
        /// What it wrote to its standard output.
        package var text: String
        /// What it wrote to its standard error.
        package var errors: String

        /// Both, for messages.
        package var everything: String { self.text + self.errors }
    }

    /// The folder of this package's built programs, which is that of the test bundle too.
    package static let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().path

    /// The path of one of this package's own programs.
    package static func own(_ name: String) -> String { self.folder + "/" + name }

    /// What runs the words behind it with `ulimit -f`, in blocks of 512 bytes.
    ///
    /// The runner of the tests may ignore the signal that comes with the limit; a shell does not.
    package static func limitingFiles(toBlocks count: Int) -> [String] {
        [
            "/usr/bin/env", "--default-signal=XFSZ", "/bin/sh", "-c",
            "ulimit -f \(count); exec \"$@\"", "sh",
        ]
    }

    /// Runs the program at `path` to its end, with nothing to read.
    ///
    /// - Parameters:
    ///   - folder: where it runs; by default where the tests run.
    ///   - environment: what is added to the environment of the tests.
    package static func run(
        _ path: String,
        _ arguments: [String],
        in folder: String? = nil,
        environment: [String: String] = [:]
    ) throws -> Output {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        process.standardInput = FileHandle.nullDevice
        // A file takes whatever comes, so that neither stream holds up the other.
        let scratch = try TemporaryFolder()
        let (output, errors) = (scratch.file("output"), scratch.file("errors"))
        for file in [output, errors] { try Data().write(to: URL(fileURLWithPath: file)) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        process.waitUntilExit()
        return Output(
            exitCode: process.terminationStatus,
            text: try String(contentsOfFile: output, encoding: .utf8),
            errors: try String(contentsOfFile: errors, encoding: .utf8)
        )
    }
}
