// SPDX-License-Identifier: Apache-2.0

internal import CChecksum
internal import Primitives

/// The format of one block of the activity log: 4096 bytes, big-endian, with a checksum.
///
/// ```
///   0 magic | 4 transaction number | 8 checksum | 12 kind | 14 updates | 16 slots
///  18 first slot of context | 20 zero
///  36 update slots, 64 of 16 bits | 164 update extents, 64 of 32 bits
/// 420 context: extents of 919 consecutive slots, as they were before this transaction
/// ```
///
/// Unused entries hold ``noSlot`` and ``noExtent``.
package enum ActivityLogBlock {
    /// The bytes of a block.
    package static let byteCount = 4096
    /// The most updates of one transaction.
    package static let updateCapacity = 64
    /// The slots whose extents one transaction describes.
    package static let contextCapacity = 919
    /// Slots of larger numbers do not exist: 65534 is kept free, 65535 means none.
    package static let slotCountLimit = 65534
    /// In place of a slot number: none.
    package static let noSlot: UInt16 = 0xFFFF
    /// In place of an extent: the slot is free.
    package static let noExtent: UInt32 = 0xFFFF_FFFF

    static let magicValue: UInt32 = 0x69CB_65A2

    enum Field {
        static let transaction = 4
        static let checksum = 8
        static let kind = 12
        static let updateCount = 14
        static let slotCount = 16
        static let contextStart = 18
        static let updateSlots = 36
        static let updateExtents = 164
        static let context = 420
    }

    enum Kind {
        static let update: UInt16 = 0
        static let initialised: UInt16 = 0xFFFF
    }

    /// Writes the block that stands in a ring that was never used.
    package static func encodeInitialised(into memory: UnsafeMutableRawBufferPointer) {
        let writer = MetadataWriter(clearing: memory, byteCount: Self.byteCount)
        writer.store(Self.magicValue, at: 0)
        writer.store(Kind.initialised, at: Field.kind)
        writer.store(Self.checksum(of: UnsafeRawBufferPointer(memory).bytes), at: Field.checksum)
    }

    /// The checksum of a block: CRC-32C without preset and inversion, its own field counted as
    /// zero.
    static func checksum(of bytes: RawSpan) -> UInt32 {
        bytes.withUnsafeBytes { block in
            guard let base = block.baseAddress, block.count >= Self.byteCount else { return 0 }
            let behind = Field.checksum + 4
            var state = bsr_crc32c_update(0, base, Field.checksum)
            withUnsafeBytes(of: UInt32(0)) { zero in
                state = bsr_crc32c_update(state, zero.baseAddress, 4)
            }
            return bsr_crc32c_update(state, base + behind, Self.byteCount - behind)
        }
    }

    /// Whether magic number and checksum are right.
    static func isValid(_ bytes: RawSpan) -> Bool {
        guard bytes.byteCount >= Self.byteCount else { return false }
        let reader = MetadataReader(bytes)
        return reader.big32(at: 0) == Self.magicValue
            && reader.big32(at: Field.checksum) == Self.checksum(of: bytes)
    }
}

/// Writes one transaction into memory of the caller, without allocating.
///
/// ```swift
/// var block = ActivityLogBlockWriter(memory, transaction: 17, slotCount: 1237, contextStart: 0)
/// block.appendUpdate(slot: 5, extent: 42)
/// block.appendContext(extentBeforeInSlot0)
/// block.finish()
/// ```
package struct ActivityLogBlockWriter: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private let writer: MetadataWriter
    private var updateCount = 0
    private var contextCount = 0

    /// Begins a block in the first 4096 bytes of `memory`.
    ///
    /// Traps if there are fewer, or if `slotCount` exceeds ``ActivityLogBlock/slotCountLimit``.
    ///
    /// - Parameters:
    ///   - transaction: one more than the last transaction that was written, modulo 2^32.
    ///   - slotCount: all slots of the activity log.
    ///   - contextStart: the slot that the first ``appendContext(_:)`` describes.
    package init(
        _ memory: UnsafeMutableRawBufferPointer,
        transaction: UInt32,
        slotCount: Int,
        contextStart: Int
    ) {
        invariant(slotCount > 0, "slots of the activity log")
        invariant(slotCount <= ActivityLogBlock.slotCountLimit, "slots of the activity log")
        invariant(contextStart >= 0 && contextStart < slotCount, "first slot of the context")
        self.memory = memory
        self.writer = MetadataWriter(clearing: memory, byteCount: ActivityLogBlock.byteCount)
        self.writer.store(ActivityLogBlock.magicValue, at: 0)
        self.writer.store(transaction, at: ActivityLogBlock.Field.transaction)
        self.writer.store(ActivityLogBlock.Kind.update, at: ActivityLogBlock.Field.kind)
        self.writer.store(UInt16(slotCount), at: ActivityLogBlock.Field.slotCount)
        self.writer.store(UInt16(contextStart), at: ActivityLogBlock.Field.contextStart)
    }

    /// Adds the extent that `slot` holds from this transaction on.
    ///
    /// Traps beyond ``ActivityLogBlock/updateCapacity``.
    package mutating func appendUpdate(slot: UInt16, extent: UInt32) {
        invariant(self.updateCount < ActivityLogBlock.updateCapacity, "updates of a transaction")
        self.storeUpdate(slot, extent, at: self.updateCount)
        self.updateCount += 1
    }

    /// Adds the extent that the next slot of the context held before this transaction.
    ///
    /// Traps beyond ``ActivityLogBlock/contextCapacity``.
    package mutating func appendContext(_ extent: UInt32) {
        invariant(self.contextCount < ActivityLogBlock.contextCapacity, "context of a transaction")
        self.storeContext(extent, at: self.contextCount)
        self.contextCount += 1
    }

    /// Fills what is unused and stores the checksum; the block is ready to be written.
    package consuming func finish() {
        for index in self.updateCount..<ActivityLogBlock.updateCapacity {
            self.storeUpdate(ActivityLogBlock.noSlot, ActivityLogBlock.noExtent, at: index)
        }
        for index in self.contextCount..<ActivityLogBlock.contextCapacity {
            self.storeContext(ActivityLogBlock.noExtent, at: index)
        }
        self.writer.store(UInt16(self.updateCount), at: ActivityLogBlock.Field.updateCount)
        let bytes = UnsafeRawBufferPointer(self.memory).bytes
        self.writer.store(
            ActivityLogBlock.checksum(of: bytes),
            at: ActivityLogBlock.Field.checksum
        )
    }

    private borrowing func storeUpdate(_ slot: UInt16, _ extent: UInt32, at index: Int) {
        self.writer.store(slot, at: ActivityLogBlock.Field.updateSlots + index * 2)
        self.writer.store(extent, at: ActivityLogBlock.Field.updateExtents + index * 4)
    }

    private borrowing func storeContext(_ extent: UInt32, at index: Int) {
        self.writer.store(extent, at: ActivityLogBlock.Field.context + index * 4)
    }
}

/// Reads one block of the activity log whose magic number and checksum are right.
package struct ActivityLogBlockReader: ~Escapable {
    private let reader: MetadataReader

    /// Looks at `bytes`; nil if they are no block of an activity log.
    @_lifetime(copy bytes)
    package init?(_ bytes: RawSpan) {
        guard ActivityLogBlock.isValid(bytes) else { return nil }
        self.reader = MetadataReader(bytes)
    }

    /// The number of the transaction.
    package var transaction: UInt32 { self.reader.big32(at: ActivityLogBlock.Field.transaction) }

    /// The kind of block, 0 for a transaction.
    package var kind: UInt16 { self.reader.big16(at: ActivityLogBlock.Field.kind) }

    /// Whether the block carries nothing.
    package var isInitialised: Bool { self.kind == ActivityLogBlock.Kind.initialised }

    /// The number of updates the block says it has; not to be trusted as an index.
    package var updateCount: UInt16 { self.reader.big16(at: ActivityLogBlock.Field.updateCount) }

    /// All slots of the activity log at the time.
    package var slotCount: UInt16 { self.reader.big16(at: ActivityLogBlock.Field.slotCount) }

    /// The slot that the first entry of the context describes.
    package var contextStart: UInt16 { self.reader.big16(at: ActivityLogBlock.Field.contextStart) }

    /// The checksum.
    package var checksum: UInt32 { self.reader.big32(at: ActivityLogBlock.Field.checksum) }

    /// Update `index`, below ``ActivityLogBlock/updateCapacity``; traps beyond.
    package func update(at index: Int) -> (slot: UInt16, extent: UInt32) {
        invariant(index >= 0 && index < ActivityLogBlock.updateCapacity, "update of a transaction")
        return (
            self.reader.big16(at: ActivityLogBlock.Field.updateSlots + index * 2),
            self.reader.big32(at: ActivityLogBlock.Field.updateExtents + index * 4)
        )
    }

    /// Entry `index` of the context, below ``ActivityLogBlock/contextCapacity``; traps beyond.
    package func context(at index: Int) -> UInt32 {
        invariant(
            index >= 0 && index < ActivityLogBlock.contextCapacity,
            "context of a transaction"
        )
        return self.reader.big32(at: ActivityLogBlock.Field.context + index * 4)
    }
}
