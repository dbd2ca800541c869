// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Foundation
import Locking
import Primitives
import Simulation

/// The worlds of a range of seeds, by one thread or several.
final class Run: Sendable {
    private struct Progress {
        var record: RunRecord
        var next: UInt64
        var savedAt: ContinuousClock.Instant
        var failure: ExitMessage?
    }

    /// How much of a run that is killed has to be run again.
    private static var savePause: Duration { .seconds(5) }

    private let seeds: Range<UInt64>
    private let mutation: Mutation?
    private let file: StateFile?
    private let log: (@Sendable (String) -> Void)?
    private let progress: Guarded<Progress>

    init(
        seeds: Range<UInt64>,
        mutation: Mutation?,
        file: StateFile?,
        log: (@Sendable (String) -> Void)?
    ) {
        self.seeds = seeds
        self.mutation = mutation
        self.file = file
        self.log = log
        self.progress = Guarded(
            Progress(
                record: file?.record ?? RunRecord(build: "", mutation: mutation),
                next: seeds.lowerBound,
                savedAt: .now
            )
        )
    }

    /// Runs what is left; `tell` is called for each world that breaks a promise.
    func finish(
        jobs: Int,
        _ tell: @escaping @Sendable (RunRecord.Violation) -> Void
    ) throws -> RunRecord {
        let known = self.progress.withLock { $0.record.violations.map(\.self) }
        for violation in known { tell(violation) }
        DispatchQueue.concurrentPerform(iterations: jobs) { _ in
            while let seed = self.takeSeed() {
                self.add(
                    FinishedWorld(seed: seed, mutation: self.mutation, log: self.log),
                    tell
                )
            }
        }
        let (record, failure) = self.progress.withLock { ($0.record, $0.failure) }
        if let failure { throw failure }
        try self.file?.store(record)
        return record
    }

    private func takeSeed() -> UInt64? {
        self.progress.withLock { progress in
            guard progress.failure == nil else { return nil }
            while self.seeds.contains(progress.next), progress.record.done.contains(progress.next) {
                progress.next += 1
            }
            guard self.seeds.contains(progress.next) else { return nil }
            defer { progress.next += 1 }
            return progress.next
        }
    }

    private func add(_ world: FinishedWorld, _ tell: (RunRecord.Violation) -> Void) {
        self.progress.withLock { progress in
            let failed = progress.record.failedSeeds
            progress.record.add(world)
            if progress.record.failedSeeds > failed { progress.record.violations.last.map(tell) }
            guard let file = self.file, .now - progress.savedAt > Self.savePause else { return }
            do { try file.store(progress.record) } catch {
                progress.failure = ExitMessage("\(error)")
            }
            progress.savedAt = .now
        }
    }
}

/// A sentence that ends the program.
struct ExitMessage: Error, CustomStringConvertible {
    let description: String

    init(_ text: String) { self.description = text }
}
