// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation

/// Finds and starts the backend tools.
struct Backend {
    private let setup: String
    private let metaData: String
    private let globalArguments: [String]

    /// `bsrsetup` and `bsrmeta` of `invocation`, by default those beside this executable.
    init(_ invocation: Invocation, node: String) {
        self.setup = invocation.setupPath ?? Self.find(.setup)
        self.metaData = invocation.metaDataPath ?? Self.find(.metaData)
        self.globalArguments = ["--run-dir", invocation.runDirectory, "--node", node]
    }

    private static func find(_ tool: BackendCommand.Tool) -> String {
        let link = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        if let link {
            let beside = URL(fileURLWithPath: link).deletingLastPathComponent()
                .appendingPathComponent(tool.rawValue).path
            if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        }
        return tool.rawValue
    }

    /// Runs `command`; its standard error is passed through or, with `keepsErrors`, collected.
    func run(_ command: BackendCommand, keepsErrors: Bool = false) -> ChildProcess.Result {
        switch command.tool {
        case .setup:
            ChildProcess.run(
                [self.setup] + self.globalArguments + command.arguments,
                collecting: keepsErrors ? .errors : .nothing
            )
        case .metaData:
            ChildProcess.run(
                [self.metaData] + command.arguments,
                collecting: .nothing,
                environment: ["BSR_RESOURCE": command.resource]
            )
        }
    }

    /// True if the engine has `resource`.
    func hasResource(_ resource: String) -> Bool {
        let arguments = [self.setup] + self.globalArguments + ["role", resource]
        return ChildProcess.run(arguments, collecting: .everything).exitCode == 0
    }

    /// True if the engine has a disk for the volume with this minor number.
    func hasDisk(_ minor: String) -> Bool {
        let arguments = [self.setup] + self.globalArguments + ["dstate", minor]
        let result = ChildProcess.run(arguments, collecting: .everything)
        let state = String(decoding: result.text, as: UTF8.self)
        return result.exitCode == 0 && !state.isEmpty && !state.hasPrefix("Diskless")
    }

    /// The text of `bsrsetup show`; nil if the engine does not have `resource`.
    func show(_ resource: String) throws(UsageError) -> [UInt8]? {
        guard self.hasResource(resource) else { return nil }
        let arguments = [self.setup] + self.globalArguments + ["show", resource]
        let result = ChildProcess.run(arguments, collecting: .output)
        if result.exitCode == 0 { return result.text }
        throw UsageError(
            "\(resource): 'bsrsetup show' failed with exit code \(result.exitCode); nothing was "
                + "changed",
            exitCode: max(result.exitCode, 1)
        )
    }
}
