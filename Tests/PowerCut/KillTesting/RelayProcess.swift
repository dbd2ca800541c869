// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import TestSupport

/// A `drxd` of one site that can be killed and started again.
final class RelayProcess {
    /// How it relays the connection of its engine.
    let arguments: RelayArguments
    private let program: String
    private let runFolder: String
    private let daemon: DaemonProcess

    init(_ programs: Programs, site: String, folder: String, _ arguments: RelayArguments) throws {
        self.program = programs.path("drxd")
        self.runFolder = "\(folder)/\(site)-relay"
        self.arguments = arguments
        self.daemon = DaemonProcess(name: "\(site)-relay", folder: folder)
        try FileManager.default.createDirectory(
            atPath: self.runFolder,
            withIntermediateDirectories: true
        )
    }

    var name: String { self.daemon.name }
    var isRunning: Bool { self.daemon.isRunning }

    /// Starts the relay, as one does after a crash: it knows nothing and is told its connection.
    func start() throws {
        try self.daemon.start(
            self.program,
            ["--node", self.arguments.ownNodes[0], "--run-dir", self.runFolder],
            endsWithInput: false,
            until: { (try? self.call(.status)) != nil }
        )
        try self.call(.up(self.arguments))
    }

    func kill() throws { try self.daemon.kill() }

    func stop() throws { try self.daemon.stop() }

    private func call(_ request: RelayRequest) throws {
        let path = RelayControl.socketPath(inRunDirectory: self.runFolder)
        var client = try ControlClient<RelayControl>(path: path)
        let reply = try client.call(request, within: .seconds(30))
        guard reply.code == .success else {
            throw KillTestFailure("\(self.name) \(request): \(reply.code.rawValue) \(reply.texts)")
        }
    }
}
