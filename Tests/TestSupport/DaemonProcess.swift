// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A daemon that can be killed and started again; it does not outlive the test's process.
package final class DaemonProcess {
    /// What the daemon is called in messages.
    package let name: String
    private let logPath: String
    private var process: Process?
    /// The daemon ends when this closes, whatever becomes of us.
    private var lifeline: Pipe?
    private var isGuarded = false

    /// Runs a program that does not look at its standard input, and ends it when that ends.
    private static let guardian = """
        exec 3<&0
        {
            cat <&3 >/dev/null
            read -r _ _ _ parent _ </proc/self/stat
            [ "$parent" = $$ ] && kill $$
        } &
        exec 3<&- </dev/null
        exec "$@"
        """

    /// Makes a daemon that does not run yet and writes its log below `folder`.
    package init(name: String, folder: String) {
        self.name = name
        self.logPath = "\(folder)/\(name).log"
        _ = FileManager.default.createFile(atPath: self.logPath, contents: nil)
    }

    /// Whether it was started and not ended.
    package var isRunning: Bool { self.process != nil }

    /// The number of the process; nil if it does not run.
    package var identifier: Int32? { self.process?.processIdentifier }

    /// Whether the process is there, however it may have been ended.
    ///
    /// The kernel is asked: what tells Foundation of the end may be held by the guardian.
    package var hasProcess: Bool {
        guard let process = self.process, process.isRunning,
            let status = try? String(
                contentsOfFile: "/proc/\(process.processIdentifier)/stat",
                encoding: .utf8
            ), let end = status.lastIndex(of: ")")
        else { return false }
        return !status[end...].hasPrefix(") Z")
    }

    /// Starts `program` and waits until it is ready.
    ///
    /// - Parameter endsWithInput: whether the program ends by itself when its standard input does.
    package func start(
        _ program: String,
        _ arguments: [String],
        endsWithInput: Bool,
        until isReady: () -> Bool
    ) throws {
        let process = Process()
        if endsWithInput {
            process.executableURL = URL(fileURLWithPath: program)
            process.arguments = arguments
        } else {
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", Self.guardian, "sh", program] + arguments
        }
        let lifeline = Pipe()
        process.standardInput = lifeline
        let log = FileHandle(forWritingAtPath: self.logPath)
        log?.seekToEndOfFile()
        log?.write(Data("--- started with \(arguments)\n".utf8))
        process.standardOutput = log
        process.standardError = log
        try process.run()
        self.isGuarded = !endsWithInput
        self.process = process
        self.lifeline = lifeline
        let hasStarted = waitUntil(within: .seconds(20)) { isReady() || !process.isRunning }
        guard hasStarted, process.isRunning else {
            throw DaemonFailure("\(self.name) does not start; \(self.lastWords)")
        }
    }

    /// Writes a line to the daemon's standard input.
    package func tell(_ line: String) {
        try? self.lifeline?.fileHandleForWriting.write(contentsOf: Data("\(line)\n".utf8))
    }

    /// Ends the daemon by SIGKILL, unless it ends itself within `time`.
    ///
    /// Throws if it has ended before.
    package func kill(after time: Duration = .zero) throws {
        guard let process = self.process else { return }
        guard process.isRunning else {
            throw DaemonFailure("\(self.name) has died by itself; \(self.lastWords)")
        }
        _ = waitUntil(within: time, lookingEvery: .milliseconds(1)) { !process.isRunning }
        if process.isRunning { Glibc.kill(process.processIdentifier, SIGKILL) }
        self.end(process)
    }

    /// Ends the daemon in good order by SIGTERM.
    ///
    /// Throws if its status says otherwise.
    package func stop() throws {
        guard let process = self.process else { return }
        process.terminate()
        self.end(process)
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            throw DaemonFailure(
                "\(self.name) ended with status \(process.terminationStatus); \(self.lastWords)"
            )
        }
    }

    /// What the daemon has logged.
    package var log: String {
        String(
            decoding: FileManager.default.contents(atPath: self.logPath) ?? Data(),
            as: UTF8.self
        )
    }

    private var lastWords: String { "its last words: " + self.log.suffix(1000) }

    private func end(_ process: Process) {
        if self.isGuarded {
            // The guardian has inherited what tells us of the end, so it has to go first.
            try? self.lifeline?.fileHandleForWriting.close()
        }
        process.waitUntilExit()
        self.process = nil
        self.lifeline = nil
    }
}

/// What a daemon did that it should not.
package struct DaemonFailure: Error, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}
