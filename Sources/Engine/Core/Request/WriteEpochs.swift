// SPDX-License-Identifier: Apache-2.0

import Primitives

/// The epochs of the writes that this node sends.
///
/// Writes between two P_BARRIER packets form an epoch; the peer may let them reach its disk in any
/// order, but none before all of the epoch before. A write that was submitted after another had
/// completed must be in a later epoch (contract 3), so the current epoch ends before the next write
/// as soon as one of its writes is completed to the application. It also ends when it is large or
/// old.
struct WriteEpochs: ~Copyable {
    struct Closed: BitwiseCopyable {
        var number: UInt32
        var writes: UInt32
        var closedAt: Instant
    }

    enum AckError: Error, Hashable {
        /// No barrier is outstanding.
        case unexpected(number: UInt32)
        case wrongNumber(expected: UInt32, actual: UInt32)
        case wrongCount(number: UInt32, expected: UInt32, actual: UInt32)
    }

    /// The number of the epoch that the next write belongs to.
    private(set) var current: UInt32 = 0
    private(set) var currentWrites: UInt32 = 0
    private var currentBytes: UInt64 = 0
    private var currentHasCompletion = false
    private var currentStartedAt = Instant.distantFuture
    private var unacknowledged = ActionQueue<Closed>(capacity: 64)

    /// Whether a barrier must go out before the next write.
    var mustCloseBeforeNextWrite: Bool { self.currentHasCompletion && self.currentWrites > 0 }

    /// Whether every write that was sent is confirmed.
    var isDrained: Bool { self.currentWrites == 0 && self.unacknowledged.isEmpty }

    /// The youngest epoch whose barrier was sent; nil when none is outstanding.
    var youngestUnacknowledged: UInt32? {
        let count = self.unacknowledged.count
        return count == 0 ? nil : self.unacknowledged[count - 1].number
    }

    /// When the current epoch must end because of its age.
    var deadline: Instant {
        self.currentWrites == 0
            ? .distantFuture : self.currentStartedAt + NetworkParameters.epochAgeMaximum
    }

    /// Counts a write of `bytes` into the current epoch.
    ///
    /// True when the epoch is full and must end now.
    mutating func add(bytes: UInt64, limit: UInt32, at now: Instant) -> Bool {
        if self.currentWrites == 0 { self.currentStartedAt = now }
        self.currentWrites += 1
        self.currentBytes += bytes
        return self.currentWrites >= limit
            || self.currentBytes >= NetworkParameters.epochBytesMaximum.bytes
    }

    /// Notes that a write of `epoch` was completed to the application.
    mutating func completed(epoch: UInt32) {
        if epoch == self.current { self.currentHasCompletion = true }
    }

    /// Ends the current epoch and returns its number for P_BARRIER; nil if it has no writes.
    mutating func close(at now: Instant) -> UInt32? {
        guard self.currentWrites > 0 else { return nil }
        let number = self.current
        self.unacknowledged.append(
            Closed(number: number, writes: self.currentWrites, closedAt: now)
        )
        self.advance()
        return number
    }

    /// Takes P_BARRIER_ACK.
    ///
    /// Returns how many writes it releases.
    mutating func acknowledge(number: UInt32, writes: UInt32) throws(AckError) -> UInt32 {
        guard !self.unacknowledged.isEmpty else { throw .unexpected(number: number) }
        let oldest = self.unacknowledged[0]
        guard oldest.number == number else {
            throw .wrongNumber(expected: oldest.number, actual: number)
        }
        guard oldest.writes == writes else {
            throw .wrongCount(number: number, expected: oldest.writes, actual: writes)
        }
        _ = self.unacknowledged.popFirst()
        return writes
    }

    /// Forgets what is outstanding: the connection is gone.
    ///
    /// Numbers go on.
    mutating func connectionLost() {
        while self.unacknowledged.popFirst() != nil {}
        if self.currentWrites > 0 { self.advance() }
    }

    private mutating func advance() {
        self.current &+= 1
        self.currentWrites = 0
        self.currentBytes = 0
        self.currentHasCompletion = false
        self.currentStartedAt = .distantFuture
    }
}
