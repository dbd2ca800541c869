// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import Primitives
import Simulation
import ToolSupport

/// Runs random worlds of two nodes and says what broke a promise.
@main
struct BsrSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bsr-sim",
        abstract: "Runs simulated worlds of two nodes and checks what the engine promises.",
        discussion: """
            Exit code: 0 no violation, 1 a promise was broken, 64 wrong command line.
            """,
        version: Release.line("bsr-sim")
    )

    /// Accepted as by every bsr tool; the worlds need nothing of it.
    @OptionGroup var place: PlaceOptions

    @Option(help: "The worlds of these seeds: 'A..<B'.")
    var seeds: SeedRange?

    @Option(help: "The world of one seed.")
    var seed: UInt64?

    @Flag(help: "Print everything that happens.")
    var trace = false

    @Flag(help: "Worlds whose packets are changed and made up at random: does a node stop?")
    var hostile = false

    @Option(help: "A deliberate fault, to see that a check notices it.")
    var mutation: Mutation?

    static func main() { Self.runProgram() }

    func run() throws {
        guard let range = self.seeds?.range ?? self.seed.map({ $0..<$0 + 1 }) else {
            throw ValidationError("say which worlds to run: --seeds 0..<100 or --seed 7")
        }
        if self.hostile { return try self.runHostileWorlds(range) }
        var report = Report()
        for seed in range { report.add(self.runWorld(seed)) }
        say(report.text)
        if report.failedSeeds > 0 { throw ExitCode(1) }
    }

    private func runHostileWorlds(_ seeds: Range<UInt64>) throws {
        var failed = 0
        var changed = 0
        var forged = 0
        for seed in seeds {
            let world = HostileWorld(seed: seed, log: self.trace ? { say($0) } : nil)
            if let fault = world.run() {
                say("seed \(seed): \(fault)")
                failed += 1
            }
            changed += world.peer.changed
            forged += world.peer.forged
        }
        say(
            "\(seeds.count) hostile worlds, \(failed) with a fault; "
                + "\(changed) packets changed, \(forged) made up"
        )
        if failed > 0 { throw ExitCode(1) }
    }

    private func runWorld(_ seed: UInt64) -> RandomWorld {
        let world = RandomWorld(
            seed: seed,
            mutation: self.mutation,
            log: self.trace ? { say($0) } : nil
        )
        for violation in world.run().prefix(1) { say("seed \(seed): \(violation)") }
        return world
    }
}

/// Prints a line at once, so that a run that is ended early has said what it found.
private func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

/// Sums over worlds.
struct Report {
    private var worlds = 0
    private(set) var failedSeeds = 0
    private var requests = 0
    private var chores = 0
    private var virtualSeconds: UInt64 = 0
    private var faults: [Fault: Int] = [:]

    mutating func add(_ world: RandomWorld) {
        self.worlds += 1
        if !world.world.violations.isEmpty { self.failedSeeds += 1 }
        self.requests += world.requests
        self.chores += world.chores
        self.virtualSeconds += world.world.now.nanoseconds / 1_000_000_000
        self.faults.merge(world.faultCounts) { $0 + $1 }
    }

    var text: String {
        let faults = Fault.allCases.map { "\($0) \(self.faults[$0] ?? 0)" }
        return "\(self.worlds) worlds, \(self.failedSeeds) with a violation; "
            + "\(self.requests) requests, \(self.chores) chores, "
            + "\(self.virtualSeconds / 60) virtual minutes; " + faults.joined(separator: ", ")
    }
}

/// A range of seeds as `A..<B`.
struct SeedRange: ExpressibleByArgument {
    let range: Range<UInt64>

    init?(argument: String) {
        let parts = argument.split(separator: ".", omittingEmptySubsequences: true)
        guard parts.count == 2, let first = UInt64(parts[0]), parts[1].first == "<",
            let end = UInt64(parts[1].dropFirst()), first < end
        else { return nil }
        self.range = first..<end
    }
}

extension Mutation: ExpressibleByArgument {}
