// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Names and forms of output on `drxctl`'s command line.
@Suite(.serialized, .timeLimit(.minutes(1))) struct RelayNamesTests {
    @Test(
        "a name that nothing has is refused",
        arguments: ["status", "down", "memusage", "statistics", "up", "adjust"]
    )
    func unknownName(_ verb: String) throws {
        let site = try self.site()
        let answer = try site.relay.drxctl(verb, "nope")
        #expect(answer.status == 10)
        #expect(answer.errors.contains("nope"), "\(answer.errors)")
        #expect(answer.output == "")
        // A configured one that is not up is none: there is nothing to end or to show.
        #expect(try site.relay.drxctl(verb, "r1").status == 0)
        #expect(try site.relay.drxctl(verb, "r1", "nope").status == 10)
    }

    @Test("memusage and statistics as JSON")
    func json() throws {
        let site = try self.site()
        #expect(try site.relay.drxctl("up").status == 0)
        for (verb, key) in [("memusage", "usable"), ("statistics", "channels")] {
            let answer = try site.relay.drxctl(verb, "--json")
            let parsed = try JSONSerialization.jsonObject(with: Data(answer.output.utf8))
            let connections = (parsed as? [String: Any])?["connections"] as? [[String: Any]]
            #expect(connections?.map { $0["name"] as? String } == ["r1-beta-alpha"])
            #expect(connections?.first?[key] != nil, "\(answer.output)")
        }
        #expect(try site.relay.drxctl("up", "--json").status == 64)
        #expect(try site.relay.drxctl("nope").status == 64)
    }

    private func site() throws -> RelaySite {
        let alpha = try RelaySite("alpha", peer: "beta")
        let beta = try RelaySite("beta", peer: "alpha")
        try alpha.write("memlimit 1M;", peer: beta)
        try alpha.relay.start()
        return alpha
    }
}
