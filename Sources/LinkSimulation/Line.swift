// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// One direction of a link: the line that all connections share.
///
/// A piece is sent when those before it are, and arrives a delay after its last bit was sent. What
/// would have to wait longer than a router's short queue is not taken: the line is full, its
/// senders have to hold their bytes.
package struct Line: Sendable {
    package private(set) var settings: LinkSettings
    private var random: SeededRandom
    /// When the last bit of what was taken has been sent.
    private var freeAt = Instant.zero

    /// Creates an idle line; `seed` decides the jitter.
    package init(_ settings: LinkSettings, seed: UInt64) {
        self.settings = settings
        self.random = SeededRandom(seed: seed)
    }

    /// Changes delay, jitter and rate of what is sent from now on.
    package mutating func change(to settings: LinkSettings) { self.settings = settings }

    /// When the line takes the next piece.
    package var takesAt: Instant {
        Instant(nanoseconds: self.freeAt.since(.zero + LinkLimits.queueTime).nanoseconds)
    }

    /// The size of the piece that should be read next for `flow`; 0 if it has to wait.
    package func room(for flow: borrowing Flow, at now: Instant) -> Int {
        guard now >= self.takesAt, !flow.isFull(under: self.settings) else { return 0 }
        return Int(self.settings.pieceBytes)
    }

    /// Sends `item` to the end of `flow`.
    package mutating func send(_ item: Flow.Item, by flow: inout Flow, at now: Instant) {
        self.freeAt = max(self.freeAt, now) + self.sendingTime(of: item)
        let jitter = self.settings.jitter.nanoseconds
        let extra = jitter == 0 ? 0 : self.random.next() % (jitter + 1)
        let arrival = self.freeAt + self.settings.delay + TimeSpan(nanoseconds: extra)
        flow.append(item, arrivingAt: arrival)
    }

    private func sendingTime(of item: Flow.Item) -> TimeSpan {
        guard let rate = self.settings.rate, case .bytes(let bytes) = item else { return .zero }
        let bits = UInt64(bytes.count) * 8
        return TimeSpan(nanoseconds: (bits * 1_000_000_000 + rate - 1) / rate)
    }
}

/// What is on its way in one direction of one connection, in the order in which it arrives.
package struct Flow: Sendable {
    /// What can arrive.
    package enum Item: Hashable, Sendable {
        /// The connection is to be opened.
        case open
        case bytes([UInt8])
        case endOfStream
        case reset
    }

    private struct Entry {
        var item: Item
        var arrival: Instant
    }

    private var entries: [Entry] = []
    /// Entries in front that have been taken.
    private var taken = 0
    /// Bytes of the first piece that have been taken.
    private var offset = 0
    /// Bytes on their way.
    package private(set) var byteCount: UInt64 = 0

    /// Creates an empty flow.
    package init() {}

    /// Whether nothing is on its way.
    package var isEmpty: Bool { self.taken == self.entries.count }

    /// When the next item arrives; nil if there is none.
    package var nextArrival: Instant? { self.isEmpty ? nil : self.entries[self.taken].arrival }

    /// Whether no more may be read for the flow.
    func isFull(under settings: LinkSettings) -> Bool { self.byteCount >= settings.flowBytes }

    /// What has arrived by `now` and was not taken yet; of a piece, what is left of it.
    package func arrived(at now: Instant) -> (item: Item, offset: Int)? {
        guard let arrival = self.nextArrival, arrival <= now else { return nil }
        return (self.entries[self.taken].item, self.offset)
    }

    /// Takes `count` bytes of the first piece.
    package mutating func take(_ count: Int) {
        guard case .bytes(let bytes) = self.entries[self.taken].item else { return self.takeItem() }
        self.offset += count
        self.byteCount -= UInt64(count)
        invariant(self.offset <= bytes.count, "no more is taken than there is")
        if self.offset == bytes.count { self.takeItem() }
    }

    /// Takes the first item, which is no piece.
    package mutating func takeItem() {
        self.offset = 0
        self.entries[self.taken].item = .open
        self.taken += 1
        guard self.taken == self.entries.count || self.taken >= 256 else { return }
        self.entries.removeFirst(self.taken)
        self.taken = 0
    }

    /// Forgets everything that is on its way.
    package mutating func clear() { self = Flow() }

    /// Nothing overtakes what is on its way already.
    mutating func append(_ item: Item, arrivingAt arrival: Instant) {
        if case .bytes(let bytes) = item { self.byteCount += UInt64(bytes.count) }
        let earliest = self.isEmpty ? .zero : self.entries[self.entries.count - 1].arrival
        self.entries.append(Entry(item: item, arrival: max(arrival, earliest)))
    }
}
