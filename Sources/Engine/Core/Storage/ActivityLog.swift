// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Keeps the 4 MiB extents that may be written hot, and decides what must be durable before they
/// change.
///
/// After a crash every extent that the log on disk names is taken for out of sync. Therefore:
///
/// - A write starts only when all its extents are hot, that is, in a completed transaction.
/// - An extent leaves the log only when nothing refers to it, a data flush has covered its last
///   write, and the dirty bitmap pages that cover it are durable (design, contract 2).
///
/// Cold extents are collected into one transaction of at most 64 changes; one is in flight at a
/// time:
///
///     collecting ──planned──▶ preparing ──flush, bitmap──▶ writing ──written──▶ resuming ─┐
///         ▲  (victims have left the table: writes to them wait)                           │
///         └───────────────────────────────────────────────────────────────────────────────┘
///     any ──fail──▶ failing ──every waiting request refused──▶ failed
///
/// Waiting requests are served first come, first served, all extents of a request at once, and hold
/// no reference before. Requests on hot extents overtake them, unless the oldest one is starving
/// because too few slots are free of references: then everything queues behind it until references
/// have drained. So a request waits for completions of writes and of transactions only, never for
/// luck.
///
/// The driver calls ``begin(request:range:)`` and ``end(range:flushes:)``, reports completions, and
/// after each batch of events carries out ``nextAction(flushes:)`` until it returns nil and starts
/// a data flush if ``needsFlush(_:)`` says so and none is running. Format and writer rules: DRBD
/// metadata v09, activity log.
package struct ActivityLog: ~Copyable {
    /// Whether a write may start.
    package enum Admission: Hashable, Sendable, BitwiseCopyable {
        /// Start now. ``end(range:flushes:)`` is owed.
        case hot
        /// Do not start: `resume` or `refuse` will name the request.
        case wait
        /// The metadata has failed: the write must not reach this disk.
        case failed
    }

    /// What the driver must do.
    package enum Action: Hashable, Sendable, BitwiseCopyable {
        /// Make the bitmap pages with newly set bits of all evicted extents durable, for every
        /// peer, then report ``bitmapWritten()``; at once if there are none.
        case writeBitmap
        /// Write the pending transaction as this number, flush the metadata, then report
        /// ``transactionWritten()`` or ``fail()``.
        case writeTransaction(number: UInt32)
        /// Start this request: its extents are hot and referenced.
        case resume(request: UInt32)
        /// The metadata has failed: detach. Said once, before the first `refuse`.
        case metadataFailed
        /// Carry out this request without the local disk, or fail it.
        case refuse(request: UInt32)
    }

    enum Phase: Hashable, BitwiseCopyable {
        case collecting
        case preparing
        case writing
        case resuming
        case failing
        case failed
    }

    struct Slot: BitwiseCopyable {
        /// What the log on disk says; `noExtent` if free.
        var extent = ActivityLog.noExtent
        /// What the planned transaction will make of it; `noExtent` if it does not change it.
        var pendingExtent = ActivityLog.noExtent
        var references: UInt32 = 0
        /// Neighbours among the slots without references, least recently used first.
        var older: Int32 = -1
        var younger: Int32 = -1
        /// The number of the data flush that covers the last write; 0 if there was none.
        var mark: UInt64 = 0
    }

    private struct Waiting: BitwiseCopyable {
        var request: UInt32
        var extents: ExtentRun
    }

    /// The extent number of a free slot.
    package static var noExtent: UInt32 { .max }
    /// Sectors of one extent: 4 MiB.
    package static var sectorsPerExtent: UInt64 { 8192 }
    /// Changes that one transaction block has room for.
    package static var updatesPerTransaction: Int { 64 }
    /// Slots whose context one transaction block has room for.
    package static var contextPerTransaction: Int { 919 }
    /// The smallest number of slots: one request can always find room for its extents.
    package static var slotCountMinimum: Int { 67 }
    /// The largest number of slots: slot 0xFFFF means none.
    package static var slotCountMaximum: Int { 65534 }

    /// The number of slots, `al-extents`.
    package let slotCount: Int
    /// The transaction number that the next block carries; it advances when a block was written.
    package private(set) var transactionNumber: UInt32 = 0
    /// The first slot of the context window of the next block.
    package private(set) var contextStart = 0
    /// Transaction blocks written since creation.
    package private(set) var transactionsWritten: UInt64 = 0
    /// Changes in the planned transaction.
    package private(set) var updateCount = 0
    /// Whether the oldest waiting request lacks slots without references: everything queues behind
    /// it.
    package internal(set) var isStarving = false
    /// Whether transactions are written; false is `al-updates no`.
    package let writesUpdates: Bool

    let slots: UnsafeMutablePointer<Slot>
    let updates: UnsafeMutablePointer<UInt16>
    var table: ExtentTable
    var freshSlots = 0
    var idleCount = 0
    var oldestIdle: Int32 = -1
    var youngestIdle: Int32 = -1

    private let ring: UnsafeMutablePointer<Waiting>
    private let ringMask: Int
    /// `head..<planned` are in the planned transaction, `planned..<tail` wait for a later one.
    var head = 0
    var planned = 0
    var tail = 0
    /// While waiting requests are looked through for ones that have become hot: the next to look
    /// at, and the end of those that stay.
    private var scan = 0
    private var kept = 0

    var phase = Phase.collecting
    private var neededFlush: UInt64 = 0
    private var bitmapAsked = false
    private var bitmapDone = false
    private var failureSaid = false

    /// Creates a log whose extents are all cold, as attaching leaves it after the log was applied.
    ///
    /// - Parameters:
    ///   - slotCount: `al-extents`, within the limits of the layout on disk.
    ///   - requestCapacity: how many requests may wait at once.
    package init(slotCount: Int, requestCapacity: Int, writesUpdates: Bool = true) {
        invariant(
            slotCount >= Self.slotCountMinimum && slotCount <= Self.slotCountMaximum,
            "number of activity-log slots"
        )
        invariant(requestCapacity > 0, "room for a waiting request")
        self.slotCount = slotCount
        self.writesUpdates = writesUpdates
        self.slots = .allocate(capacity: slotCount)
        self.slots.initialize(repeating: Slot(), count: slotCount)
        self.updates = .allocate(capacity: Self.updatesPerTransaction)
        self.updates.initialize(repeating: 0, count: Self.updatesPerTransaction)
        self.table = ExtentTable(capacity: slotCount)
        // A request that was resumed may wait again before the scan closes the gap that it left.
        var size = 1
        while size < requestCapacity * 2 { size *= 2 }
        self.ring = .allocate(capacity: size)
        self.ringMask = size - 1
    }

    deinit {
        self.slots.deallocate()
        self.updates.deallocate()
        self.ring.deallocate()
    }

    // MARK: Requests

    /// Asks to write `range`, which touches at most 64 extents.
    ///
    /// `request` names the caller until `resume` or `refuse`; a request waits once at a time.
    package mutating func begin(request: UInt32, range: SectorRange) -> Admission {
        let extents = ExtentRun(range)
        switch self.phase {
        case .failing, .failed: return .failed
        case .collecting, .preparing, .writing, .resuming: break
        }
        if !self.isStarving && self.allHot(extents) {
            self.reference(extents)
            return .hot
        }
        invariant(self.tail - self.head <= self.ringMask, "room for a waiting request")
        (self.ring + (self.tail & self.ringMask)).initialize(
            to: Waiting(request: request, extents: extents)
        )
        self.tail += 1
        return .wait
    }

    /// Drops the references of a request that was hot or resumed.
    ///
    /// Only when its write has completed here and each peer has either confirmed it or has its bits
    /// set: until then nothing but the log covers a difference.
    package mutating func end(range: SectorRange, flushes: FlushClock) {
        self.release(ExtentRun(range), mark: flushes.mark)
    }

    // MARK: Completions

    /// The bitmap pages of the evicted extents are durable.
    package mutating func bitmapWritten() {
        switch self.phase {
        case .preparing:
            invariant(self.bitmapAsked && !self.bitmapDone, "bitmap write that was asked for")
            self.bitmapDone = true
        case .failing, .failed: break
        case .collecting, .writing, .resuming:
            invariantBroken("bitmap write that was asked for")
        }
    }

    /// The transaction block is written and flushed.
    package mutating func transactionWritten() {
        switch self.phase {
        case .writing: self.commit(written: true)
        case .failing, .failed: break
        case .collecting, .preparing, .resuming:
            invariantBroken("transaction that was asked for")
        }
    }

    /// A flush, bitmap write or transaction has failed: no extent gets hot any more.
    package mutating func fail() {
        switch self.phase {
        case .failing, .failed: return
        case .collecting: self.closeScan()
        case .preparing, .writing, .resuming: break
        }
        self.phase = .failing
    }

    // MARK: What to do

    /// Whether the planned transaction waits for a data flush that has not started.
    @inline(__always)
    package func needsFlush(_ flushes: FlushClock) -> Bool {
        self.phase == .preparing && self.writesUpdates && !flushes.willCover(self.neededFlush)
    }

    /// The next thing that the driver must do; nil when it has to wait for an event.
    package mutating func nextAction(flushes: FlushClock) -> Action? {
        if self.hasNothingToDo { return nil }
        while true {
            switch self.phase {
            case .collecting:
                if let action = self.collect() { return action }
                if self.phase == .collecting { return nil }
            case .preparing:
                if let action = self.prepare(flushes) { return action }
                if self.phase == .preparing { return nil }
            case .writing, .failed:
                return nil
            case .resuming:
                if let waiting = self.takePlanned() { return .resume(request: waiting.request) }
                self.phase = .collecting
                self.scan = self.planned
                self.kept = self.planned
            case .failing:
                if let action = self.refuse() { return action }
                self.phase = .failed
            }
        }
    }

    /// Whether nothing waits and nothing is under way.
    private var hasNothingToDo: Bool {
        self.phase == .collecting && self.head == self.tail && !self.isStarving
    }

    private mutating func collect() -> Action? {
        if !self.isStarving {
            if let request = self.nextThatBecameHot() { return .resume(request: request) }
        }
        self.plan()
        if self.planned == self.head { return nil }
        self.phase = .preparing
        self.bitmapAsked = false
        self.bitmapDone = self.evictedCount == 0
        return nil
    }

    private mutating func prepare(_ flushes: FlushClock) -> Action? {
        guard self.writesUpdates else {
            self.commit(written: false)
            return nil
        }
        if !self.bitmapDone && !self.bitmapAsked {
            self.bitmapAsked = true
            return .writeBitmap
        }
        guard self.bitmapDone && flushes.covers(self.neededFlush) else { return nil }
        self.phase = .writing
        return .writeTransaction(number: self.transactionNumber)
    }

    /// Looks through the waiting requests for one that became hot; drops it from the ring.
    private mutating func nextThatBecameHot() -> UInt32? {
        while self.scan < self.tail {
            let waiting = self.ring[self.scan & self.ringMask]
            self.scan += 1
            if self.allHot(waiting.extents) {
                self.reference(waiting.extents)
                return waiting.request
            }
            self.ring[self.kept & self.ringMask] = waiting
            self.kept += 1
        }
        self.closeScan()
        return nil
    }

    /// Closes the gaps in the ring, and starts over with the next look through it.
    mutating func closeScan() {
        while self.scan < self.tail {
            self.ring[self.kept & self.ringMask] = self.ring[self.scan & self.ringMask]
            self.scan += 1
            self.kept += 1
        }
        self.tail = self.kept
        self.scan = self.planned
        self.kept = self.planned
    }

    /// Puts waiting requests, oldest first, into a new transaction until one does not fit.
    private mutating func plan() {
        invariant(self.updateCount == 0 && self.planned == self.head, "one transaction at a time")
        self.closeScan()
        self.neededFlush = 0
        while self.planned < self.tail {
            let extents = self.ring[self.planned & self.ringMask].extents
            guard self.fits(extents) else { break }
            self.heat(extents)
            self.planned += 1
        }
        self.isStarving = self.planned == self.head && self.tail > self.head
    }

    /// Whether the transaction has room for the cold ones of `extents`, and slots without
    /// references.
    private func fits(_ extents: ExtentRun) -> Bool {
        var cold = 0
        var idleOwn = 0
        for extent in extents.first...extents.last {
            if let slot = self.table.slot(of: extent) {
                if self.slots[slot].references == 0 { idleOwn += 1 }
            } else {
                cold += 1
            }
        }
        let available = self.slotCount - self.freshSlots + self.idleCount - idleOwn
        return cold <= available && self.updateCount + cold <= Self.updatesPerTransaction
    }

    /// References the hot ones of `extents` first, so that none of them is chosen as a victim, then
    /// plans slots for the cold ones.
    private mutating func heat(_ extents: ExtentRun) {
        for extent in extents.first...extents.last {
            if let slot = self.table.slot(of: extent) { self.reference(slot: slot) }
        }
        for extent in extents.first...extents.last where self.table.slot(of: extent) == nil {
            let slot = self.takeVictim()
            self.slots[slot].pendingExtent = extent
            self.slots[slot].references = 1
            self.table.insert(extent, slot: slot)
            self.updates[self.updateCount] = UInt16(slot)
            self.updateCount += 1
        }
    }

    /// A slot that never was in use, or else the least recently used one.
    private mutating func takeVictim() -> Int {
        if self.freshSlots < self.slotCount {
            self.freshSlots += 1
            return self.freshSlots - 1
        }
        let slot = Int(self.oldestIdle)
        self.removeFromIdle(slot)
        self.table.remove(self.slots[slot].extent)
        self.neededFlush = max(self.neededFlush, self.slots[slot].mark)
        return slot
    }

    private mutating func commit(written: Bool) {
        for index in 0..<self.updateCount {
            let slot = Int(self.updates[index])
            self.slots[slot].extent = self.slots[slot].pendingExtent
            self.slots[slot].pendingExtent = Self.noExtent
            self.slots[slot].mark = 0
        }
        self.updateCount = 0
        if written {
            self.transactionNumber &+= 1
            self.transactionsWritten += 1
            self.contextStart += Self.contextPerTransaction
            if self.contextStart >= self.slotCount { self.contextStart = 0 }
        }
        self.phase = .resuming
    }

    private mutating func takePlanned() -> Waiting? {
        guard self.head < self.planned else { return nil }
        defer { self.head += 1 }
        return self.ring[self.head & self.ringMask]
    }

    private mutating func refuse() -> Action? {
        if !self.failureSaid {
            self.failureSaid = true
            return .metadataFailed
        }
        if let waiting = self.takePlanned() {
            self.release(waiting.extents, mark: 0)
            return .refuse(request: waiting.request)
        }
        guard self.head < self.tail else { return nil }
        defer {
            self.head += 1
            self.planned = self.head
        }
        return .refuse(request: self.ring[self.head & self.ringMask].request)
    }

    // MARK: References

    @inline(__always)
    private func allHot(_ extents: ExtentRun) -> Bool {
        for extent in extents.first...extents.last {
            guard let slot = self.table.slot(of: extent) else { return false }
            if self.slots[slot].pendingExtent != Self.noExtent { return false }
        }
        return true
    }

    private mutating func reference(_ extents: ExtentRun) {
        for extent in extents.first...extents.last {
            guard let slot = self.table.slot(of: extent) else {
                invariantBroken("a referenced extent is hot")
            }
            self.reference(slot: slot)
        }
    }

    private mutating func reference(slot: Int) {
        if self.slots[slot].references == 0 { self.removeFromIdle(slot) }
        self.slots[slot].references += 1
    }

    private mutating func release(_ extents: ExtentRun, mark: UInt64) {
        for extent in extents.first...extents.last {
            guard let slot = self.table.slot(of: extent) else {
                invariantBroken("a referenced extent stays hot")
            }
            invariant(self.slots[slot].references > 0, "as many ends as begins")
            self.slots[slot].references -= 1
            self.slots[slot].mark = max(self.slots[slot].mark, mark)
            if self.slots[slot].references == 0 { self.appendToIdle(slot) }
        }
    }

    private mutating func appendToIdle(_ slot: Int) {
        self.slots[slot].older = self.youngestIdle
        self.slots[slot].younger = -1
        if self.youngestIdle >= 0 {
            self.slots[Int(self.youngestIdle)].younger = Int32(slot)
        } else {
            self.oldestIdle = Int32(slot)
        }
        self.youngestIdle = Int32(slot)
        self.idleCount += 1
    }

    mutating func removeFromIdle(_ slot: Int) {
        let older = self.slots[slot].older
        let younger = self.slots[slot].younger
        if older >= 0 {
            self.slots[Int(older)].younger = younger
        } else {
            self.oldestIdle = younger
        }
        if younger >= 0 {
            self.slots[Int(younger)].older = older
        } else {
            self.youngestIdle = older
        }
        self.idleCount -= 1
    }
}

/// The extents that a range of sectors touches.
struct ExtentRun: BitwiseCopyable {
    let first: UInt32
    let last: UInt32

    init(_ range: SectorRange) {
        invariant(range.count > 0, "a write has a length")
        let first = range.start / ActivityLog.sectorsPerExtent
        let last = (range.end - 1) / ActivityLog.sectorsPerExtent
        invariant(
            last - first < UInt64(ActivityLog.updatesPerTransaction)
                && last < UInt64(ActivityLog.noExtent),
            "one transaction can heat all extents of a request"
        )
        self.first = UInt32(first)
        self.last = UInt32(last)
    }
}
