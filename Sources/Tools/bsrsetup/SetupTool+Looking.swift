// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation

/// The verbs that look at the state.
extension SetupTool {
    /// The status of one resource or, for nil, of all; nil with a complaint if it does not exist.
    private func fetchStatus(_ resource: String?) throws(ControlError) -> [ResourceStatus]? {
        var client = try ControlClient<EngineControl>(path: self.path)
        var resources: [ResourceStatus] = []
        let reply = try client.call(.status(resource: resource)) { payload in
            if case .status(let status) = payload { resources.append(status.resource) }
        }
        guard reply.code == .success else {
            self.complain(reply, resource)
            return nil
        }
        if let resource, resources.isEmpty {
            Self.complain("\(resource): No such resource")
            return nil
        }
        return resources
    }

    private func complain(_ reply: ControlReply<EnginePayload>, _ resource: String?) {
        if reply.code == .failure(.resourceUnknown) {
            Self.complain("\(resource ?? "all"): No such resource")
            return
        }
        let outcome = CommandOutcome(reply.code, reply.texts, about: self.invocation.objectName)
        for message in outcome.messages { Self.complain(message) }
    }

    func printStatus() throws(ControlError) -> Int32 {
        guard let resources = try self.fetchStatus(self.invocation.resource) else { return 10 }
        if self.invocation.isSet("json") {
            Self.write(StatusJSON.render(resources))
            return 0
        }
        var options = StatusOptions()
        options.verbosity = self.invocation.count("verbose")
        options.showsStatistics = self.invocation.isSet("statistics")
        options.isTerminal = Terminal.isOutput
        options.isColored = Terminal.usesColor(self.invocation.value("color"))
        options.width = Terminal.width
        Self.write(StatusText.render(resources, options))
        return 0
    }

    func printConfiguration() throws(ControlError) -> Int32 {
        guard !self.invocation.isSet("json") else {
            Self.complain("show --json is not supported yet")
            return 10
        }
        let name = self.invocation.resource
        var client = try ControlClient<EngineControl>(path: self.path)
        var resources: [ResourceConfiguration] = []
        let reply = try client.call(.configuration(resource: name)) { payload in
            if case .configuration(let resource) = payload { resources.append(resource) }
        }
        guard reply.code == .success, name == nil || !resources.isEmpty else {
            if reply.code == .success {
                Self.complain("\(name ?? "all"): No such resource")
            } else {
                self.complain(reply, name)
            }
            return 10
        }
        if !self.invocation.isSet("show-defaults") { resources = resources.map(\.withoutDefaults) }
        Self.write(ConfigurationText.render(resources))
        return 0
    }

    func printGenerations(_ request: EngineRequest) throws(ControlError) -> Int32 {
        var client = try ControlClient<EngineControl>(path: self.path)
        var found: GenerationStatus?
        let reply = try client.call(request) { payload in
            if case .generations(let status) = payload { found = status }
        }
        if case .generations(let status) = reply.payload { found = status }
        guard reply.code == .success, let found else {
            let outcome = CommandOutcome(
                reply.code == .success ? .failure(.noDisk) : reply.code,
                reply.texts,
                about: self.invocation.objectName
            )
            for message in outcome.messages { Self.complain(message) }
            return outcome.exitCode
        }
        let isExplained = self.invocation.verb == .showGenerations
        let text = isExplained ? GenerationText.explained(found) : GenerationText.line(found)
        Self.write(text + "\n")
        return 0
    }

    /// The verbs that are derived from status and events.
    func derived() throws(ControlError) -> Int32 {
        if let condition = self.invocation.waitCondition {
            return try WaitSession(self.invocation, condition, self.path).run()
        }
        let isMinor = self.invocation.verb == .diskState
        let name = isMinor ? nil : self.invocation.resource
        guard let resources = try self.fetchStatus(name) else { return 10 }
        let number = self.invocation.number(isMinor ? 0 : 1)
        let word: String?
        let code: FailureCode
        switch self.invocation.verb {
        case .diskState:
            word = StateQuery.diskStates(resources, minor: number)
            code = .minorUnknown
        case .connectionState:
            word = resources.first.flatMap {
                StateQuery.connectionState($0, peerNodeID: number)
            }
            code = .invalidPeerNodeID
        default:
            word = resources.first.map(StateQuery.role)
            code = .resourceUnknown
        }
        guard let word else {
            let outcome = CommandOutcome(.failure(code), [], about: self.invocation.objectName)
            for message in outcome.messages { Self.complain(message) }
            return outcome.exitCode
        }
        Self.write(word + "\n")
        return 0
    }
}

/// What standard output is.
enum Terminal {
    static var isOutput: Bool { isatty(STDOUT_FILENO) == 1 }

    /// The columns, 80 if it is not a terminal.
    static var width: Int {
        var size = winsize()
        guard isOutput, ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return 80
        }
        return Int(size.ws_col)
    }

    /// Whether `--color[=WHEN]` asks for colours here; without the option there are none.
    static func usesColor(_ value: String?) -> Bool {
        switch value {
        case "always", "yes": true
        case "auto": isOutput
        default: false
        }
    }
}
