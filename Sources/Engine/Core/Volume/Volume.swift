// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// The sizes of a volume in sectors.
package struct VolumeSizes: Hashable, Sendable, BitwiseCopyable {
    /// What the backing disk has room for, metadata subtracted; 0 without a disk.
    package var diskSectors: UInt64 = 0
    /// The administrator's limit; 0 for none.
    package var userSectors: UInt64 = 0
    /// What the application sees; agreed with the peer.
    package var exposedSectors: UInt64 = 0

    package init() {}
}

/// What `status` counts for a volume, in sectors unless said otherwise.
package struct VolumeStatistics: Hashable, Sendable, BitwiseCopyable {
    package var read: UInt64 = 0
    package var written: UInt64 = 0
    package var sent: UInt64 = 0
    package var received: UInt64 = 0
    /// Transactions.
    package var activityLogWrites: UInt64 = 0
    /// Pages.
    package var bitmapWrites: UInt64 = 0

    package init() {}
}

/// One volume of a resource, towards its one peer.
struct Volume: ~Copyable {
    let number: UInt16
    let minor: UInt32
    var parameters = DiskParameters()
    var state = VolumeState()
    var generations = Generations()
    /// Those of a resync that this node was the source of, until its end is in the bitmap on disk.
    var generationsDuringResync: Generations?
    var sizes = VolumeSizes()
    var statistics = VolumeStatistics()

    // Application
    /// Whether a client of the export is in transmission.
    var isInUse = false
    var writesInFlight: IntervalTable
    /// Ranges that are being read for the resync.
    var resyncReads: IntervalTable
    /// Writes that wait for an overlapping one, or for a block of the resync.
    var waitingWrites: IntervalTable
    /// Those of them that wait for a block of the resync, oldest first.
    var awaitingResync = ActionQueue<UInt32>(capacity: 16)
    /// Those of them whose predecessor has ended.
    var unblocked = ActionQueue<UInt32>(capacity: 16)
    var isStartingUnblocked = false

    // Disk
    /// Whether data and metadata are open.
    var hasDisk = false
    var isDetaching = false
    /// What the superblock says of the disk: its last state before it failed or was given up.
    var recordedDisk = DiskState.inconsistent
    var metadataFailed = false
    var lastError: IOResult?
    /// Why the disk was given up; nil while it is in use.
    var diskEnd: DiskEnd?
    /// What attaching found, for as long as the disk is Attaching or Negotiating.
    var attachedDisks: StateContext.AttachedDisks?
    var attachFlushesPending = 0
    /// Whoever attached the disk has not been told what came of it.
    var awaitsAttach = false
    /// The disk is given up because of an error: nothing becomes stable on it any more.
    var isLost: Bool { self.state.disk == .failed && self.lastError != nil }
    /// The last flush of a disk that is given up without an error has been asked for.
    var hasDetachFlush = false
    /// This node went down while Primary and has not met its peer since.
    var crashedPrimary = false
    /// All bits are set and not yet durable: the superblock says so meanwhile.
    var needsFullSync = false
    /// Operations of data and metadata that have not come back.
    var operationsInFlight = 0
    var flushes = FlushClock()
    var flushWaiters = ActionQueue<FlushWaiter>(capacity: 64)
    /// Requests of applications that need a flush even with `disk-flushes no`.
    var requestsAwaitingFlush = 0
    var activityLog: ActivityLog?
    var bitmap: OutOfSyncBitmap?
    var superblock = SuperblockWriter()
    var bitmapWriter = BitmapWriter()

    /// The generation that the application of a Primary without a good disk has seen.
    var exposedGeneration = GenerationID.empty
    /// The application was told of writes that the own disk, present or not, does not have.
    var exposesPeerData = false
    /// The bits of this Inconsistent disk cover all that it lacks: a resync has begun since the
    /// disk was attached and the peer was met.
    var hasPeersMarks = false
    /// The generation of the own disk when it failed and the peer's took its place; it may lack
    /// writes of it.
    var staleGeneration = GenerationID.empty
    /// No write that the failed disk lacks may complete before it cannot win any more: its
    /// superblock says so, or the peer's data durably has another name.
    var awaitsStaleMark = false

    // Peer
    /// The last number of the sequence that writes and acknowledgements to the peer share.
    var sequence: UInt32 = 0
    var handshakeRunning = false
    /// Whether the peer was told of a disk when it was last told of the volume.
    var toldOfDisk = false
    var discardsData = false
    var peerGenerations: PeerGenerations?
    /// What the comparison of this report of the peer's began with, if it has changed it.
    var generationsBeforeRepair: Generations?
    /// Both disks were Inconsistent and the peer was promoted by force.
    var considersResync = false
    var lastPlan: SyncPlan?
    var bitmapReceiver: BitmapReceiver?
    var bitmapSender: BitmapSender?
    var peerWritesInFlight: IntervalTable
    /// No write of the peer may reach the disk before the superblock says Inconsistent.
    var holdsPeerWrites = false
    var hasUnflushedPeerWrites = false
    /// The first flush that covers every write of the peer that is done.
    var peerWriteMark: UInt64 = 0

    // Resync
    /// Counts the resyncs that have begun, so that what belongs to an earlier one clears no bits.
    var resyncRound: UInt32 = 0
    /// Reads for the resync that wait for a write of the application.
    var heldReads = ActionQueue<UInt32>(capacity: 64)
    /// Resync blocks sent and not yet acknowledged.
    var unacknowledgedResync = 0
    /// Blocks of the resync that this node feeds and that the target could not write.
    var failedResyncBlocks: UInt64 = 0
    var resyncStarted = ResyncProgress(total: 0, at: .zero)
    var walk = ResyncWalk(capacity: 1024)
    /// Whether blocks are being asked for.
    var isWalking = false
    var resyncEnd = ResyncEnd.none
    /// The generations of the resync's source when it began.
    var resyncSource: Generations?
    /// Acknowledgements of a resync that was broken off may still be on their way to this node.
    var mayBeAcknowledgedLate = false
    /// The ping whose answer says that no more of them come, while a resync waits for that.
    var beginningPing: UInt64?
    /// P_SYNC_UUID that came while all bits were still being written.
    var earlySyncUUID: GenerationID?

    init(number: UInt16, minor: UInt32, parameters: DiskParameters, limits: ResourceParameters) {
        self.number = number
        self.minor = minor
        self.parameters = parameters
        self.writesInFlight = IntervalTable(capacity: limits.requestMaximum)
        self.waitingWrites = IntervalTable(capacity: limits.requestMaximum)
        self.resyncReads = IntervalTable(capacity: limits.peerRequestMaximum)
        self.peerWritesInFlight = IntervalTable(capacity: limits.peerRequestMaximum)
    }

    // MARK: Application

    /// Whether a write to `range` must wait for a read of the resync, or for a block that was asked
    /// of the source and would be older.
    func overlapsResync(_ range: SectorRange) -> Bool {
        self.resyncReads.overlaps(range)
            || self.isWalking && self.walk.overlapsOutstanding(range)
    }

    /// Whether this node's disk has the newest data of `range`.
    func mayReadLocally(_ range: SectorRange) -> Bool {
        guard self.hasDisk else { return false }
        switch self.state.disk {
        case .upToDate, .consistent: return true
        case .outdated: return self.state.connection < .connected
        case .inconsistent: return self.hasPeersMarks && !self.hasMarks(in: range)
        case .diskless, .attaching, .failed, .negotiating, .unknown: return false
        }
    }

    // MARK: Activity log

    /// The number of slots; 0 without a disk.
    var activityLogSlots: UInt32 {
        switch self.activityLog {
        case .some(let log): UInt32(log.slotCount)
        case .none: 0
        }
    }

    var usesActivityLog: Bool { self.activityLog != nil && self.state.disk >= .inconsistent }

    mutating func beginActivity(_ range: SectorRange, request: UInt32) -> ActivityLog.Admission {
        self.activityLog?.begin(request: request, range: range) ?? .failed
    }

    mutating func endActivity(_ range: SectorRange) {
        self.activityLog?.end(range: range, flushes: self.flushes)
    }

    mutating func nextActivityLogAction() -> ActivityLog.Action? {
        self.activityLog?.nextAction(flushes: self.flushes)
    }

    // MARK: Flushes

    /// Whether somebody waits for a flush that has not started.
    @inline(__always)
    var isFlushWanted: Bool {
        if !self.flushWaiters.isEmpty, !self.flushes.willCover(self.flushWaiters[0].mark) {
            return true
        }
        switch self.activityLog {
        case .some(let log): return log.needsFlush(self.flushes)
        case .none: return false
        }
    }

    // MARK: Bitmap

    /// The number of blocks that may differ from the peer's.
    var outOfSyncBits: UInt64 {
        switch self.bitmap {
        case .some(let bitmap): UInt64(bitmap.count)
        case .none: 0
        }
    }

    /// The number of blocks of the volume; 0 without a disk.
    var bitCount: UInt64 {
        switch self.bitmap {
        case .some(let bitmap): UInt64(bitmap.bitCount)
        case .none: 0
        }
    }

    private func hasMarks(in range: SectorRange) -> Bool {
        switch self.bitmap {
        case .some(let bitmap): bitmap.containsAny(in: range)
        case .none: true
        }
    }

    mutating func setOutOfSync(_ range: SectorRange) -> UInt64 {
        UInt64(self.bitmap?.set(range) ?? 0)
    }

    mutating func setInSync(_ range: SectorRange) { _ = self.bitmap?.clear(range) }

    /// Whether a write that arrived or was sent in `round` may clear bits now.
    func mayClearBits(in round: UInt32) -> Bool {
        self.state.connection.isResyncing && self.resyncRound == round
    }

    mutating func setAllOutOfSync() { _ = self.bitmap?.setAll() }

    /// The next changed page of the running round; it counts as submitted.
    mutating func nextBitmapPage() -> UInt32? {
        guard self.bitmapWriter.mayWrite else { return nil }
        guard self.bitmapWriter.cursor != .max,
            let page = self.bitmap?.nextDirtyPage(from: Int(self.bitmapWriter.cursor))
        else {
            self.bitmapWriter.reachedEnd()
            return nil
        }
        _ = self.bitmap?.beginWrite(page: page)
        self.bitmapWriter.pageSubmitted(UInt32(page))
        return UInt32(page)
    }

    // MARK: Resync

    /// Blocks that differed when the running resync began; 0 without one.
    var resyncTotal: UInt64 {
        switch self.state.connection {
        case .syncSource, .pausedSyncS: self.resyncStarted.total
        case .syncTarget, .pausedSyncT: self.walk.progress.total
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams, .connected, .startingSyncS,
            .startingSyncT, .wfBitMapS, .wfBitMapT, .wfSyncUUID, .verifyS, .verifyT, .ahead,
            .behind:
            0
        }
    }

    mutating func endWalk() {
        self.isWalking = false
        self.walk.abort()
    }

    /// What to ask the source for next.
    mutating func nextResyncStep(at now: Instant) -> ResyncWalk.Step {
        Self.nextStep(
            of: &self.walk,
            in: self.bitmap,
            self.writesInFlight,
            self.peerWritesInFlight,
            at: now
        )
    }

    private static func nextStep(
        of walk: inout ResyncWalk,
        in bitmap: borrowing OutOfSyncBitmap?,
        _ own: borrowing IntervalTable,
        _ peer: borrowing IntervalTable,
        at now: Instant
    ) -> ResyncWalk.Step {
        switch bitmap {
        case .some(let bitmap):
            walk.next(in: bitmap, at: now) { own.overlaps($0) || peer.overlaps($0) }
        case .none: .wait
        }
    }

    /// What the superblock has to say: that a resync has ended no earlier than the bitmap does.
    ///
    /// Else a crash could leave bits behind that no resync clears, because the data has one name.
    var generationsOnDisk: Generations {
        guard var former = self.generationsDuringResync, self.generations.bitmap.isEmpty,
            former.current.names(self.generations.current)
        else { return self.generations }
        former.current = self.generations.current
        return former
    }

    /// The disk is closed: nothing in memory speaks of it any more.
    mutating func dropDisk() {
        self.hasDisk = false
        self.hasPeersMarks = false
        self.hasDetachFlush = false
        self.activityLog = nil
        self.bitmap = nil
        self.endWalk()
        self.attachedDisks = nil
        self.sizes.diskSectors = 0
        self.flushes = FlushClock()
        self.peerWriteMark = 0
        self.metadataFailed = false
    }
}
