// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Simulation
import Testing
import Wire

@Suite struct WorldTraceTests {
    private func sectors(_ start: UInt64, _ count: UInt64) -> SectorRange {
        SectorRange(start: start, count: count)
    }

    private func freshWorld() -> World {
        var configuration = WorldConfiguration()
        configuration.startsEqual = false
        return World(seed: 1, configuration)
    }

    /// A world with a Primary on node 0 and an UpToDate Secondary.
    private func replicatingWorld(_ letter: ReplicationProtocol) -> World {
        var configuration = WorldConfiguration()
        configuration.replicationProtocol = letter
        let world = World(seed: 7, configuration)
        world.start()
        world.connect()
        #expect(world.carryOut(.primary(force: false), on: 0) == .success)
        world.run(for: .seconds(1))
        return world
    }

    @Test func `two fresh nodes connect and stay Inconsistent`() {
        let world = self.freshWorld()
        world.tracesPackets = true
        world.start()
        world.connect()
        for node in 0...1 {
            let state = world.state(node)
            #expect(state.connection == .connected)
            #expect(state.disk == .inconsistent && state.peerDisk == .inconsistent)
            #expect(state.peerRole == .secondary)
            #expect(
                world.trace(of: node) == [
                    "P_CONNECTION_FEATURES", "P_PROTOCOL", "P_SYNC_PARAM89", "P_SIZES", "P_UUIDS",
                    "P_STATE", "P_STATE",
                ]
            )
        }
        world.run(for: .seconds(60))
        #expect(world.nodes.allSatisfy { $0.core.link == .established })
        #expect(world.violations == [])
    }

    @Test func `a forced promotion makes a full copy, as the wire reference says`() {
        let world = self.freshWorld()
        world.start()
        world.connect()
        world.tracesPackets = true
        #expect(world.carryOut(.primary(force: false), on: 0) == .noUpToDateDisk)
        #expect(world.carryOut(.primary(force: true), on: 0) == .success)
        world.settle()
        #expect(world.violations == [])
        #expect(world.state(0).role == .primary && world.state(1).peerRole == .primary)
        let asked = world.trace(of: 0).filter { $0 != "P_RS_DATA_REPLY" }
        #expect(
            asked == [
                "P_PING", "P_STATE_CHG_REQ", "P_UUIDS", "P_STATE", "P_COMPRESSED_BITMAP",
                "P_SYNC_UUID", "P_PING_ACK",
            ]
        )
        #expect(world.nodes[0].core.volumeSnapshot(0).statistics.sent == 32_768)
    }

    @Test(arguments: ReplicationProtocol.allCases)
    func `writes are acknowledged and end in barriers`(_ letter: ReplicationProtocol) {
        let world = self.replicatingWorld(letter)
        world.tracesPackets = true
        for number in 0..<3 {
            world.applications[0].write(0, self.sectors(2048, 8))
            world.run("write \(number)") { world.applications[0].succeeded == number + 1 }
        }
        world.run(for: .seconds(1))
        let acknowledgement =
            switch letter {
            case .a: [String]()
            case .b: ["P_RECV_ACK"]
            case .c: ["P_WRITE_ACK"]
            }
        let answers = world.trace(of: 1).filter { $0 != "P_PING" && $0 != "P_PING_ACK" }
        #expect(answers.filter { $0 != "P_BARRIER_ACK" }.count == acknowledgement.count * 3)
        #expect(Set(answers) == Set(acknowledgement + ["P_BARRIER_ACK"]))
        let sent = world.trace(of: 0).filter { $0 == "P_DATA" || $0 == "P_BARRIER" }
        #expect(sent == ["P_DATA", "P_BARRIER", "P_DATA", "P_BARRIER", "P_DATA", "P_BARRIER"])
        #expect(world.nodes[0].core.unconfirmedWrites == 0)
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `a flush in protocol C waits for the peer's stable storage`() {
        let world = self.replicatingWorld(.c)
        world.applications[0].write(0, self.sectors(0, 8))
        world.run("write") { world.applications[0].succeeded == 1 }
        world.applications[0].flush(0)
        world.run("flush") { world.applications[0].succeeded == 2 }
        for node in world.nodes {
            #expect(node.disks[0].data.durable[0] == WriteTable.firstContent)
        }
        world.applications[0].write(0, self.sectors(8, 8), isForcedUnitAccess: true)
        world.run("write") { world.applications[0].succeeded == 3 }
        for node in world.nodes {
            #expect(node.disks[0].data.durable[8] == WriteTable.firstContent + 1)
        }
        #expect(world.violations == [])
    }

    @Test(arguments: [0, 1])
    func `after a disconnect only what was written meanwhile is copied`(_ asker: Int) {
        let world = self.replicatingWorld(.c)
        #expect(world.carryOut(.disconnect(force: false), on: asker) == .success)
        world.run(for: .seconds(5))
        world.applications[0].write(0, self.sectors(100, 8))
        world.applications[0].write(0, self.sectors(8192, 16))
        world.run("writes") { world.applications[0].succeeded == 2 }
        world.tracesPackets = true
        #expect(world.carryOut(.connect(discardMyData: false), on: asker) == .success)
        world.settle()
        #expect(world.violations == [])
        // Two bits, and two.
        #expect(world.nodes[1].core.volumeSnapshot(0).statistics.received == 32)
        #expect(world.trace(of: 0).filter { $0 == "P_SYNC_UUID" }.count == 1)
    }

    @Test func `a Primary that lost power returns without the mark of one`() {
        let world = self.replicatingWorld(.c)
        #expect(world.nodes[0].core.superblockContent(0).generations.current.wasPrimary)
        world.nodes[0].crash(losingPower: true)
        world.nodes[0].start()
        world.run("attached") { world.state(0).disk == .upToDate }
        let content = world.nodes[0].core.superblockContent(0)
        #expect(content.crashedPrimary)
        #expect(!content.generations.current.wasPrimary)
        world.connect()
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `a Primary that attaches again has the mark of one`() {
        let world = self.replicatingWorld(.c)
        #expect(world.carryOut(.detach(volume: 0, force: false), on: 0) == .success)
        world.nodes[0].attach(0)
        world.run("attached") { world.state(0).disk == .upToDate }
        #expect(world.nodes[0].core.superblockContent(0).generations.current.wasPrimary)
        world.settle()
        #expect(world.violations == [])
    }

    @Test func `the other node takes over, writes alone and copies back`() {
        let world = self.replicatingWorld(.c)
        world.applications[0].write(0, self.sectors(100, 8))
        world.run("write") { world.applications[0].succeeded == 1 }
        #expect(world.carryOut(.primary(force: false), on: 1) == .twoPrimaries)
        #expect(world.carryOut(.secondary(force: false), on: 0) == .success)
        #expect(world.carryOut(.primary(force: false), on: 1) == .success)
        #expect(world.carryOut(.disconnect(force: false), on: 1) == .success)
        world.applications[1].write(0, self.sectors(100, 8))
        world.applications[1].write(0, self.sectors(200, 8))
        world.run("writes") { world.applications[1].succeeded == 2 }
        #expect(world.carryOut(.connect(discardMyData: false), on: 1) == .success)
        world.settle()
        #expect(world.violations == [])
        #expect(world.nodes[0].disks[0].data.current[200] == WriteTable.firstContent + 2)
    }
}
