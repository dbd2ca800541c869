// SPDX-License-Identifier: Apache-2.0

// kill-test [--direct] [KILLS] [SEED] [SKIPPED-FLUSH]: engines and relays are killed under load.
// kill-test --outage SECONDS [SEED]: the link between the sites is cut under load.

import Engine
import Foundation
import KillTesting

/// Prints at once, also into a file.
func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

func complain() -> Never {
    let flushes = DiskFlush.allCases.map(\.rawValue).joined(separator: "|")
    say("usage: kill-test [--direct] [KILLS] [SEED] [\(flushes)]")
    say("       kill-test --outage SECONDS [SEED]")
    exit(2)
}

/// A number, the default if the word is missing.
func number(_ word: String?, orElse missing: UInt64) -> UInt64 {
    guard let word else { return missing }
    guard let number = UInt64(word) else { complain() }
    return number
}

let programs = Programs(
    folder: URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        .deletingLastPathComponent().path
)
var words = CommandLine.arguments.dropFirst().map { String($0) }
let isOutage = words.first == "--outage"
let isDirect = words.first == "--direct"
if isOutage || isDirect { words.removeFirst() }

func runOutage(_ words: [String]) throws {
    guard words.count <= 2 else { complain() }
    let seconds = number(words.first, orElse: 30)
    let seed = number(words.dropFirst().first, orElse: .random(in: 0..<1_000_000))
    say("the link is cut for \(seconds) s, seed \(seed)")
    var options = OutageTest.Options(time: .seconds(seconds), seed: seed, programs: programs)
    options.keepsFolder = true
    let report = try OutageTest(options).run()
    say(
        "held: \(report.promises) flushes and FUA writes while it was cut, \(report.resyncBytes) "
            + "bytes of resync blocks"
    )
}

func runKills(_ words: [String], _ wiring: Wiring) throws {
    guard words.count <= 3 else { complain() }
    let kills = Int(number(words.first, orElse: 200))
    let seed = number(words.dropFirst().first, orElse: .random(in: 0..<1_000_000))
    var options = KillTest.Options(kills: kills, seed: seed, programs: programs)
    if let word = words.dropFirst(2).first {
        guard let flush = DiskFlush(rawValue: word) else { complain() }
        options.skipped = flush
    }
    options.wiring = wiring
    options.keepsFolder = true
    options.log = { say($0) }
    say(
        "\(kills) kills, seed \(seed), \(options.wiring.rawValue)"
            + (options.skipped.map { ", no \($0.rawValue) flush" } ?? "")
    )
    let report = try KillTest(options).run()
    say(
        "held: \(report.promises) flushes and FUA writes, \(report.resyncBytes) bytes of resync "
            + "blocks, \(report.comparisons) comparisons while no engine ran"
    )
}

let start = Date()
do {
    if isOutage {
        try runOutage(words)
    } else {
        try runKills(words, isDirect ? .direct : .relayed)
    }
    say("\(Int(Date().timeIntervalSince(start))) s")
} catch {
    say("FAILED after \(Int(Date().timeIntervalSince(start))) s: \(error)")
    exit(1)
}
