// SPDX-License-Identifier: Apache-2.0

import Foundation
import KillTesting
import Testing

@Suite(.serialized) struct KillTests {
    private static let environment = ProcessInfo.processInfo.environment
    /// The folder of the built programs, which is that of the test bundle too.
    private static let programs = URL(fileURLWithPath: CommandLine.arguments[0])
        .resolvingSymlinksInPath().deletingLastPathComponent().path

    @Test func `20 power cuts under load lose nothing that was promised`() throws {
        let seed =
            Self.environment["BSR_SEED"].flatMap { UInt64($0) }
            ?? UInt64.random(in: 0..<1_000_000)
        let options = KillTest.Options(
            kills: 20,
            seed: seed,
            programs: Programs(folder: Self.programs)
        )
        print("kill test: seed \(seed)")
        #expect(try KillTest(options).run() > 100)
    }
}
