// SPDX-License-Identifier: Apache-2.0

import Administration

/// One run of `wait-connect-…` or `wait-sync-…`.
struct WaitSession {
    private let invocation: SetupInvocation
    private let condition: WaitCondition
    private let path: String

    /// The exit code when time is up or the goal cannot be reached.
    private static let notReached: Int32 = 5

    init(_ invocation: SetupInvocation, _ condition: WaitCondition, _ path: String) {
        self.invocation = invocation
        self.condition = condition
        self.path = path
    }

    func run() throws(ControlError) -> Int32 {
        let name = self.invocation.words[0]
        let seconds = self.invocation.value("wfc-timeout").flatMap(Int.init) ?? 0
        let deadline: Deadline? = seconds > 0 ? .after(.seconds(seconds)) : nil
        var differ = EventDiffer()
        var isComplete = false
        var told: String?
        var client = try ControlClient<EngineControl>(path: self.path)
        try client.send(.events(resource: name))
        while let reply = try client.nextReply(until: deadline) {
            if reply.isLast {
                let outcome = CommandOutcome(
                    reply.code,
                    reply.texts,
                    about: self.invocation.objectName
                )
                for message in outcome.messages { SetupTool.complain(message) }
                return outcome.exitCode == 0 ? Self.notReached : outcome.exitCode
            }
            guard let payload = reply.payload else { continue }
            _ = differ.receive(payload)
            if case .initialStateEnd = payload { isComplete = true }
            guard isComplete else { continue }
            let resource = differ.resources.first { $0.name == name }
            let verdict = self.condition.judge(resource)
            if let obstacle = resource.flatMap(self.condition.obstacle), obstacle != told {
                told = obstacle
                let prefix = verdict == .hopeless ? "waits no longer: " : "waits: "
                SetupTool.complain("\(name): \(prefix)\(obstacle)")
            }
            switch verdict {
            case .reached: return 0
            case .pending: break
            case .hopeless: return Self.notReached
            case .unknownObject:
                let code = ControlCode.failure(.resourceUnknown)
                let outcome = CommandOutcome(code, [], about: self.invocation.objectName)
                for message in outcome.messages { SetupTool.complain(message) }
                return outcome.exitCode
            }
        }
        SetupTool.complain("\(name): gave up after \(seconds) s (--wfc-timeout)")
        return Self.notReached
    }
}
