// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// A busy world with a hostile peer, then an honest end.
package final class HostileWorld {
    private let world: World
    package let peer: HostilePeer
    private var random: SeededRandom

    package init(seed: UInt64, log: ((String) -> Void)? = nil) {
        var random = SeededRandom(seed: seed ^ 0x0BAD_CAFE)
        var configuration = WorldConfiguration()
        configuration.replicationProtocol = ReplicationProtocol.allCases[Int(random.below(3))]
        configuration.volumes = Array(repeating: 16_384, count: 1 + Int(random.below(2)))
        configuration.startsEqual = !random.chance(1, in: 4)
        configuration.diskDelayMicroseconds = 50 + random.below(5_000)
        configuration.networkDelayMicroseconds = 50 + random.below(5_000)
        let world = World(seed: seed, configuration)
        world.log = log
        self.world = world
        self.peer = HostilePeer(world, seed: random.next())
        self.random = random
    }

    /// Returns what must not have happened.
    package func run() -> String? {
        for node in self.world.nodes { node.start() }
        self.world.run(for: .milliseconds(100))
        self.peer.start()
        for _ in 0..<250 where self.world.violations.isEmpty { self.act() }
        self.peer.stop()
        return self.end() ?? self.world.violations.first
    }

    private func act() {
        let number = Int(self.random.below(2))
        let node = self.world.nodes[number]
        switch self.random.below(10) {
        case 0..<4: self.peer.forge(to: number)
        case 4..<7: if node.core.role == .primary { self.request(self.world.applications[number]) }
        case 7: if node.core.link == .standAlone { self.connect() }
        default: _ = node.command(self.command(number))
        }
        for volume in node.core.volumeIndices
        where !node.disks[Int(volume)].isOpen && !node.core.volumeSnapshot(volume).hasDisk
            && self.random.chance(1, in: 4)
        {
            node.attach(volume)
        }
        let isApart = !self.world.nodes.contains { $0.hasTransport }
        // Whoever has lost a connection pauses before it looks for another one.
        self.world.run(for: .microseconds(self.random.below(isApart ? 1_000_000 : 20_000)))
    }

    private func request(_ application: Application) {
        let volume = UInt16(self.random.below(UInt64(self.world.configuration.volumes.count)))
        for _ in 0..<8 {
            let start = self.random.below(16_000)
            let range = SectorRange(start: start, count: 1 + self.random.below(64))
            switch self.random.below(6) {
            case 0: application.read(volume, range)
            case 1: application.flush(volume)
            case 2: application.write(volume, range, kind: .trim)
            default: application.write(volume, range)
            }
        }
    }

    private func command(_ number: Int) -> ResourceCommand {
        let volume = UInt16(self.random.below(UInt64(self.world.configuration.volumes.count)))
        switch self.random.below(16) {
        case 0..<5: return .primary(force: self.random.chance(1, in: 2))
        case 5: return .secondary(force: true)
        case 6: return .invalidate(volume: volume)
        case 7: return .invalidateRemote(volume: volume)
        case 8: return .detach(volume: volume, force: self.random.chance(1, in: 2))
        case 9: return .disconnect(force: self.random.chance(1, in: 2))
        case 10: return .outdate(volume: volume)
        default: return .connect(discardMyData: self.random.chance(1, in: 6))
        }
    }

    private func connect() {
        for node in self.world.nodes where node.core.link == .standAlone {
            _ = node.command(.connect(discardMyData: false))
        }
    }

    // MARK: The end

    /// Everything comes back, and a connection is made or refused for a reason.
    private func end() -> String? {
        self.world.run(for: .seconds(60))
        for node in self.world.nodes { _ = node.command(.disconnect(force: true)) }
        guard self.world.run("everything back", within: .seconds(120), until: { self.isIdle })
        else { return nil }
        self.connect()
        self.world.run("a connection or a reason", within: .seconds(60)) {
            self.world.isConnected || self.isRefused
        }
        return nil
    }

    private var isIdle: Bool {
        self.world.nodes.allSatisfy { node in
            node.bufferCount == 0 && node.core.requestCount == 0 && node.completions.isEmpty
                && node.core.peerRequestCount == 0 && node.core.link == .standAlone
                && node.core.volumeIndices.allSatisfy {
                    node.core.volumeSnapshot($0).operationsInFlight == 0
                }
        }
    }

    private var isRefused: Bool {
        self.world.nodes.contains { node in
            guard case .refused? = node.core.lastLoss else { return false }
            return node.core.link == .standAlone
        }
    }
}
