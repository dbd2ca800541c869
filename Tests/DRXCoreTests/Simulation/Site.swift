// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Wire

/// Two sites, each with an engine and a relay, and the long way between them.
final class TwoSites {
    let world: World
    let wide: Link
    let relayA: SimulatedRelay
    let relayB: SimulatedRelay
    let engineA: SimulatedEngine
    let engineB: SimulatedEngine

    init(
        seed: UInt64,
        styleA: SimulatedEngine.Style = .dataFirst,
        styleB: SimulatedEngine.Style = .metaFirst,
        settings: SimulatedRelay.Settings = SimulatedRelay.Settings(),
        delay: TimeSpan = .milliseconds(25),
        burst: Int = 4096
    ) {
        self.world = World(seed: seed)
        self.wide = Link(self.world, delay: delay)
        self.relayA = SimulatedRelay(
            "na",
            peer: "nb",
            self.world,
            wide: self.wide,
            settings: settings
        )
        self.relayB = SimulatedRelay(
            "nb",
            peer: "na",
            self.world,
            wide: self.wide,
            settings: settings
        )
        self.engineA = SimulatedEngine(
            "na",
            self.world,
            self.relayA.local,
            style: styleA,
            burst: burst
        )
        self.engineB = SimulatedEngine(
            "nb",
            self.world,
            self.relayB.local,
            style: styleB,
            burst: burst
        )
        (self.relayA.remote, self.relayB.remote) = (self.relayB, self.relayA)
        (self.relayA.engine, self.relayB.engine) = (self.engineA, self.engineB)
        (self.engineA.relay, self.engineB.relay) = (self.relayA, self.relayB)
    }

    var relays: [SimulatedRelay] { [self.relayA, self.relayB] }
    var engines: [SimulatedEngine] { [self.engineA, self.engineB] }

    func start() {
        for relay in self.relays { relay.start() }
        for engine in self.engines { engine.start() }
    }

    var isReplicating: Bool { self.engines.allSatisfy(\.isReplicating) }

    /// Runs until both engines replicate; whether they do within `span`.
    func replicate(within span: TimeSpan) -> Bool {
        self.world.run(for: span) { self.isReplicating }
    }
}
