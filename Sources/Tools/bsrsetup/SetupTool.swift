// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import Primitives

/// One run of `bsrsetup`: one verb, asked of `bsrd` over its control socket.
struct SetupTool {
    let invocation: SetupInvocation
    let path: String

    static let version = Release.line("bsrsetup")

    /// Runs the command line of the process; the result is its exit code.
    static func main() -> Int32 {
        // A reader that has seen enough (`| head`) ends us quietly.
        signal(SIGPIPE, SIG_DFL)
        do throws(UsageFailure) {
            let line = try SetupCommandLine(
                Array(CommandLine.arguments.dropFirst()),
                environment: ProcessInfo.processInfo.environment
            )
            switch line.action {
            case .help(let verb): Self.write(SetupHelp.text(verb) + "\n")
            case .version: Self.write(Self.version + "\n")
            case .verb(let invocation):
                let path = EngineControl.socketPath(inRunDirectory: line.runDirectory)
                return try Self(invocation: invocation, path: path).run()
            }
            return 0
        } catch {
            Self.complain("bsrsetup: \(error)")
            return 20
        }
    }

    /// Writes to standard output, at once.
    static func write(_ text: String) {
        try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    }

    /// Writes a line to standard error.
    static func complain(_ line: String) {
        try? FileHandle.standardError.write(contentsOf: Data((line + "\n").utf8))
    }

    private func run() throws(UsageFailure) -> Int32 {
        let request = try self.invocation.request
        do throws(ControlError) {
            guard let request else { return try self.derived() }
            return try self.answer(to: request)
        } catch {
            Self.complain("\(error)")
            return 20
        }
    }

    private func answer(to request: EngineRequest) throws(ControlError) -> Int32 {
        switch request {
        case .status: return try self.printStatus()
        case .events: return try EventSession(self.invocation, self.path).run()
        case .configuration: return try self.printConfiguration()
        case .generations: return try self.printGenerations(request)
        default:
            var client = try ControlClient<EngineControl>(path: self.path)
            // A demotion, for one, waits for the peer as long as that confirms writes.
            return self.conclude(try client.call(request, within: nil))
        }
    }

    /// Prints how the daemon ended a request; the result is the exit code.
    private func conclude(_ reply: ControlReply<EnginePayload>) -> Int32 {
        let outcome = CommandOutcome(
            reply.code,
            reply.texts,
            about: self.invocation.objectName
        )
        for message in outcome.messages { Self.complain(message) }
        return outcome.exitCode
    }
}
