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
            Exit code: 0 no violation, 1 a promise was broken, or a world took a transition that \
            the table of transitions does not list; with --report also if a kind of fault or \
            chore did not happen in 200 worlds or more. 64 wrong command line.
            """,
        version: Release.line("bsr-sim")
    )

    /// Accepted as by every bsr tool; the worlds need nothing of it.
    @OptionGroup var place: PlaceOptions

    @Option(help: "The worlds of these seeds: 'A..<B'.")
    var seeds: SeedRange?

    @Option(help: "The world of one seed.")
    var seed: UInt64?

    @Option(help: "How many worlds run at once, each in a thread.")
    var jobs = 1

    @Option(
        help: """
            Stores in this file what was run, every few seconds and at the end; the seeds that it \
            has are not run again, and what they covered counts.
            """
    )
    var state: String?

    @Flag(help: "Goes on with a state file that another build of bsr-sim has written.")
    var otherBuild = false

    @Flag(help: "Print how often each transition, packet, request and fault happened.")
    var report = false

    @Flag(help: "With --report: as JSON.")
    var json = false

    @Flag(help: "Print everything that happens.")
    var trace = false

    @Flag(help: "Worlds whose packets are changed and made up at random: does a node stop?")
    var hostile = false

    @Option(help: "A deliberate fault, to see that a check notices it.")
    var mutation: Mutation?

    static func main() { Self.runProgram() }

    func validate() throws {
        guard (1...1_024).contains(self.jobs) else {
            throw ValidationError("--jobs \(self.jobs): it has to be 1 to 1024")
        }
        if self.jobs > 1, self.trace {
            throw ValidationError("--trace prints one world after the other: leave --jobs out")
        }
        if self.json, !self.report {
            throw ValidationError("--json is how --report prints, which is missing")
        }
        if self.hostile, self.report || self.state != nil || self.jobs > 1 {
            throw ValidationError(
                "--hostile has no --report, --state or --jobs: its packets lead anywhere"
            )
        }
        if self.otherBuild, self.state == nil {
            throw ValidationError("--other-build is about the file of --state, which is missing")
        }
    }

    func run() throws {
        guard let seeds = self.seeds?.range ?? self.seed.map({ $0..<$0 + 1 }) else {
            throw ValidationError("say which worlds to run: --seeds '0..<100' or --seed 7")
        }
        if self.hostile { return try self.runHostileWorlds(seeds) }
        let file = try self.state.map {
            try StateFile(path: $0, mutation: self.mutation, acceptsOtherBuild: self.otherBuild)
        }
        let log: (@Sendable (String) -> Void)? = self.trace ? { @Sendable in say($0) } : nil
        let run = Run(seeds: seeds, mutation: self.mutation, file: file, log: log)
        let says = !self.json
        let record = try run.finish(jobs: self.jobs) { violation in
            if says { say("seed \(violation.seed): \(violation.text)") }
        }
        try self.conclude(record)
    }

    private func conclude(_ record: RunRecord) throws {
        let report = CoverageReport(record.coverage)
        let isFailure = record.failedSeeds > 0 || self.report && report.isFailure
        if self.json {
            say(try Summary(record, report).text)
        } else {
            if self.report { say(report.text) }
            say(
                "\(report.worlds) worlds, \(record.failedSeeds) with a violation; \(report.summary)"
            )
            if self.report { for line in report.faultLines { say(line) } }
        }
        if isFailure { throw ExitCode(1) }
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
}

/// Prints a line at once, so that a run that is ended early has said what it found.
func say(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

/// A range of seeds as `A..<B`.
struct SeedRange: ExpressibleByArgument {
    let range: Range<UInt64>

    init?(argument: String) {
        guard let range = Range<UInt64>(seeds: argument) else { return nil }
        self.range = range
    }
}

extension Mutation: ExpressibleByArgument {}
