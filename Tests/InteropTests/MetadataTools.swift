// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Runs `bsrmeta` and the real `drbdmeta` in one folder.
struct MetadataTools {
    typealias Output = Program.Output

    /// Whether the real tool is there in the version that we know.
    static let isInstalled: Bool = {
        guard FileManager.default.isExecutableFile(atPath: Self.oracle) else { return false }
        let version = try? Program.run("/usr/sbin/drbdadm", ["--version"], in: "/")
        return version?.text.contains("DRBDADM_VERSION=9.22") == true
    }()

    private static let oracle = "/usr/sbin/drbdmeta"

    /// The folder with all files of one test.
    let folder: String

    /// Runs our tool; it remembers device sizes in the test's folder.
    func ours(_ line: String) throws -> Output {
        try Program.run(
            Program.own("bsrmeta"),
            ["--state-dir", self.folder] + Self.words(line),
            in: self.folder
        )
    }

    /// Runs the real tool, which takes plain files only with `--force`.
    func theirs(_ line: String) throws -> Output {
        try Program.run(Self.oracle, ["--force"] + Self.words(line), in: self.folder)
    }

    /// Runs our tool and expects success.
    @discardableResult
    func run(_ line: String) throws -> Output {
        let output = try self.ours(line)
        #expect(output.exitCode == 0, "bsrmeta \(line): \(output.errors)")
        return output
    }

    /// Runs the real tool and expects success.
    @discardableResult
    func runTheirs(_ line: String) throws -> Output {
        let output = try self.theirs(line)
        #expect(output.exitCode == 0, "drbdmeta \(line): \(output.errors)")
        return output
    }

    /// Creates a sparse file of `bytes`.
    func create(_ name: String, bytes: UInt64) throws {
        let path = self.folder + "/" + name
        try? FileManager.default.removeItem(atPath: path)
        _ = FileManager.default.createFile(atPath: path, contents: nil)
        try self.resize(name, bytes: bytes)
    }

    /// Changes the size of a file.
    func resize(_ name: String, bytes: UInt64) throws {
        let file = try self.open(name)
        try file.truncate(atOffset: bytes)
        try file.close()
    }

    /// Copies a file within the folder.
    func copy(_ name: String, to other: String) throws {
        let target = self.folder + "/" + other
        try? FileManager.default.removeItem(atPath: target)
        try FileManager.default.copyItem(atPath: self.folder + "/" + name, toPath: target)
    }

    /// `count` bytes at `position` of a file.
    func read(_ name: String, at position: UInt64, count: Int) throws -> [UInt8] {
        let file = try self.open(name)
        try file.seek(toOffset: position)
        let bytes = [UInt8](try file.read(upToCount: count) ?? Data())
        try file.close()
        return bytes
    }

    /// Writes `bytes` at `position` of a file.
    func write(_ bytes: [UInt8], to name: String, at position: UInt64) throws {
        let file = try self.open(name)
        try file.seek(toOffset: position)
        try file.write(contentsOf: Data(bytes))
        try file.close()
    }

    private func open(_ name: String) throws -> FileHandle {
        try FileHandle(forUpdating: URL(fileURLWithPath: self.folder + "/" + name))
    }

    private static func words(_ line: String) -> [String] {
        line.split(separator: " ").map(String.init)
    }
}

extension Program.Output {
    /// A dump from its `version` line on; what is above names time and command line.
    var dump: String {
        guard let start = self.text.range(of: "version ") else { return self.text }
        return String(self.text[start.lowerBound...])
    }
}
