// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// The growing, jittered pause between attempts to connect.
///
/// DRBD without one was seen to reconnect 13 times a second. Doubling from `first` up to `maximum`,
/// then a quarter more or less at random, so that the two relays of a site do not dial in step.
struct Backoff: Hashable, Sendable, BitwiseCopyable {
    private let first: TimeSpan
    private let maximum: TimeSpan
    private var failures: UInt64 = 0

    init(first: TimeSpan, maximum: TimeSpan) {
        self.first = first
        self.maximum = maximum
    }

    /// The pause before the next attempt, after another failure.
    mutating func next(_ random: inout SeededRandom) -> TimeSpan {
        let span = min(self.first * (1 << min(self.failures, 16)), self.maximum)
        self.failures += 1
        let quarter = span.nanoseconds / 4
        return TimeSpan(nanoseconds: span.nanoseconds - quarter + random.below(2 * quarter + 1))
    }

    /// Begins again, after a success that lasted.
    mutating func reset() { self.failures = 0 }
}
