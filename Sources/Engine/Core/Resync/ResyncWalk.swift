// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Chooses what a sync target asks its source for, and knows what it has asked for.
///
/// A pass scans the out-of-sync bitmap upward once. Neighbouring marked blocks are merged into one
/// request by the rules of the protocol (wire reference §8.2). Blocks that overlap writes in flight
/// are left for a further pass, as are cancelled ones; failed ones stay marked, are counted, and
/// are tried again only if a further pass is needed anyway.
///
///     sent ──answer──▶ answered ──written and flushed──▶ finished (the caller clears the bits)
///       │                  └──write failed──▶ failed
///       └──negative answer──▶ failed, or cancelled: asked for again
///
/// The answer is written as a whole. What the source writes in between follows the answer on the
/// same socket, and what the target's application wants to write waits for the request's end
/// (``overlapsOutstanding(_:)``). Requests follow writes on the same socket, and the source reads
/// after the writes that it has received.
///
/// Lives as long as the peer's volume; ``begin(dirtyBlocks:at:)`` starts a resync, ``abort()`` ends
/// one early. All memory is found at creation. Owned by one thread.
package struct ResyncWalk: ~Copyable {
    /// Names a request, also when its slot is in use for another one meanwhile.
    package struct RequestID: Hashable, Sendable, BitwiseCopyable {
        let slot: UInt32
        let serial: UInt32
    }

    /// What to do next.
    package enum Step: Hashable, Sendable, BitwiseCopyable {
        /// Ask the source for these sectors.
        case request(RequestID, SectorRange)
        /// Nothing, until an answer, the end of a write in flight, or the end of a pause.
        case wait
        /// The resync is over: what is still marked has failed.
        case finished
    }

    /// How a request ended.
    package enum Outcome: Hashable, Sendable, BitwiseCopyable {
        /// Written and flushed, or found equal: the caller clears the bits of the range.
        case synchronised
        /// The source could not read it, or we could not write it.
        case failed
        /// Not now: ask again later.
        case cancelled
    }

    private struct Request: BitwiseCopyable {
        let range: SectorRange
        let serial: UInt32
        let stamp: ResyncWindow.Stamp
        var interval: UInt32 = 0
        var isAnswered = false
    }

    /// The largest request: 1 MiB.
    package static var requestLimitMaximum: ByteCount { .mebibytes(1) }
    /// No request crosses a multiple of this number of blocks: 16 MiB.
    package static var blocksPerRegion: Int { 4096 }

    /// The largest request in blocks.
    private let blockLimit: Int
    /// The number of the first block that this pass has not looked at.
    package private(set) var cursor = 0
    /// Blocks of requests that failed, `rs_failed`.
    package private(set) var failedBlocks: UInt64 = 0
    /// Blocks that were asked for, in all passes.
    package private(set) var requestedBlocks: UInt64 = 0
    /// Passes that have started.
    package private(set) var passes = 0
    /// Whether no new request is chosen (PausedSyncT).
    package var isPaused = false
    /// The window of data in flight.
    package private(set) var window: ResyncWindow
    /// What status shows.
    package private(set) var progress = ResyncProgress(total: 0, at: .zero)

    private var requests: SlotTable<Request>
    private var intervals: IntervalTable
    private var serial: UInt32 = 0
    /// The lowest block that a further pass must look at, and the lowest that has failed.
    private var retryFrom: Int?
    private var lowestFailed: Int?
    private var requestsOfPass = 0

    /// Creates a walk for at most `capacity` requests of at most `requestLimit` at once.
    ///
    /// - Parameter requestLimit: the smaller of the own device's largest request and
    ///   `rs-discard-granularity`; 4 KiB to 1 MiB.
    package init(
        capacity: Int,
        requestLimit: ByteCount = Self.requestLimitMaximum,
        window: ResyncWindow = ResyncWindow()
    ) {
        invariant(
            requestLimit >= .kibibytes(4) && requestLimit <= Self.requestLimitMaximum,
            "largest resync request"
        )
        self.blockLimit = Int(requestLimit.bytes / 4096)
        self.window = window
        self.requests = SlotTable(capacity: capacity)
        self.intervals = IntervalTable(capacity: capacity)
    }

    /// The number of requests that have not ended.
    package var outstanding: Int { self.requests.count }

    // MARK: One resync

    /// Starts a resync from block 0, with `dirtyBlocks` marked.
    package mutating func begin(dirtyBlocks: Int, at now: Instant) {
        self.abort()
        self.cursor = 0
        self.failedBlocks = 0
        self.requestedBlocks = 0
        self.passes = 1
        self.requestsOfPass = 0
        self.retryFrom = nil
        self.lowestFailed = nil
        self.progress = ResyncProgress(total: UInt64(dirtyBlocks), at: now)
    }

    /// Forgets all requests: their answers and completions are strangers from now on.
    package mutating func abort() {
        for slot in 0..<UInt32(self.requests.capacity) where self.requests.contains(slot) {
            self.intervals.remove(self.requests[slot].interval)
            self.requests.release(slot)
        }
        self.window.reset()
    }

    /// Chooses the next request.
    ///
    /// - Parameter isBusy: whether a write in flight overlaps the sectors.
    package mutating func next(
        in bitmap: borrowing OutOfSyncBitmap,
        at now: Instant,
        isBusy: (SectorRange) -> Bool
    ) -> Step {
        let marked = UInt64(bitmap.count)
        self.progress.update(
            left: marked > self.failedBlocks ? marked - self.failedBlocks : 0,
            at: now
        )
        if self.isPaused { return .wait }
        while true {
            if self.requests.isFull || !self.window.isOpen { return .wait }
            if let blocks = self.chooseBlocks(in: bitmap, isBusy) {
                return self.send(bitmap.sectors(of: blocks), blocks: blocks, at: now)
            }
            if self.outstanding > 0 { return .wait }
            if self.retryFrom == nil && marked <= self.failedBlocks { return .finished }
            let isFruitless = self.requestsOfPass == 0 && self.retryFrom != nil
            self.beginFurtherPass()
            if isFruitless { return .wait }
            self.passes += 1
        }
    }

    /// The next run of blocks to ask for; nil at the end of the pass.
    private mutating func chooseBlocks(
        in bitmap: borrowing OutOfSyncBitmap,
        _ isBusy: (SectorRange) -> Bool
    ) -> Range<Int>? {
        while let first = bitmap.next(from: self.cursor) {
            let run = first..<first + self.mergeableBlocks(in: bitmap, from: first)
            var free = run
            if isBusy(bitmap.sectors(of: run)) {
                var end = first
                while end < run.upperBound && !isBusy(bitmap.sectors(of: end..<end + 1)) {
                    end += 1
                }
                free = first..<end
            }
            if !free.isEmpty {
                self.cursor = free.upperBound
                return free
            }
            self.retryFrom = min(self.retryFrom ?? first, first)
            self.cursor = first + 1
        }
        self.cursor = bitmap.bitCount
        return nil
    }

    /// How many blocks from `first` on make one request.
    ///
    /// A request may grow beyond 2^k blocks only if its start is a multiple of 2^(k+1): so it is
    /// never longer than the largest power of two that divides its start.
    private func mergeableBlocks(in bitmap: borrowing OutOfSyncBitmap, from first: Int) -> Int {
        let alignment = first == 0 ? Self.blocksPerRegion : 1 << first.trailingZeroBitCount
        let toBoundary = Self.blocksPerRegion - first % Self.blocksPerRegion
        let limit = min(self.blockLimit, alignment, toBoundary, bitmap.bitCount - first)
        var count = 1
        while count < limit && bitmap.contains(first + count) { count += 1 }
        return count
    }

    private mutating func send(_ range: SectorRange, blocks: Range<Int>, at now: Instant) -> Step {
        let stamp = self.window.sent(range.byteCount, at: now)
        self.serial &+= 1
        let request = Request(range: range, serial: self.serial, stamp: stamp)
        guard let slot = self.requests.take(request),
            let interval = self.intervals.insert(range, tag: slot)
        else { invariantBroken("room for a request was checked") }
        self.requests[slot].interval = interval
        self.requestsOfPass += 1
        self.requestedBlocks += UInt64(blocks.count)
        return .request(RequestID(slot: slot, serial: self.serial), range)
    }

    private mutating func beginFurtherPass() {
        self.cursor = min(self.retryFrom ?? 0, self.lowestFailed ?? .max)
        self.retryFrom = nil
        self.lowestFailed = nil
        self.failedBlocks = 0
        self.requestsOfPass = 0
    }

    // MARK: Answers

    /// The unanswered request for exactly `range`; nil if the peer answers what nobody has asked.
    package func request(for range: SectorRange) -> RequestID? {
        var found: RequestID?
        self.intervals.forEachOverlap(of: range) { _, interval in
            let request = self.requests[interval.tag]
            if interval.range == range && !request.isAnswered {
                found = RequestID(slot: interval.tag, serial: request.serial)
            }
        }
        return found
    }

    /// Whether a request that has not ended overlaps `range`.
    package func overlapsOutstanding(_ range: SectorRange) -> Bool {
        self.intervals.overlaps(range)
    }

    /// Whether the request has not ended.
    package func contains(_ id: RequestID) -> Bool {
        self.requests.contains(id.slot) && self.requests[id.slot].serial == id.serial
    }

    /// The sectors of the request; nil if it has ended.
    package func range(of id: RequestID) -> SectorRange? {
        self.contains(id) ? self.requests[id.slot].range : nil
    }

    /// Notes that the answer, of whatever kind, is here.
    ///
    /// Traps if the request is none of ours or already answered.
    package mutating func answered(_ id: RequestID, at now: Instant) {
        invariant(self.contains(id) && !self.requests[id.slot].isAnswered, "one answer a request")
        self.requests[id.slot].isAnswered = true
        let request = self.requests[id.slot]
        self.window.answered(request.range.byteCount, request.stamp, at: now)
    }

    /// Ends an answered request.
    ///
    /// - Returns: its sectors, or nil if the request was forgotten by ``abort()`` or
    ///   ``begin(dirtyBlocks:at:)``: then nothing may be cleared.
    package mutating func finish(_ id: RequestID, _ outcome: Outcome) -> SectorRange? {
        guard self.contains(id) else { return nil }
        let request = self.requests[id.slot]
        invariant(request.isAnswered, "a request ends after its answer")
        let first = Int(request.range.start / OutOfSyncBitmap.sectorsPerBit)
        switch outcome {
        case .synchronised:
            break
        case .failed:
            let perBit = OutOfSyncBitmap.sectorsPerBit
            self.failedBlocks += (request.range.count + perBit - 1) / perBit
            self.lowestFailed = min(self.lowestFailed ?? first, first)
        case .cancelled:
            self.retryFrom = min(self.retryFrom ?? first, first)
        }
        self.intervals.remove(request.interval)
        self.requests.release(id.slot)
        return request.range
    }
}
