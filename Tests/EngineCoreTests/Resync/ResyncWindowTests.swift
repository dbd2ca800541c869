// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

@Suite struct ResyncWindowTests {
    /// A link with a rate, a round trip and an unlimited queue, asked for 256 KiB at a time.
    private struct Link {
        var bytesPerSecond: UInt64
        var roundTrip: TimeSpan
        var window: ResyncWindow
        var now = Instant.zero
        var freeAt = Instant.zero
        var answers: [(at: Instant, stamp: ResyncWindow.Stamp)] = []
        static let request: UInt64 = 256 * 1024

        /// Runs for a time; returns the bytes that were answered.
        mutating func run(_ time: TimeSpan) -> UInt64 {
            let end = self.now + time
            var bytes: UInt64 = 0
            while self.now < end {
                while self.window.isOpen { self.send() }
                let next = self.answers.removeFirst()
                self.now = max(self.now, next.at)
                self.window.answered(Self.request, next.stamp, at: self.now)
                bytes += Self.request
            }
            return bytes
        }

        private mutating func send() {
            let stamp = self.window.sent(Self.request, at: self.now)
            let transfer = TimeSpan(
                nanoseconds: Self.request * 1_000_000_000 / self.bytesPerSecond
            )
            self.freeAt = max(self.freeAt, self.now + self.roundTrip) + transfer
            self.answers.append((self.freeAt, stamp))
        }
    }

    private static let cases: [(megabytesPerSecond: UInt64, milliseconds: UInt64)] = [
        (12, 50), (125, 1), (125, 20), (125, 100), (60, 200), (1000, 1),
    ]

    @Test(arguments: Self.cases)
    func `fills the link with twice the bandwidth-delay product`(
        megabytesPerSecond: UInt64,
        milliseconds: UInt64
    ) {
        var link = Link(
            bytesPerSecond: megabytesPerSecond * 1_000_000,
            roundTrip: .milliseconds(milliseconds),
            window: ResyncWindow()
        )
        _ = link.run(.seconds(3))
        let bytes = link.run(.seconds(25))
        let capacity = link.bytesPerSecond * 25
        #expect(bytes > capacity * 9 / 10, "\(bytes) of \(capacity) bytes")
        // A request of 256 KiB takes its own time on the link, which counts as delay.
        let product = link.bytesPerSecond * milliseconds / 1000 + Link.request
        let size = link.window.size.bytes
        // On a short path the delay is that of a floor's worth of requests in the queue.
        let short: UInt64 = 2 * (1 << 20) + 2 * Link.request
        #expect(size <= max(product * 5 / 2, short) && size <= 64 << 20, "\(size) bytes")
    }

    @Test func `follows a longer and a shorter path`() {
        var link = Link(
            bytesPerSecond: 50_000_000,
            roundTrip: .milliseconds(10),
            window: ResyncWindow()
        )
        _ = link.run(.seconds(5))
        link.roundTrip = .milliseconds(150)
        _ = link.run(.seconds(30))
        let longer = link.run(.seconds(20))
        #expect(longer > 50_000_000 * 20 * 8 / 10, "\(longer) bytes")
        link.roundTrip = .milliseconds(10)
        _ = link.run(.seconds(25))
        let size = link.window.size.bytes
        let shorter = link.run(.seconds(20))
        #expect(shorter > 50_000_000 * 20 * 8 / 10, "\(shorter) bytes")
        #expect(size < 50_000_000 / 100 * 5, "\(size) bytes")
    }

    @Test func `grows from the floor to the cap and no further`() {
        var window = ResyncWindow(floor: .kibibytes(64), cap: .kibibytes(256))
        let first = window.size
        #expect(first == .kibibytes(64) && window.isOpen)
        var now = Instant.zero
        for _ in 0..<20 {
            var stamps: [ResyncWindow.Stamp] = []
            while window.isOpen { stamps.append(window.sent(65536, at: now)) }
            now = now + .milliseconds(10)
            for stamp in stamps { window.answered(65536, stamp, at: now) }
        }
        #expect(window.size == .kibibytes(256) && window.inFlight == 0)
        window.reset()
        #expect(window.size == .kibibytes(64) && window.bytesPerSecond == 0)
    }

    @Test(arguments: 0..<20)
    func `stays between floor and cap whatever the times`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var window = ResyncWindow(floor: .kibibytes(128), cap: .mebibytes(8))
        var now = Instant.zero
        var flying: [(UInt64, ResyncWindow.Stamp)] = []
        for _ in 0..<5_000 {
            if random.chance(1, in: 3) {
                now = now + TimeSpan(nanoseconds: random.below(1 << random.below(34)))
            }
            if random.chance(1, in: 2), window.isOpen {
                let bytes = 512 * (1 + random.below(2048))
                flying.append((bytes, window.sent(bytes, at: now)))
            } else if !flying.isEmpty {
                let (bytes, stamp) = flying.remove(at: Int(random.below(UInt64(flying.count))))
                window.answered(bytes, stamp, at: now)
            }
            #expect(window.size >= .kibibytes(128) && window.size <= .mebibytes(8))
            #expect(window.inFlight == flying.reduce(0) { $0 + $1.0 })
        }
    }
}

@Suite struct ResyncProgressTests {
    @Test func `rates come from the marks of the last seconds and from the start`() {
        var progress = ResyncProgress(total: 100_000, at: .zero)
        var left: UInt64 = 100_000
        var now = Instant.zero
        // 100 blocks a second for 100 s, then 1000.
        for second in 0..<150 {
            now = now + .seconds(1)
            left -= second < 100 ? 100 : 1000
            progress.update(left: left, at: now)
        }
        #expect(progress.bytesPerSecond(at: now) == 1000 * 4096)
        #expect(progress.secondsLeft(at: now) == 40)
    }

    @Test func `a standstill has no end`() {
        let still = ResyncProgress(total: 10, at: .zero)
        let later = Instant.zero + .seconds(9)
        #expect(still.secondsLeft(at: later) == nil)
    }

    @Test func `more marked than at the start is no rate`() {
        var progress = ResyncProgress(total: 10, at: .zero)
        progress.update(left: 30, at: .zero + .seconds(4))
        let now = Instant.zero + .seconds(5)
        #expect(progress.bytesPerSecond(at: now) == 0)
    }
}
