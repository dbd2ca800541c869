// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation

/// Prints or runs backend commands.
///
/// A resource of which a staged command fails has no later stage, and nothing more at all if the
/// command was essential; the other resources go on. Commands without a stage run in order; exit
/// codes of 20 and above end the run. The result is the highest exit code.
struct Execution {
    private let backend: Backend
    private let invocation: Invocation
    private var exitCode: Int32 = 0
    private var failures: [String: Failure] = [:]

    /// Where a resource stopped.
    private struct Failure {
        var stage: BackendCommand.Stage
        var isEssential: Bool
    }

    init(_ backend: Backend, _ invocation: Invocation) {
        self.backend = backend
        self.invocation = invocation
    }

    /// Carries out `commands`, already in the order of their stages.
    ///
    /// - Parameter exitCode: the least that the result may be, because of earlier failures.
    func run(_ commands: [BackendCommand], after exitCode: Int32 = 0) -> Int32 {
        if self.invocation.isDryRun {
            for command in commands { print(command.line) }
            return 0
        }
        var execution = self
        execution.exitCode = exitCode
        execution.carryOut(commands)
        for name in execution.failures.keys.sorted() {
            Administrator.complain(
                "\(name): not carried out completely, see above; once that is mended: "
                    + "bsradm adjust \(name)"
            )
        }
        return execution.exitCode
    }

    private mutating func carryOut(_ commands: [BackendCommand]) {
        var previous: ChildProcess.Result?
        for (index, command) in commands.enumerated() {
            if self.isPointless(command) { continue }
            switch command.condition {
            case .always: break
            case .afterSuccess: if previous?.exitCode != 0 { continue }
            case .insteadOfFailure: if !Self.isMissing(previous) { continue }
            }
            let hasFallback =
                index + 1 < commands.count
                && commands[index + 1].condition == .insteadOfFailure
            if self.invocation.isVerbose { print(command.line) }
            let result = self.backend.run(command, keepsErrors: hasFallback)
            let reported = command.condition == .insteadOfFailure ? previous : nil
            previous = result
            if hasFallback, Self.isMissing(result) { continue }
            self.judge(result, of: command, after: reported)
            if command.stage == nil, self.exitCode >= 20 { return }
        }
    }

    /// True if an earlier failure of the resource forbids `command`.
    private func isPointless(_ command: BackendCommand) -> Bool {
        guard let failure = self.failures[command.resource] else { return false }
        return failure.isEssential || command.stage != failure.stage
    }

    /// True if the engine lacks the object, or is not there, so that the metadata tool may act.
    ///
    /// 11 and 17 are the engine's own decisions.
    private static func isMissing(_ result: ChildProcess.Result?) -> Bool {
        guard let code = result?.exitCode else { return false }
        return code != 0 && code != 11 && code != 17
    }

    private mutating func judge(
        _ result: ChildProcess.Result,
        of command: BackendCommand,
        after first: ChildProcess.Result?
    ) {
        if result.exitCode != 0, let first {
            FileHandle.standardError.write(Data(first.text))
        }
        FileHandle.standardError.write(Data(result.text))
        if result.exitCode == 0 { return }
        Administrator.complain(
            "Command '\(command.line)' terminated with exit code \(result.exitCode)"
        )
        self.exitCode = max(self.exitCode, result.exitCode)
        guard let stage = command.stage else { return }
        let wasEssential = self.failures[command.resource]?.isEssential ?? false
        self.failures[command.resource] = Failure(
            stage: stage,
            isEssential: wasEssential || stage.isEssential
        )
    }
}
