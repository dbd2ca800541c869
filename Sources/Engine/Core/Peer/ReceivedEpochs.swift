// SPDX-License-Identifier: Apache-2.0

import Primitives

/// The epochs of the writes that the peer sends, oldest first.
///
/// Only writes of the oldest epoch may be on their way to the disk. It is finished when its barrier
/// has arrived and all its writes are done; then the disks are flushed, P_BARRIER_ACK goes out and
/// the next epoch becomes the oldest.
struct ReceivedEpochs: ~Copyable {
    struct Epoch: BitwiseCopyable {
        /// The peer's opaque number, echoed.
        var barrier: UInt32 = 0
        var writes: UInt32 = 0
        var pending: UInt32 = 0
        var hasBarrier = false
    }

    /// Counts epochs over the connection: index of the oldest one.
    private(set) var oldest: UInt64 = 0
    private(set) var isFlushing = false
    private var epochs = ActionQueue<Epoch>(capacity: 256)
    /// The youngest epoch, to which arriving writes belong.
    private var open = Epoch()

    /// The index of the epoch that arriving writes belong to.
    var openIndex: UInt64 { self.oldest + UInt64(self.epochs.count) }

    /// What ``oldest`` is at least when everything that has arrived by now is on stable storage.
    var indexBehindArrived: UInt64 { self.openIndex + (self.open.writes > 0 ? 1 : 0) }

    /// Whether a write of `index` may go to the disk now.
    func maySubmit(_ index: UInt64) -> Bool { index == self.oldest && !self.isFlushing }

    /// Counts an arriving write and returns its epoch's index.
    mutating func add() -> UInt64 {
        self.open.writes += 1
        self.open.pending += 1
        return self.openIndex
    }

    /// Notes that a write of `index` needs the disk no longer.
    mutating func done(_ index: UInt64) {
        invariant(index >= self.oldest && index <= self.openIndex, "epoch of a write is live")
        if index == self.openIndex {
            self.open.pending -= 1
        } else {
            self.epochs.update(Int(index - self.oldest)) { $0.pending -= 1 }
        }
    }

    /// Ends the youngest epoch.
    ///
    /// False if it has no writes: such a barrier is ignored.
    mutating func close(barrier: UInt32) -> Bool {
        guard self.open.writes > 0 else { return false }
        self.open.barrier = barrier
        self.open.hasBarrier = true
        self.epochs.append(self.open)
        self.open = Epoch()
        return true
    }

    /// Whether the oldest epoch is complete and its flush has not begun.
    var isReadyToFlush: Bool {
        !self.isFlushing && !self.epochs.isEmpty && self.epochs[0].pending == 0
    }

    /// Starts the flush of the oldest epoch.
    mutating func beginFlush() {
        invariant(self.isReadyToFlush, "the oldest epoch is complete")
        self.isFlushing = true
    }

    /// Ends it; returns what P_BARRIER_ACK must say.
    mutating func flushed() -> Epoch? {
        invariant(self.isFlushing, "a flush was begun")
        self.isFlushing = false
        self.oldest += 1
        return self.epochs.popFirst()
    }

    /// Whether nothing of the connection is left.
    var isEmpty: Bool { self.epochs.isEmpty && self.open.writes == 0 && !self.isFlushing }

    /// Starts over for a new connection.
    mutating func reset() {
        invariant(!self.isFlushing && self.open.pending == 0, "no write of the connection is left")
        while self.epochs.popFirst() != nil {}
        self.oldest = self.openIndex + 1
        self.open = Epoch()
    }
}
