// SPDX-License-Identifier: Apache-2.0

/// A deliberate fault of a node's driver, to see whether a checker notices it.
package enum Mutation: String, CaseIterable, Sendable {
    /// Transactions of the activity log are not written.
    case skipActivityLogWrite
    /// Transactions of the activity log are not flushed.
    case skipActivityLogFlush
    /// Pages of the bitmap are not flushed.
    case skipBitmapFlush
    /// The superblock is not flushed.
    case skipSuperblockFlush
    /// A Primary acknowledges, and drops extents from its activity log, before the data flush.
    case skipPrimaryFlush
    /// A Secondary confirms epochs before the data flush.
    case skipBarrierFlush
    /// The target of a resync has bits cleared before the data flush.
    case skipTargetFlush
    /// The source of a resync sends what its disk had before newer writes.
    case staleResyncRead
    /// Force unit access is ignored.
    case ignoreForcedUnitAccess
    /// Bitmap pages are not written.
    case skipBitmapWrite
}
