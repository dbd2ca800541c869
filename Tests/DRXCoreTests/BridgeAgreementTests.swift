// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Testing
import Wire

@Suite struct BridgeAgreementTests {
    private let own = BridgeAgreement(
        name: ConnectionName(resource: "r1", peerNodes: ["nb"], ownNodes: ["na"]),
        plugins: [Plugin(algorithm: .zstd, level: 1)],
        incarnation: 1
    )
    private var remote: BridgeAgreement {
        BridgeAgreement(
            name: ConnectionName(resource: "r1", peerNodes: ["na"], ownNodes: ["nb"]),
            plugins: self.own.plugins,
            incarnation: 2
        )
    }

    @Test func `two relays that are configured alike agree`() {
        let hello = self.remote.hello(lane: LaneID(.connector, 1))
        #expect(self.own.isMeant(by: hello))
        let welcome = BridgeWelcome(version: 1, incarnation: 1)
        #expect(self.own.answer(hello) == .success(welcome))
        #expect(self.remote.objection(to: welcome) == nil)
    }

    @Test func `other names are not for this connection`() {
        let hello = self.remote.hello(lane: LaneID(.connector))
        for change: (inout BridgeHello) -> Void in [
            { $0.resource = "r2" }, { $0.fromNode = "nc" }, { $0.toNode = "nc" },
        ] {
            var other = hello
            change(&other)
            #expect(!self.own.isMeant(by: other))
            #expect(BridgeAgreement.unknown(other).text.contains(other.resource))
        }
    }

    @Test func `different plugin lists are refused, with both in the text`() throws {
        var remote = self.remote
        remote.plugins = [Plugin(algorithm: .lz4, level: 3)]
        let refusal = try self.refusal(remote.hello(lane: LaneID(.connector)))
        #expect(refusal.code == .plugins)
        #expect(refusal.text.contains("on nb lz4 level 3, on na zstd level 1"))
    }

    @Test func `a relay that dials itself notices`() throws {
        var remote = self.remote
        remote.incarnation = 1
        #expect(try self.refusal(remote.hello(lane: LaneID(.connector))).code == .ownRelay)
        #expect(
            self.own.objection(to: BridgeWelcome(version: 1, incarnation: 1))?.code == .ownRelay
        )
    }

    @Test func `without a common version both ranges are named`() throws {
        var hello = self.remote.hello(lane: LaneID(.connector))
        hello.versions = 2...3
        let refusal = try self.refusal(hello)
        #expect(refusal.code == .version)
        #expect(refusal.text.contains("2 to 3"))
        let answer = BridgeWelcome(version: 2, incarnation: 9)
        #expect(self.own.objection(to: answer)?.code == .version)
    }

    @Test("DRX-41 the name has resource, peers and own nodes")
    func name() {
        let name = ConnectionName(resource: "r1", peerNodes: ["nb", "nc"], ownNodes: ["na"])
        #expect(name.text == "r1-nb_nc-na")
    }

    @Test("DRX-10 the engine's first packet names the type")
    func initialPackets() {
        #expect(self.type(initialPacket(.data)) == .data)
        #expect(self.type(initialPacket(.meta)) == .meta)
        for bit in 0..<64 {
            var packet = initialPacket(.data)
            packet[bit / 8] ^= 1 << (bit % 8)
            #expect(self.type(packet) == nil)
        }
        #expect(self.type(initialPacket(.meta).dropLast()) == nil)
    }

    private func type(_ bytes: [UInt8]) -> ChannelType? {
        ChannelType(initialPacket: bytes.span.bytes)
    }

    private func refusal(_ hello: BridgeHello) throws -> BridgeRefusal {
        guard case .failure(let refusal) = self.own.answer(hello) else {
            throw Unexpected()
        }
        return refusal
    }

    private struct Unexpected: Error {}
}
