// SPDX-License-Identifier: Apache-2.0

import LinkSimulation
import Primitives
import Testing

/// The line and its flows over virtual time.
struct LineTests {
    @Test func `a piece arrives when it is sent and the delay has passed`() throws {
        var line = Line(LinkSettings(delay: .milliseconds(25), rate: 8_000_000), seed: 1)
        var flow = Flow()
        // 1000 bytes at 8 Mbit/s take 1 ms.
        line.send(.bytes([UInt8](repeating: 1, count: 1000)), by: &flow, at: .zero)
        line.send(.bytes([UInt8](repeating: 2, count: 1000)), by: &flow, at: .zero)
        #expect(flow.nextArrival == .zero + .milliseconds(26))
        #expect(flow.arrived(at: .zero + .microseconds(25_999)) == nil)
        flow.take(1000)
        #expect(flow.nextArrival == .zero + .milliseconds(27))
        #expect(flow.byteCount == 1000)
    }

    @Test func `connections share the rate`() {
        var line = Line(LinkSettings(rate: 8_000_000), seed: 1)
        var flows = [Flow(), Flow()]
        line.send(.bytes([UInt8](repeating: 0, count: 1000)), by: &flows[0], at: .zero)
        line.send(.bytes([UInt8](repeating: 0, count: 1000)), by: &flows[1], at: .zero)
        #expect(flows[0].nextArrival == .zero + .milliseconds(1))
        #expect(flows[1].nextArrival == .zero + .milliseconds(2))
    }

    @Test func `a part of a piece can be taken, and what follows stays`() {
        var line = Line(LinkSettings(), seed: 1)
        var flow = Flow()
        line.send(.bytes([1, 2, 3]), by: &flow, at: .zero)
        line.send(.endOfStream, by: &flow, at: .zero)
        flow.take(2)
        #expect(flow.arrived(at: .zero)?.offset == 2)
        flow.take(1)
        #expect(flow.arrived(at: .zero)?.item == .endOfStream)
        flow.takeItem()
        #expect(flow.isEmpty)
        #expect(flow.byteCount == 0)
    }

    @Test func `changed settings hold for what is sent from then on, without overtaking`() {
        var line = Line(LinkSettings(delay: .milliseconds(100)), seed: 1)
        var flow = Flow()
        line.send(.bytes([1]), by: &flow, at: .zero)
        line.change(to: LinkSettings(delay: .milliseconds(1)))
        line.send(.bytes([2]), by: &flow, at: .zero)
        #expect(flow.arrived(at: .zero + .milliseconds(99)) == nil)
        flow.take(1)
        #expect(flow.nextArrival == .zero + .milliseconds(100))
    }

    @Test(arguments: [
        LinkSettings(),
        LinkSettings(delay: .milliseconds(25), rate: 100_000_000),
        LinkSettings(delay: .milliseconds(5), jitter: .milliseconds(40), rate: 10_000_000),
        LinkSettings(delay: .milliseconds(50), jitter: .milliseconds(1), rate: 1_000_000_000),
        LinkSettings(jitter: .milliseconds(3), rate: 64_000),
    ])
    func `keeps order, rate, delay and bounds, and loses nothing`(_ settings: LinkSettings) {
        for seed in 1...4 as ClosedRange<UInt64> {
            var world = LineWorld(settings, seed: seed)
            for _ in 0..<200 { world.step() }
            world.drain()
            for flow in world.flows {
                #expect(flow.received == flow.sent)
                #expect(flow.flow.isEmpty)
                #expect(flow.flow.byteCount == 0)
            }
        }
    }

    @Test func `a full line is used all the time`() {
        let settings = LinkSettings(delay: .milliseconds(25), rate: 100_000_000)
        var line = Line(settings, seed: 1)
        var flow = Flow()
        var arrived = 0
        // A driver that wakes every millisecond, for ten seconds; the first arrives after 25 ms.
        for millisecond in 0..<10_025 as Range<UInt64> {
            let now = Instant.zero + .milliseconds(millisecond)
            while let (item, _) = flow.arrived(at: now), case .bytes(let bytes) = item {
                arrived += bytes.count
                flow.take(bytes.count)
            }
            while case let room = line.room(for: flow, at: now), room > 0 {
                line.send(.bytes([UInt8](repeating: 0, count: room)), by: &flow, at: now)
            }
        }
        #expect(arrived > 124_900_000)
        #expect(arrived <= 125_000_000)
    }

    @Test func `a receiver that takes nothing stops the sender`() {
        let settings = LinkSettings(delay: .milliseconds(100), rate: 1_000_000_000)
        var line = Line(settings, seed: 1)
        var flow = Flow()
        var now = Instant.zero
        for _ in 0..<100_000 {
            let room = line.room(for: flow, at: now)
            if room > 0 {
                line.send(.bytes([UInt8](repeating: 0, count: room)), by: &flow, at: now)
            }
            now = now + .microseconds(100)
        }
        // Rate times delay, a quarter more and one piece.
        #expect(flow.byteCount >= 15_625_000)
        #expect(flow.byteCount < 15_625_000 + LinkLimits.pieceBytes.upperBound)
    }

    @Test func `the clock stands still during a cut`() {
        var clock = LinkClock()
        #expect(clock.time(at: Instant(nanoseconds: 100)) == Instant(nanoseconds: 100))
        clock.cut(at: Instant(nanoseconds: 150))
        clock.cut(at: Instant(nanoseconds: 170))
        #expect(clock.isCut)
        #expect(clock.time(at: Instant(nanoseconds: 900)) == Instant(nanoseconds: 150))
        clock.heal(at: Instant(nanoseconds: 1_000))
        clock.heal(at: Instant(nanoseconds: 2_000))
        #expect(!clock.isCut)
        #expect(clock.time(at: Instant(nanoseconds: 1_010)) == Instant(nanoseconds: 160))
    }
}

/// Connections that send at random over a line that is cut now and then.
private struct LineWorld {
    struct Traffic {
        var flow = Flow()
        var sent: [UInt8] = []
        var received: [UInt8] = []
    }

    let settings: LinkSettings
    var flows = [Traffic](repeating: Traffic(), count: 3)
    private var line: Line
    private var clock = LinkClock()
    private var random: SeededRandom
    private var now = Instant(nanoseconds: 7_000_000_000)
    /// When a byte that was sent may arrive at the earliest, for each flow.
    private var earliest: [[Instant]] = [[], [], []]
    private var started: Instant?
    private var total: UInt64 = 0

    init(_ settings: LinkSettings, seed: UInt64) {
        self.settings = settings
        self.line = Line(settings, seed: seed)
        self.random = SeededRandom(seed: seed)
    }

    mutating func step() {
        self.now = self.now + .microseconds(self.random.below(3_000))
        if self.random.chance(1, in: 40) { self.clock.cut(at: self.now) }
        if self.random.chance(1, in: 10) { self.clock.heal(at: self.now) }
        guard !self.clock.isCut else { return }
        let time = self.clock.time(at: self.now)
        for index in self.flows.indices {
            if self.random.chance(1, in: 2) { self.send(index, at: time) }
            if self.random.chance(2, in: 3) { self.receive(index, at: time) }
        }
    }

    mutating func drain() {
        self.clock.heal(at: self.now)
        while self.flows.contains(where: { !$0.flow.isEmpty }) {
            self.now = self.now + .milliseconds(1)
            let time = self.clock.time(at: self.now)
            for index in self.flows.indices { self.receive(index, at: time) }
        }
    }

    private mutating func send(_ index: Int, at time: Instant) {
        let room = self.line.room(for: self.flows[index].flow, at: time)
        guard room > 0 else { return }
        let count = Int(self.random.below(UInt64(min(room, 1_500)))) + 1
        let bytes = (0..<count).map { _ in UInt8(truncatingIfNeeded: self.random.next()) }
        self.started = self.started ?? time
        self.flows[index].sent += bytes
        self.earliest[index].append(
            contentsOf: repeatElement(time + self.settings.delay, count: count)
        )
        self.line.send(.bytes(bytes), by: &self.flows[index].flow, at: time)
    }

    private mutating func receive(_ index: Int, at time: Instant) {
        while let (item, offset) = self.flows[index].flow.arrived(at: time) {
            guard case .bytes(let bytes) = item else { break }
            let count = Int(self.random.below(UInt64(bytes.count - offset))) + 1
            let position = self.flows[index].received.count
            self.flows[index].received += bytes[offset..<offset + count]
            self.flows[index].flow.take(count)
            self.total += UInt64(count)
            #expect(self.earliest[index][position] <= time, "before its delay")
            #expect(self.isWithinRate(at: time), "faster than the rate")
        }
    }

    private func isWithinRate(at time: Instant) -> Bool {
        guard let rate = self.settings.rate, let started = self.started else { return true }
        let span = time.since(started + self.settings.delay).nanoseconds
        return Double(self.total) * 8e9 <= Double(span) * Double(rate) + 8e9
    }
}
