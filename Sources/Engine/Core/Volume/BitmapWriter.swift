// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Orders the writes of changed bitmap pages: rounds, each of which writes all pages that are dirty
/// when it comes to them, then flushes.
///
/// A step goes on after a round that began later than it was asked for.
struct BitmapWriter: ~Copyable {
    private enum Phase: BitwiseCopyable {
        case idle
        case writing
        case flushing
    }

    private var phase = Phase.idle
    private var inFlight = 0
    private(set) var wroteAny = false
    /// The next page to look at.
    private(set) var cursor: UInt32 = 0
    private var waiting = ActionQueue<AfterBitmap>(capacity: 16)
    /// How many of `waiting` the current round serves.
    private var served = 0
    private var done = ActionQueue<AfterBitmap>(capacity: 16)

    /// Pages in flight at once: 256 KiB.
    static var inFlightMaximum: Int { 64 }

    var isIdle: Bool { self.phase == .idle && self.waiting.isEmpty }

    mutating func want(_ step: AfterBitmap) {
        self.waiting.append(step)
        self.beginRound()
    }

    private mutating func beginRound() {
        guard self.phase == .idle, !self.waiting.isEmpty else { return }
        self.phase = .writing
        self.served = self.waiting.count
        self.cursor = 0
        self.wroteAny = false
    }

    /// Whether another page may be submitted.
    var mayWrite: Bool { self.phase == .writing && self.inFlight < Self.inFlightMaximum }

    mutating func pageSubmitted(_ page: UInt32) {
        self.cursor = page + 1
        self.inFlight += 1
        self.wroteAny = true
    }

    /// No dirty page is left behind the cursor.
    mutating func reachedEnd() { self.cursor = .max }

    mutating func pageWritten() { self.inFlight -= 1 }

    /// Whether all pages of the round are written and the flush has to follow now.
    mutating func beginFlush() -> Bool {
        guard self.phase == .writing, self.cursor == .max, self.inFlight == 0 else { return false }
        self.phase = .flushing
        return true
    }

    /// The round is durable.
    ///
    /// Returns how many steps may go on; nil if no round was flushing.
    mutating func end() -> Int? {
        guard self.phase == .flushing else { return nil }
        self.phase = .idle
        let count = self.served
        for _ in 0..<count {
            if let step = self.waiting.popFirst() { self.done.append(step) }
        }
        self.beginRound()
        return count
    }

    mutating func popDone() -> AfterBitmap? { self.done.popFirst() }

    /// The next step for which the bitmap will never be durable: the disk is gone.
    mutating func nextAbandoned() -> AfterBitmap? {
        if let step = self.done.popFirst() ?? self.waiting.popFirst() { return step }
        self.phase = .idle
        self.cursor = 0
        self.inFlight = 0
        return nil
    }

    /// The connection is gone that some steps belong to.
    mutating func connectionLost() {
        for offset in 0..<self.waiting.count { self.waiting.update(offset) { $0.connectionLost() } }
        for offset in 0..<self.done.count { self.done.update(offset) { $0.connectionLost() } }
    }
}
