// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// The administrator.
extension RandomWorld {
    func beChore() {
        let pause = TimeSpan.milliseconds(20 + self.random.below(self.plan.choreMilliseconds))
        self.world.schedule(after: pause) { [self] in
            if self.isOver { return }
            if self.random.chance(2, in: 3) { self.repair() } else { self.doChore() }
            self.beChore()
        }
    }

    private func doChore() {
        let node = Int(self.random.below(2))
        guard self.world.nodes[node].isUp, !self.isAway[node] else { return }
        let volumes = UInt64(self.plan.configuration.volumes.count)
        let volume = UInt16(self.random.below(volumes))
        let chore = self.plan.chores[Int(self.random.below(UInt64(self.plan.chores.count)))]
        self.world.coverage.happened(chore)
        switch chore {
        case .promote: self.command(.primary(force: false), node)
        case .forcePromotion: self.command(.primary(force: true), node)
        case .switchOver: self.switchOver()
        case .forceDemotion: self.command(.secondary(force: true), node)
        case .disconnect:
            self.command(.disconnect(force: self.random.chance(1, in: 3)), node)
        case .detach:
            self.command(.detach(volume: volume, force: self.random.chance(1, in: 3)), node)
        case .outdate: self.command(.outdate(volume: volume), node)
        case .invalidate: self.discard(node, volume, .invalidate(volume: volume), node)
        case .invalidateRemote:
            self.discard(1 - node, volume, .invalidateRemote(volume: volume), node)
        case .down: self.takeDown(node)
        }
    }

    private func discard(_ loser: Int, _ volume: UInt16, _ command: ResourceCommand, _ node: Int) {
        self.world.checks.generations.discards(loser, Int(volume), true)
        self.command(command, node)
    }

    private func switchOver() {
        guard let node = (0...1).first(where: { self.isPrimary($0) }), !self.isAway[node] else {
            return
        }
        self.world.applications[node].close()
        self.isAway[node] = true
        self.world.nodes[node].later(.seconds(5)) { self.isAway[node] = false }
        self.command(.secondary(force: false), node) { [self] in
            self.isAway[node] = false
            self.command(.primary(force: false), 1 - node)
        }
    }

    private func takeDown(_ node: Int) {
        self.isAway[node] = true
        self.world.applications[node].close()
        let life = self.world.nodes[node].life
        self.command(.down, node) { [self] in
            self.world.nodes[node].crash(losingPower: self.random.chance(1, in: 3))
            self.restart(node, after: 1_000)
        }
        self.world.schedule(after: .seconds(30)) { [self] in
            if self.world.nodes[node].life == life { self.isAway[node] = false }
        }
    }

    func restart(_ node: Int, after milliseconds: UInt64) {
        self.isAway[node] = true
        let pause = TimeSpan.milliseconds(20 + self.random.below(milliseconds))
        self.world.schedule(after: pause) { [self] in
            self.isAway[node] = false
            guard !self.world.nodes[node].isUp else { return }
            self.world.nodes[node].start()
            self.command(.connect(discardMyData: false), node)
        }
    }

    private func isPrimary(_ node: Int) -> Bool {
        self.world.nodes[node].isUp && self.world.nodes[node].core.role == .primary
    }

    // MARK: Repair

    /// What an administrator does who wants the resource to work.
    func repair() {
        for node in 0...1 where self.world.nodes[node].isUp && !self.isAway[node] {
            for index in self.world.nodes[node].disks.indices
            where !self.world.nodes[node].disks[index].isOpen
                && !self.world.nodes[node].core.volumeSnapshot(UInt16(index)).hasDisk
            {
                if self.attachWasRefused(node, UInt16(index)) {
                    self.command(.disconnect(force: true), node)
                }
                self.world.note("administrator: attach volume \(index) on node \(node)")
                self.world.nodes[node].attach(UInt16(index))
            }
        }
        for node in 0...1 where self.isPrimary(node) && self.isWithoutData(node) {
            self.command(.secondary(force: true), node)
        }
        self.reconnect()
        guard !(0...1).contains(where: { self.isPrimary($0) }) else { return }
        let node = Int(self.random.below(2))
        if !self.isAway[node], !self.isOver { self.command(.primary(force: false), node) }
    }

    /// Whether the node is StandAlone and has no data of its own, or data that has to go.
    private func isWithoutData(_ node: Int) -> Bool {
        if self.world.nodes[node].core.lastLoss == .refused(.data(.primaryWouldBeTarget)) {
            return true
        }
        return self.world.nodes[node].core.link == .standAlone
            && self.plan.configuration.volumes.indices.contains {
                self.world.state(node, UInt16($0)).disk < .upToDate
            }
    }

    /// Whether an attach has found a split brain: then the disk is attached without a connection.
    private func attachWasRefused(_ node: Int, _ volume: UInt16) -> Bool {
        let snapshot = self.world.nodes[node].core.volumeSnapshot(volume)
        guard case .fail? = snapshot.lastPlan?.decision else { return false }
        return snapshot.state.connection >= .connected
    }

    private func reconnect() {
        // An attach decides for itself while there is no connection.
        if (0...1).contains(where: self.isAttaching) { return }
        let loser = self.loser
        for node in 0...1
        where self.world.nodes[node].isUp && self.world.nodes[node].core.link == .standAlone
            && !self.isAway[node] && !self.awaitsAnswer(of: node)
        {
            let discards = node == loser
            for volume in self.plan.configuration.volumes.indices {
                self.world.checks.generations.discards(node, volume, discards)
            }
            self.command(.connect(discardMyData: discards), node)
        }
    }

    private func isAttaching(_ node: Int) -> Bool {
        self.world.nodes[node].isUp
            && self.plan.configuration.volumes.indices.contains {
                self.world.state(node, UInt16($0)).disk == .attaching
            }
    }

    /// Whether the nodes have gone so far apart that nobody can tell whose data is newer.
    private var isUnrelated: Bool {
        self.world.nodes.contains { $0.core.lastLoss == .refused(.data(.unrelatedData)) }
    }

    /// The node whose changes are given up after a split brain; nil if there was none, or if that
    /// cannot be done now.
    private var loser: Int? {
        let splitBrain = ConnectionLoss.refused(.data(.splitBrain))
        let nodes = self.world.nodes
        guard nodes.allSatisfy({ $0.isUp }),
            nodes.contains(where: { $0.core.lastLoss == splitBrain })
        else { return nil }
        let candidates = (0...1).filter { nodes[$0].core.role == .secondary }
        guard let candidate = candidates.last else { return nil }
        return nodes[candidate].core.link == .standAlone ? candidate : nil
    }

    // MARK: The end

    /// Nothing goes wrong any more: the nodes have to come to rest.
    func converge() {
        self.world.note("the end begins")
        for node in 0...1 {
            self.world.nodes[node].troubles = self.world.nodes[node].troubles.map { _ in
                DiskTrouble()
            }
        }
        self.world.restoreNetwork()
        for round in 0..<40 where self.world.violations.isEmpty {
            for node in 0...1 where !self.world.nodes[node].isUp {
                self.isAway[node] = false
                self.world.nodes[node].start()
                self.command(.connect(discardMyData: false), node)
            }
            self.isAway = [false, false]
            for application in self.world.applications { application.close() }
            self.separateIfNeeded(round)
            self.repair()
            self.world.run(for: .seconds(round < 3 ? 3 : 30))
            if let late = self.findUnansweredCommand() { self.world.violated("liveness: \(late)") }
            if self.world.isQuiet { break }
            // That takes new metadata on one node: not an administrator's everyday work.
            if self.isUnrelated { return self.world.note("the nodes' data is unrelated") }
            // Blocks that could not be read are tried again with the next connection.
            if round > 5, round % 4 == 0 { self.command(.disconnect(force: true), 1) }
        }
        if self.world.violations.isEmpty { self.world.settle() }
    }

    /// Demotes the second of two Primaries, and promotes by force if no data is UpToDate.
    private func separateIfNeeded(_ round: Int) {
        if self.isPrimary(0), self.isPrimary(1) { self.command(.secondary(force: true), 1) }
        guard round > 4, self.world.nodes.allSatisfy({ $0.isUp }) else { return }
        let isStuck = self.plan.configuration.volumes.indices.contains { volume in
            (0...1).allSatisfy { self.world.state($0, UInt16(volume)).disk < .upToDate }
        }
        guard isStuck else { return }
        let node = (0...1).first { self.isPrimary($0) } ?? Int(self.random.below(2))
        self.command(self.isPrimary(node) ? .secondary(force: true) : .primary(force: true), node)
    }
}
