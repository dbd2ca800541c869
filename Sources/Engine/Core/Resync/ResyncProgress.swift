// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// How far a resync is and how fast, as status shows it.
///
/// Remembers eight marks, three seconds apart, of what was left (DRBD's scheme): the recent rate is
/// that since the oldest but one, so about 18 to 21 seconds.
package struct ResyncProgress: Sendable, BitwiseCopyable {
    private struct Mark: BitwiseCopyable {
        var at: Instant
        var left: UInt64
    }

    private static var markCount: Int { 8 }
    private static var markInterval: TimeSpan { .seconds(3) }
    private static var bytesPerBlock: UInt64 { 4096 }

    /// Blocks out of sync when the resync started, `rs_total`.
    package let total: UInt64
    /// Blocks left, those that failed excepted, `rs_left`.
    package private(set) var left: UInt64
    private var marks: InlineArray<8, Mark>
    private var newest = 0

    /// Creates the progress of a resync of `total` blocks.
    package init(total: UInt64, at now: Instant) {
        self.total = total
        self.left = total
        self.marks = InlineArray(repeating: Mark(at: now, left: total))
    }

    /// Notes what is left.
    package mutating func update(left: UInt64, at now: Instant) {
        self.left = left
        let newest = self.marks[self.newest]
        guard now.since(newest.at) >= Self.markInterval && newest.left != left else { return }
        self.newest = (self.newest + 1) % Self.markCount
        self.marks[self.newest] = Mark(at: now, left: left)
    }

    /// The rate of the last seconds in bytes per second.
    package func bytesPerSecond(at now: Instant) -> UInt64 {
        self.rate(since: self.marks[(self.newest + 2) % Self.markCount], at: now)
    }

    /// The seconds that what is left takes at the recent rate; nil at a standstill.
    package func secondsLeft(at now: Instant) -> UInt64? {
        let rate = self.bytesPerSecond(at: now)
        return rate == 0 ? nil : self.left * Self.bytesPerBlock / rate
    }

    private func rate(since mark: Mark, at now: Instant) -> UInt64 {
        let milliseconds = now.since(mark.at).milliseconds
        guard milliseconds > 0 && mark.left > self.left else { return 0 }
        return (mark.left - self.left) * Self.bytesPerBlock * 1000 / milliseconds
    }
}
