// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// A world in which applications, an administrator and bad luck act at random, all from one seed.
///
/// When its time is over nothing goes wrong any more, and both nodes have to end up connected,
/// UpToDate and equal.
package final class RandomWorld {
    package let seed: UInt64
    package let plan: WorldPlan
    package let world: World
    /// Of the actors; the world has its own.
    var random: SeededRandom
    var isOver = false
    /// By node: it is being replaced by another life, by an actor that waits.
    var isAway = [false, false]
    private var commands: [(node: Int, life: Int, identifier: UInt32, at: Instant)] = []

    package init(
        seed: UInt64,
        mutation: Mutation? = nil,
        log: ((String) -> Void)? = nil
    ) {
        self.seed = seed
        self.plan = WorldPlan(seed: seed, mutation: mutation)
        self.world = World(seed: seed ^ 0x5DEE_CE66_D1CE_1CEB, self.plan.configuration)
        self.random = SeededRandom(seed: seed ^ 0x1234_5678_9ABC_DEF1)
        self.world.log = log
    }

    /// Lets the world run; returns what must not have happened.
    package func run() -> [String] {
        self.world.note("\(self.plan)")
        self.world.coverage.begin(self.plan)
        for node in self.world.nodes { node.start() }
        for node in 0...1 { self.command(.connect(discardMyData: false), node) }
        self.watchRoles()
        self.beChore()
        self.beFault()
        self.world.run(for: self.plan.duration)
        self.isOver = true
        if self.world.violations.isEmpty { self.converge() }
        self.world.end()
        self.world.coverage.virtualTime = self.world.now.since(.zero)
        return self.world.violations
    }

    // MARK: Commands

    func command(_ command: ResourceCommand, _ node: Int, then next: (() -> Void)? = nil) {
        guard self.world.nodes[node].isUp else { return }
        self.world.note("administrator: \(command) on node \(node)")
        let target = self.world.nodes[node]
        let identifier = target.command(command)
        self.commands.append((node, target.life, identifier, self.world.now))
        if let next { self.await(identifier, node, target.life, next) }
    }

    private func await(_ id: UInt32, _ node: Int, _ life: Int, _ next: @escaping () -> Void) {
        self.world.schedule(after: .milliseconds(5)) { [self] in
            guard self.world.nodes[node].life == life else { return }
            guard self.world.nodes[node].replies[id] == nil else { return next() }
            self.await(id, node, life, next)
        }
    }

    /// Whether a command has not been answered yet, so that another one may come to nothing.
    func awaitsAnswer(of node: Int) -> Bool {
        self.commands.contains {
            $0.node == node && $0.life == self.world.nodes[node].life
                && self.world.nodes[node].replies[$0.identifier] == nil
        }
    }

    /// A command that has had no answer for a minute; nil if there is none.
    func findUnansweredCommand() -> String? {
        self.commands.removeAll {
            let node = self.world.nodes[$0.node]
            return !node.isUp || node.life != $0.life || node.replies[$0.identifier] != nil
        }
        let limit = TimeSpan.seconds(60)
        guard let late = self.commands.first(where: { self.world.now.since($0.at) > limit }) else {
            return nil
        }
        return "command \(late.identifier) of node \(late.node) has no answer after a minute"
    }

    // MARK: Applications

    /// Has an application run wherever a node is Primary.
    private func watchRoles() {
        if let late = self.findUnansweredCommand() {
            return self.world.violated("liveness: \(late)")
        }
        for node in 0...1 where self.world.nodes[node].isUp {
            let application = self.world.applications[node]
            guard self.world.nodes[node].core.acceptsClients, !application.isRunning,
                application.outstanding == 0, !self.isAway[node], !self.isOver
            else { continue }
            application.open()
            for _ in 0..<self.plan.depth { self.beClient(node, self.world.nodes[node].life) }
        }
        if self.isOver { return }
        self.world.schedule(after: .milliseconds(20)) { self.watchRoles() }
    }

    private func beClient(_ node: Int, _ life: Int) {
        let pause = TimeSpan.microseconds(self.random.below(self.plan.thinkMicroseconds))
        self.world.schedule(after: pause) { [self] in
            let application = self.world.applications[node]
            guard self.world.nodes[node].life == life, application.isRunning, !self.isOver else {
                return
            }
            self.request(application) { self.beClient(node, life) }
        }
    }

    private func request(_ application: Application, then next: @escaping () -> Void) {
        let volume = Int(self.random.below(UInt64(self.plan.configuration.volumes.count)))
        let range = self.range(volume)
        let index = UInt16(volume)
        let isForced = self.random.chance(1, in: 6)
        switch self.random.below(20) {
        case 0..<5: application.read(index, range, then: next)
        case 5..<7: application.flush(index, then: next)
        case 7:
            let kind: ClientRequest.Kind = self.random.chance(1, in: 2) ? .trim : .writeZeroes
            application.write(index, range, kind: kind, isForcedUnitAccess: isForced, then: next)
        default: application.write(index, range, isForcedUnitAccess: isForced, then: next)
        }
    }

    private func range(_ volume: Int) -> SectorRange {
        let places = self.plan.places[volume]
        let place = places[Int(self.random.below(UInt64(places.count)))]
        let longest: UInt64 =
            switch self.random.below(20) {
            case 0..<8: 1
            case 8..<15: 16
            case 15..<19: 256
            default: 2_048
            }
        let count = 1 + self.random.below(longest)
        return SectorRange(
            start: place + self.random.below(WorldPlan.stretch - count),
            count: count
        )
    }
}
