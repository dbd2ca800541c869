// SPDX-License-Identifier: Apache-2.0

import Administration
import DRXCore
import Foundation
import TestSupport
import Testing
import Wire

/// `drxctl` against real relays.
@Suite(.serialized, .timeLimit(.minutes(2))) struct RelayCommandTests {
    @Test("DRX-08 DRX-35 DRX-36 DRX-37 DRX-41 DRX-42 DRX-43 the whole life by drxctl")
    func life() throws {
        let (alpha, beta) = try sites("memlimit 1M; plugin { compressor zstd level 1; }")
        #expect(try alpha.relay.drxctl("status").output == Self.table([], 0))
        for site in [alpha, beta] {
            #expect(try site.relay.drxctl("up").status == 0)
            // Once more changes nothing.
            #expect(try site.relay.drxctl("up", "r1").status == 0)
            #expect(site.relay.logLines(with: "acceptor is allocating") == 1)
        }
        for site in [alpha, beta] { try site.await(.waiting, .connecting) }
        let data = try alpha.dial(.data, to: beta)
        let meta = try beta.dial(.meta, to: alpha)
        for site in [alpha, beta] { try site.await(.established, .established) }
        let rows = [
            "r1-beta-alpha  data (local-bsr)  -established-> (local-drx)  "
                + "<-bridged----- (remote-drx)",
            "r1-beta-alpha  meta (local-bsr)  <-established- (local-drx)  "
                + "-----bridged-> (remote-drx)",
        ]
        #expect(try alpha.relay.drxctl("status").output == Self.table(rows, 2))
        let verbose = try alpha.relay.drxctl("status", "-v").output
        #expect(verbose.contains("127.0.0.1:\(alpha.inside)"))
        #expect(verbose.contains("both channels are established"))
        try self.checkJSON(try alpha.relay.drxctl("status", "--json").output)

        try data.near.send(Array(repeating: 7, count: 100_000))
        #expect(data.far.receive(exactly: 100_000).count == 100_000)
        let traffic = try alpha.relay.drxctl("statistics", "-v").output
        #expect(traffic.contains("r1-beta-alpha acceptor: sent 100008, received 0, on the bridge "))
        #expect(traffic.contains("r1-beta-alpha connector: sent 0, received 8, on the bridge "))
        let usage = try alpha.relay.drxctl("memusage", "-v").output
        #expect(usage.contains("r1-beta-alpha: size 1048576, usable 1048576, used 0 (0 %), begin "))

        // An adjustment without a difference leaves the sockets alone.
        #expect(try alpha.relay.drxctl("adjust").status == 0)
        try meta.far.send([1])
        #expect(meta.near.receive(exactly: 1) == [1])

        #expect(try alpha.relay.drxctl("down").status == 0)
        #expect(data.near.receive() == .endOfStream)
        #expect(data.far.receive() == .endOfStream)
        #expect(try alpha.relay.drxctl("status").output == Self.table([], 0))
        #expect(try alpha.relay.drxctl("down").status == 0)
    }

    @Test("DRX-38 adjust takes over what has changed, and takes down what is gone")
    func adjust() throws {
        let (alpha, beta) = try sites("memlimit 1M;")
        for site in [alpha, beta] { #expect(try site.relay.drxctl("up").status == 0) }
        for site in [alpha, beta] { try site.await(.waiting, .connecting) }
        try alpha.write("memlimit 3M; rx-memlimit 2M; ping-timeout 200;", peer: beta)
        let refused = try alpha.relay.drxctl("up")
        #expect(refused.status == 10)
        #expect(refused.errors.contains("use drxctl adjust"))
        #expect(try alpha.relay.drxctl("adjust").status == 0)
        for site in [alpha, beta] { try site.await(.waiting, .connecting) }
        #expect(try alpha.buffer().size == 3 << 20)
        let data = try alpha.dial(.data, to: beta)
        try data.near.send([1, 2])
        #expect(data.far.receive(exactly: 2) == [1, 2])

        try "global { usage-count no; }\n".write(
            toFile: alpha.relay.configurationPath,
            atomically: true,
            encoding: .utf8
        )
        #expect(try alpha.relay.drxctl("adjust").status == 0)
        #expect(try alpha.relay.report() == nil)
        #expect(data.near.receive() == .endOfStream)
    }

    @Test(
        "DRX-04 up refuses what the relay does not do",
        arguments: [
            ("bwlimit 10M;", "bwlimit 10M is not supported yet"),
            ("read-loops 4;", "read-loops 4 is not supported yet"),
            ("compression 1;", "compression 1 is not supported yet"),
            ("plugin { crypto openssl; }", "crypto openssl is not supported yet"),
            ("plugin { compressor lzma level 1; }", "plugin lzma level 1 is not supported"),
        ]
    )
    func refuses(proxy: String, complaint: String) throws {
        let (alpha, _) = try sites(proxy)
        let answer = try alpha.relay.drxctl("up")
        #expect(answer.status == 10)
        #expect(answer.errors.contains("r1-beta-alpha"))
        #expect(answer.errors.contains(complaint), "\(answer.errors)")
        #expect(try alpha.relay.report() == nil)
    }

    @Test("DRX-04 up names all that the relay does not do at once, and where it stands")
    func refusesAll() throws {
        let (alpha, _) = try sites("bwlimit 10M; read-loops 4; plugin { crypto openssl; }")
        let answer = try alpha.relay.drxctl("up")
        #expect(answer.status == 10)
        let lines = answer.errors.split(separator: "\n")
        for part in ["bwlimit 10M", "read-loops 4", "crypto openssl"] {
            let line = lines.first { $0.contains("\(part) is not supported yet") }
            #expect(line?.hasSuffix("/bsr.conf:3)") == true, "\(answer.errors)")
        }
        #expect(try alpha.relay.report() == nil)
    }

    @Test("DRX-11 a relay that is told to end does so, delivers first, and starts with nothing")
    func endAndStart() throws {
        let (alpha, beta) = try sites("memlimit 1M;")
        for site in [alpha, beta] { #expect(try site.relay.drxctl("up").status == 0) }
        for site in [alpha, beta] { try site.await(.waiting, .connecting) }
        let data = try alpha.dial(.data, to: beta)
        let content = Pattern.bytes(500_000, seed: 50)
        try data.near.send(content)
        try waitFor("the relay has read it") {
            try alpha.relay.report()?.acceptor.sentContentBytes == 500_008
        }
        #expect(alpha.relay.terminate() == 0)
        #expect(data.far.receive(exactly: content.count) == content)
        #expect(data.far.receive() == .endOfStream)
        #expect(try alpha.relay.drxctl("status").status == 20)
        try alpha.relay.start()
        #expect(try alpha.relay.drxctl("status", "--json").output == Self.emptyJSON)
    }

    private static let emptyJSON = "{\"connections\":[],\"all\":0,\"established\":0}\n"

    private func sites(_ proxy: String) throws -> (RelaySite, RelaySite) {
        let alpha = try RelaySite("alpha", peer: "beta")
        let beta = try RelaySite("beta", peer: "alpha")
        for (site, peer) in [(alpha, beta), (beta, alpha)] {
            try site.write(proxy, peer: peer)
            try site.relay.start()
        }
        return (alpha, beta)
    }

    private static func table(_ rows: [String], _ established: Int) -> String {
        let rule = String(repeating: "-", count: 91)
        let header =
            "Name           Type local-bsr-ip State          local-drx-ip State          "
            + "remote-drx-ip"
        let footer = " All connections : \(rows.count), Established : \(established)"
        return ([rule, header, rule] + rows + [rule, footer]).map { $0 + "\n" }.joined()
    }

    private func checkJSON(_ text: String) throws {
        struct Status: Decodable {
            struct Connection: Decodable {
                struct Channel: Decodable {
                    var role: String
                    var type: String
                    var state: String
                    var bridge: String
                }
                struct States: Decodable {
                    var acceptor: String
                    var connector: String
                }
                var name: String
                var channels: [Channel]
                var remote: States?
            }
            var connections: [Connection]
            var all: Int
            var established: Int
        }
        let status = try JSONDecoder().decode(Status.self, from: Data(text.utf8))
        #expect(status.all == 2)
        #expect(status.established == 2)
        let connection = try #require(status.connections.first)
        #expect(connection.name == "r1-beta-alpha")
        #expect(connection.channels.map(\.role) == ["acceptor", "connector"])
        #expect(connection.channels.map(\.type) == ["data", "meta"])
        #expect(connection.channels.allSatisfy { $0.state == "established" })
        #expect(connection.channels.allSatisfy { $0.bridge == "bridged" })
        #expect(connection.remote != nil)
    }
}
