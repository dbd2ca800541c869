// SPDX-License-Identifier: Apache-2.0

import Administration
import ArgumentParser
import Foundation
import Primitives
import ToolSupport

/// The administrator's tool for the relay.
@main
struct Drxctl: ParsableCommand {
    /// What is to be done.
    enum Verb: String, CaseIterable, ExpressibleByArgument {
        case up, down, adjust, status, memusage, statistics
    }

    static let configuration = CommandConfiguration(
        commandName: "drxctl",
        abstract: "Brings relay connections up and down and shows them.",
        discussion: """
            up, down, adjust: connections of the named resources, by default all. They are taken \
            from the proxy sections of the configuration file.
            status, memusage, statistics: what drxd relays, its buffers, and its traffic.

            Exit code: 0 done, 10 refused, or a name that nothing has, 20 drxd cannot be reached, \
            64 wrong command line.
            """,
        version: Release.line("drxctl")
    )

    @OptionGroup var place: PlaceOptions

    @Flag(name: [.short, .long], help: "More detail.")
    var verbose = false

    @Flag(help: "status, memusage and statistics as one JSON object.")
    var json = false

    @Argument(help: "up, down, adjust, status, memusage or statistics.")
    var verb: Verb

    @Argument(help: "Resources or connections; 'all' or none means all.")
    var names: [String] = []

    static func main() { Self.runProgram() }

    func validate() throws {
        guard self.json, ![.status, .memusage, .statistics].contains(self.verb) else { return }
        throw ValidationError(
            "\(self.verb.rawValue) prints nothing; --json is for status, "
                + "memusage and statistics"
        )
    }

    func run() throws {
        do {
            try self.carryOut()
        } catch let error as ControlError {
            Self.complain("\(error)")
            throw ExitCode(20)
        } catch let error as ToolError {
            Self.complain(error.description)
            throw ExitCode(10)
        }
    }

    private func carryOut() throws {
        let path = RelayControl.socketPath(inRunDirectory: self.place.runDirectory)
        var client = try ControlClient<RelayControl>(path: path)
        switch self.verb {
        case .status, .memusage, .statistics:
            try self.show(self.named(Self.reports(&client)))
        case .up:
            for arguments in try self.configured() {
                try Self.call(.up(arguments), &client)
            }
        case .down:
            for report in try self.named(Self.reports(&client)) {
                try Self.call(.down(name: report.name), &client)
            }
        case .adjust:
            let reports = try Self.reports(&client)
            let running = reports.flatMap { [$0.name, $0.resource] }
            let wanted = try self.configured(orRunning: running)
            let names = Set(wanted.map(\.name))
            for report in reports
            where self.isNamed(report.name, report.resource) && !names.contains(report.name) {
                try Self.call(.down(name: report.name), &client)
            }
            for arguments in wanted { try Self.call(.adjust(arguments), &client) }
        }
    }

    private func show(_ reports: [RelayReport]) throws {
        let text =
            switch self.verb {
            case .memusage where self.json: try TablesJSON.buffers(reports)
            case .memusage: Tables.buffers(reports, isVerbose: self.verbose)
            case .statistics where self.json: try TablesJSON.traffic(reports)
            case .statistics: Tables.traffic(reports, isVerbose: self.verbose)
            default: Tables.status(reports, isVerbose: self.verbose, isJSON: self.json)
            }
        print(text, terminator: "")
    }

    /// The connections that are meant.
    ///
    /// - Throws: `ToolError` if a name is neither that of a connection nor that of a resource.
    private func named(_ reports: [RelayReport]) throws -> [RelayReport] {
        let known = Set(reports.flatMap { [$0.name, $0.resource] })
        var unknown = self.names.filter { $0 != "all" && !known.contains($0) }
        if !unknown.isEmpty {
            // What is configured and not up is no mistake: there is nothing to show or to end.
            let path = self.place.configurationFile
            let configured =
                (try? ConfiguredConnections.read(path, node: self.place.nodeName)) ?? []
            unknown.removeAll { name in
                configured.contains { $0.name == name || $0.resource == name }
            }
        }
        guard unknown.isEmpty else {
            throw ToolError(
                description: "there is neither a connection nor a resource called "
                    + unknown.joined(separator: ", ") + "; drxctl status shows what drxd relays"
            )
        }
        return reports.filter { self.isNamed($0.name, $0.resource) }
    }

    /// The connections of the configuration that are meant.
    ///
    /// - Parameter running: names that need not be in the configuration.
    private func configured(orRunning running: [String] = []) throws -> [RelayArguments] {
        let path = self.place.configurationFile
        let all = try ConfiguredConnections.read(path, node: self.place.nodeName)
        let wanted = all.filter { self.isNamed($0.name, $0.resource) }
        let known = Set(all.flatMap { [$0.name, $0.resource] } + running + ["all"])
        let unknown = self.names.filter { !known.contains($0) }
        guard unknown.isEmpty else {
            throw ToolError(
                description: "\(path): no connection through a relay of this node is named "
                    + unknown.joined(separator: ", ")
            )
        }
        return try wanted.map { try $0.arguments() }
    }

    private static func call(
        _ request: RelayRequest,
        _ client: inout ControlClient<RelayControl>
    ) throws {
        let reply = try client.call(request, within: .seconds(100))
        guard reply.code == .success else {
            throw ToolError(description: reply.texts.joined(separator: "\n"))
        }
    }

    private static func reports(
        _ client: inout ControlClient<RelayControl>
    ) throws -> [RelayReport] {
        var reports: [RelayReport] = []
        let reply = try client.call(.status) { reports.append($0) }
        guard reply.code == .success else {
            throw ToolError(description: reply.texts.joined(separator: "\n"))
        }
        return reports
    }

    private var meansAll: Bool { self.names.isEmpty || self.names.contains("all") }

    private func isNamed(_ connection: String, _ resource: String) -> Bool {
        self.meansAll || self.names.contains(connection) || self.names.contains(resource)
    }

    private static func complain(_ text: String) {
        try? FileHandle.standardError.write(contentsOf: Data((text + "\n").utf8))
    }
}

/// Why the tool could not do what it was asked.
struct ToolError: Error, CustomStringConvertible {
    let description: String
}
