// SPDX-License-Identifier: Apache-2.0

import Administration
import ArgumentParser
import Foundation
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
            """,
        version: "0.1.0"
    )

    @OptionGroup var place: PlaceOptions

    @Flag(name: [.short, .long], help: "More detail.")
    var verbose = false

    @Flag(help: "status as one JSON object.")
    var json = false

    @Argument(help: "up, down, adjust, status, memusage or statistics.")
    var verb: Verb

    @Argument(help: "Resources or connections; 'all' or none means all.")
    var names: [String] = []

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
            let reports = try Self.reports(&client).filter { self.isNamed($0.name, $0.resource) }
            self.show(reports)
        case .up:
            for arguments in try self.configured() {
                try Self.call(.up(arguments), &client)
            }
        case .down:
            for report in try Self.reports(&client) where self.isNamed(report.name, report.resource)
            {
                try Self.call(.down(name: report.name), &client)
            }
        case .adjust:
            let wanted = try self.configured(mayBeNone: true)
            let names = Set(wanted.map(\.name))
            for report in try Self.reports(&client)
            where self.isNamed(report.name, report.resource) && !names.contains(report.name) {
                try Self.call(.down(name: report.name), &client)
            }
            for arguments in wanted { try Self.call(.adjust(arguments), &client) }
        }
    }

    private func show(_ reports: [RelayReport]) {
        switch self.verb {
        case .memusage: print(Tables.buffers(reports, isVerbose: self.verbose), terminator: "")
        case .statistics: print(Tables.traffic(reports, isVerbose: self.verbose), terminator: "")
        default:
            print(
                Tables.status(reports, isVerbose: self.verbose, isJSON: self.json),
                terminator: ""
            )
        }
    }

    /// The connections of the configuration that are meant.
    private func configured(mayBeNone: Bool = false) throws -> [RelayArguments] {
        let path = self.place.configurationFile
        let all = try ConfiguredConnections.read(path, node: self.place.nodeName)
        let wanted = all.filter { self.isNamed($0.name, $0.resource) }
        guard mayBeNone || !wanted.isEmpty || self.meansAll else {
            throw ToolError(
                description: "\(path): no connection through a relay of this node is named "
                    + self.names.joined(separator: ", ")
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
