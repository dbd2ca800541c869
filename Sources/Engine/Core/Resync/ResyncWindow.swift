// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// How much resync data may be asked for and not yet be here: twice the bandwidth-delay product.
///
/// The rate is the highest at which answers came in during the last ten rounds, a round being the
/// time in which everything in flight is answered once; the delay is the shortest time from a
/// request to its answer. Because our own queue lengthens that time, the delay is measured anew
/// every ten seconds with the window at its floor; where a floor's worth of data takes longer than
/// the path, the window rests at about two floors. (The estimators are those of BBR, Cardwell et
/// al. 2016.) From the floor the window doubles each round until the link, or a disk, is the limit.
package struct ResyncWindow: Sendable, BitwiseCopyable {
    /// What a request remembers from when it was sent.
    package struct Stamp: Hashable, Sendable, BitwiseCopyable {
        let sentAt: Instant
        let delivered: UInt64
        let deliveredAt: Instant
    }

    private enum Probe: Hashable, BitwiseCopyable {
        case off
        /// Waits until no more than the floor is in flight.
        case draining
        /// Measures requests that were sent since then.
        case measuring(since: Instant, answers: Int)
    }

    /// The smallest window: a long path starts with this.
    package static var defaultFloor: ByteCount { .mebibytes(1) }
    /// The largest window: 2 × 1 Gbit/s × 250 ms.
    package static var defaultCap: ByteCount { .mebibytes(64) }
    private static var roundsRemembered: Int { 10 }
    private static var delayLifetime: TimeSpan { .seconds(10) }
    private static var answersPerProbe: Int { 4 }

    private let floor: UInt64
    private let cap: UInt64
    /// Bytes asked for and not answered.
    package private(set) var inFlight: UInt64 = 0
    private var delivered: UInt64 = 0
    private var deliveredAt = Instant.zero
    private var roundEnd: UInt64 = 0
    private var round = 0
    private var rates = InlineArray<10, UInt64>(repeating: 0)
    private var shortestDelay: TimeSpan?
    private var shortestDelayAt = Instant.zero
    private var probe = Probe.off

    /// Creates a window at its floor.
    package init(floor: ByteCount = Self.defaultFloor, cap: ByteCount = Self.defaultCap) {
        invariant(floor.bytes > 0 && floor <= cap, "limits of the resync window")
        self.floor = floor.bytes
        self.cap = cap.bytes
    }

    /// The highest recent rate of answers in bytes per second; 0 before the first answer.
    package var bytesPerSecond: UInt64 {
        var highest: UInt64 = 0
        for index in 0..<Self.roundsRemembered { highest = max(highest, self.rates[index]) }
        return highest
    }

    /// The shortest recent time from a request to its answer; nil before the first answer.
    package var delay: TimeSpan? { self.shortestDelay }

    /// How many bytes may be in flight.
    package var size: ByteCount {
        guard self.probe == .off, let delay = self.shortestDelay else {
            return ByteCount(self.floor)
        }
        let product = Self.scale(self.bytesPerSecond, by: delay.nanoseconds, over: 1_000_000_000)
        let doubled = product > .max / 2 ? .max : product * 2
        return ByteCount(min(max(doubled, self.floor), self.cap))
    }

    /// Whether another request may be sent; it may overshoot the window by its own size.
    package var isOpen: Bool { self.inFlight < self.size.bytes }

    /// Notes that a request for `bytes` was sent.
    package mutating func sent(_ bytes: UInt64, at now: Instant) -> Stamp {
        if self.inFlight == 0 { self.deliveredAt = now }
        self.inFlight += bytes
        return Stamp(sentAt: now, delivered: self.delivered, deliveredAt: self.deliveredAt)
    }

    /// Notes that a request for `bytes` was answered, whatever the answer.
    package mutating func answered(_ bytes: UInt64, _ stamp: Stamp, at now: Instant) {
        invariant(bytes <= self.inFlight, "answer to a request in flight")
        self.inFlight -= bytes
        self.delivered += bytes
        self.deliveredAt = now
        self.noteRate(stamp, at: now)
        self.noteDelay(stamp, at: now)
    }

    /// Forgets what is in flight, when the connection is gone; the estimates start over.
    package mutating func reset() {
        self = Self(floor: ByteCount(self.floor), cap: ByteCount(self.cap))
    }

    private mutating func noteRate(_ stamp: Stamp, at now: Instant) {
        if stamp.delivered >= self.roundEnd {
            self.roundEnd = self.delivered
            self.round = (self.round + 1) % Self.roundsRemembered
            self.rates[self.round] = 0
        }
        let span = max(now.since(stamp.deliveredAt).nanoseconds, 1)
        let rate = Self.scale(self.delivered - stamp.delivered, by: 1_000_000_000, over: span)
        self.rates[self.round] = max(self.rates[self.round], rate)
    }

    private mutating func noteDelay(_ stamp: Stamp, at now: Instant) {
        let delay = now.since(stamp.sentAt)
        if let shortest = self.shortestDelay, delay > shortest {
            self.advanceProbe(delay, stamp, at: now)
        } else {
            self.shortestDelay = delay
            self.shortestDelayAt = now
            self.probe = .off
        }
    }

    private mutating func advanceProbe(_ delay: TimeSpan, _ stamp: Stamp, at now: Instant) {
        switch self.probe {
        case .off:
            if now.since(self.shortestDelayAt) > Self.delayLifetime { self.probe = .draining }
        case .draining:
            if self.inFlight <= self.floor { self.probe = .measuring(since: now, answers: 0) }
        case .measuring(let since, let answers):
            guard since <= stamp.sentAt else { return }
            // The first answer replaces the old delay, shorter ones come in through `noteDelay`.
            if answers == 0 { self.shortestDelay = delay }
            if answers + 1 < Self.answersPerProbe {
                self.probe = .measuring(since: since, answers: answers + 1)
            } else {
                self.probe = .off
                self.shortestDelayAt = now
            }
        }
    }

    /// `value` × `factor` / `divisor`, rounded down, at most 2^64 − 1.
    private static func scale(_ value: UInt64, by factor: UInt64, over divisor: UInt64) -> UInt64 {
        UInt64(clamping: UInt128(value) * UInt128(factor) / UInt128(divisor))
    }
}
