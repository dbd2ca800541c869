// SPDX-License-Identifier: Apache-2.0
import Configuration
import Foundation
import Testing

/// `Config/bsr.res` does what its comments say.
struct ExampleTests {
    @Test(
        "TOOL-04 every node can bring up the commented example as it stands",
        arguments: ["alpha", "beta", "gamma"]
    )
    func isAccepted(node: String) throws {
        let configuration = try parse(try example("bsr.res"))
        #expect(configuration.warnings.isEmpty)
        let views = try TargetFinder(configuration, on: NodeIdentity(name: node)).views()
        #expect(!views.isEmpty)
        for view in views {
            #expect(view.refusals == [], "\(view.resource.name)")
            #expect(view.optionsWithoutEffect == [], "\(view.resource.name)")
        }
        for relay in try configuration.relayConnections(on: node) {
            #expect(relay.refusals == [])
            let plugins = try relay.settings.typed().plugins
            #expect(plugins == [.compressor(.zstd, level: 1)])
        }
    }

    /// Comments that show options must stay right, too.
    @Test
    func `what is marked as not yet is refused or has no effect`() throws {
        let marked = try example("bsr.res").split(separator: "\n").compactMap { line -> String? in
            guard let mark = line.range(of: "# not yet: ") else { return nil }
            let rest = line[mark.upperBound...].trimmingPrefix { $0 == " " }
            guard let end = rest.firstIndex(of: ";"), !rest.contains("{") else { return nil }
            return String(rest[..<end])
        }
        #expect(marked.count > 10)
        for words in marked.map({ $0.split(separator: " ", maxSplits: 1).map(String.init) }) {
            guard words.count == 2, words[0] != "crypto" else { continue }
            let entries = OptionTable.entries.filter { $0.name == words[0] }
            #expect(!entries.isEmpty, "\(words[0])")
            #expect(entries.allSatisfy { $0.effect != .honoured }, "\(words[0])")
        }
    }
}
