// SPDX-License-Identifier: Apache-2.0

package import Metadata

extension Superblock {
    /// Puts in what the core of node `node` says of its disk and of `peer`, whose bitmap has
    /// `slot`; what it does not know of stays.
    package mutating func apply(
        _ content: SuperblockContent,
        of node: UInt8,
        peer: UInt8,
        slot: Int
    ) {
        self.effectiveSectors = content.agreedSectors
        self.currentGeneration = content.generations.current.rawValue
        self.nodeID = node
        self.activityLogSlots = content.activityLogExtents
        self.peerMaximumRequestBytes = UInt32(ClientRequest.payloadMaximum)
        var flags = self.flags
        flags.remove(.activityLogClean)
        flags.set(.consistent, content.isConsistent)
        flags.set(.wasUpToDate, content.wasUpToDate)
        flags.set(.primary, content.isPrimary)
        flags.set(.crashedPrimary, content.crashedPrimary)
        self.flags = flags
        self[peer: peer].bitmapGeneration = content.generations.bitmap.rawValue
        self[peer: peer].bitmapSlot = UInt8(slot)
        var peerFlags = self[peer: peer].flags
        peerFlags.set(.fullSync, content.needsFullSync)
        peerFlags.insert(.nodeExists)
        peerFlags.set(.connected, content.isConnected)
        peerFlags.set(.outdated, content.peerIsOutdated)
        if content.peerSeen { peerFlags.insert(.deviceSeen) }
        self[peer: peer].flags = peerFlags
        self[history: 0] = content.generations.history0.rawValue
        self[history: 1] = content.generations.history1.rawValue
    }

    /// What the core has to know of the metadata at attach.
    package func attachment(
        peer: UInt8,
        slot: Int,
        diskSectors: UInt64,
        layout: Layout
    ) -> Attachment {
        var found = Attachment(diskSectors: diskSectors)
        found.generations = Generations(
            current: GenerationID(self.currentGeneration),
            bitmap: GenerationID(self[peer: peer].bitmapGeneration),
            history0: GenerationID(self[history: 0]),
            history1: GenerationID(self[history: 1])
        )
        found.isConsistent = self.flags.contains(.consistent)
        found.wasUpToDate = self.flags.contains(.wasUpToDate)
        found.crashedPrimary = self.flags.contains(.crashedPrimary)
        found.peerWasOutdated = self[peer: peer].flags.contains(.outdated)
        found.needsFullSync = self[peer: peer].flags.contains(.fullSync)
        found.agreedSectors = self.effectiveSectors
        found.bitmapSlot = slot
        found.bitmapSlots = layout.bitmap.slotCount
        found.activityLogSlotMaximum = UInt32(layout.geometry.slotCountMaximum)
        return found
    }

    /// The bitmap slot of `peer`: the one it has, or else the lowest free one; nil if all are
    /// taken.
    package func slot(of peer: UInt8) -> Int? {
        if let slot = self[peer: peer].bitmapSlot { return Int(slot) }
        let taken = (UInt8(0)..<UInt8(Self.nodeCount)).compactMap { self[peer: $0].bitmapSlot }
        return (0..<self.bitmap.slotCount).first { !taken.contains(UInt8($0)) }
    }
}

extension OptionSet where Element == Self {
    /// Inserts or removes `member`.
    fileprivate mutating func set(_ member: Self, _ isSet: Bool) {
        if isSet { self.insert(member) } else { self.remove(member) }
    }
}
