// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Numbers the data flushes of one volume, so that each user knows whether a flush covers its
/// writes.
///
/// A flush covers what completed before it *started*. Whoever has a completed write remembers
/// ``mark``, the number of the first flush that will cover it. One clock per volume serves the
/// activity log, the batched acknowledgements and the clients' flushes alike: any of them profits
/// from a flush that another one asked for. At most one flush runs at a time.
package struct FlushClock: Hashable, Sendable, BitwiseCopyable {
    /// The number of the newest flush that has started; 0 before the first one.
    package private(set) var started: UInt64 = 0
    /// The number of the newest flush that has completed; 0 before the first one.
    package private(set) var completed: UInt64 = 0

    /// A clock before the first flush.
    package init() {}

    /// Whether a flush has started and not completed.
    package var isRunning: Bool { self.completed < self.started }

    /// The number of the first flush that covers a write which has completed by now.
    package var mark: UInt64 { self.started + 1 }

    /// Whether writes that were given `mark` are on stable storage.
    package func covers(_ mark: UInt64) -> Bool { mark <= self.completed }

    /// Whether a flush that has started will cover, or already covers, writes that were given
    /// `mark`.
    package func willCover(_ mark: UInt64) -> Bool { mark <= self.started }

    /// Notes that a flush is being submitted.
    ///
    /// Traps if one is running.
    package mutating func start() {
        invariant(!self.isRunning, "one data flush at a time")
        self.started += 1
    }

    /// Notes that the running flush has succeeded.
    ///
    /// Traps if none is running. A flush that fails is never reported here: the disk has failed,
    /// and no flush follows.
    package mutating func complete() {
        invariant(self.isRunning, "completion of a data flush that runs")
        self.completed = self.started
    }
}
