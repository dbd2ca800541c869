// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestSupport
import Testing

/// Runs `drbdadm` and `bsradm` with the same file and arguments.
struct Oracle {
    typealias Output = Program.Output

    private static let tool = "/usr/sbin/drbdadm"
    /// Called by its bare name it prints the bare names of the backend tools.
    private static let toolByName = [
        "/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "drbdadm",
    ]

    /// True if the real tool, in a version that we know, is there.
    static let isInstalled: Bool = {
        guard FileManager.default.isExecutableFile(atPath: Self.tool) else { return false }
        let version = try? Self.start(Self.tool, ["--version"], [:])
        return version?.text.contains("DRBDADM_VERSION=9.22") == true
    }()

    private let path: String
    private let node: String
    private let running: String?

    /// The file at `path` on `node`; `running` names a file with the engine's state.
    init(path: String, node: String, running: String? = nil) throws {
        self.path = path
        self.node = node
        self.running = running
    }

    /// The example file `file` on `node`.
    init(file: String, node: String) throws { try self.init(path: file, node: node) }

    /// The path of an example file.
    static func example(_ name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("Config/\(name)").path
    }

    /// Runs both and expects the same output and exit code.
    func compare(_ arguments: [String]) throws {
        let (theirs, ours) = try self.run(arguments)
        #expect(ours.exitCode == theirs.exitCode, "\(arguments) \(ours.errors) \(theirs.errors)")
        let (wanted, got) = (Self.translated(theirs.text), Self.unrepeated(ours.text))
        let difference = got.difference(from: wanted).map { change in
            switch change {
            case .insert(let line, let text, _): "+\(line) \(text)"
            case .remove(let line, let text, _): "-\(line) \(text)"
            }
        }
        let isSame = got == wanted
        #expect(isSame, "\(arguments)\n\(difference.prefix(8).joined(separator: "\n"))")
    }

    /// Runs both.
    func run(_ arguments: [String]) throws -> (theirs: Output, ours: Output) {
        var environment = ["DRBD_DRIVER_VERSION_OVERRIDE": "9.2.0", "__DRBD_NODE__": self.node]
        environment["FAKE_DRBDSETUP_SHOW"] = self.running
        let words = Self.toolByName.dropFirst() + ["-c", self.path] + arguments
        let theirs = try Self.start(Self.toolByName[0], Array(words), environment)
        var own = ["BSR_NODE": self.node]
        own["FAKE_BSRSETUP_SHOW"] = self.running
        let ours = try Self.start(Self.ownTool, ["-c", self.path] + arguments, own)
        return (theirs, ours)
    }

    /// The lines `FILE:LINE` that errors begin with, the file by its last part.
    static func places(_ errors: String, _ path: String) -> [String] {
        let name = (path as NSString).lastPathComponent
        return errors.split(separator: "\n").compactMap { line in
            let parts = line.split(separator: ":", maxSplits: 2)
            guard parts.count == 3, parts[0].hasSuffix(name), Int(parts[1]) != nil else {
                return nil
            }
            return "\(name):\(parts[1])"
        }
    }

    /// drbdadm's lines in our words.
    ///
    /// Relay commands are drxd's; repeated lines come from drbdadm setting the options of one peer
    /// device twice.
    private static func translated(_ text: String) -> [Substring] {
        let renamed = text.split(separator: "\n", omittingEmptySubsequences: false)
            .filter { !$0.hasPrefix("drbd-proxy-ctl ") }
            .map { line in
                line.hasPrefix("drbdsetup ")
                    ? "bsrsetup " + line.dropFirst(10)
                    : line.hasPrefix("drbdmeta ") ? "bsrmeta " + line.dropFirst(9) : String(line)
            }
        return Self.unrepeated(renamed.joined(separator: "\n"))
    }

    private static func unrepeated(_ text: String) -> [Substring] {
        var seen: Set<Substring> = []
        return text.split(separator: "\n", omittingEmptySubsequences: false).filter { line in
            !line.hasPrefix("bsrsetup peer-device-options") || seen.insert(line).inserted
        }
    }

    /// Runs `bsradm` with nothing of ours in its environment.
    static func bsradm(_ arguments: [String]) throws -> Output {
        try Self.start(Self.ownTool, arguments, [:])
    }

    private static let ownTool = Program.own("bsradm")

    private static func start(
        _ program: String,
        _ arguments: [String],
        _ environment: [String: String]
    ) throws -> Output {
        try Program.run(program, arguments, environment: environment)
    }
}
