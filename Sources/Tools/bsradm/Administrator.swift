// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation

/// One run of `bsradm`: reads the configuration, then prints it or has the backend tools act.
struct Administrator {
    private let invocation: Invocation
    private let configuration: Configuration
    private let node: NodeIdentity

    /// Exit codes of our own; the backend's are passed on.
    enum ExitCode {
        static let usage: Int32 = 1
        static let configuration: Int32 = 10
        static let system: Int32 = 20
    }

    /// Runs the command line of the process; the result is its exit code.
    static func main() -> Int32 {
        let environment = ProcessInfo.processInfo.environment
        do throws(UsageError) {
            let arguments = Array(CommandLine.arguments.dropFirst())
            return try Self.run(try Invocation(arguments, environment: environment))
        } catch {
            Self.complain(error.message)
            return error.exitCode
        }
    }

    private static func run(_ invocation: Invocation) throws(UsageError) -> Int32 {
        switch invocation.request {
        case .help(let verb): print(try Help.text(about: verb))
        case .version: print(Help.version)
        case .dump, .verb:
            let configuration: Configuration
            do throws(ConfigurationError) {
                let path = invocation.configurationFile
                configuration = try Parser.parse(path, from: SystemFiles())
            } catch {
                Self.complain(error.description)
                return error.isUnreadable ? ExitCode.system : ExitCode.configuration
            }
            return try Self(invocation, configuration).run()
        }
        return 0
    }

    private init(_ invocation: Invocation, _ configuration: Configuration) {
        self.invocation = invocation
        self.configuration = configuration
        self.node = .current(name: invocation.node ?? configuration.global.hostName)
    }

    /// Prints `text` on standard error.
    static func complain(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    private func run() throws(UsageError) -> Int32 {
        for warning in self.configuration.warnings { Self.complain(warning.description) }
        guard case .verb(let verb) = self.invocation.request else {
            try self.dump()
            return 0
        }
        let finder = TargetFinder(self.configuration, on: self.node)
        if verb.scope == .configuration {
            try ShellQuery.answer(verb, self.configuration, finder.views())
            return 0
        }
        if verb == .status, self.invocation.targets.isEmpty { return self.statusOfAll() }
        if self.invocation.targets.isEmpty { throw UsageError("No resource names specified") }
        var targets = try finder.targets(self.invocation.targets, for: verb)
        if self.invocation.isByService { targets = TargetFinder.forService(targets, verb) }
        if verb.rawValue.hasPrefix("sh-") {
            let query = ShellQuery(verb, runDirectory: self.invocation.runDirectory)
            for target in targets { try query.answer(target) }
            return 0
        }
        return try self.execute(verb, targets)
    }

    private func dump() throws(UsageError) {
        var dump = Dump(node: self.node)
        var resources = self.configuration.resources
        let names = self.invocation.targets
        if names.isEmpty || names.contains("all") {
            dump.writeHead(of: self.configuration)
        } else {
            resources = []
            for name in names {
                guard let resource = self.configuration.resource(named: name) else {
                    throw UsageError("'\(name)' not defined in your config (for this host).")
                }
                resources.append(resource)
            }
        }
        for resource in resources {
            do throws(Diagnostic) {
                dump.write(
                    self.invocation.isVerbose
                        ? try self.configuration.expanded(resource) : resource
                )
            } catch {
                throw UsageError(error.description, exitCode: ExitCode.configuration)
            }
        }
        print(dump.text, terminator: "")
    }

    // MARK: Backend commands

    private func execute(_ verb: Verb, _ targets: [Target]) throws(UsageError) -> Int32 {
        let backend = Backend(self.invocation, node: self.node.name)
        var commands: [BackendCommand] = []
        var exitCode: Int32 = 0
        for target in targets {
            do throws(UsageError) {
                let own = try self.commands(verb, target, backend)
                if !self.invocation.isDryRun, verb != .resize { try Self.refuseNewSizes(own) }
                commands += own
            } catch {
                // One faulty resource does not keep the others down.
                guard verb == .up || verb == .adjust else { throw error }
                Self.complain(error.message)
                exitCode = max(exitCode, error.exitCode)
            }
        }
        let staged = commands.filter { $0.stage != nil }
        commands = commands.filter { $0.stage == nil }
        commands += Dictionary(grouping: staged) { $0.stage ?? .connect }
            .sorted { $0.key < $1.key }
            .flatMap(\.value)
        return Execution(backend, self.invocation).run(commands, after: exitCode)
    }

    private func commands(_ verb: Verb, _ target: Target, _ backend: Backend)
        throws(UsageError) -> [BackendCommand]
    {
        if verb == .up || verb == .adjust, !self.invocation.isDryRun { try self.check(target) }
        if verb == .invalidate || verb == .invalidateRemote,
            let problem = target.refusalToInvalidate(self.invocation.options)
        {
            throw UsageError("\(target.name): \(problem)", exitCode: ExitCode.configuration)
        }
        switch verb {
        case .adjust:
            let running = try self.running(target, backend)
            return AdjustPlan.commands(target, running: running, self.invocation.options)
        case .up where !self.invocation.isDryRun && backend.hasResource(target.name):
            return AdjustPlan.commands(target, running: try self.running(target, backend))
        case .attach where !self.invocation.isDryRun:
            let commands = try CommandPlan.commands(verb, target, self.invocation.options)
            return CommandPlan.leavingAttached(commands, hasDisk: backend.hasDisk)
        default:
            return try CommandPlan.commands(verb, target, self.invocation.options)
        }
    }

    /// Refuses what the engine would refuse half-way, and names what has no effect yet.
    private func check(_ target: Target) throws(UsageError) {
        let problems = target.view.refusals
        if !problems.isEmpty {
            throw UsageError(
                problems.map { "\(target.name): \($0)" }.joined(separator: "\n")
                    + "; nothing of it was changed",
                exitCode: ExitCode.configuration
            )
        }
        let names = target.view.optionsWithoutEffect
        if let notice = OptionTable.notice(names, of: target.name) { Self.complain(notice) }
    }

    /// Refuses all of a resource's commands before one is carried out if it would give a running
    /// volume a new size.
    private static func refuseNewSizes(_ commands: [BackendCommand]) throws(UsageError) {
        let resizes = commands.filter { $0.arguments.first == "resize" }
        guard !resizes.isEmpty else { return }
        let lines = resizes.map { command in
            "\(command.resource): minor \(command.arguments[1]): 'size' is not what the engine "
                + "uses, and a running volume cannot get another size yet"
        }
        throw UsageError(
            (lines + ["Nothing was changed of it. Put the former 'size' back."]).joined(
                separator: "\n"
            ),
            exitCode: ExitCode.configuration
        )
    }

    /// What the engine has of `target`; nil if it has nothing.
    ///
    /// In a dry run `FAKE_BSRSETUP_SHOW` may name a file with the text of `bsrsetup show`.
    private func running(_ target: Target, _ backend: Backend) throws(UsageError)
        -> RunningResource?
    {
        let fake = ProcessInfo.processInfo.environment["FAKE_BSRSETUP_SHOW"]
        let text: [UInt8]?
        if self.invocation.isDryRun, let fake {
            do throws(FileFailure) {
                text = try SystemFiles().read(fake)
            } catch {
                throw UsageError("Can not open '\(fake)': \(error.reason)", exitCode: 20)
            }
        } else {
            text = try backend.show(target.name)
        }
        guard let text else { return nil }
        do throws(Diagnostic) {
            return try RunningStateParser.parse(text).first { $0.name == target.name }
        } catch {
            throw UsageError("\(target.name): \(error.description)", exitCode: ExitCode.system)
        }
    }

    private func statusOfAll() -> Int32 {
        let command = BackendCommand(
            tool: .setup,
            arguments: ["status"] + self.invocation.options.map(\.word),
            resource: "all"
        )
        let backend = Backend(self.invocation, node: self.node.name)
        return Execution(backend, self.invocation).run([command])
    }
}

extension Target {
    /// The resource's name.
    var name: String { self.view.resource.name }
}
