// SPDX-License-Identifier: Apache-2.0

package import Engine
import Glibc
import Locking
package import Primitives
package import Reactor

/// Disks with volatile caches: SIGKILL is a power cut.
///
/// A write stays in the memory of the process until a flush that started after its completion, but
/// a random part of it may get to the file at any time from its submission on, sector by sector and
/// in any order. Operations complete after random delays, and so not in the order of their
/// submission. Each file has a cache of its own: a flush of the data says nothing about the
/// metadata. How much gets to the file early differs from store to store: of single writes in
/// eight, one, four or seven.
package final class PowerCutStore: DiskInterposer {
    private struct Pending {
        var file: FileID
        var operation: DiskOperation
        var due: Instant
        /// What a flush makes stable: what was cached when it started.
        var covered: [UInt32] = []
    }

    private var random: SeededRandom
    private let skipped: DiskFlush?
    /// So many of eight operations reach the file at once.
    private let earlyShare: UInt64
    private var files: [FileID: VolatileFile] = [:]
    private var pending: [Pending] = []
    private let powerCut: PowerCut

    /// Creates a store whose decisions follow from `seed`; flushes for `skipping` do nothing.
    package init(seed: UInt64, skipping: DiskFlush? = nil, powerCut: PowerCut = PowerCut()) {
        self.random = SeededRandom(seed: seed)
        self.skipped = skipping
        self.powerCut = powerCut
        self.earlyShare = [1, 4, 7][Int(self.random.below(3))]
    }

    package func opened(_ file: FileID, path: String) {
        do throws(VolatileFileError) {
            self.files[file] = try VolatileFile(path: path)
        } catch {
            invariantBroken("a file that the engine has opened can be opened")
        }
    }

    package func closed(_ file: FileID) {
        guard let cached = self.files.removeValue(forKey: file) else { return }
        cached.writeBack(cached.dirtySectors)
    }

    package var nextCompletion: Instant {
        self.pending.lazy.map(\.due).min() ?? .distantFuture
    }

    package func submit(_ operation: DiskOperation, on file: FileID, at now: Instant) {
        let delay: TimeSpan
        switch operation.kind {
        case .read: delay = self.delay(from: 20, to: 150)
        case .write(let memory, let isDurable):
            delay = isDurable ? self.delay(from: 200, to: 2000) : self.delay(from: 30, to: 500)
            self.writeSomeEarly(operation, memory, on: file)
        case .zero:
            delay = self.delay(from: 30, to: 500)
            self.writeSomeEarly(operation, nil, on: file)
        case .flush: delay = self.delay(from: 300, to: 4000)
        }
        var pending = Pending(file: file, operation: operation, due: now + delay)
        if case .flush = operation.kind { pending.covered = self.file(file).dirtySectors }
        self.pending.append(pending)
    }

    package func popCompletion(at now: Instant) -> DiskCompletion? {
        var first: Int?
        for (index, pending) in self.pending.enumerated()
        where pending.due <= now
            && pending.due < (first.map { self.pending[$0].due } ?? .distantFuture)
        {
            first = index
        }
        guard let first else { return nil }
        self.pending.swapAt(first, self.pending.count - 1)
        let pending = self.pending.removeLast()
        self.finish(pending)
        return DiskCompletion(
            file: pending.file,
            token: pending.operation.token,
            byteCount: pending.operation.byteCount
        )
    }

    private func finish(_ pending: Pending) {
        let file = self.file(pending.file)
        let operation = pending.operation
        switch operation.kind {
        case .read(let memory):
            file.read(at: operation.offset, into: memory, byteCount: operation.byteCount)
        case .write(let memory, isDurable: false):
            file.write(at: operation.offset, from: memory, byteCount: operation.byteCount)
        case .write(let memory, isDurable: true):
            file.writeThrough(at: operation.offset, from: memory, byteCount: operation.byteCount)
        case .zero: file.write(at: operation.offset, from: nil, byteCount: operation.byteCount)
        case .flush(let purpose):
            self.powerCut.happen(during: purpose)
            if purpose != self.skipped { file.writeBack(pending.covered) }
        }
        if file.dirtyCount > 0, self.random.chance(1, in: 4) {
            file.writeBackOne(Int(self.random.below(UInt64(file.dirtyCount))))
        }
    }

    /// Some operations reach the file at once, another one in eight in part.
    private func writeSomeEarly(
        _ operation: DiskOperation,
        _ memory: UnsafeRawPointer?,
        on file: FileID
    ) {
        let lot = self.random.below(8)
        guard lot <= self.earlyShare else { return }
        self.file(file).writeThrough(
            at: operation.offset,
            from: memory,
            byteCount: operation.byteCount
        ) { lot < self.earlyShare || self.random.chance(1, in: 2) }
    }

    private func delay(from least: UInt64, to most: UInt64) -> TimeSpan {
        // Now and then a disk is busy with something else.
        let factor: UInt64 = self.random.chance(1, in: 64) ? 8 : 1
        return .microseconds((least + self.random.below(most - least)) * factor)
    }

    private func file(_ id: FileID) -> VolatileFile {
        guard let file = self.files[id] else { invariantBroken("operations are on open files") }
        return file
    }
}

/// When the power goes, said by another thread.
package final class PowerCut: Sendable {
    private let flush = Guarded<DiskFlush?>(nil)

    /// Creates one that is not due.
    package init() {}

    /// Has the power go during the next flush of the kind `flush`, before it makes anything stable.
    package func schedule(during flush: DiskFlush) { self.flush.withLock { $0 = flush } }

    fileprivate func happen(during flush: DiskFlush) {
        if self.flush.withLock({ $0 == flush }) { kill(getpid(), SIGKILL) }
    }
}
