// SPDX-License-Identifier: Apache-2.0

import Administration
import ArgumentParser
import Foundation
import LinkSimulation

/// `drxsim control`: changes a running link.
struct ControlTool: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "control",
        abstract: "Changes a running link, or shows what has passed through it.",
        discussion: """
            SOCKET is what the link was given as --control. VERB is one of:

              cut                   nothing passes and nothing is closed, as in a blackout
              heal                  ends a cut; what was held passes, nothing is lost
              reset                 resets both ends of every connection
              half-open [near|far]  resets one end of every connection; the other, the one that \
            is named (default: far), never learns. near: who connected to the link
              rate RATE             bits a second in each direction, for instance 10M, or unlimited
              delay MILLISECONDS    of each direction
              jitter MILLISECONDS
              counters              bytes and packets that have arrived, by direction and kind

            Exit code: 0 done, 1 refused or not reachable, 64 wrong command line.
            """
    )

    @Argument(help: "The link's control socket.")
    var socket: String

    @Argument(help: "What to do, see above.")
    var verb: String

    @Argument(help: "The verb's value.")
    var value: String?

    @Flag(help: "Print settings and counters as JSON.")
    var json = false

    func validate() throws { _ = try self.request() }

    func run() throws {
        do {
            print(try self.text(of: self.ask()))
        } catch ControlError.unreachable(_, let path, let errno) {
            let reason = String(cString: strerror(errno))
            throw ToolError("no link answers at \(path): \(reason); is it running?")
        }
    }

    private func ask() throws -> LinkReport {
        var client = try ControlClient<LinkControl>(path: self.socket)
        let reply = try client.call(self.request())
        guard reply.code == .success, let report = reply.payload else {
            throw ToolError(reply.texts.joined(separator: "; "))
        }
        return report
    }

    private func text(of report: LinkReport) throws -> String {
        if self.json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            return String(decoding: try encoder.encode(report), as: UTF8.self)
        }
        let state =
            "\(report.isCut ? "cut" : "up"), \(report.settings), connections \(report.connections)"
        return self.verb == "counters" ? "\(state)\n\(report.counters.table)" : state
    }

    private func request() throws -> LinkRequest {
        switch (self.verb, self.value) {
        case ("cut", nil): return .cut
        case ("heal", nil): return .heal
        case ("reset", nil): return .reset
        case ("counters", nil): return .counters
        case ("half-open", let value):
            guard let end = LinkEnd(rawValue: value ?? "far") else {
                throw ValidationError("half-open '\(value ?? "")': it must be near or far")
            }
            return .halfOpen(kept: end)
        case ("rate", let value?):
            return .rate(
                try Self.checked(value) { (text) throws(LinkError) in
                    _ = try LinkSettings.rate(text)
                }
            )
        case ("delay", let value?), ("jitter", let value?):
            let verb = self.verb
            let text = try Self.checked(value) { (text) throws(LinkError) in
                _ = try LinkSettings.milliseconds(text, as: verb)
            }
            return verb == "delay" ? .delay(text) : .jitter(text)
        case ("rate", nil), ("delay", nil), ("jitter", nil):
            throw ValidationError("\(self.verb) needs a value")
        case ("cut", _), ("heal", _), ("reset", _), ("counters", _):
            throw ValidationError("\(self.verb) takes no value")
        default:
            throw ValidationError(
                "'\(self.verb)' is no verb; use cut, heal, reset, half-open, rate, delay, jitter "
                    + "or counters"
            )
        }
    }

    /// `value` if the link will take it, so that mistakes show without one.
    private static func checked(
        _ value: String,
        by check: (String) throws(LinkError) -> Void
    ) throws -> String {
        do {
            try check(value)
            return value
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
