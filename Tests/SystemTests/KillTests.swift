// SPDX-License-Identifier: Apache-2.0

import Foundation
import KillTesting
import Testing

@Suite(.serialized) struct KillTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// The folder of the built programs, which is that of the test bundle too.
    private static let programs = Programs(
        folder: URL(fileURLWithPath: CommandLine.arguments[0])
            .resolvingSymlinksInPath().deletingLastPathComponent().path
    )

    private static func seed(of test: String) -> UInt64 {
        let given = Self.environment["BSR_SEED"].flatMap { UInt64($0) }
        let seed = given ?? UInt64.random(in: 0..<1_000_000)
        print("\(test): seed \(seed)")
        return seed
    }

    @Test("PROT-07 AL-01 AL-10 FLUSH-01 20 kills of engines and relays lose nothing promised")
    func kills() throws {
        let options = KillTest.Options(
            kills: 20,
            seed: Self.seed(of: "kills"),
            programs: Self.programs
        )
        let report = try KillTest(options).run()
        #expect(report.promises > 100)
        #expect(report.resyncBytes > 0)
    }

    @Test("SYNC-02 SYNC-07 DRX-24 after a cut of 30 s only what was written meanwhile travels")
    func outage() throws {
        let options = OutageTest.Options(
            time: .seconds(30),
            seed: Self.seed(of: "outage"),
            programs: Self.programs
        )
        let report = try OutageTest(options).run()
        #expect(report.promises > 100)
        #expect(report.resyncBytes > 0)
    }
}
