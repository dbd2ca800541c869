// SPDX-License-Identifier: Apache-2.0

import Primitives
import Reactor
import Testing

@Suite struct TimerTests {
    @Test func `fires in the order of deadlines, then of arming`() throws {
        let reactor = try Reactor()
        let timers = try (0..<6).map { try reactor.makeTimer(token: UInt64($0)) }
        let start = reactor.now
        let deadlines: [UInt64] = [30, 10, 20, 10, 5, 20]
        for (timer, deadline) in zip(timers, deadlines) {
            reactor.arm(timer, at: start + .milliseconds(deadline))
        }
        reactor.disarm(timers[4])
        reactor.arm(timers[0], at: start + .milliseconds(1))
        var fired: [UInt64] = []
        while fired.count < 5 {
            reactor.turn(until: start + .seconds(10))
            while let event = reactor.next() {
                guard case .timer(_, let token) = event else { continue }
                #expect(
                    reactor.now >= start + .milliseconds(token == 0 ? 1 : deadlines[Int(token)])
                )
                fired.append(token)
            }
        }
        #expect(fired == [0, 1, 3, 2, 5])
    }

    @Test func `a timer that was disarmed or moved after firing is not delivered`() throws {
        let reactor = try Reactor()
        let first = try reactor.makeTimer(token: 1)
        let disarmed = try reactor.makeTimer(token: 2)
        let moved = try reactor.makeTimer(token: 3)
        let removed = try reactor.makeTimer(token: 4)
        for timer in [first, disarmed, moved, removed] { reactor.arm(timer, at: reactor.now) }
        reactor.turn()
        #expect(reactor.next() == .timer(first, token: 1))
        reactor.disarm(disarmed)
        reactor.arm(moved, at: reactor.now + .milliseconds(2))
        reactor.remove(removed)
        #expect(reactor.next() == nil)
        reactor.turn()
        #expect(reactor.next() == .timer(moved, token: 3))
    }

    @Test func `many timers armed, moved and disarmed at random fire like a sorted list`() throws {
        let reactor = try Reactor()
        var random = SeededRandom(seed: 7)
        let start = reactor.now
        let timers = try (0..<300).map { try reactor.makeTimer(token: UInt64($0)) }
        var model: [Int: (deadline: UInt64, order: Int)] = [:]
        for order in 0..<3000 {
            let index = Int(random.below(300))
            if random.chance(1, in: 4) {
                reactor.disarm(timers[index])
                model[index] = nil
            } else {
                let deadline = random.below(20_000)
                reactor.arm(timers[index], at: start + .microseconds(deadline))
                model[index] = (deadline, order)
            }
        }
        var fired: [UInt64] = []
        while fired.count < model.count {
            reactor.turn(until: start + .seconds(10))
            while let event = reactor.next() {
                if case .timer(_, let token) = event { fired.append(token) }
            }
        }
        let expected = model.sorted {
            ($0.value.deadline, $0.value.order) < ($1.value.deadline, $1.value.order)
        }
        #expect(fired == expected.map { UInt64($0.key) })
    }

    @Test func `refuses more timers than its limit and takes removed ones again`() throws {
        var limits = ReactorLimits()
        limits.timers = 2
        let reactor = try Reactor(limits)
        let first = try reactor.makeTimer(token: 0)
        _ = try reactor.makeTimer(token: 0)
        #expect(throws: ReactorError.limitReached("timers", limit: 2)) {
            try reactor.makeTimer(token: 0)
        }
        reactor.remove(first)
        _ = try reactor.makeTimer(token: 0)
    }
}
