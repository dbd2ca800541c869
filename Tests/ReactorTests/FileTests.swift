// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct FileTests {
    /// A volume of a test: an empty file of `byteCount` bytes.
    static func makeFile(_ path: String, byteCount: Int) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        #expect(descriptor >= 0)
        #expect(ftruncate(descriptor, byteCount) == 0)
        close(descriptor)
    }

    /// Whether the temporary folder can do direct I/O in 512-byte blocks.
    static let hasDirect: Bool = {
        guard let folder = try? TemporaryFolder(), let reactor = try? Reactor() else {
            return false
        }
        Self.makeFile(folder.file("probe"), byteCount: 4096)
        var options = FileOptions()
        options.mode = .direct
        return (try? reactor.open(folder.file("probe"), options)) != nil
    }()

    struct Way: CustomStringConvertible, Sendable {
        let mode: IOMode
        var writesInline = false
        var registers = true
        var description: String {
            "\(self.mode)" + (self.writesInline ? " inline" : "")
                + (self.registers ? "" : " unregistered")
        }
    }

    static let ways: [Way] = [
        Way(mode: .auto), Way(mode: .buffered), Way(mode: .buffered, writesInline: true),
        Way(mode: .auto, registers: false),
    ]

    @Test(
        .enabled(if: geteuid() == 0, "only root has block devices"),
        .enabled(if: Tool.losetup.isPresent, "needs losetup (Debian: mount)")
    )
    func `a block device that someone has exclusively, as a mount has, is in use`() throws {
        let folder = try TemporaryFolder()
        Self.makeFile(folder.file("disk"), byteCount: 1 << 20)
        let made = try Tool.losetup.run(["--find", "--show", folder.file("disk")])
        let device = String(made.text.dropLast())
        try #require(made.exitCode == 0, "\(made.errors)")
        defer { _ = try? Tool.losetup.run(["--detach", device]) }
        let holder = open(device, O_RDONLY | O_EXCL | O_CLOEXEC)
        try #require(holder >= 0)
        let reactor = try Reactor()
        #expect(throws: ReactorError.inUse(path: device)) { try reactor.open(device) }
        close(holder)
        #expect(throws: Never.self) { try reactor.open(device) }
    }

    @Test(arguments: ways)
    func `random reads, writes, flushes, holes and zeroes agree with a model`(_ way: Way) throws {
        var limits = ReactorLimits()
        limits.buffers = [
            BufferClass(byteCount: 4096, count: 64), BufferClass(byteCount: 65536, count: 32),
            BufferClass(byteCount: 1 << 20, count: 8),
        ]
        limits.registersBuffers = way.registers
        let pair = try LoopPair(limits)
        let folder = try TemporaryFolder()
        Self.makeFile(folder.file("volume"), byteCount: 8 << 20)
        var options = FileOptions()
        options.mode = way.mode
        options.writesInline = way.writesInline
        let file = try pair.reactor.open(folder.file("volume"), options)
        #expect(try pair.reactor.byteCount(of: file) == 8 << 20)
        var world = FileWorld(pair, file, byteCount: 8 << 20, seed: 5)
        for _ in 0..<60 { try world.round() }
        try world.checkAll()
        pair.reactor.close(file)
        try pair.expect(.fileClosed(file))
        #expect(world.kinds == [.read, .write, .durable, .flush, .punch, .discard, .zero])
    }

    @Test(.enabled(if: hasDirect, "the temporary folder's file system has no direct I/O"))
    func `chooses direct I/O where it is possible, and buffered I/O when told`() throws {
        let pair = try LoopPair()
        let folder = try TemporaryFolder()
        Self.makeFile(folder.file("volume"), byteCount: 1 << 20)
        let first = try pair.reactor.open(folder.file("volume"))
        #expect(pair.reactor.properties(of: first)?.mode == .direct)
        #expect(pair.reactor.properties(of: first)?.isBlockDevice == false)
        pair.reactor.close(first)
        try pair.expect(.fileClosed(first))
        #expect(pair.reactor.properties(of: first) == nil)

        var options = FileOptions()
        options.mode = .buffered
        let second = try pair.reactor.open(folder.file("volume"), options)
        #expect(pair.reactor.properties(of: second)?.mode == .buffered)
    }

    @Test(.enabled(if: hasDirect, "the temporary folder's file system has no direct I/O"))
    func `direct I/O that is not aligned fails, and the loop goes on`() throws {
        let pair = try LoopPair()
        let folder = try TemporaryFolder()
        Self.makeFile(folder.file("volume"), byteCount: 1 << 20)
        let file = try pair.reactor.open(folder.file("volume"))
        let memory = TestMemory(8192)
        let odd = memory.start
        #expect(pair.reactor.write(file, at: 100, from: odd, byteCount: 512, token: 1))
        try pair.expect(.fileFailed(file, token: 1, Errno(EINVAL)))
        #expect(pair.reactor.write(file, at: 512, from: odd, byteCount: 512, token: 2))
        try pair.expect(.fileCompleted(file, token: 2, byteCount: 512))
    }

    @Test(.enabled(if: access("/dev/shm", W_OK) == 0, "no /dev/shm"))
    func `memory-backed files are buffered, and direct mode says why not`() throws {
        let path = "/dev/shm/bsr-reactor-test-\(getpid())"
        Self.makeFile(path, byteCount: 4 << 20)
        defer { unlink(path) }
        let pair = try LoopPair()
        var options = FileOptions()
        let file = try pair.reactor.open(path, options)
        let mode = try #require(pair.reactor.properties(of: file)?.mode)
        pair.reactor.close(file)
        try pair.expect(.fileClosed(file))
        options.mode = .direct
        if mode == .buffered {
            #expect(throws: ReactorError.self) { try pair.reactor.open(path, options) }
        }
        // No FALLOC_FL_ZERO_RANGE there on many kernels: zeroes come another way.
        options.mode = .buffered
        let again = try pair.reactor.open(path, options)
        var world = FileWorld(pair, again, byteCount: 4 << 20, seed: 6)
        for _ in 0..<40 { try world.round() }
        try world.checkAll()
    }

    @Test(arguments: [IOMode.auto, .buffered])
    func `a read stops at the end of the file`(_ mode: IOMode) throws {
        let pair = try LoopPair()
        let folder = try TemporaryFolder()
        Self.makeFile(folder.file("odd"), byteCount: 5000)
        var options = FileOptions()
        options.mode = mode
        let file = try pair.reactor.open(folder.file("odd"), options)
        let memory = TestMemory(8192)
        #expect(pair.reactor.read(file, at: 0, into: memory.start, byteCount: 8192, token: 1))
        try pair.expect(.fileCompleted(file, token: 1, byteCount: 5000))
        #expect(pair.reactor.read(file, at: 8192, into: memory.start, byteCount: 4096, token: 2))
        try pair.expect(.fileCompleted(file, token: 2, byteCount: 0))
        #expect(pair.reactor.read(file, at: 0, into: memory.start, byteCount: 0, token: 3))
        try pair.expect(.fileCompleted(file, token: 3, byteCount: 0))
    }

    @Test func `a locked file is refused to others until it is closed`() throws {
        let pair = try LoopPair()
        let folder = try TemporaryFolder()
        let path = folder.file("volume")
        Self.makeFile(path, byteCount: 4096)
        let file = try pair.reactor.open(path)
        #expect(throws: ReactorError.inUse(path: path)) { try pair.reactor.open(path) }
        let other = open(path, O_RDWR | O_CLOEXEC)
        #expect(flock(other, LOCK_EX | LOCK_NB) == -1)
        pair.reactor.close(file)
        #expect(flock(other, LOCK_EX | LOCK_NB) == 0)
        close(other)
    }

    @Test func `refuses what is no volume`() throws {
        let reactor = try Reactor()
        let folder = try TemporaryFolder()
        #expect(throws: ReactorError.notAVolume(path: "/dev/null")) {
            try reactor.open("/dev/null")
        }
        var options = FileOptions()
        options.isWritable = false
        #expect(throws: ReactorError.notAVolume(path: folder.path)) {
            try reactor.open(folder.path, options)
        }
        let missing = folder.file("missing")
        #expect(throws: ReactorError.systemCall("open", object: missing, Errno(ENOENT))) {
            try reactor.open(missing)
        }
    }

    @Test func `writes to a file that was opened for reading fail`() throws {
        let pair = try LoopPair()
        let folder = try TemporaryFolder()
        Self.makeFile(folder.file("volume"), byteCount: 4096)
        for mode in [IOMode.auto, .buffered] {
            var options = FileOptions()
            options.mode = mode
            options.isWritable = false
            let file = try pair.reactor.open(folder.file("volume"), options)
            let memory = TestMemory(4096)
            #expect(pair.reactor.write(file, at: 0, from: memory.start, byteCount: 4096, token: 1))
            try pair.expect(.fileFailed(file, token: 1, Errno(EBADF)))
            pair.reactor.close(file)
            try pair.expect(.fileClosed(file))
        }
    }

    @Test func `a full table of operations refuses, and closing waits for the last one`() throws {
        var limits = ReactorLimits()
        limits.fileOperations = 2
        let pair = try LoopPair(limits)
        let folder = try TemporaryFolder()
        Self.makeFile(folder.file("volume"), byteCount: 1 << 20)
        let file = try pair.reactor.open(folder.file("volume"))
        let memory = TestMemory(4096)
        #expect(pair.reactor.flush(file, token: 1))
        #expect(pair.reactor.flush(file, token: 2))
        #expect(!pair.reactor.write(file, at: 0, from: memory.start, byteCount: 4096, token: 3))
        pair.reactor.close(file)
        #expect(!pair.reactor.flush(file, token: 4))
        var events: [Event] = []
        while events.last != .fileClosed(file) { events.append(try pair.event()) }
        #expect(events.count == 3)
        #expect(events.contains(.fileCompleted(file, token: 1, byteCount: 0)))
        #expect(events.contains(.fileCompleted(file, token: 2, byteCount: 0)))
    }

    @Test func `a write error is reported with its number`() throws {
        let path = "/dev/full"
        #expect(throws: ReactorError.notAVolume(path: path)) { try Reactor().open(path) }
        // Beyond the file size limit of the file system: EFBIG from both kinds of writing.
        let pair = try LoopPair()
        let folder = try TemporaryFolder()
        Self.makeFile(folder.file("volume"), byteCount: 4096)
        for mode in [IOMode.auto, .buffered] {
            var options = FileOptions()
            options.mode = mode
            let file = try pair.reactor.open(folder.file("volume"), options)
            let memory = TestMemory(4096)
            let far = UInt64(Int64.max) - 8191
            #expect(
                pair.reactor.write(file, at: far, from: memory.start, byteCount: 4096, token: 1)
            )
            let code = try pair.await { event in
                if case .fileFailed(file, token: 1, let code) = event { code } else { nil }
            }
            #expect(code == Errno(EFBIG) || code == Errno(EINVAL))
            pair.reactor.close(file)
            try pair.expect(.fileClosed(file))
        }
    }
}

/// A file, a model of its content, and rounds of random operations that do not overlap.
struct FileWorld {
    enum Kind: CaseIterable {
        case read
        case write
        case durable
        case flush
        case punch
        case discard
        case zero
    }

    private struct Pending {
        let kind: Kind
        let offset: Int
        let byteCount: Int
        let memory: UnsafeMutableRawPointer?
        let buffer: BufferHandle?
    }

    private let pair: LoopPair
    private let file: FileID
    private let model: TestMemory
    private let own: TestMemory
    private var random: SeededRandom
    private(set) var kinds: Set<Kind> = []
    private static let areas = 8

    init(_ pair: LoopPair, _ file: FileID, byteCount: Int, seed: UInt64) {
        self.pair = pair
        self.file = file
        self.model = TestMemory(byteCount)
        self.own = TestMemory(byteCount)
        self.random = SeededRandom(seed: seed)
    }

    /// One operation in each eighth of the file, all at once.
    mutating func round() throws {
        var pending: [UInt64: Pending] = [:]
        let area = self.model.bytes.count / Self.areas
        for index in 0..<Self.areas {
            let blocks = 1 + Int(self.random.below(UInt64(min(area, 1 << 20) / 512)))
            let slack = UInt64(area / 512 - blocks + 1)
            let offset = index * area + Int(self.random.below(slack)) * 512
            let operation = self.prepare(offset, blocks * 512)
            let token = UInt64(index)
            #expect(self.start(operation, token))
            pending[token] = operation
        }
        while !pending.isEmpty {
            let event = try self.pair.event()
            guard case .fileCompleted(self.file, let token, let count) = event,
                let operation = pending.removeValue(forKey: token)
            else {
                Issue.record("unexpected \(event)")
                return
            }
            #expect(count == (operation.kind == .flush ? 0 : operation.byteCount))
            self.complete(operation)
        }
    }

    /// Reads the whole file back in one piece.
    mutating func checkAll() throws {
        let count = self.model.bytes.count
        #expect(
            self.pair.reactor.read(
                self.file,
                at: 0,
                into: self.own.start,
                byteCount: count,
                token: 9
            )
        )
        try self.pair.expect(.fileCompleted(self.file, token: 9, byteCount: count))
        #expect(memcmp(self.own.start, self.model.start, count) == 0)
    }

    private mutating func prepare(_ offset: Int, _ byteCount: Int) -> Pending {
        let index = Int(self.random.below(UInt64(Kind.allCases.count)))
        let kind = Kind.allCases[index]
        self.kinds.insert(kind)
        let pool = self.pair.reactor.buffers
        let buffer = self.random.chance(2, in: 3) ? pool.lease(byteCount) : nil
        let memory = buffer.map { pool.payload($0) } ?? self.own.start + offset
        if kind == .write || kind == .durable {
            for position in stride(from: 0, to: byteCount, by: 8) {
                memory.storeBytes(of: self.random.next(), toByteOffset: position, as: UInt64.self)
            }
        }
        return Pending(
            kind: kind,
            offset: offset,
            byteCount: byteCount,
            memory: memory,
            buffer: buffer
        )
    }

    private func start(_ operation: Pending, _ token: UInt64) -> Bool {
        let reactor = self.pair.reactor
        let offset = UInt64(operation.offset)
        let count = operation.byteCount
        guard let memory = operation.memory else { return false }
        switch operation.kind {
        case .read:
            return reactor.read(self.file, at: offset, into: memory, byteCount: count, token: token)
        case .write, .durable:
            return reactor.write(
                self.file,
                at: offset,
                from: memory,
                byteCount: count,
                isDurable: operation.kind == .durable,
                token: token
            )
        case .flush: return reactor.flush(self.file, token: token)
        case .punch: return reactor.punchHole(self.file, at: offset, byteCount: count, token: token)
        case .discard: return reactor.discard(self.file, at: offset, byteCount: count, token: token)
        case .zero:
            return reactor.zero(
                self.file,
                at: offset,
                byteCount: count,
                keepsAllocation: count % 1024 == 0,
                token: token
            )
        }
    }

    private func complete(_ operation: Pending) {
        let place = self.model.start + operation.offset
        switch operation.kind {
        case .read:
            if let memory = operation.memory {
                #expect(memcmp(memory, place, operation.byteCount) == 0)
            }
        case .write, .durable:
            if let memory = operation.memory { memcpy(place, memory, operation.byteCount) }
        case .punch, .discard, .zero: memset(place, 0, operation.byteCount)
        case .flush: break
        }
        if let buffer = operation.buffer { self.pair.reactor.buffers.release(buffer) }
    }
}
