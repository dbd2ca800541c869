// SPDX-License-Identifier: Apache-2.0

import Foundation
import Simulation
import Testing

/// Runs that are broken off and gone on with.
@Suite struct RunRecordTests {
    private static func stored(_ record: RunRecord) throws -> RunRecord {
        try JSONDecoder().decode(RunRecord.self, from: JSONEncoder().encode(record))
    }

    @Test func `a run in two halves is the run as a whole`() throws {
        let worlds = (UInt64(0)..<4).map { FinishedWorld(seed: $0) }
        var whole = RunRecord(build: "one", mutation: nil)
        for world in worlds { whole.add(world) }
        var half = RunRecord(build: "one", mutation: nil)
        for world in worlds[..<2] { half.add(world) }
        var rest = try RunRecord(
            resuming: Self.stored(half),
            build: "one",
            mutation: nil,
            acceptsOtherBuild: false
        )
        // What is done counts once.
        for world in worlds.reversed() { rest.add(world) }
        #expect(rest.coverage == whole.coverage)
        #expect(rest.done == whole.done)
        #expect(rest.done.ranges == [0..<4])
    }

    @Test func `violations are kept`() throws {
        let failed = try #require(
            (UInt64(0)..<60).lazy.map { FinishedWorld(seed: $0, mutation: .skipActivityLogWrite) }
                .first { !$0.violations.isEmpty }
        )
        var record = RunRecord(build: "one", mutation: .skipActivityLogWrite)
        record.add(failed)
        let stored = try Self.stored(record)
        #expect(stored.failedSeeds == 1)
        #expect(stored.violations.map(\.seed) == [failed.seed])
        #expect(stored.violations.map(\.text) == [failed.violations[0]])
    }

    @Test func `another build or another deliberate fault is refused`() throws {
        let record = RunRecord(build: "one", mutation: nil)
        #expect(throws: RunRecord.Refusal.otherBuild(stored: "one", own: "two")) {
            try RunRecord(resuming: record, build: "two", mutation: nil, acceptsOtherBuild: false)
        }
        let forced = try RunRecord(
            resuming: record,
            build: "two",
            mutation: nil,
            acceptsOtherBuild: true
        )
        #expect(forced.build == "two")
        let refusal = RunRecord.Refusal.otherMutation(stored: nil, own: "staleResyncRead")
        #expect(throws: refusal) {
            try RunRecord(
                resuming: record,
                build: "one",
                mutation: .staleResyncRead,
                acceptsOtherBuild: true
            )
        }
    }

    @Test func `seeds that come in any order become ranges`() throws {
        var seeds = SeedSet()
        for seed: UInt64 in [5, 1, 2, 9, 3, 2, 4, 0] { seeds.insert(seed) }
        #expect(seeds.ranges == [0..<6, 9..<10])
        #expect(seeds.count == 7)
        #expect(seeds.contains(9) && !seeds.contains(6))
        let data = try JSONEncoder().encode(seeds)
        #expect(String(decoding: data, as: UTF8.self) == #"["0..<6","9..<10"]"#)
        #expect(try JSONDecoder().decode(SeedSet.self, from: data) == seeds)
    }

    @Test(arguments: [#"["0..6"]"#, #"["6..<6"]"#, #"["4..<6","5..<7"]"#, #"["4..<6","6..<7"]"#])
    func `what is no list of ranges is refused`(_ text: String) {
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(SeedSet.self, from: Data(text.utf8))
        }
    }
}
