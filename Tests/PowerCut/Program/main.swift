// SPDX-License-Identifier: Apache-2.0

// kill-test [KILLS] [SEED] [SKIPPED-FLUSH]: power cuts of two engines under load.

import Engine
import Foundation
import KillTesting

/// Prints at once, also into a file.
func say(_ text: String) { FileHandle.standardOutput.write(Data((text + "\n").utf8)) }

let words = CommandLine.arguments.dropFirst().map { String($0) }
let kills = words.first.flatMap { Int($0) } ?? 200
let seed = words.dropFirst().first.flatMap { UInt64($0) } ?? UInt64.random(in: 0..<1_000_000)
let skipped = words.dropFirst(2).first.map { DiskFlush(rawValue: $0) }
guard words.count <= 3, skipped != .some(nil) else {
    say(
        "usage: kill-test [KILLS] [SEED] ["
            + DiskFlush.allCases.map(\.rawValue).joined(separator: "|") + "]"
    )
    exit(2)
}
let folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
    .deletingLastPathComponent().path
var options = KillTest.Options(kills: kills, seed: seed, programs: Programs(folder: folder))
options.skipped = skipped ?? nil
options.keepsFolder = true
options.log = { say($0) }
say("\(kills) kills, seed \(seed)\(options.skipped.map { ", no \($0.rawValue) flush" } ?? "")")
let start = Date()
do {
    let promises = try KillTest(options).run()
    let seconds = Int(Date().timeIntervalSince(start))
    say("held: \(promises) flushes and FUA writes, \(kills) kills, \(seconds) s")
} catch {
    say("FAILED after \(Int(Date().timeIntervalSince(start))) s: \(error)")
    exit(1)
}
