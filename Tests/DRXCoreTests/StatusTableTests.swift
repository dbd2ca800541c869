// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Foundation
import Testing
import Wire

@Suite struct StatusTableTests {
    @Test("DRX-35 DRX-36 DRX-37 DRX-41 DRX-42 DRX-43 the table of two established channels")
    func established() {
        let connection = connection(.established, .data, .established, .meta)
        #expect(StatusTable.text([connection]) == establishedTable)
    }

    @Test(
        "DRX-08 DRX-10 acceptor first, no type before the engine connects",
        arguments: [
            (
                ChannelState.waiting, true,
                "-    (local-bsr)  -----waiting-> (local-drx)  <-bridged-----"
            ),
            (
                .bridging, false,
                "-    (local-bsr)  -------------> (local-drx)  <-bridging----"
            ),
            (
                .allocating, false,
                "-    (local-bsr)  -------------> (local-drx)  <-allocating--"
            ),
            (
                .establishing, true,
                "-    (local-bsr)  establishing-> (local-drx)  <-bridged-----"
            ),
            (
                .closePending, true,
                "-    (local-bsr)  close_pending->(local-drx)  <-bridged-----"
            ),
        ]
    )
    func otherStates(state: ChannelState, isBridged: Bool, row: String) {
        var connection = connection(state, nil, .connecting, nil)
        connection.acceptor.isBridged = isBridged
        let lines = StatusTable.text([connection]).split(separator: "\n")
        #expect(lines[3] == "r1-nb-na       \(row) (remote-drx)")
        #expect(lines[6] == " All connections : 2, Established : 0")
    }

    @Test func `an engine that dialled both sockets shows in the acceptor's row`() {
        var connection = connection(.established, .data, .connecting, nil)
        connection.acceptor.carriesBoth = true
        #expect(StatusTable.text([connection]).contains("r1-nb-na       both (local-bsr)"))
    }

    @Test func `details have addresses, times, the diagnosis, and no arrows`() {
        var connection = connection(.established, .data, .connecting, nil)
        connection.acceptor.engineAddress = "10.1.0.1:7789"
        connection.acceptor.upSince = "2026-11-21 09:45:26"
        let text = StatusTable.verboseText([connection])
        #expect(text.contains("10.1.0.1:7789 established"))
        #expect(text.contains("2026-11-21 09:45:26"))
        #expect(text.contains(" r1-nb-na: either we do not reach the local engine's address"))
        #expect(!text.contains("->"))
    }

    @Test func `the JSON form is JSON and says the same`() throws {
        var connection = connection(.waiting, nil, .established, .meta)
        connection.name = "r\"1\"-\n-na"
        connection.remote = ChannelStates(acceptor: .established, connector: .connecting)
        let json = StatusTable.json([connection])
        let object = try JSONSerialization.jsonObject(with: Data(json.utf8))
        let root = try #require(object as? [String: Any])
        let item = try #require((root["connections"] as? [[String: Any]])?.first)
        #expect(item["name"] as? String == "r\"1\"-\n-na")
        #expect((item["remote"] as? [String: String])?["acceptor"] == "established")
        let channels = try #require(item["channels"] as? [[String: String]])
        #expect(channels.map { $0["state"] } == ["waiting", "established"])
        #expect(channels.map { $0["type"] } == ["-", "meta"])
        #expect(root["established"] as? Int == 1)
    }

    private func connection(
        _ acceptor: ChannelState,
        _ acceptorType: ChannelType?,
        _ connector: ChannelState,
        _ connectorType: ChannelType?
    ) -> ConnectionStatus {
        ConnectionStatus(
            name: "r1-nb-na",
            acceptor: .init(role: .acceptor, state: acceptor, type: acceptorType, isBridged: true),
            connector: .init(
                role: .connector,
                state: connector,
                type: connectorType,
                isBridged: true
            ),
            remote: nil
        )
    }
}

private let establishedTable = """
    -------------------------------------------------------------------------------------------
    Name           Type local-bsr-ip State          local-drx-ip State          remote-drx-ip
    -------------------------------------------------------------------------------------------
    r1-nb-na       data (local-bsr)  -established-> (local-drx)  <-bridged----- (remote-drx)
    r1-nb-na       meta (local-bsr)  <-established- (local-drx)  -----bridged-> (remote-drx)
    -------------------------------------------------------------------------------------------
     All connections : 2, Established : 2

    """
