// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Runs of `bsr-sim` over ranges of seeds.
struct SimulationRunTests {
    private static func run(_ words: String...) throws -> Program.Output {
        try Program.run(Program.own("bsr-sim"), words)
    }

    @Test func `a run goes on where its state file stops`() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("state")
        let first = try Self.run("--seeds", "0..<2", "--state", file)
        #expect(first.exitCode == 0, "\(first.everything)")
        #expect(first.text.contains("2 worlds, 0 with a violation"))
        let both = try Self.run("--seeds", "0..<3", "--jobs", "2", "--state", file, "--report")
        #expect(both.text.contains("3 worlds, 0 with a violation"), "\(both.everything)")
        let whole = try Self.run("--seeds", "0..<3", "--report")
        #expect(both.text == whole.text)
        #expect(whole.text.contains("disk Diskless -> Attaching §4"))
        let again = try Self.run("--seeds", "0..<3", "--state", file, "--report", "--json")
        let object = try JSONSerialization.jsonObject(with: Data(again.text.utf8))
        let summary = try #require(object as? [String: Any])
        #expect(summary["seeds"] as? [String] == ["0..<3"])
        let coverage = try #require(summary["coverage"] as? [String: Any])
        #expect((coverage["rows"] as? [Any])?.count ?? 0 > 200)
    }

    @Test func `a state file of another build is refused`() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("state")
        _ = try Self.run("--seed", "0", "--state", file)
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let old = text.replacing(/"build" : "[0-9a-f]+"/, with: #""build" : "beef""#)
        #expect(old != text)
        try old.write(toFile: file, atomically: true, encoding: .utf8)
        let refused = try Self.run("--seeds", "0..<2", "--state", file)
        #expect(refused.exitCode == 1)
        #expect(refused.errors.contains("it is of build beef, this is build "), "\(refused.errors)")
        #expect(try String(contentsOfFile: file, encoding: .utf8) == old)
        let forced = try Self.run("--seeds", "0..<2", "--state", file, "--other-build")
        #expect(forced.text.contains("2 worlds, 0 with a violation"), "\(forced.everything)")
    }

    @Test(arguments: ["", "{}", "[1]", "{\"build\": 7}"])
    func `a file that is none of bsr-sim is left alone`(_ content: String) throws {
        let folder = try TemporaryFolder()
        let file = folder.file("state")
        try content.write(toFile: file, atomically: true, encoding: .utf8)
        let output = try Self.run("--seed", "0", "--state", file)
        #expect(output.exitCode == 1)
        #expect(output.errors.contains("is none of bsr-sim, or damaged"), "\(output.errors)")
        #expect(try String(contentsOfFile: file, encoding: .utf8) == content)
    }

    @Test(
        arguments: [
            ["--seed", "1", "--jobs", "0"], ["--seed", "1", "--json"],
            ["--seed", "1", "--other-build"], ["--seed", "1", "--hostile", "--report"],
            ["--seeds", "0..<2", "--jobs", "2", "--trace"], ["--report"],
        ]
    )
    func `options that make no sense are refused`(_ words: [String]) throws {
        let output = try Program.run(Program.own("bsr-sim"), words)
        #expect(output.exitCode == 64, "\(output.everything)")
    }
}
