// SPDX-License-Identifier: Apache-2.0

/// Which blocks a resync may copy: those that were written since both nodes were last equal, and
/// those that the metadata of nodes that were cut off since has marked.
struct ResyncBound {
    /// What was known of the sectors when both nodes were equal.
    private var base: [SectorHistory]
    private var marks = BlockSet(sectorCount: TaggedArea.byteCount / 512)

    /// Begins while both nodes are equal, but for writes that are under way.
    init(_ histories: [SectorHistory]) { self.base = histories }

    /// A node was cut off, and its metadata says this.
    mutating func add(_ marks: BlockSet) { self.marks.formUnion(marks) }

    /// The blocks that may travel by now.
    ///
    /// A write that no flush had covered when the nodes were equal may have lost its confirmation
    /// with the connection, so its blocks count.
    func blocks(_ histories: [SectorHistory]) -> BlockSet {
        var blocks = self.marks
        for (sector, (old, new)) in zip(self.base, histories).enumerated()
        where new.sent > old.flushed {
            blocks.insert(TaggedArea.blocks[sector])
        }
        return blocks
    }
}
