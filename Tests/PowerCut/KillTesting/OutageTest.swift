// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import TestSupport

/// A link between the sites that is cut for a while, under load, and heals.
///
/// What travels then as resync blocks, counted on the wire, is what was written meanwhile, and both
/// data files are equal at the end.
package final class OutageTest {
    /// What to do.
    package struct Options: Sendable {
        /// How long nothing passes.
        package var time: Duration
        package var seed: UInt64
        package var programs: Programs
        /// The folder is kept if the test fails.
        package var keepsFolder = false

        package init(time: Duration, seed: UInt64, programs: Programs) {
            self.time = time
            self.seed = seed
            self.programs = programs
        }
    }

    /// What a test that found nothing wrong has seen.
    package struct Report: Sendable {
        /// Acknowledged flushes and FUA writes while the link was cut.
        package var promises: Int
        /// Bytes of resync blocks on the wire.
        package var resyncBytes: UInt64
    }

    private let options: Options
    private let test: ProcessTest

    package init(_ options: Options) throws {
        self.options = options
        self.test = try ProcessTest(options.programs, .relayed, seed: options.seed)
    }

    /// Runs the test; throws the first thing that is wrong.
    package func run() throws -> Report {
        do {
            let report = try self.runChecked()
            self.test.cleanUp(keepsFolder: false)
            return report
        } catch {
            self.test.cleanUp(keepsFolder: self.options.keepsFolder)
            let kept = self.options.keepsFolder ? "; files in \(self.test.folder)" : ""
            throw KillTestFailure("seed \(self.options.seed): \(error)\(kept)")
        }
    }

    private func runChecked() throws -> Report {
        let test = self.test
        try test.begin { try $0.start(seed: test.random.next(), skipping: nil) }
        try self.clearMarks()
        try test.letLoadRun(for: .seconds(1))
        try test.awaitUpToDate()
        let copied = test.resyncBytes
        let before = test.load.promises
        try test.cluster.wideAreaLink?.cut()
        try test.letLoadRun(for: self.options.time)
        guard try test.first.state().replication == .off else {
            throw KillTestFailure("\(test.first.name) has not noticed that the link is cut")
        }
        let promises = test.load.promises - before
        try test.cluster.wideAreaLink?.heal()
        try test.awaitUpToDate()
        let bytes = test.resyncBytes - copied
        try test.end()
        return Report(promises: promises, resyncBytes: bytes)
    }

    /// Has the first resync happen: fresh metadata has every block marked, and both nodes keep that
    /// until then.
    private func clearMarks() throws {
        let second = self.test.second
        try second.kill()
        try self.test.noteMarks(of: second)
        try second.applyActivityLog()
        try second.start(seed: self.test.random.next(), skipping: nil)
        try second.configure()
        try second.connect()
        try self.test.awaitUpToDate()
    }
}
