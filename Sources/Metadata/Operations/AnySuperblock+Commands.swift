// SPDX-License-Identifier: Apache-2.0

/// What the small commands of `bsrmeta` change and print.
extension AnySuperblock {
    /// The state of the disk as its flags have it: `Inconsistent`, `Outdated`, `Consistent`,
    /// `UpToDate`.
    package var diskStateName: String {
        if !self.flags.contains(.consistent) { return "Inconsistent" }
        if !self.flags.contains(.wasUpToDate) { return "Outdated" }
        return self.flags.contains(.legacyPeerOutdated) ? "UpToDate" : "Consistent"
    }

    /// Notes that the data is not the newest; false, and no change, if it is not even consistent.
    package mutating func outdate() -> Bool {
        guard self.flags.contains(.consistent) else { return false }
        self.flags.remove(.wasUpToDate)
        return true
    }

    /// Notes that the data is worth nothing and has to come from a peer as a whole.
    package mutating func invalidate() {
        self.flags.subtract([.consistent, .wasUpToDate])
        switch self {
        case .v09(var block):
            for node in UInt8(0)..<UInt8(Superblock.nodeCount) {
                block[peer: node].flags.insert(.fullSync)
            }
            self = .v09(block)
        case .v08: self.flags.insert(.legacyFullSync)
        }
    }

    /// What `show-gi` prints below the line with its legend.
    package var generationSummary: String {
        var text = ""
        if case .v08(let block) = self {
            let role = block.flags.contains(.primary) ? "Primary" : "Secondary"
            let connection = block.flags.contains(.legacyConnected) ? "Connected" : "StandAlone"
            let disk =
                !block.flags.contains(.consistent)
                ? "Inconsistent" : block.flags.contains(.wasUpToDate) ? "UpToDate" : "Outdated"
            text += "flags: \(role), \(connection), \(disk)\n"
            text += "meta-data: \(self.isClean ? "clean" : "need apply-al")\n"
        }
        guard self.effectiveSectors > 0 else {
            return text + "zero size device -- never seen peer yet?\n"
        }
        let size = UInt64.readable(kibibytes: self.effectiveSectors / 2)
        text += "last agreed size: \(size) (\(self.effectiveSectors) sectors)\n"
        return text + "last agreed max bio size: \(self.peerMaximumRequestBytes) Byte\n"
    }
}

extension Superblock {
    /// Forgets node `node`: its flags, its generation, its slot.
    ///
    /// The entry becomes one of a node that was never seen; such entries all carry the generation
    /// the volume began with, if any.
    ///
    /// - Returns: the slot that has become free. Whoever gets it next may differ anywhere, so all
    ///   its bits are to be set.
    package mutating func forgetPeer(_ node: UInt8) -> UInt8? {
        let slot = self[peer: node].bitmapSlot
        var entry = Peer()
        for other in (UInt8(0)..<UInt8(Self.nodeCount)).reversed()
        where other != node && other != self.nodeID {
            let model = self[peer: other]
            guard model.bitmapSlot == nil, model.flags.isEmpty else { continue }
            entry.bitmapGeneration = model.bitmapGeneration
            entry.bitmapDagtag = model.bitmapDagtag
            break
        }
        self[peer: node] = entry
        return slot
    }
}
