// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Foundation
import Primitives
import Simulation
import Testing
import Wire

/// What is counted, and what counts as a violation.
@Suite struct CoverageTests {
    private static func count(_ coverage: Coverage, _ transition: String) throws -> UInt64 {
        coverage.count(of: try #require(Transition(transition)))
    }

    private static func change(
        _ coverage: inout Coverage,
        _ change: (inout VolumeState) -> Void
    ) -> [String] {
        var state = VolumeState(connection: .connected, disk: .upToDate, peerDisk: .upToDate)
        let old = state
        change(&state)
        return coverage.moved(from: old, to: state)
    }

    @Test func `steps that no poll would see are counted`() throws {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.invalidate(volume: 0), on: 1) == .success)
        world.settle()
        for transition in [
            "replication Established -> StartingSyncT", "replication Established -> StartingSyncS",
            "replication StartingSyncT -> WFSyncUUID", "replication StartingSyncS -> SyncSource",
            "replication WFSyncUUID -> SyncTarget", "replication SyncTarget -> Established",
            // Both within one event.
            "disk UpToDate -> Outdated", "disk Outdated -> Inconsistent",
            "packet syncUUID -> sent", "packet syncUUID -> received",
        ] {
            #expect(try Self.count(world.coverage, transition) == 1, "\(transition)")
        }
        #expect(world.carryOut(.disconnect(force: true), on: 1) == .success)
        #expect(world.violations == [])
        #expect(try Self.count(world.coverage, "connection Disconnecting -> StandAlone") == 1)
        #expect(try Self.count(world.coverage, "role Secondary -> Primary") == 1)
    }

    @Test func `requests and refusals are counted`() throws {
        let world = ScriptedWorld.replicating()
        world.write(0, 100)
        world.applications[0].write(0, ScriptedWorld.sectors(0, 8), isForcedUnitAccess: true)
        world.applications[0].flush(0)
        world.applications[0].write(0, ScriptedWorld.sectors(8, 8), kind: .trim)
        #expect(world.carryOut(.primary(force: false), on: 1) == .twoPrimaries)
        world.settle()
        #expect(world.coverage.requests == [.write: 1, .forcedWrite: 1, .flush: 1, .trim: 1])
        #expect(try Self.count(world.coverage, "refusal command -> twoPrimaries") == 1)
        #expect(world.violations == [])
    }

    @Test func `a transition without a row, or of a row that must not be taken, is a fault`() {
        var coverage = Coverage()
        #expect(Self.change(&coverage) { $0.disk = .failed } == [])
        #expect(
            Self.change(&coverage) { $0.disk = .attaching }
                == ["disk UpToDate -> Attaching is not in the table of transitions"]
        )
        let forbidden = Self.change(&coverage) { $0.disk = .inconsistent }
        #expect(forbidden.count == 1)
        #expect(forbidden.first?.contains("was taken, which must not be: §7.1") == true)
        let early = Self.change(&coverage) { $0.connection = .verifyS }
        #expect(early.first?.contains("the table says 'later: online verify'") == true)
        let report = CoverageReport(coverage)
        #expect(report.unexpected.count == 3)
        #expect(report.isFailure)
        #expect(report.faultLines.contains { $0.contains("disk UpToDate -> Attaching (1 times)") })
    }

    @Test func `the report counts what can be taken`() throws {
        var coverage = Coverage()
        _ = Self.change(&coverage) { $0.disk = .failed }
        let table = try TransitionTable(
            text: """
                disk UpToDate -> Failed §4
                disk Failed -> Diskless §4
                disk UpToDate -> Consistent §4 unreachable: a rule
                packet data -> sent §11 later: a feature
                """
        )
        let report = CoverageReport(coverage, table)
        #expect(report.taken == 1)
        #expect(report.reachable == 2)
        #expect(report.text.contains("1  disk UpToDate -> Failed §4"))
        #expect(report.text.contains("disk  1 of 2  50.0 %"))
        let missing = report.text.split(separator: "never taken:").last?.split(separator: "\n")
        #expect(missing?.first == "           0  disk Failed -> Diskless §4")
    }

    @Test func `relay channels are counted`() throws {
        var coverage = Coverage()
        let fault = coverage.moved(.acceptor, from: .waiting, to: .connected)
        #expect(fault?.contains("relays in worlds") == true)
        #expect(try Self.count(coverage, "acceptor waiting -> connected") == 1)
    }

    // MARK: Worlds

    @Test func `sums are the same in any order, and survive a file`() throws {
        let worlds = (UInt64(0)..<3).map { FinishedWorld(seed: $0).coverage }
        var forwards = Coverage()
        var backwards = Coverage()
        for coverage in worlds { forwards.add(coverage) }
        for coverage in worlds.reversed() { backwards.add(coverage) }
        #expect(forwards == backwards)
        #expect(forwards.worlds == 3)
        #expect(forwards.virtualTime > .seconds(60))
        #expect(forwards != worlds[0])
        let data = try JSONEncoder().encode(forwards)
        #expect(try JSONDecoder().decode(Coverage.self, from: data) == forwards)
    }

    @Test func `a file with names that this build does not have is refused`() {
        let text = #"{"worlds":1,"virtualNanoseconds":1,"transitions":{"disk A -> B":1}}"#
        #expect {
            try JSONDecoder().decode(Coverage.self, from: Data(text.utf8))
        } throws: { error in
            "\(error)".contains("there is no transition 'disk A -> B'")
        }
    }

    @Test func `a kind of fault that never happened fails a long run only`() {
        let world = FinishedWorld(seed: 0).coverage
        var few = Coverage()
        for _ in 1..<CoverageReport.worldsForEveryFault { few.add(world) }
        #expect(CoverageReport(few).unused == [])
        few.add(world)
        let report = CoverageReport(few)
        // One seed's plan leaves some kinds out.
        let left = Set(Fault.allCases).subtracting(world.faults.filter { $0.value.times > 0 }.keys)
        #expect(!left.isEmpty)
        #expect(Set(report.unused).isSuperset(of: left.map(\.rawValue)))
        #expect(report.isFailure)
    }

    @Test func `sockets that stall or carry nonsense end the connection, which comes back`() throws
    {
        let world = ScriptedWorld.replicating()
        #expect(world.garble(to: 1))
        world.write(0, 100)
        world.settle()
        #expect(try Self.count(world.coverage, "connection Connected -> ProtocolError") == 1)
        world.random = SeededRandom(seed: 1)
        var stalls = 0
        while try Self.count(world.coverage, "connection Connected -> Timeout") == 0, stalls < 20 {
            #expect(world.stall(.data, to: 1, forMilliseconds: 100_000))
            world.applications[0].write(0, ScriptedWorld.sectors(200, 8))
            world.run(for: .seconds(110))
            stalls += 1
        }
        #expect(try Self.count(world.coverage, "connection Connected -> Timeout") == 1)
        world.settle()
        #expect(world.violations == [])
    }

    @Test(arguments: [0, 1])
    func `a full resync without a disk is refused and ends no connection`(_ node: Int) {
        let world = ScriptedWorld.replicating()
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 1) == .success)
        let transport = world.transport
        let code: StateChangeCode = node == 1 ? .noLocalDisk : .noRemoteDisk
        #expect(world.carryOut(.invalidate(volume: 0), on: node) == code)
        #expect(world.carryOut(.invalidateRemote(volume: 0), on: node) == code)
        world.run(for: .seconds(3))
        #expect(world.transport === transport)
        #expect(world.state(0).connection == .connected)
        #expect(world.violations == [])
    }
}
