// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Foundation
import Metadata
import Locking
import Primitives
import Reactor
import TestSupport
import Testing
import Wire

/// One engine on a thread of its own, with one resource of one volume on a file.
final class EngineNode {
    let folder: TemporaryFolder
    let socketPath: String
    private(set) var handle: LoopHandle<EngineLoop>?
    /// What the engine has logged.
    let lines: LogLines
    /// What of that somebody has to look at.
    let warnings: LogLines
    private let ended = DispatchSemaphore(value: 0)

    /// Starts the loop.
    ///
    /// Throws if io_uring is missing. `atEnd` is called on the loop's thread before that lets go of
    /// it.
    init(
        name: String,
        interposer: HeldDisk? = nil,
        atEnd: @escaping @Sendable () -> Void = {}
    ) throws {
        self.folder = try TemporaryFolder()
        self.socketPath = self.folder.file("nbd.sock")
        let started = DispatchSemaphore(value: 0)
        let box = LoopBox()
        let path = self.socketPath
        let ended = self.ended
        let lines = LogLines()
        self.lines = lines
        let warnings = LogLines()
        self.warnings = warnings
        let thread = Thread {
            do {
                let loop = try EngineLoop(
                    EngineConfiguration(nodeName: name, nbdAddresses: [.unix(path)]),
                    log: LoopLog(
                        note: { lines.append($0) },
                        warn: {
                            lines.append($0)
                            warnings.append($0)
                            print("\(name): \($0)")
                        }
                    ),
                    interposer: interposer
                )
                box.handle = loop.handle
                started.signal()
                loop.run()
                withExtendedLifetime(loop) { atEnd() }
            } catch {
                box.error = error
                started.signal()
            }
            ended.signal()
        }
        thread.start()
        started.wait()
        if let error = box.error { throw error }
        self.handle = box.handle
    }

    deinit { self.stop() }

    func stop() {
        guard let handle = self.handle else { return }
        handle.stop()
        self.handle = nil
        self.ended.wait()
    }

    /// Runs `body` on the loop's thread and waits for what it passes to `done`.
    func ask<Result: Sendable>(
        _ body: @escaping @Sendable (EngineLoop, @escaping @Sendable (Result) -> Void) -> Void
    ) -> Result {
        let semaphore = DispatchSemaphore(value: 0)
        let box = ResultBox<Result>()
        _ = self.handle?.perform { loop in
            body(loop) { result in
                box.value.withLock { $0 = result }
                semaphore.signal()
            }
        }
        semaphore.wait()
        guard let value = box.value.withLock({ $0 }) else { fatalError("no answer") }
        return value
    }

    /// Attaches a disk to volume 0 of a resource.
    func attach(
        _ resource: Int,
        _ data: String,
        _ metadata: String,
        _ index: String
    ) -> AttachFailure? {
        self.ask { loop, done in
            loop.attach(
                resource,
                volume: 0,
                AttachRequest(dataPath: data, metadataPath: metadata, index: index)
            ) { done($0) }
        }
    }

    /// Has the engine carry out a command.
    func command(_ resource: Int, _ command: ResourceCommand) -> StateChangeCode {
        self.ask { loop, done in loop.command(resource, command) { done($0) } }
    }

    /// Makes resource r0 of one volume with a disk of its own, Primary; its peer is nowhere.
    func addPrimaryResource() throws {
        let path = try self.makeDisk("data", bytes: 64 << 20)
        let index = self.addResource()
        #expect(self.attach(index, path, path, "internal") == nil)
        #expect(self.command(index, .primary(force: true)) == .success)
    }

    /// Makes resource r0 with its volume 0, which is Diskless; its peer is nowhere.
    func addResource() -> Int {
        self.ask { loop, done in
            let index = loop.addResource(
                name: "r0",
                nodeIdentifier: 0,
                parameters: ResourceParameters()
            )
            guard let index else { return done(-1) }
            do {
                loop.setPeer(
                    index,
                    PeerConfiguration(
                        name: "beta",
                        nodeIdentifier: 1,
                        local: try .ip("127.0.0.1", port: 0),
                        remote: try .ip("127.0.0.1", port: 1)
                    )
                )
            } catch { print(error) }
            _ = loop.addVolume(index, number: 0, minor: 1, parameters: DiskParameters())
            done(index)
        }
    }

    /// Makes a file of zeroes.
    func makeFile(_ name: String, bytes: UInt64) throws -> String {
        let path = self.folder.file(name)
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        ftruncate(descriptor, off_t(bytes))
        return path
    }

    /// Makes a data file with fresh internal metadata.
    func makeDisk(_ name: String, bytes: UInt64) throws -> String {
        let path = try self.makeFile(name, bytes: bytes)
        try self.writeMetadata(path, .internal, bytes: bytes)
        return path
    }

    /// Makes a file with fresh metadata of a disk elsewhere.
    func makeMetadata(_ name: String, bytes: UInt64) throws -> String {
        let path = try self.makeFile(name, bytes: bytes)
        try self.writeMetadata(path, .flexibleExternal, bytes: bytes)
        return path
    }

    /// Makes the metadata in `path` fit for an attach, as `bsrmeta apply-al` does when nothing was
    /// under way.
    func applyActivityLog(_ path: String) throws {
        try self.changeSuperblock(path) { $0.flags.insert(.activityLogClean) }
    }

    /// Changes the superblock in `path`, which holds metadata of a disk elsewhere.
    func changeSuperblock(_ path: String, _ change: (inout Superblock) -> Void) throws {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        defer { close(descriptor) }
        let bytes = UInt64(lseek(descriptor, 0, SEEK_END))
        let position = try Layout.superblockPosition(.flexibleExternal, deviceBytes: bytes)
        var block = [UInt8](repeating: 0, count: 4096)
        pread(descriptor, &block, 4096, off_t(position))
        var superblock = try Superblock(decoding: block.span.bytes)
        change(&superblock)
        block.withUnsafeMutableBytes { superblock.encode(into: $0) }
        pwrite(descriptor, block, 4096, off_t(position))
    }

    private func writeMetadata(_ path: String, _ placement: Placement, bytes: UInt64) throws {
        let descriptor = open(path, O_RDWR | O_CLOEXEC)
        defer { close(descriptor) }
        let layout = try Layout(placement, deviceBytes: bytes, slots: .single)
        var block = [UInt8](repeating: 0, count: 4096)
        for number in 0..<layout.geometry.blockCount {
            block.withUnsafeMutableBytes { ActivityLogBlock.encodeInitialised(into: $0) }
            let position = layout.activityLogPosition + UInt64(number) * 4096
            pwrite(descriptor, block, 4096, off_t(position))
        }
        let stored = StoredMetadata(creating: layout, version: .v09)
        block.withUnsafeMutableBytes { stored.superblock.encode(into: $0) }
        pwrite(descriptor, block, 4096, off_t(layout.superblockPosition))
    }
}

// The loop's thread writes it before it signals, the waiting one reads it afterwards.
final class LoopBox: @unchecked Sendable {
    var handle: LoopHandle<EngineLoop>?
    var error: (any Error)?
}

final class ResultBox<Value: Sendable>: Sendable {
    let value = Guarded<Value?>(nil)

    var stored: Value? { self.value.withLock { $0 } }

    func store(_ value: Value) { self.value.withLock { $0 = value } }
}

/// Lines of a log that another thread writes.
final class LogLines: Sendable {
    private let lines = Guarded<[String]>([])

    var all: [String] { self.lines.withLock { $0.map(\.self) } }

    func append(_ line: String) { self.lines.withLock { $0.append(line) } }
}
