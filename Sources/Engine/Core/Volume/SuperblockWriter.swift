// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Orders the writes of one volume's superblock: one at a time, each followed by a flush, and every
/// step that waits for one goes on after a write that began later than it was asked for.
struct SuperblockWriter: ~Copyable {
    struct Waiter: BitwiseCopyable {
        var number: UInt64
        var step: AfterPersist
    }

    /// The number of the newest content that was asked for, that is being written, that is durable.
    private var wanted: UInt64 = 0
    private var writing: UInt64 = 0
    private var durable: UInt64 = 0
    private var waiters = ActionQueue<Waiter>(capacity: 16)

    var isIdle: Bool { self.durable == self.wanted }

    mutating func want(_ step: AfterPersist) {
        self.wanted += 1
        switch step {
        case .nothing: break
        case .generation, .announceGeneration, .giveUpDisk, .enterSyncSource, .startResyncAsTarget,
            .recordFullSync,
            .markPeerWrite, .releasePeerWrites, .sendState, .reply, .detach:
            self.waiters.append(Waiter(number: self.wanted, step: step))
        }
    }

    /// Whether a write has to be submitted now; it then counts as begun.
    mutating func begin() -> Bool {
        guard self.writing == self.durable, self.wanted > self.durable else { return false }
        self.writing = self.wanted
        return true
    }

    /// The write that was begun is durable.
    mutating func end() {
        invariant(self.writing > self.durable, "a superblock was being written")
        self.durable = self.writing
    }

    /// The next step whose content is durable.
    mutating func nextDurable() -> AfterPersist? {
        guard !self.waiters.isEmpty, self.waiters[0].number <= self.durable else { return nil }
        return self.waiters.popFirst()?.step
    }

    /// The connection is gone that some steps belong to.
    mutating func connectionLost() {
        for offset in 0..<self.waiters.count {
            self.waiters.update(offset) { $0.step.connectionLost() }
        }
    }

    /// The next step that will never be durable: the disk is gone.
    mutating func nextAbandoned() -> AfterPersist? {
        if let step = self.waiters.popFirst()?.step { return step }
        self.durable = self.wanted
        self.writing = self.wanted
        return nil
    }
}
