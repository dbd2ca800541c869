// SPDX-License-Identifier: Apache-2.0

/// What the activity log says after a crash: which extents may have been written last.
///
/// Reads the ring in the order of transactions, finds the oldest and the newest, and applies them
/// one after the other to a table of slots. The extents that stand in it at the end are hot: data
/// may have reached the disk there without the peer.
package struct ActivityLogReplay: Hashable, Sendable {
    package let outcome: Outcome
    /// Slot numbers that are out of range; their entries were ignored.
    package let warnings: [Warning]

    /// What the ring holds.
    package enum Outcome: Hashable, Sendable {
        /// Not one block is valid.
        case unusable
        /// Every block is one that was never used: nothing to apply.
        case neverUsed
        /// The very first transaction was torn: nothing was hot before, nothing to apply.
        case firstTransactionTorn
        /// Blocks are damaged and no transaction is left.
        case noTransaction(corrupt: Int)
        /// Transactions were found; `hot` is ascending, each extent once.
        case replayed(corrupt: Int, hot: [UInt32])
    }

    /// An entry for a slot that cannot exist.
    package struct Warning: Hashable, Sendable, BitwiseCopyable {
        package let transaction: UInt32
        package let slot: Int
        /// Whether the entry was an update, not context.
        package let isUpdate: Bool
    }

    /// No more warnings than this are kept; a hostile ring could fill memory otherwise.
    package static let warningLimit = 64

    /// Replays a ring.
    ///
    /// - Parameter ring: the blocks as they lie on disk. Blocks that are missing at its end count
    ///   as corrupt.
    package init(ring: RawSpan, geometry: ActivityLogGeometry) {
        let survey = Survey(ring, geometry)
        self.outcome = survey.outcome
        self.warnings = survey.warnings
    }
}

/// The state of one replay.
private struct Survey {
    private(set) var outcome: ActivityLogReplay.Outcome = .unusable
    private(set) var warnings: [ActivityLogReplay.Warning] = []
    /// The extents of the slots seen so far; those behind are free.
    private var extents: [UInt32] = []
    private let geometry: ActivityLogGeometry

    init(_ ring: RawSpan, _ geometry: ActivityLogGeometry) {
        self.geometry = geometry
        let count = Int(geometry.blockCount)
        var valid = 0
        var isFirstTorn = false
        var oldest: (turn: Int, transaction: UInt32)?
        var newest: (turn: Int, transaction: UInt32)?
        for turn in 0..<count {
            guard let block = Self.block(ring, turn: turn, geometry) else {
                if turn == 0 { isFirstTorn = true }
                continue
            }
            valid += 1
            if block.isInitialised { continue }
            let number = block.transaction
            if oldest.map({ Self.isOlder(number, than: $0.transaction) }) ?? true {
                oldest = (turn, number)
            }
            if newest.map({ Self.isOlder($0.transaction, than: number) }) ?? true {
                newest = (turn, number)
            }
        }
        let corrupt = count - valid
        if let oldest, let newest {
            let turns = (newest.turn - oldest.turn + count) % count
            self.replay(ring, from: oldest.turn, turns: turns + 1)
            self.outcome = .replayed(corrupt: corrupt, hot: self.hotExtents)
        } else if valid == count {
            self.outcome = .neverUsed
        } else if valid == 0 {
            self.outcome = .unusable
        } else {
            self.outcome =
                corrupt == 1 && isFirstTorn
                ? .firstTransactionTorn : .noTransaction(corrupt: corrupt)
        }
    }

    /// Applies `turns` blocks from position `first` on, wrapping at the end of the ring.
    private mutating func replay(_ ring: RawSpan, from first: Int, turns: Int) {
        for step in 0..<turns {
            let turn = (first + step) % Int(self.geometry.blockCount)
            guard let block = Self.block(ring, turn: turn, self.geometry), !block.isInitialised
            else {
                continue
            }
            self.applyContext(of: block)
            self.applyUpdates(of: block)
        }
    }

    private mutating func applyContext(of block: borrowing ActivityLogBlockReader) {
        let slotCount = Int(block.slotCount)
        let start = Int(block.contextStart)
        for index in 0..<ActivityLogBlock.contextCapacity {
            let slot = start + index
            let extent = block.context(at: index)
            if extent == ActivityLogBlock.noExtent && slot >= slotCount { continue }
            self.assign(extent, to: slot, in: block.transaction, isUpdate: false)
        }
    }

    private mutating func applyUpdates(of block: borrowing ActivityLogBlockReader) {
        let updateCount = Int(block.updateCount)
        for index in 0..<ActivityLogBlock.updateCapacity {
            let update = block.update(at: index)
            if index >= updateCount && update.slot == ActivityLogBlock.noSlot { continue }
            self.assign(
                update.extent,
                to: Int(update.slot),
                in: block.transaction,
                isUpdate: true
            )
        }
    }

    private mutating func assign(
        _ extent: UInt32,
        to slot: Int,
        in transaction: UInt32,
        isUpdate: Bool
    ) {
        guard slot < ActivityLogBlock.slotCountLimit else {
            guard self.warnings.count < ActivityLogReplay.warningLimit else { return }
            self.warnings.append(
                ActivityLogReplay.Warning(transaction: transaction, slot: slot, isUpdate: isUpdate)
            )
            return
        }
        if slot >= self.extents.count {
            if extent == ActivityLogBlock.noExtent { return }
            let missing = slot + 1 - self.extents.count
            self.extents += repeatElement(ActivityLogBlock.noExtent, count: missing)
        }
        self.extents[slot] = extent
    }

    private var hotExtents: [UInt32] {
        var hot = self.extents.filter { $0 != ActivityLogBlock.noExtent }
        hot.sort()
        var last: UInt32?
        hot.removeAll { extent in
            defer { last = extent }
            return extent == last
        }
        return hot
    }

    /// The block at position `turn` in the order of transactions; nil if it is missing or damaged.
    @_lifetime(copy ring)
    private static func block(
        _ ring: RawSpan,
        turn: Int,
        _ geometry: ActivityLogGeometry
    ) -> ActivityLogBlockReader? {
        let place = Int(geometry.block(ofTransaction: UInt32(turn)))
        let start = place * ActivityLogBlock.byteCount
        guard start + ActivityLogBlock.byteCount <= ring.byteCount else { return nil }
        return ActivityLogBlockReader(ring.extracting(start..<start + ActivityLogBlock.byteCount))
    }

    /// Whether transaction `first` came before `second`; numbers wrap at 2^32.
    private static func isOlder(_ first: UInt32, than second: UInt32) -> Bool {
        Int32(bitPattern: first &- second) < 0
    }
}
