// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Bad luck.
extension RandomWorld {
    func beFault() {
        guard !self.plan.faults.isEmpty else { return }
        let pause = TimeSpan.milliseconds(10 + self.random.below(self.plan.faultMilliseconds))
        self.world.schedule(after: pause) { [self] in
            if self.isOver { return }
            let fault = self.plan.faults[Int(self.random.below(UInt64(self.plan.faults.count)))]
            if self.happens(fault) {
                self.world.note("fault: \(fault)")
                self.world.coverage.happened(fault)
            }
            self.beFault()
        }
    }

    private func happens(_ fault: Fault) -> Bool {
        let node = Int(self.random.below(2))
        switch fault {
        case .kill: return self.end(node, losingPower: false)
        case .powerCut: return self.end(node, losingPower: true)
        case .commonPowerCut:
            let first = self.end(0, losingPower: true)
            return self.end(1, losingPower: true) || first
        case .connectionReset: return self.cut(tellsNodes: true, forMilliseconds: 1)
        case .halfOpen: return self.cut(tellsNodes: false, forMilliseconds: 20_000)
        case .partition: return self.cut(tellsNodes: true, forMilliseconds: 8_000)
        case .dataStall: return self.world.stall(.data, to: node, forMilliseconds: 50_000)
        case .metaStall: return self.world.stall(.meta, to: node, forMilliseconds: 10_000)
        case .corruption: return self.world.garble(to: node)
        case .readError: return self.trouble(node) { $0.failingReads += 1 }
        case .writeError: return self.trouble(node) { $0.failingWrites += 1 }
        case .flushError: return self.trouble(node) { $0.failingFlushes += 1 }
        case .metadataError: return self.trouble(node) { $0.failingMetadata += 1 }
        case .slowDisk:
            let slowdown = 2 + self.random.below(100)
            return self.trouble(node) { $0.slowdown = $0.slowdown == 1 ? slowdown : 1 }
        case .deviceGone: return self.trouble(node, for: 5_000) { $0.isGone = $1 }
        case .hangingMetadata: return self.trouble(node, for: 3_000) { $0.holdsMetadata = $1 }
        }
    }

    private func end(_ node: Int, losingPower: Bool) -> Bool {
        guard self.world.nodes[node].isUp else { return false }
        self.world.nodes[node].crash(losingPower: losingPower)
        self.restart(node, after: self.random.chance(1, in: 3) ? 10_000 : 500)
        return true
    }

    private func cut(tellsNodes: Bool, forMilliseconds longest: UInt64) -> Bool {
        guard self.world.isNetworkUp else { return false }
        self.world.cutNetwork(tellsNodes: tellsNodes)
        self.world.schedule(after: .milliseconds(1 + self.random.below(longest))) { [self] in
            if !self.world.isNetworkUp { self.world.restoreNetwork() }
        }
        return true
    }

    private func trouble(_ node: Int, _ change: (inout DiskTrouble) -> Void) -> Bool {
        guard self.world.nodes[node].isUp else { return false }
        change(&self.world.nodes[node].troubles[self.randomVolume()])
        return true
    }

    /// A trouble that begins with `true` and ends with `false`.
    private func trouble(
        _ node: Int,
        for longest: UInt64,
        _ change: @escaping (inout DiskTrouble, Bool) -> Void
    ) -> Bool {
        guard self.world.nodes[node].isUp else { return false }
        let volume = self.randomVolume()
        change(&self.world.nodes[node].troubles[volume], true)
        self.world.schedule(after: .milliseconds(1 + self.random.below(longest))) { [self] in
            change(&self.world.nodes[node].troubles[volume], false)
        }
        return true
    }

    private func randomVolume() -> Int {
        Int(self.random.below(UInt64(self.plan.configuration.volumes.count)))
    }
}
