// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Testing
import Wire

@Suite struct RecordedVerdictTests {
    private struct Recorded {
        var count: Int
        var rule: UInt8
        var number: Int32
        var own: SyncSide
        var peer: SyncSide
        var outcome: Substring
    }

    /// Reads `c rule r = n: own/peer flags -> outcome`, `self …`, `peer …`.
    private static func parse() throws -> [Recorded] {
        let lines = RecordedVerdicts.text.split(separator: "\n")
        return try stride(from: 0, to: lines.count, by: 3).map { index in
            let head = lines[index].split(separator: " ")
            let arrow = try #require(head.firstIndex(of: "->"))
            let disks = head[5].split(separator: "/").map { self.disk($0) }
            let flags = head[6..<arrow]
            func side(_ line: Substring, _ name: String, disk: DiskState) throws -> SyncSide {
                SyncSide(
                    comparison: ComparisonSide(
                        generations: try self.generations(line),
                        crashedPrimary: flags.contains("\(name)-crashed"),
                        role: flags.contains("\(name)-primary") ? .primary : .secondary
                    ),
                    disk: disk,
                    attaching: name == "own" && flags.contains("attaching"),
                    discardsData: flags.contains("\(name)-discards")
                )
            }
            return Recorded(
                count: try #require(Int(head[0])),
                rule: try #require(UInt8(head[2])),
                number: try #require(Int32(head[4].dropLast())),
                own: try side(lines[index + 1], "own", disk: disks[0]),
                peer: try side(lines[index + 2], "peer", disk: disks[1]),
                outcome: head[arrow + 1]
            )
        }
    }

    private static func disk(_ name: Substring) -> DiskState {
        name == "UpToDate" ? .upToDate : .inconsistent
    }

    private static func generations(_ line: Substring) throws -> Generations {
        let fields = line.split(separator: " ")[1].split(separator: ":")
        let ids = try fields.map { GenerationID(try #require(UInt64($0, radix: 16))) }
        return Generations(current: ids[0], bitmap: ids[1], history0: ids[2], history1: ids[3])
    }

    private static func word(_ decision: SyncDecision) -> String {
        switch decision {
        case .none: "none"
        case .source(let full): full ? "source-full" : "source"
        case .target(let full): full ? "target-full" : "target"
        case .fail(.splitBrain): "split-brain"
        case .fail(let refusal): "\(refusal)"
        }
    }

    @Test func `comes to all 73 verdicts of the recorded kernels`() throws {
        let all = try Self.parse()
        #expect(all.reduce(0) { $0 + $1.count } == 73)
        for recorded in all {
            for resolveConflicts in [false, true] {
                let terms = SyncTerms(resolveConflicts: resolveConflicts)
                let plan = SyncPlan(own: recorded.own, peer: recorded.peer, terms: terms)
                #expect(plan.comparison.rule == recorded.rule)
                #expect(plan.comparison.verdict.number == recorded.number)
                #expect(Self.word(plan.decision) == recorded.outcome)
                #expect(plan.splitBrainFound == (recorded.rule == 90))
            }
        }
    }

    @Test func `the peer of each recorded node comes to the mirrored verdict`() throws {
        for recorded in try Self.parse() {
            let terms = SyncTerms(resolveConflicts: false)
            let one = SyncPlan(own: recorded.own, peer: recorded.peer, terms: terms)
            let two = SyncPlan(own: recorded.peer, peer: recorded.own, terms: terms)
            #expect(two.comparison.verdict == one.comparison.verdict.mirrored)
        }
    }
}
