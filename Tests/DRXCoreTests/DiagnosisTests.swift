// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Testing
import Wire

/// Each row of the diagnosis table, provoked in a pair of relays.
@Suite struct DiagnosisTests {
    @Test("DRX-25 a buffer whose memory is not there yet")
    func allocating() {
        let sites = patient()
        sites.relayA.allocationSteps = 1
        sites.relayA.start()
        expect(sites.relayA, .allocating, .allocating, .allocatingBuffer)
    }

    @Test("DRX-26 the remote relay is off")
    func remoteRelayOff() {
        let sites = patient()
        sites.relayA.start()
        sites.world.run(for: .seconds(3))
        expect(sites.relayA, .bridging, .bridging, .noRelay)
    }

    @Test("DRX-27 DRX-28 one relay cannot reach the other")
    func oneWay() {
        let sites = patient()
        sites.relayA.canBeReached = false
        sites.relayA.start()
        sites.relayB.start()
        sites.world.run(for: .seconds(3))
        expect(sites.relayA, .bridging, .connecting, .remoteRelayCannotReachUs)
        expect(sites.relayB, .waiting, .bridging, .cannotReachRemoteRelay)
    }

    @Test("DRX-29 no engine dials")
    func noEngine() {
        let sites = patient()
        sites.relayA.start()
        sites.relayB.start()
        sites.world.run(for: .seconds(3))
        expect(sites.relayA, .waiting, .connecting, .noLocalEngine)
        expect(sites.relayB, .waiting, .connecting, .noLocalEngine)
    }

    @Test("DRX-30 the remote engine is off")
    func remoteEngineOff() {
        let sites = patient()
        sites.relayA.start()
        sites.relayB.start()
        sites.engineA.start()
        sites.world.run(for: .seconds(2))
        expect(sites.relayA, .establishing, .connecting, .remoteEngineUnreachable)
        expect(sites.relayB, .waiting, .connecting, .noLocalEngine)
    }

    @Test("DRX-31 DRX-33 a relay does not reach its engine, which reaches it")
    func engineRefuses() {
        let sites = patient()
        sites.engineA.listens = false
        sites.start()
        sites.world.run(for: .seconds(2))
        expect(sites.relayA, .established, .connecting, .localEngineRefuses)
        expect(sites.relayB, .establishing, .established, .remoteEngineRefuses)
    }

    @Test("DRX-32 DRX-34 an engine does not reach its relay, which reaches it")
    func engineDoesNotDial() {
        let sites = patient()
        sites.engineB.dials = false
        sites.start()
        sites.world.run(for: .seconds(2))
        expect(sites.relayA, .established, .connecting, .remoteEngineDoesNotDial)
        expect(sites.relayB, .waiting, .established, .localEngineDoesNotDial)
    }

    @Test func `all is well`() {
        let sites = TwoSites(seed: 4)
        sites.start()
        #expect(sites.replicate(within: .seconds(20)))
        sites.world.run(for: .seconds(1))
        expect(sites.relayA, .established, .established, .normal)
        expect(sites.relayB, .established, .established, .normal)
    }

    @Test func `without the remote relay's states both readings are named`() {
        let states = ChannelStates(acceptor: .established, connector: .connecting)
        #expect(Diagnosis(states, remote: nil) == .oneOfBothDirections)
    }

    @Test func `every pair of states has a sentence`() {
        for acceptor in ChannelState.allCases {
            for connector in ChannelState.allCases {
                let states = ChannelStates(acceptor: acceptor, connector: connector)
                #expect(!Diagnosis(states, remote: nil).text.isEmpty)
            }
        }
    }

    /// Engines that dial one socket each and hold it, whatever comes of it.
    private func patient() -> TwoSites {
        let sites = TwoSites(seed: 3)
        for engine in sites.engines {
            engine.isPatient = true
            engine.dialMaximum = 1
        }
        return sites
    }

    private func expect(
        _ relay: SimulatedRelay,
        _ acceptor: ChannelState,
        _ connector: ChannelState,
        _ diagnosis: Diagnosis,
        _ location: SourceLocation = #_sourceLocation
    ) {
        let states = ChannelStates(acceptor: acceptor, connector: connector)
        #expect(relay.states == states, sourceLocation: location)
        guard let own = relay.states else { return }
        let found = Diagnosis(own, remote: relay.remoteStates)
        #expect(found == diagnosis, sourceLocation: location)
    }
}
