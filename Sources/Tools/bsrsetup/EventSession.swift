// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation

/// One run of `events2`.
struct EventSession {
    private let invocation: SetupInvocation
    private let path: String
    private let text: EventText

    init(_ invocation: SetupInvocation, _ path: String) {
        self.invocation = invocation
        self.path = path
        var text = EventText()
        text.showsTimestamps = invocation.isSet("timestamps")
        text.showsOldValues = invocation.isSet("diff")
        text.isColored = Terminal.usesColor(invocation.value("color"))
        self.text = text
    }

    /// Prints events until the daemon, the user or `--now` ends it; the result is the exit code.
    func run() throws(ControlError) -> Int32 {
        var options = EventDiffer.Options()
        options.showsStatistics = self.invocation.isSet("statistics")
        options.isFull = self.invocation.isSet("full")
        var differ = EventDiffer(options)
        var client = try ControlClient<EngineControl>(path: self.path)
        try client.send(.events(resource: self.invocation.resource))
        let polls = self.invocation.isSet("poll")
        while true {
            if polls, !client.hasBufferedLine, Self.waitForEither(client.descriptor) {
                guard self.answerPoll(differ) else { return 0 }
                continue
            }
            guard let reply = try client.nextReply(until: nil) else { continue }
            if reply.isLast { return self.conclude(reply) }
            guard let payload = reply.payload else { continue }
            if case .skipped(let count, let time) = payload {
                SetupTool.write(self.text.line(skipped: count, at: time) + "\n")
            }
            self.print(differ.receive(payload))
            if case .initialStateEnd = payload, self.invocation.isSet("now"), !polls { return 0 }
        }
    }

    private func print(_ records: [EventRecord]) {
        guard !records.isEmpty else { return }
        SetupTool.write(records.map { self.text.line($0) + "\n" }.joined())
    }

    private func conclude(_ reply: ControlReply<EnginePayload>) -> Int32 {
        if reply.code == .failure(.resourceUnknown) {
            SetupTool.complain("\(self.invocation.objectName): No such resource")
            return 10
        }
        let outcome = CommandOutcome(reply.code, reply.texts, about: self.invocation.objectName)
        for message in outcome.messages { SetupTool.complain(message) }
        return outcome.exitCode
    }

    /// Waits for standard input or the daemon; true if standard input has something.
    private static func waitForEither(_ descriptor: Int32) -> Bool {
        var entries = [
            pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&entries, 2, -1) < 0, errno == EINTR {}
        return entries[0].revents != 0
    }

    /// Acts on one character of standard input; false if it asks to end.
    private func answerPoll(_ differ: EventDiffer) -> Bool {
        var character: UInt8 = 0
        guard read(STDIN_FILENO, &character, 1) == 1 else { return false }
        switch character {
        case UInt8(ascii: "n"):
            let now = Date().timeIntervalSince1970 * 1_000_000
            self.print(differ.repeated(at: EventTime(microseconds: Int64(now))))
            return true
        case UInt8(ascii: "\n"): return true
        default: return false
        }
    }
}
