// SPDX-License-Identifier: Apache-2.0

import Foundation
import Primitives
import TestSupport

/// What the tests of real processes share: the two nodes, the load, and what is to be true of them.
class ProcessTest {
    let cluster: Cluster
    let load: LoadGenerator
    let folder: String
    var random: SeededRandom
    /// The number of the engine that is Primary.
    var primary = 0
    /// What a resync may copy by now.
    private var bound: ResyncBound
    /// What the meter showed when the last resync may have begun.
    private var meterAtStart: UInt64 = 0

    init(_ programs: Programs, _ wiring: Wiring, seed: UInt64) throws {
        self.random = SeededRandom(seed: seed)
        self.folder =
            FileManager.default.temporaryDirectory.path + "/bsr-kill-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(
            atPath: self.folder,
            withIntermediateDirectories: true
        )
        self.cluster = try Cluster(programs, wiring, folder: self.folder)
        self.load = LoadGenerator(seed: seed)
        self.bound = ResyncBound(self.load.histories)
    }

    var first: EngineProcess { self.cluster.engines[self.primary] }
    var second: EngineProcess { self.cluster.engines[1 - self.primary] }

    /// Ends everything and removes the files.
    func cleanUp(keepsFolder: Bool) {
        self.cluster.killAll()
        _ = self.load.stop()
        if !keepsFolder { try? FileManager.default.removeItem(atPath: self.folder) }
    }

    /// Starts both sites with equal disks and the load on alpha.
    func begin(_ startEngine: (EngineProcess) throws -> Void) throws {
        for relay in self.cluster.relays { try relay.start() }
        for engine in self.cluster.engines {
            try engine.makeMetadata()
            try startEngine(engine)
            try engine.configure()
            try engine.connect()
        }
        try self.awaitUpToDate()
        try self.first.promote()
        self.load.start(socketPath: self.first.nbdSocket)
    }

    // MARK: Load

    /// Lets the load run for a random time.
    func letLoadRun(upTo milliseconds: UInt64) throws {
        try self.letLoadRun(for: .milliseconds(self.random.below(milliseconds)))
    }

    /// Lets the load run for `time`, or until something is wrong with it.
    func letLoadRun(for time: Duration) throws {
        _ = waitUntil(within: time) { !self.load.problems.isEmpty }
        try self.check(self.load.problems)
    }

    func check(_ problems: [String]) throws {
        if let problem = problems.first { throw KillTestFailure(problem) }
    }

    // MARK: Waiting

    /// Waits until both disks are UpToDate; what was copied for that had to be.
    func awaitUpToDate() throws {
        try self.await("both disks UpToDate", within: .seconds(60)) {
            try self.cluster.areUpToDate()
        }
        try self.checkResync()
        self.bound = ResyncBound(self.load.histories)
        // Metadata that is attached for the first time marks everything, until a first resync.
        guard self.resyncBytes == 0 else { return }
        for engine in self.cluster.engines { try self.noteMarks(of: engine) }
    }

    func await(_ what: String, within time: Duration, _ condition: () throws -> Bool) throws {
        let isTrue = try waitUntil(within: time) {
            try self.check(self.load.problems)
            return try condition()
        }
        guard isTrue else {
            let states = self.cluster.engines.map { engine in
                let state = try? engine.state()
                return engine.name + (state.map { " \($0)" } ?? " is down")
            }
            throw KillTestFailure("no \(what) after \(time): \(states)")
        }
    }

    // MARK: Resync

    /// Bytes of resync blocks that the meter has counted since the test began.
    private(set) var resyncBytes: UInt64 = 0

    /// Checks what travelled since the last call: blocks that a node had marked, or that were
    /// written since both were equal, and no others.
    func checkResync() throws {
        let now = try self.cluster.meter.resyncByteCount()
        let bytes = now - self.meterAtStart
        self.meterAtStart = now
        self.resyncBytes += bytes
        let limit = UInt64(self.bound.blocks(self.load.histories).count * BlockSet.byteCount)
        guard bytes <= limit else {
            throw KillTestFailure(
                "\(bytes) bytes were resynchronised where at most \(limit) may differ"
            )
        }
    }

    /// Notes what the metadata of an engine that was killed says.
    func noteMarks(of engine: EngineProcess) throws { self.bound.add(try engine.marks()) }

    // MARK: Data

    /// Compares the data while no engine runs: what differs has to be marked on a node.
    func checkMarks() throws {
        let difference = try self.cluster.difference()
        var marks = try self.first.marks()
        marks.formUnion(try self.second.marks())
        let unmarked = difference.subtracting(marks)
        guard let block = unmarked.first else { return }
        throw KillTestFailure(
            "\(unmarked.count) of \(difference.count) blocks that differ are marked in no bitmap "
                + "and no activity log; the first is block \(block)"
        )
    }

    /// Everything drains; both daemons end in good order; the files are equal.
    func end() throws {
        try self.check(self.load.stop())
        try self.awaitUpToDate()
        try self.verify("at the end")
        try self.first.demote()
        try self.awaitUpToDate()
        for engine in self.cluster.engines { try engine.stop() }
        for relay in self.cluster.relays { try relay.stop() }
        let difference = try self.cluster.difference()
        if let block = difference.first {
            throw KillTestFailure(
                "\(difference.count) blocks differ at the end; the first is block \(block)"
            )
        }
    }

    /// Reads everything from the Primary: what was promised must be there.
    func verify(_ occasion: String) throws {
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
}
