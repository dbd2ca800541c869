// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Foundation
import Primitives
import Testing
import Wire

/// A complete pair of relays between two engines, under faults that follow from a seed.
///
/// Safety: the engines verify every byte. Liveness: after the faults both replicate again within a
/// bounded time.
@Suite struct RelaySimulationTests {
    /// A long run by night sets another number of worlds.
    private static let seeds: Range<UInt64> =
        0..<(ProcessInfo.processInfo.environment["BSR_SIMULATIONS"].flatMap(UInt64.init) ?? 40)

    @Test(arguments: seeds)
    func `bytes arrive unchanged or not at all, and connections come back`(seed: UInt64) {
        var draw = SeededRandom(seed: seed &* 77)
        let styles: [(SimulatedEngine.Style, SimulatedEngine.Style)] = [
            (.dataFirst, .metaFirst), (.metaFirst, .dataFirst), (.dataFirst, .dataFirst),
        ]
        let (styleA, styleB) = styles[Int(draw.below(3))]
        var settings = SimulatedRelay.Settings()
        if draw.chance(1, in: 3) {
            settings.memoryLimit = 300
            settings.smallBuffer = 64
            settings.receiveLimit = 100
        }
        let sites = TwoSites(
            seed: seed,
            styleA: styleA,
            styleB: styleB,
            settings: settings,
            delay: .milliseconds(1 + draw.below(100))
        )
        if draw.chance(1, in: 5) { sites.engineB.dials = false }
        sites.start()
        var faults = Faults(sites, &draw)
        for _ in 0..<8 {
            sites.world.run(for: sites.world.milliseconds(200...6_000))
            faults.strike()
        }
        faults.heal()
        #expect(sites.replicate(within: .seconds(60)), "no replication after the faults")
        let before = sites.engines.map(\.bytesVerified)
        sites.world.run(for: .seconds(5))
        #expect(zip(sites.engines, before).allSatisfy { $0.bytesVerified > $1 })
        for relay in sites.relays { #expect(relay.bridgeDials < 400, "dialling has its pauses") }
    }

    @Test("DRX-19 what an engine wrote before it closed arrives")
    func drains() {
        let sites = TwoSites(seed: 5, delay: .milliseconds(200), burst: 0)
        sites.start()
        #expect(sites.replicate(within: .seconds(20)))
        sites.engineA.writeData(120_000)
        sites.world.run(for: .milliseconds(20))
        sites.engineA.stop()
        sites.world.run(for: .milliseconds(50))
        #expect(sites.relayA.states?.acceptor == .closePending)
        let delivered = sites.relayB.deliveredByteCount(LaneID(.connector))
        sites.world.run(for: .seconds(3))
        let accepted = sites.relayA.acceptedByteCount(LaneID(.acceptor))
        #expect(accepted > delivered)
        #expect(sites.relayB.deliveredByteCount(LaneID(.connector)) == accepted)
        #expect(sites.engineB.bytesVerified > 100_000)
    }

    @Test("DRX-40 a full buffer stops the engine and loses nothing")
    func fullBuffer() {
        var settings = SimulatedRelay.Settings()
        settings.memoryLimit = 4_096
        let sites = TwoSites(seed: 6, settings: settings, burst: 0)
        sites.start()
        #expect(sites.replicate(within: .seconds(20)))
        for engine in sites.engines { engine.isPatient = true }
        sites.engineB.isFrozen = true
        sites.engineA.writeData(400_000)
        sites.world.run(for: .seconds(8))
        #expect(sites.engineA.unsentDataByteCount > 0)
        #expect(
            sites.relayA.states == ChannelStates(acceptor: .established, connector: .established)
        )
        let before = sites.engineB.bytesVerified
        sites.engineB.thaw()
        sites.world.run(for: .seconds(20))
        #expect(sites.engineA.unsentDataByteCount == 0)
        #expect(sites.engineB.bytesVerified - before >= 400_000)
    }

    @Test func `a node that dials both of its sockets gets a second lane`() {
        let sites = TwoSites(seed: 7, styleA: .dataFirst, styleB: .dataFirst)
        sites.engineB.dials = false
        sites.start()
        #expect(sites.replicate(within: .seconds(20)))
        #expect(sites.relayA.carriesBoth(.acceptor))
        #expect(sites.relayB.carriesBoth(.connector))
        #expect(sites.relayA.bufferHolder == LaneID(.acceptor, 0))
        sites.engineB.stop()
        sites.world.run(for: .seconds(4))
        #expect(!sites.relayA.carriesBoth(.acceptor))
        sites.engineB.start()
        #expect(sites.replicate(within: .seconds(30)))
    }

    @Test func `down delivers, then says that it is finished`() {
        let sites = TwoSites(seed: 8)
        sites.start()
        #expect(sites.replicate(within: .seconds(20)))
        sites.relayA.stop()
        #expect(sites.world.run(for: .seconds(12)) { sites.relayA.isFinished })
        #expect(sites.relayA.states == ChannelStates(acceptor: .stopped, connector: .stopped))
        #expect(!sites.engineA.isReplicating)
        sites.relayA.start()
        #expect(sites.replicate(within: .seconds(30)))
    }

    @Test func `every state of a channel is visited`() {
        let sites = TwoSites(seed: 9)
        sites.start()
        #expect(sites.replicate(within: .seconds(20)))
        sites.engineA.stop()
        sites.world.run(for: .seconds(3))
        #expect(sites.relayA.visited == Set(ChannelState.allCases))
        #expect(sites.relayB.visited == Set(ChannelState.allCases))
    }

    @Test func `the round trip of a keep-alive is measured`() {
        let sites = TwoSites(seed: 10, delay: .milliseconds(40))
        sites.start()
        sites.world.run(for: .seconds(2))
        #expect(sites.relayA.roundTrip == .milliseconds(80))
    }
}

/// Faults of a kind that the seed allows, each undone after a while.
private struct Faults {
    private let sites: TwoSites
    private let kinds: [UInt64]

    init(_ sites: TwoSites, _ draw: inout SeededRandom) {
        self.sites = sites
        var kinds = (0..<7 as Range<UInt64>).filter { _ in draw.chance(1, in: 2) }
        if kinds.isEmpty { kinds = [draw.below(7)] }
        self.kinds = kinds
    }

    mutating func strike() {
        let world = self.sites.world
        let relay = self.sites.relays[Int(world.random.below(2))]
        let engine = self.sites.engines[Int(world.random.below(2))]
        switch self.kinds[Int(world.random.below(UInt64(self.kinds.count)))] {
        case 0:
            self.sites.wide.cut()
            world.after(world.milliseconds(100...8_000)) { [wide = self.sites.wide] in wide.mend() }
        case 1, 2:
            relay.kill(power: world.random.chance(1, in: 2))
            world.after(world.milliseconds(50...3_000)) { if !relay.isRunning { relay.start() } }
        case 3:
            engine.stop()
            world.after(world.milliseconds(50...3_000)) { engine.start() }
        case 4:
            engine.isFrozen = true
            world.after(world.milliseconds(50...6_000)) { engine.thaw() }
        case 5:
            relay.canBeReached = false
            world.after(world.milliseconds(50...4_000)) { relay.canBeReached = true }
        default:
            relay.canReachEngine = false
            world.after(world.milliseconds(50...8_000)) { relay.canReachEngine = true }
        }
    }

    /// Waits until every fault is undone.
    mutating func heal() { self.sites.world.run(for: .seconds(9)) }
}
