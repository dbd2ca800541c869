// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import TestSupport
import Testing

/// A real `drxd` in a folder of its own, and `drxctl` for it.
final class RelayDaemon {
    let node: String
    private let folder: TemporaryFolder
    private var process: Process?

    /// The folder of the built programs, which is that of the test bundle too.
    private static let programs = URL(fileURLWithPath: CommandLine.arguments[0])
        .resolvingSymlinksInPath().deletingLastPathComponent().path

    init(node: String) throws {
        self.node = node
        self.folder = try TemporaryFolder()
        try Data().write(to: URL(fileURLWithPath: self.logPath))
    }

    deinit { self.kill() }

    /// Starts the daemon and waits until its control socket answers.
    func start() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.programs + "/drxd")
        process.arguments = ["--node", self.node, "--run-dir", self.folder.path]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try self.logHandle()
        try process.run()
        self.process = process
        try waitFor("drxd answers") { self.answers }
    }

    private func logHandle() throws -> FileHandle {
        let handle = try #require(FileHandle(forWritingAtPath: self.logPath))
        try handle.seekToEnd()
        return handle
    }

    /// Ends the daemon as a power cut of the process would.
    func kill() { self.end(SIGKILL) }

    /// Asks the daemon to end; the result is its exit status.
    @discardableResult
    func terminate() -> Int32 { self.end(SIGTERM) }

    /// Stops the daemon's threads without ending it.
    func freeze() { self.signal(SIGSTOP) }
    func thaw() { self.signal(SIGCONT) }

    @discardableResult
    private func end(_ number: Int32) -> Int32 {
        guard let process else { return 0 }
        self.signal(SIGCONT)
        self.signal(number)
        process.waitUntilExit()
        self.process = nil
        return process.terminationStatus
    }

    private func signal(_ number: Int32) {
        if let process { _ = Foundation.kill(process.processIdentifier, number) }
    }

    var isRunning: Bool { self.process?.isRunning ?? false }
    var controlPath: String { RelayControl.socketPath(inRunDirectory: self.folder.path) }
    var configurationPath: String { self.folder.file("bsr.conf") }

    /// What the daemon has logged.
    var log: String { (try? String(contentsOfFile: self.logPath, encoding: .utf8)) ?? "" }

    func logLines(with text: String) -> Int {
        self.log.split(separator: "\n").count { $0.contains(text) }
    }

    /// The memory that the kernel has given to the daemon.
    var residentByteCount: Int {
        let path = "/proc/\(self.process?.processIdentifier ?? 0)/status"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return (line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }

    // MARK: Control

    /// Asks on a connection of its own; the items and the last reply.
    func ask(_ request: RelayRequest) throws -> ([RelayReport], ControlReply<RelayReport>) {
        var client = try ControlClient<RelayControl>(path: self.controlPath)
        var reports: [RelayReport] = []
        let reply = try client.call(request, within: .seconds(60)) { reports.append($0) }
        return (reports, reply)
    }

    /// Asks for what must succeed.
    func command(_ request: RelayRequest) throws {
        let (_, reply) = try self.ask(request)
        #expect(reply.code == .success, "\(self.node): \(reply.texts)")
    }

    /// The report of the only connection; nil if there is none.
    func report() throws -> RelayReport? { try self.ask(.status).0.first }

    private var answers: Bool { (try? self.report()) != nil || (try? self.ask(.status)) != nil }

    /// Runs `drxctl` against this daemon.
    func drxctl(_ arguments: String...) throws -> (status: Int32, output: String, errors: String) {
        let process = Process()
        let (output, errors) = (Pipe(), Pipe())
        process.executableURL = URL(fileURLWithPath: Self.programs + "/drxctl")
        process.arguments =
            [
                "--config-file", self.configurationPath, "--node", self.node, "--run-dir",
                self.folder.path,
            ] + arguments
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        let complaint = try errors.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (
            process.terminationStatus, String(decoding: text, as: UTF8.self),
            String(decoding: complaint, as: UTF8.self)
        )
    }

    private var logPath: String { self.folder.file("drxd.log") }
}

/// Why a wait was given up.
struct WaitError: Error, CustomStringConvertible {
    let description: String
}

/// Waits until `condition` holds, and fails with `what` if it does not in time.
func waitFor(
    _ what: String,
    within time: Duration = .seconds(30),
    _ condition: () throws -> Bool
) throws {
    guard try waitUntil(within: time, condition) else {
        throw WaitError(description: "not within \(time): \(what)")
    }
}
