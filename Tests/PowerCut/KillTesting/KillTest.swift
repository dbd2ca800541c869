// SPDX-License-Identifier: Apache-2.0

import Administration
package import Engine
import Foundation
import Primitives
import TestSupport
import Wire

/// Two engines that replicate a volume under load, with power cuts.
///
/// After each cut: what a flush or FUA has confirmed is there, on the node that was cut off and,
/// where the other one takes over, on that one; the real drbdmeta understands the metadata. At the
/// end both data files are equal. All decisions follow from the seed; how processes and disks race
/// does not.
package final class KillTest {
    /// What to do.
    package struct Options: Sendable {
        package var kills: Int
        package var seed: UInt64
        /// A flush that the engines leave out: then the test must fail.
        package var skipped: DiskFlush?
        package var programs: Programs
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

    private let options: Options
    private var random: SeededRandom
    private let folder: String
    private let nodes: [EngineProcess]
    private let load: LoadGenerator
    private var primary = 0
    private var kills = 0
    /// What was known of the sectors when the Secondary last ceased to be UpToDate.
    private var disconnected: [SectorHistory] = []
    /// The same when the first connection after that began; empty if there was none.
    private var connected: [SectorHistory] = []

    package init(_ options: Options) throws {
        self.options = options
        self.random = SeededRandom(seed: options.seed)
        self.folder =
            FileManager.default.temporaryDirectory.path + "/bsr-kill-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: self.folder,
            withIntermediateDirectories: true
        )
        let folder = self.folder
        let ports = [try freePort(), try freePort()]
        self.nodes = try (0...1).map {
            try EngineProcess(options.programs, nodeID: $0, folder: folder, ports: ports)
        }
        self.load = LoadGenerator(seed: options.seed)
    }

    /// Runs the test; throws the first thing that is wrong.
    ///
    /// Returns the number of acknowledged flushes and FUA writes.
    package func run() throws -> Int {
        do {
            try self.begin()
            while self.kills < self.options.kills { try self.round() }
            try self.end()
        } catch {
            for node in self.nodes { try? node.kill() }
            _ = self.load.stop()
            let kept = self.options.keepsFolder ? "; files in \(self.folder)" : ""
            if !self.options.keepsFolder { self.removeFolder() }
            throw KillTestFailure("seed \(self.options.seed), kill \(self.kills): \(error)\(kept)")
        }
        self.removeFolder()
        return self.load.promises
    }

    private func removeFolder() { try? FileManager.default.removeItem(atPath: self.folder) }

    private var first: EngineProcess { self.nodes[self.primary] }
    private var second: EngineProcess { self.nodes[1 - self.primary] }

    private func begin() throws {
        for node in self.nodes {
            try node.makeMetadata()
            try self.start(node)
            try node.configure()
            try node.connect()
        }
        try self.awaitUpToDate()
        try self.first.promote()
        self.load.start(socketPath: self.first.nbdSocket)
    }

    private func start(_ node: EngineProcess) throws {
        try node.start(seed: self.random.next(), skipping: self.options.skipped?.rawValue)
    }

    // MARK: Rounds

    private func round() throws {
        if self.random.chance(3, in: 4) { try self.awaitUpToDate() }
        self.pause(upTo: 600)
        try self.checkLoad()
        switch self.random.below(8) {
        case 0, 1, 2: try self.cutSecondary()
        case 3: try self.cutBoth()
        case 4, 5: try self.cutPrimary()
        default: try self.failOver()
        }
    }

    private func pause(upTo milliseconds: UInt64) {
        usleep(useconds_t(self.random.below(milliseconds) * 1000))
    }

    /// The Secondary comes back while the Primary goes on, or after the Primary was cut off, too.
    private func cutSecondary() throws {
        self.options.log("cut \(self.second.name), the Secondary")
        try self.disconnect { try self.kill(self.second) }
        self.pause(upTo: 600)
        try self.checkLoad()
        if self.random.chance(1, in: 3) {
            self.options.log("then \(self.first.name), the Primary")
            try self.kill(self.first)
            try self.returnPrimary()
        }
        try self.returnSecondary()
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
        try self.checkProblems(self.load.join())
        self.primary = 1 - self.primary
        try self.first.promote()
        self.disconnected = self.load.histories
        self.connected = []
        try self.verify("after it took over")
        self.load.start(socketPath: self.first.nbdSocket)
        self.pause(upTo: 300)
        try self.checkLoad()
        try self.returnSecondary(wasPrimary: true)
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

    private func kill(_ node: EngineProcess) throws {
        try node.kill()
        self.kills += 1
    }

    // MARK: Coming back

    /// The Primary was cut off; it comes back, alone, and is Primary again.
    private func returnPrimary() throws {
        try self.checkProblems(self.load.join())
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
        self.pause(upTo: 80)
        self.options.log("cut \(self.second.name) while it gets what it lacks")
        try self.disconnect { try self.kill(self.second) }
        self.pause(upTo: 100)
        try self.returnSecondary()
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

    // MARK: Checks

    /// Reads everything from the Primary: what was promised must be there.
    private func verify(_ occasion: String) throws {
        let connection = try NBDConnection(socketPath: self.first.nbdSocket, export: "r0/0")
        let histories = self.load.histories
        var found: [UInt32] = []
        for chunk in 0..<TaggedArea.chunkCount {
            let bytes = try connection.read(
                at: TaggedArea.offset(ofChunk: chunk),
                byteCount: TaggedArea.sectorsPerChunk * 512
            )
            guard let bytes else {
                throw KillTestFailure("\(self.first.name): chunk \(chunk) is unreadable")
            }
            for sequence in bytes.sequences(inChunk: chunk) {
                let sector = found.count
                guard let sequence, histories[sector].allows(sequence) else {
                    throw KillTestFailure(
                        """
                        \(self.first.name) \(occasion): sector \(sector) has write \
                        \(sequence.map { "\($0)" } ?? "garbage"), known are \(histories[sector])
                        """
                    )
                }
                found.append(sequence)
            }
        }
        self.load.observe(found)
    }

    private func checkLoad() throws { try self.checkProblems(self.load.problems) }

    private func checkProblems(_ problems: [String]) throws {
        if let problem = problems.first { throw KillTestFailure(problem) }
    }

    private func awaitUpToDate() throws {
        try self.await("both disks UpToDate", seconds: 60) {
            let (first, second) = (try self.first.state(), try self.second.state())
            return first.disk == .upToDate && first.peerDisk == .upToDate
                && second.disk == .upToDate && first.replication == .established
                && second.replication == .established
        }
    }

    /// Waits until the Secondary gets blocks, or has got them all.
    private func awaitResync() throws {
        try self.await("a connection", seconds: 30) {
            let state = try self.second.state()
            return state.replication == .syncTarget || state.replication == .established
        }
    }

    private func await(_ what: String, seconds: Double, _ condition: () throws -> Bool) throws {
        let end = Date().addingTimeInterval(seconds)
        while try !condition() {
            try self.checkLoad()
            guard Date() < end else {
                throw KillTestFailure(
                    "no \(what) after \(seconds) s: \(try self.first.state()) "
                        + "\(try self.second.state())"
                )
            }
            usleep(5_000)
        }
    }

    /// Everything drains; the files are equal.
    private func end() throws {
        self.pause(upTo: 300)
        try self.checkProblems(self.load.stop())
        try self.awaitUpToDate()
        try self.verify("at the end")
        try self.first.demote()
        try self.awaitUpToDate()
        for node in self.nodes { try node.stop() }
        let files = try self.nodes.map {
            try FileHandle(forReadingFrom: URL(fileURLWithPath: $0.dataPath))
        }
        let step = 4 << 20
        for offset in stride(from: 0, to: TaggedArea.byteCount, by: step) {
            let (one, two) = (
                try files[0].read(upToCount: step), try files[1].read(upToCount: step)
            )
            guard one == two else {
                throw KillTestFailure(
                    "the data files differ between \(offset) and \(offset + step)"
                )
            }
        }
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
