// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
import Primitives

/// Contract 2: every block that may differ is covered by the bitmap or the activity log of a node.
///
/// Asks what would be if nodes crashed now: copies of their disks are killed or lose their power,
/// the activity log is applied as before an attach, and then every difference must have a bit.
struct CoverageCheck {
    /// What becomes of a node in thought.
    enum Fate: Int, CaseIterable {
        case survives
        case isKilled
        case losesPower
    }

    /// One volume of one node, after its fate.
    private struct Side {
        let content: SectorContent
        let metadata: SimulatedMetadata
        var needsFullSync = false
        /// Bits in memory and hot extents of a node that survives.
        var words: [UInt64]?
        var hotExtents: Set<UInt32> = []

        func covers(_ block: Int) -> Bool {
            guard let words = self.words else {
                return self.needsFullSync || self.metadata.current.contains(block)
            }
            return words[block / 64] >> UInt64(block % 64) & 1 == 1
                || self.hotExtents.contains(UInt32(block / 1024))
        }
    }

    /// A difference without a bit; nil if there is none.
    static func fault(_ world: World, _ fates: [Fate], _ random: inout SeededRandom) -> String? {
        for volume in world.configuration.volumes.indices {
            let one = Self.side(world.nodes[0], volume, fates[0], &random)
            let two = Self.side(world.nodes[1], volume, fates[1], &random)
            var fault: String?
            let sectors = world.configuration.volumes[volume]
            one.content.forEachDifference(from: two.content, below: sectors) { sector, own, other in
                if one.covers(sector / 8) || two.covers(sector / 8) { return true }
                fault =
                    "if node 0 \(fates[0]) and node 1 \(fates[1]): volume \(volume) sector "
                    + "\(sector) is \(own) and \(other), and nothing says that it differs"
                return false
            }
            if let fault { return fault }
        }
        return nil
    }

    private static func side(
        _ node: WorldNode,
        _ volume: Int,
        _ fate: Fate,
        _ random: inout SeededRandom
    ) -> Side {
        let disk = node.disks[volume]
        let data = SimulatedDisk(copyOf: disk.data)
        let metadata = SimulatedMetadata(copyOf: disk.metadata)
        if fate == .survives, node.isUp, disk.isOpen {
            var side = Side(content: data.current, metadata: metadata)
            side.words = node.core.withBitmapWords(UInt16(volume)) { Array($0) }
            side.hotExtents = node.core.withActivityLog(UInt16(volume)) { log in
                // Only what requests refer to is marked when the connection is lost.
                let extents = (0..<log.slotCount).compactMap { log.hotExtent(inSlot: $0) }
                return Set(extents.filter { log.referenceCount(of: $0) > 0 })
            }
            return side
        }
        switch fate {
        case .survives: break
        case .isKilled:
            data.kill(&random)
            metadata.kill(&random)
        case .losesPower:
            data.cutPower(&random)
            metadata.cutPower(&random)
        }
        _ = metadata.recover()
        let peer = metadata.current.superblock?[peer: metadata.nodes.peer]
        return Side(
            content: data.current,
            metadata: metadata,
            // Metadata that was never attached counts as all different.
            needsFullSync: peer?.flags.contains(.fullSync) == true
                || metadata.current.superblock?.effectiveSectors ?? 0 == 0
        )
    }
}
