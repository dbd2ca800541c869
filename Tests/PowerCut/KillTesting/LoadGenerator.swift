// SPDX-License-Identifier: Apache-2.0

import Foundation
import Primitives
import Synchronization
import TestSupport

/// Writers that keep a volume busy and remember what the volume owes them.
final class LoadGenerator {
    /// How many writers there are, each with a connection and chunks of its own.
    static let writerCount = 4

    private let writers: [Writer]
    private var threads: [DispatchSemaphore] = []
    private let control = LoadControl()

    init(seed: UInt64) {
        self.writers = (0..<Self.writerCount).map { Writer(number: $0, seed: seed) }
    }

    /// Starts to write to the export behind `socketPath`.
    func start(socketPath: String) {
        self.control.start()
        for writer in self.writers {
            let ended = DispatchSemaphore(value: 0)
            self.threads.append(ended)
            let control = self.control
            Thread.detachNewThread {
                writer.run(socketPath: socketPath, under: control)
                ended.signal()
            }
        }
    }

    /// Stops the writers, each after its last answer, and returns what went wrong for them but the
    /// end of the connection.
    func stop() -> [String] {
        self.control.stop()
        return self.join()
    }

    /// Waits until the writers have noticed that their server is gone.
    func join() -> [String] {
        self.calm()
        for thread in self.threads { thread.wait() }
        self.threads = []
        return self.writers.compactMap(\.problem)
    }

    /// Has one writer write alone, without flushes, to so many extents at a time that they leave the
    /// activity log right after their writes, when their marks are new.
    func surge(by writer: Int) { self.control.surge(by: writer) }

    /// Ends a surge.
    func calm() { self.control.surge(by: nil) }

    /// Problems that running writers have had.
    var problems: [String] { self.writers.compactMap(\.problem) }

    /// What is known of every sector now.
    var histories: [SectorHistory] {
        let parts = self.writers.map { writer in writer.history.withLock { $0 } }
        return (0..<TaggedArea.sectorCount).map { sector in
            parts[sector / TaggedArea.sectorsPerChunk % Self.writerCount][sector]
        }
    }

    /// Notes what was read: it counts as acknowledged, and what is newer as lost.
    ///
    /// Nothing may be writing.
    func observe(_ found: [UInt32]) {
        for writer in self.writers { writer.observe(found) }
    }

    /// The number of acknowledged flushes and FUA writes.
    var promises: Int { self.writers.reduce(0) { $0 + $1.promises.withLock { $0 } } }
}

/// What the writers are to do.
private final class LoadControl: Sendable {
    /// What one writer does.
    enum Part {
        case steady
        case surging
        case idle
    }

    private struct State {
        var isStopping = false
        var surgingWriter: Int?
    }

    private let state = Mutex(State())

    var isStopping: Bool { self.state.withLock { $0.isStopping } }

    func stop() { self.state.withLock { $0 = State(isStopping: true) } }

    func start() { self.state.withLock { $0 = State() } }

    func surge(by writer: Int?) { self.state.withLock { $0.surgingWriter = writer } }

    func part(of writer: Int) -> Part {
        guard let surging = self.state.withLock({ $0.surgingWriter }) else { return .steady }
        return surging == writer ? .surging : .idle
    }

    /// Waits until a writer that was idle has something to do.
    func awaitTurn(of writer: Int) {
        _ = waitUntil(within: .seconds(1)) { self.part(of: writer) != .idle }
    }
}

/// One writer: batches of writes to its chunks, then perhaps a flush.
private final class Writer: @unchecked Sendable {
    /// One sent write.
    private struct Write {
        var sectors: Range<Int>
        var sequences: [UInt32]
        var isForcedUnitAccess: Bool
    }

    let history = Mutex([SectorHistory](repeating: SectorHistory(), count: TaggedArea.sectorCount))
    let promises = Mutex(0)
    private let failure = Mutex<String?>(nil)
    private let number: Int
    /// As many draws make a batch of a surge; some draw the same chunk.
    private static let surgeCount: UInt64 = 160
    private var random: SeededRandom
    /// Sectors with acknowledged writes that no flush has covered.
    private var unflushed: [Int] = []

    init(number: Int, seed: UInt64) {
        self.number = number
        self.random = SeededRandom(seed: seed &* 31 &+ UInt64(number))
    }

    var problem: String? { self.failure.withLock { $0 } }

    func owns(_ sector: Int) -> Bool {
        sector / TaggedArea.sectorsPerChunk % LoadGenerator.writerCount == self.number
    }

    func observe(_ found: [UInt32]) {
        self.history.withLock { history in
            for sector in history.indices where self.owns(sector) {
                history[sector].acknowledged = max(found[sector], history[sector].covered)
                if history[sector].acknowledged > history[sector].covered {
                    self.unflushed.append(sector)
                }
            }
        }
    }

    func run(socketPath: String, under control: LoadControl) {
        do throws(NBDConnection.Failure) {
            let connection = try NBDConnection(socketPath: socketPath, export: "r0/0")
            while !control.isStopping, self.problem == nil {
                switch control.part(of: self.number) {
                case .idle: control.awaitTurn(of: self.number)
                case .surging: try self.writeBatch(connection, isSurging: true)
                case .steady:
                    try self.writeBatch(connection, isSurging: false)
                    if self.random.chance(1, in: 3) { try self.flush(connection) }
                }
            }
        } catch {
            if error != .ended { self.fail("\(error)") }
        }
    }

    private func fail(_ text: String) {
        self.failure.withLock { $0 = $0 ?? "writer \(self.number): \(text)" }
    }

    private func writeBatch(_ connection: NBDConnection, isSurging: Bool) throws(NBDConnection.Failure) {
        var batch: [Write] = []
        var chunks: Set<Int> = []
        for _ in 0...self.random.below(isSurging ? Self.surgeCount : 8) {
            let count = TaggedArea.chunkCount / LoadGenerator.writerCount
            let chunk =
                Int(self.random.below(UInt64(count))) * LoadGenerator.writerCount + self.number
            guard chunks.insert(chunk).inserted else { continue }
            batch.append(try self.sendWrite(connection, chunk, cookie: UInt64(batch.count)))
        }
        for _ in batch {
            let reply = try connection.reply()
            guard reply.error == 0, reply.cookie < UInt64(batch.count) else {
                return self.fail("a write failed with error \(reply.error)")
            }
            self.acknowledge(batch[Int(reply.cookie)])
        }
    }

    private func sendWrite(
        _ connection: NBDConnection,
        _ chunk: Int,
        cookie: UInt64
    ) throws(NBDConnection.Failure) -> Write {
        let first = Int(self.random.below(UInt64(TaggedArea.sectorsPerChunk)))
        let room = UInt64(TaggedArea.sectorsPerChunk - first)
        let count =
            self.random.chance(1, in: 2) ? min(8, room) : 1 + self.random.below(min(48, room))
        let start = chunk * TaggedArea.sectorsPerChunk + first
        let sectors = start..<start + Int(count)
        let isZeroes = self.random.chance(1, in: 16)
        let sequences = self.history.withLock { history in
            sectors.map { sector in
                history[sector].sent += 1
                if isZeroes { history[sector].zeroed = history[sector].sent }
                return history[sector].sent
            }
        }
        var payload: [UInt8] = []
        if !isZeroes {
            for (sector, sequence) in zip(sectors, sequences) {
                TaggedArea.content(sector, sequence, into: &payload)
            }
        }
        let isForced = self.random.chance(1, in: 8)
        try connection.send(
            isZeroes ? .writeZeroes : .write,
            cookie: cookie,
            offset: TaggedArea.offset(ofChunk: chunk) + UInt64(first) * 512,
            byteCount: sectors.count * 512,
            isForcedUnitAccess: isForced,
            payload: payload
        )
        return Write(sectors: sectors, sequences: sequences, isForcedUnitAccess: isForced)
    }

    private func acknowledge(_ write: Write) {
        self.unflushed += write.sectors
        self.history.withLock { history in
            for (sector, sequence) in zip(write.sectors, write.sequences) {
                history[sector].acknowledged = sequence
                if write.isForcedUnitAccess { history[sector].covered = sequence }
            }
        }
        if write.isForcedUnitAccess { self.promises.withLock { $0 += 1 } }
    }

    private func flush(_ connection: NBDConnection) throws(NBDConnection.Failure) {
        try connection.send(.flush, cookie: .max)
        let reply = try connection.reply()
        guard reply.error == 0, reply.cookie == .max else {
            return self.fail("a flush failed with error \(reply.error)")
        }
        self.history.withLock { history in
            for sector in self.unflushed {
                history[sector].covered = history[sector].acknowledged
                history[sector].flushed = history[sector].acknowledged
            }
        }
        self.unflushed.removeAll(keepingCapacity: true)
        self.promises.withLock { $0 += 1 }
    }
}
