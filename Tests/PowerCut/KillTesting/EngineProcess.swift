// SPDX-License-Identifier: Apache-2.0

import Administration
import Engine
import EngineCore
import Foundation
import TestSupport
import Wire

/// One node: a `bsrd-powercut` that can be killed and started again, with one volume in files.
final class EngineProcess {
    let name: String
    let nodeID: Int
    let dataPath: String
    let metadataPath: String
    private let programs: Programs
    private let runFolder: String
    private let addresses: (local: String, remote: String)
    private let peer: PeerAddress
    private let daemon: DaemonProcess

    /// The slots of the activity log: the smallest number there can be.
    static let activityLogExtents = 67
    /// The names of the nodes, by their numbers.
    static let names = ["alpha", "beta"]

    /// Makes the files of node `nodeID`, which will listen at `port` and look for its peer at
    /// `peerPort`.
    init(
        _ programs: Programs,
        nodeID: Int,
        folder: String,
        port: UInt16,
        peerPort: UInt16
    ) throws {
        self.programs = programs
        self.name = Self.names[nodeID]
        self.nodeID = nodeID
        self.runFolder = "\(folder)/\(self.name)"
        self.dataPath = "\(folder)/\(self.name).data"
        self.metadataPath = "\(folder)/\(self.name).meta"
        self.addresses = ("ipv4:127.0.0.1:\(port)", "ipv4:127.0.0.1:\(peerPort)")
        self.daemon = DaemonProcess(name: self.name, folder: folder)
        self.peer = PeerAddress("r0", 1 - nodeID)
        let files = FileManager.default
        try files.createDirectory(atPath: self.runFolder, withIntermediateDirectories: true)
        for path in [self.dataPath, self.metadataPath] {
            _ = files.createFile(atPath: path, contents: nil)
        }
        truncate(self.dataPath, off_t(TaggedArea.byteCount))
        truncate(self.metadataPath, 1 << 20)
    }

    var nbdSocket: String { "\(self.runFolder)/nbd.sock" }
    var isRunning: Bool { self.daemon.isRunning }

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
        try self.daemon.start(
            self.programs.path("bsrd-powercut"),
            [self.runFolder, self.name, "\(seed)"] + [skipping].compactMap(\.self),
            endsWithInput: true,
            until: { (try? self.request(.status(resource: nil))) != nil }
        )
    }

    /// The power cut: now, or within a moment during a flush of the kind `flush`.
    func kill(during flush: DiskFlush? = nil) throws {
        if let flush { self.daemon.tell(flush.rawValue) }
        try self.daemon.kill(after: flush == nil ? .zero : .milliseconds(300))
    }

    /// Takes the resource down and ends the daemon in good order.
    func stop() throws {
        guard self.isRunning else { return }
        try self.call(.down(resource: "r0"))
        try self.daemon.stop()
    }

    // MARK: Control

    /// Makes the resource and attaches its disk.
    func configure() throws {
        let options = [
            "protocol": "C", "connect-int": "1", "_name": Self.names[1 - self.nodeID],
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
                    options: [
                        OptionText("disk-flushes", "yes"),
                        OptionText("al-extents", "\(Self.activityLogExtents)"),
                    ]
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
        var failure: (any Error)?
        let isDone = waitUntil(within: .seconds(10), lookingEvery: .milliseconds(20)) {
            do {
                try self.call(request)
                return true
            } catch {
                failure = error
                return false
            }
        }
        if !isDone, let failure { throw failure }
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

    /// The blocks that may differ from the peer's, as the metadata on disk has it.
    func marks() throws -> BlockSet {
        try NodeMetadata(path: self.metadataPath).marks(
            towards: UInt8(1 - self.nodeID),
            sectorCount: TaggedArea.byteCount / 512
        )
    }

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
