// SPDX-License-Identifier: Apache-2.0

import Foundation
import Locking
import Primitives
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

    /// Has one writer write alone, so that extents leave the activity log right after their writes,
    /// when their marks are new.
    func surge(by writer: Int) { self.control.surge(by: writer) }

    /// How many rounds of surges there were.
    var surgeRounds: Int { self.writers.reduce(0) { $0 + $1.surgeRounds.withLock { $0 } } }

    /// Ends a surge.
    func calm() { self.control.surge(by: nil) }

    /// Problems that running writers have had.
    var problems: [String] { self.writers.compactMap(\.problem) }

    /// What is known of every sector now.
    var histories: [SectorHistory] {
        let parts = self.writers.map { writer in writer.history.withLock { $0.map(\.self) } }
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

    private let state = Guarded(State())

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

    let history = Guarded(
        [SectorHistory](repeating: SectorHistory(), count: TaggedArea.sectorCount)
    )
    let promises = Guarded(0)
    private let failure = Guarded<String?>(nil)
    private let number: Int
    let surgeRounds = Guarded(0)
    /// How many chunks are the writer's own.
    private static let chunkCount = TaggedArea.chunkCount / LoadGenerator.writerCount
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
                case .surging: try self.writeSurge(connection)
                case .steady:
                    try self.writeBatch(connection)
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

    /// Writes to a few chunks at random.
    private func writeBatch(_ connection: NBDConnection) throws(NBDConnection.Failure) {
        var batch: [Write] = []
        var chunks: Set<Int> = []
        for _ in 0...self.random.below(8) {
            let chunk = self.chunk(Int(self.random.below(UInt64(Self.chunkCount))))
            guard chunks.insert(chunk).inserted else { continue }
            let first = Int(self.random.below(UInt64(TaggedArea.sectorsPerChunk)))
            let room = UInt64(TaggedArea.sectorsPerChunk - first)
            let count =
                self.random.chance(1, in: 2) ? min(8, room) : 1 + self.random.below(min(48, room))
            batch.append(
                try self.sendWrite(
                    connection,
                    chunk,
                    first..<first + Int(count),
                    cookie: batch.count,
                    isZeroes: self.random.chance(1, in: 16),
                    isForced: self.random.chance(1, in: 8)
                )
            )
        }
        try self.awaitReplies(connection, batch)
    }

    /// Writes to all extents of the activity log but one, which are hot, then to one that is not.
    ///
    /// So each round has one transaction, and the extent that leaves the log is the one that was
    /// written last but for those: no earlier transaction has made its marks durable.
    private func writeSurge(_ connection: NBDConnection) throws(NBDConnection.Failure) {
        let hotCount = EngineProcess.activityLogExtents - 1
        let round = self.surgeRounds.withLock { $0 }
        let first = round / 14 * 8 % TaggedArea.sectorsPerChunk
        var batch: [Write] = []
        for number in 0..<hotCount {
            let range = first..<first + 8
            batch.append(
                try self.sendWrite(connection, self.chunk(number), range, cookie: number)
            )
        }
        try self.awaitReplies(connection, batch)
        let other = hotCount + round % (Self.chunkCount - hotCount)
        try self.awaitReplies(
            connection,
            [try self.sendWrite(connection, self.chunk(other), first..<first + 8, cookie: 0)]
        )
        self.surgeRounds.withLock { $0 += 1 }
    }

    /// The chunk that is number `number` of the writer's own.
    private func chunk(_ number: Int) -> Int {
        number * LoadGenerator.writerCount + self.number
    }

    private func awaitReplies(
        _ connection: NBDConnection,
        _ batch: [Write]
    ) throws(NBDConnection.Failure) {
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
        _ range: Range<Int>,
        cookie: Int,
        isZeroes: Bool = false,
        isForced: Bool = false
    ) throws(NBDConnection.Failure) -> Write {
        let start = chunk * TaggedArea.sectorsPerChunk
        let sectors = start + range.lowerBound..<start + range.upperBound
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
        try connection.send(
            isZeroes ? .writeZeroes : .write,
            cookie: UInt64(cookie),
            offset: TaggedArea.offset(ofChunk: chunk) + UInt64(range.lowerBound) * 512,
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
