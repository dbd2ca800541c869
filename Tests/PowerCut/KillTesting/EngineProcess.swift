// SPDX-License-Identifier: Apache-2.0

import Administration
import EngineCore
import Foundation
import TestSupport
import Wire

/// What a test of processes found wrong.
package struct KillTestFailure: Error, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

/// The built programs of this package.
package struct Programs: Sendable {
    package let folder: String

    package init(folder: String) { self.folder = folder }

    func path(_ name: String) -> String { self.folder + "/" + name }

    /// Runs a program to its end; throws with its output if it does not exit with 0.
    @discardableResult
    static func run(_ path: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let text = String(decoding: output, as: UTF8.self)
        guard process.terminationStatus == 0 else {
            throw KillTestFailure(
                "\(path) \(arguments) exited with \(process.terminationStatus): \(text)"
            )
        }
        return text
    }
}

/// One node: a `bsrd-powercut` that can be killed and started again, with one volume in files.
final class EngineProcess {
    let name: String
    let nodeID: Int
    let dataPath: String
    let metadataPath: String
    private let programs: Programs
    private let runFolder: String
    private let logPath: String
    private let addresses: (local: String, remote: String)
    private let peer: PeerAddress
    private var process: Process?
    /// The daemon ends when this closes, whatever becomes of us.
    private var lifeline: Pipe?

    init(_ programs: Programs, nodeID: Int, folder: String, ports: [UInt16]) throws {
        self.programs = programs
        self.name = nodeID == 0 ? "alpha" : "beta"
        self.nodeID = nodeID
        self.runFolder = "\(folder)/\(self.name)"
        self.dataPath = "\(folder)/\(self.name).data"
        self.metadataPath = "\(folder)/\(self.name).meta"
        self.logPath = "\(folder)/\(self.name).log"
        self.addresses = (
            "ipv4:127.0.0.1:\(ports[nodeID])", "ipv4:127.0.0.1:\(ports[1 - nodeID])"
        )
        self.peer = PeerAddress("r0", 1 - nodeID)
        let files = FileManager.default
        try files.createDirectory(atPath: self.runFolder, withIntermediateDirectories: true)
        for path in [self.dataPath, self.metadataPath, self.logPath] {
            _ = files.createFile(atPath: path, contents: nil)
        }
        truncate(self.dataPath, off_t(TaggedArea.byteCount))
        truncate(self.metadataPath, 1 << 20)
    }

    var nbdSocket: String { "\(self.runFolder)/nbd.sock" }
    var isRunning: Bool { self.process != nil }

    /// Makes metadata that says: equal to the peer, nothing to copy.
    func makeMetadata() throws {
        try self.metadataTool(["create-md", "1"])
        try self.metadataTool([
            "--node-id", "\(1 - self.nodeID)", "set-gi", "C0FFEE0000000010:0:0:0:1:1",
        ])
    }

    func applyActivityLog() throws { try self.metadataTool(["apply-al"]) }

    private func metadataTool(_ arguments: [String]) throws {
        try Programs.run(
            self.programs.path("bsrmeta"),
            ["--force", "-", "v09", self.metadataPath, "flex-external"] + arguments
        )
    }

    // MARK: Process

    /// Starts the daemon and waits until its control socket answers.
    func start(seed: UInt64, skipping: String?) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: self.programs.path("bsrd-powercut"))
        process.arguments = [self.runFolder, self.name, "\(seed)"] + [skipping].compactMap(\.self)
        let lifeline = Pipe()
        process.standardInput = lifeline
        let log = FileHandle(forWritingAtPath: self.logPath)
        log?.seekToEndOfFile()
        log?.write(Data("--- started with seed \(seed)\n".utf8))
        process.standardError = log
        try process.run()
        self.process = process
        self.lifeline = lifeline
        let end = Date().addingTimeInterval(20)
        while Date() < end, process.isRunning {
            if (try? self.request(.status(resource: nil))) != nil { return }
            usleep(5_000)
        }
        throw KillTestFailure("\(self.name) does not start; see \(self.logPath)")
    }

    /// The power cut.
    func kill() throws {
        guard let process = self.process else { return }
        guard process.isRunning else {
            throw KillTestFailure("\(self.name) has died by itself; see \(self.logPath)")
        }
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        self.process = nil
        self.lifeline = nil
    }

    /// Takes the resource down and ends the daemon in good order.
    func stop() throws {
        guard let process = self.process else { return }
        try self.call(.down(resource: "r0"))
        process.terminate()
        process.waitUntilExit()
        self.process = nil
        self.lifeline = nil
        guard process.terminationStatus == 0 else {
            throw KillTestFailure("\(self.name) ended with status \(process.terminationStatus)")
        }
    }

    // MARK: Control

    /// Makes the resource and attaches its disk.
    func configure() throws {
        let options = [
            "protocol": "C", "connect-int": "1", "_name": self.nodeID == 0 ? "beta" : "alpha",
        ]
        try self.call(.newResource(name: "r0", nodeID: self.nodeID, options: []))
        try self.call(.newMinor(resource: "r0", minor: 1, volume: 0, options: []))
        try self.call(.newPeer(self.peer, options: options.map { OptionText($0.key, $0.value) }))
        try self.call(
            .newPath(self.peer, local: self.addresses.local, remote: self.addresses.remote)
        )
        try self.call(
            .attach(
                AttachArguments(
                    minor: 1,
                    disk: self.dataPath,
                    metaDisk: self.metadataPath,
                    index: "flexible",
                    options: [OptionText("disk-flushes", "yes"), OptionText("al-extents", "67")]
                )
            )
        )
    }

    func connect() throws {
        try self.call(.connect(self.peer, discardMyData: false, tentative: false))
    }

    /// Makes the node Primary; a peer that has just died may be noticed a moment later.
    func promote() throws { try self.retry(.primary(resource: "r0", force: false)) }

    /// Makes the node Secondary; that its clients are gone may be noticed a moment later.
    func demote() throws { try self.retry(.secondary(resource: "r0", force: false)) }

    private func retry(_ request: EngineRequest) throws {
        let end = Date().addingTimeInterval(10)
        while true {
            do { return try self.call(request) } catch {
                guard Date() < end else { throw error }
                usleep(20_000)
            }
        }
    }

    /// The state of the disk, of the peer's, and of the replication.
    func state() throws -> (disk: DiskState, peerDisk: DiskState, replication: ReplicationState) {
        guard case .status(let status)? = try self.request(.status(resource: "r0")).first,
            let device = status.resource.devices.first
        else { throw KillTestFailure("\(self.name) has no volume") }
        let peer = status.resource.connections.first?.peerDevices.first
        return (device.disk, peer?.disk ?? .unknown, peer?.replication ?? .off)
    }

    private func call(_ request: EngineRequest) throws { _ = try self.request(request) }

    private func request(_ request: EngineRequest) throws -> [EnginePayload] {
        let path = EngineControl.socketPath(inRunDirectory: self.runFolder)
        var client = try ControlClient<EngineControl>(path: path)
        var items: [EnginePayload] = []
        let reply = try client.call(request, within: .seconds(30)) { items.append($0) }
        guard reply.code == .success else {
            throw KillTestFailure("\(self.name) \(request): \(reply.code.rawValue) \(reply.texts)")
        }
        return items
    }

    // MARK: Files

    /// Has the real drbdmeta recover and dump a copy of the metadata, if it is installed.
    func checkWithDrbdmeta() throws {
        let tool = "/usr/sbin/drbdmeta"
        guard FileManager.default.isExecutableFile(atPath: tool) else { return }
        let copy = self.metadataPath + ".copy"
        try? FileManager.default.removeItem(atPath: copy)
        try FileManager.default.copyItem(atPath: self.metadataPath, toPath: copy)
        let words = ["--force", "-", "v09", copy, "flex-external"]
        try Programs.run(tool, words + ["apply-al"])
        try Programs.run(tool, words + ["dump-md"])
    }

    /// What the file of the data has in every tagged sector; the daemon must not run.
    func sequencesOnDisk() throws -> [UInt32?] {
        let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: self.dataPath))
        defer { try? file.close() }
        return try (0..<TaggedArea.chunkCount).flatMap { chunk in
            try file.seek(toOffset: TaggedArea.offset(ofChunk: chunk))
            let data = try file.read(upToCount: TaggedArea.sectorsPerChunk * 512) ?? Data()
            return [UInt8](data).sequences(inChunk: chunk)
        }
    }
}

extension [UInt8] {
    /// The numbers of the writes that the sectors of a chunk come from.
    func sequences(inChunk chunk: Int) -> [UInt32?] {
        (0..<TaggedArea.sectorsPerChunk).map { number in
            TaggedArea.sequence(
                in: self[number * 512..<(number + 1) * 512],
                of: chunk * TaggedArea.sectorsPerChunk + number
            )
        }
    }
}
