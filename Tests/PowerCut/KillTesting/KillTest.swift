// SPDX-License-Identifier: Apache-2.0

import Administration
package import Engine
import Foundation
import Primitives
import TestSupport
import Wire

/// Two engines, and relays between them, that replicate a volume under load and are killed.
///
/// After each kill of an engine: what a flush or FUA has confirmed is there, on the node that was
/// cut off and, where the other one takes over, on that one; the real drbdmeta understands the
/// metadata. Whenever no engine runs, every block that differs is marked on a node. No resync
/// copies more than is marked. At the end both data files are equal. All decisions follow from the
/// seed; how processes and disks race does not.
package final class KillTest {
    /// What to do.
    package struct Options: Sendable {
        package var kills: Int
        package var seed: UInt64
        package var programs: Programs
        package var wiring = Wiring.relayed
        /// A flush that the engines leave out: then the test must fail.
        package var skipped: DiskFlush?
        /// Told of each step.
        package var log: @Sendable (String) -> Void = { _ in }
        /// The folder is kept if the test fails.
        package var keepsFolder = false

        package init(kills: Int, seed: UInt64, programs: Programs) {
            self.kills = kills
            self.seed = seed
            self.programs = programs
        }
    }

    /// What a test that found nothing wrong has seen.
    package struct Report: Sendable {
        /// Acknowledged flushes and FUA writes.
        package var promises: Int
        /// Bytes of resync blocks on the wire.
        package var resyncBytes: UInt64
        /// How often both data files were compared while no engine ran.
        package var comparisons: Int
    }

    private let options: Options
    private let test: KillRounds

    package init(_ options: Options) throws {
        self.options = options
        self.test = try KillRounds(options)
    }

    /// Runs the test; throws the first thing that is wrong.
    package func run() throws -> Report {
        do {
            try self.test.run()
        } catch {
            self.test.cleanUp(keepsFolder: self.options.keepsFolder)
            let kept = self.options.keepsFolder ? "; files in \(self.test.folder)" : ""
            throw KillTestFailure(
                "seed \(self.options.seed), kill \(self.test.kills): \(error)\(kept)"
            )
        }
        self.test.cleanUp(keepsFolder: false)
        return Report(
            promises: self.test.load.promises,
            resyncBytes: self.test.resyncBytes,
            comparisons: self.test.comparisons
        )
    }
}

/// The kills, and how the nodes come back.
final class KillRounds: ProcessTest {
    private let options: KillTest.Options
    private(set) var kills = 0
    private(set) var comparisons = 0
    /// What was known of the sectors when the Secondary last ceased to be UpToDate.
    private var disconnected: [SectorHistory] = []
    /// The same when the first connection after that began; empty if there was none.
    private var connected: [SectorHistory] = []

    init(_ options: KillTest.Options) throws {
        self.options = options
        try super.init(options.programs, options.wiring, seed: options.seed)
    }

    func run() throws {
        try self.begin { try self.start($0) }
        while self.kills < self.options.kills { try self.round() }
        try self.letLoadRun(upTo: 300)
        try self.end()
    }

    private func start(_ engine: EngineProcess) throws {
        try engine.start(seed: self.random.next(), skipping: self.options.skipped?.rawValue)
    }

    // MARK: Rounds

    private func round() throws {
        if self.random.chance(3, in: 4) { try self.awaitUpToDate() }
        try self.letLoadRun(upTo: 600)
        switch self.random.below(self.cluster.relays.isEmpty ? 8 : 11) {
        case 0, 1, 2: try self.cutSecondary()
        case 3: try self.cutBoth()
        case 4, 5: try self.cutPrimary()
        case 6, 7: try self.failOver()
        default: try self.cutRelay()
        }
    }

    /// The Secondary comes back while the Primary goes on, or after the Primary was cut off, too.
    private func cutSecondary() throws {
        self.options.log("cut \(self.second.name), the Secondary")
        try self.disconnect { try self.kill(self.second) }
        if try self.surge(endingByCut: self.random.chance(2, in: 3)) { try self.returnPrimary() }
        try self.returnSecondary()
    }

    /// Lets the load run while the nodes are apart; perhaps the Primary is cut off then.
    private func surge(endingByCut isCut: Bool) throws -> Bool {
        self.load.surge(by: Int(self.random.below(UInt64(LoadGenerator.writerCount))))
        let rounds = self.load.surgeRounds + 4 + Int(self.random.below(8))
        try self.await("surge", within: .seconds(30)) { self.load.surgeRounds >= rounds }
        if isCut {
            self.options.log("then \(self.first.name), the Primary")
            try self.kill(self.first, during: self.random.chance(3, in: 4) ? .activityLog : nil)
        } else {
            self.load.calm()
            try self.letLoadRun(upTo: 450)
        }
        return isCut
    }

    private func cutPrimary() throws {
        self.options.log("cut \(self.first.name), the Primary, which comes back as such")
        try self.disconnect { try self.kill(self.first) }
        try self.returnPrimary()
        self.noteConnection()
        try self.first.connect()
    }

    private func cutBoth() throws {
        self.options.log("cut both")
        try self.disconnect {
            try self.kill(self.first)
            try self.kill(self.second)
        }
        try self.returnPrimary()
        try self.returnSecondary()
    }

    /// The Secondary takes over; the former Primary comes back and gets what it lacks.
    private func failOver() throws {
        try self.awaitUpToDate()
        self.options.log("cut \(self.first.name), the Primary; \(self.second.name) takes over")
        try self.kill(self.first)
        try self.check(self.load.join())
        self.primary = 1 - self.primary
        try self.first.promote()
        self.disconnected = self.load.histories
        self.connected = []
        try self.verify("after it took over")
        self.load.start(socketPath: self.first.nbdSocket)
        if try self.surge(endingByCut: self.random.chance(1, in: 2)) { try self.returnPrimary() }
        try self.returnSecondary(wasPrimary: true)
    }

    /// The nodes lose each other; perhaps both are cut off before they meet again.
    private func cutRelay() throws {
        let relay = self.cluster.relays[Int(self.random.below(2))]
        self.options.log("cut \(relay.name)")
        try self.disconnect { try self.kill(relay) }
        guard try self.surge(endingByCut: self.random.chance(2, in: 3)) else {
            self.noteConnection()
            return try relay.start()
        }
        self.options.log("then \(self.second.name), the Secondary")
        try self.kill(self.second)
        try relay.start()
        try self.returnPrimary()
        try self.returnSecondary()
    }

    /// Ends the connection by `cut`; a Secondary that had everything keeps the state of this
    /// moment.
    private func disconnect(_ cut: () throws -> Void) throws {
        let state = try self.second.state()
        try cut()
        if state.disk == .upToDate, state.replication == .established {
            self.disconnected = self.load.histories
            self.connected = []
        }
    }

    private func noteConnection() {
        if self.connected.isEmpty { self.connected = self.load.histories }
    }

    /// Cuts an engine off, in every second case while it flushes.
    private func kill(_ engine: EngineProcess) throws {
        let flush = self.random.chance(1, in: 2) ? self.random.element(of: DiskFlush.allCases) : nil
        try self.kill(engine, during: flush)
    }

    private func kill(_ engine: EngineProcess, during flush: DiskFlush?) throws {
        try engine.kill(during: flush)
        self.kills += 1
        try self.checkResync()
        try self.noteMarks(of: engine)
        guard self.cluster.engines.allSatisfy({ !$0.isRunning }) else { return }
        self.comparisons += 1
        try self.checkMarks()
    }

    private func kill(_ relay: RelayProcess) throws {
        try relay.kill()
        self.kills += 1
        try self.checkResync()
    }

    // MARK: Coming back

    /// The Primary was cut off; it comes back, alone, and is Primary again.
    private func returnPrimary() throws {
        try self.check(self.load.join())
        try self.recover(self.first)
        let disk = try self.first.state().disk
        guard disk == .upToDate else {
            throw KillTestFailure("\(self.first.name), the last Primary, is \(disk) after its cut")
        }
        try self.first.promote()
        try self.verify("after its own power cut")
        self.load.start(socketPath: self.first.nbdSocket)
    }

    /// The Secondary comes back and connects.
    ///
    /// It may be cut off again while it gets what it lacks.
    private func returnSecondary(wasPrimary: Bool = false) throws {
        try self.recover(self.second, wasPrimary: wasPrimary)
        if self.first.isRunning, try self.first.state().replication == .off {
            try? self.first.connect()
        }
        self.noteConnection()
        try self.second.connect()
        guard self.kills < self.options.kills, self.random.chance(1, in: 3) else { return }
        try self.awaitResync()
        try self.letLoadRun(upTo: 80)
        self.options.log("cut \(self.second.name) while it gets what it lacks")
        try self.disconnect { try self.kill(self.second) }
        try self.letLoadRun(upTo: 100)
        try self.returnSecondary()
    }

    /// Waits until the Secondary gets blocks, or has got them all.
    private func awaitResync() throws {
        try self.await("a connection", within: .seconds(30)) {
            let state = try self.second.state()
            return state.replication == .syncTarget || state.replication == .established
        }
    }

    private func recover(_ node: EngineProcess, wasPrimary: Bool = false) throws {
        try node.checkWithDrbdmeta()
        try node.applyActivityLog()
        let found = try node.sequencesOnDisk()
        try self.start(node)
        try node.configure()
        guard node === self.second, !wasPrimary else { return }
        let disk = try node.state().disk
        if disk > .inconsistent { try self.checkConsistent(found, node, disk) }
    }

    /// A disk that claims to be consistent is as it was when the connection ended, or has got
    /// everything since: never half of a resync.
    private func checkConsistent(
        _ found: [UInt32?],
        _ node: EngineProcess,
        _ disk: DiskState
    ) throws {
        let isOld = zip(found, self.disconnected).allSatisfy { ($0 ?? .max) <= $1.sent }
        guard !isOld, !self.connected.isEmpty else { return }
        let missing = zip(found, self.connected).filter { !$1.allows($0 ?? .max, upTo: .max) }.count
        guard missing == 0 else {
            throw KillTestFailure(
                "\(node.name) says it is \(disk) and has half a resync: \(missing) sectors are old"
            )
        }
    }
}

extension SeededRandom {
    /// One of `elements`, of which there are some.
    fileprivate mutating func element<Element>(of elements: [Element]) -> Element {
        elements[Int(self.below(UInt64(elements.count)))]
    }
}

extension SectorHistory {
    /// Whether the sector may hold write `found` if writes up to `last` were sent.
    func allows(_ found: UInt32, upTo last: UInt32) -> Bool {
        found == 0
            ? self.covered == 0 || self.zeroed >= self.covered
            : found >= self.covered && found <= last
    }
}
