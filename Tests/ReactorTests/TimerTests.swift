// SPDX-License-Identifier: Apache-2.0

import Primitives
import Reactor
import Testing

@Suite struct TimerTests {
    private let start = Instant.zero + .seconds(1)

    @Test func `expires in the order of deadlines, then of arming`() throws {
        let heap = TimerHeap(capacity: 6)
        defer { heap.deallocate() }
        let timers = try (0..<6).map { try #require(heap.take(.listener(slot: $0))) }
        let deadlines: [UInt64] = [30, 10, 20, 10, 5, 20]
        for (timer, deadline) in zip(timers, deadlines) {
            heap.arm(timer, at: self.start + .milliseconds(deadline))
        }
        heap.disarm(timers[4])
        heap.arm(timers[0], at: self.start + .milliseconds(1))
        #expect(heap.nextDeadline == self.start + .milliseconds(1))
        #expect(heap.popExpired(at: self.start) == nil)
        let now = self.start + .milliseconds(10)
        #expect(heap.popExpired(at: now) == timers[0])
        #expect(heap.popExpired(at: now) == timers[1])
        #expect(heap.popExpired(at: now) == timers[3])
        #expect(heap.popExpired(at: now) == nil)
        #expect(heap.nextDeadline == self.start + .milliseconds(20))
        let late = self.start + .seconds(1)
        #expect(heap.popExpired(at: late) == timers[2])
        #expect(heap.popExpired(at: late) == timers[5])
        #expect(heap.popExpired(at: late) == nil)
        #expect(heap.nextDeadline == .distantFuture)
    }

    @Test func `many timers armed, moved and disarmed at random expire like a sorted list`() throws
    {
        let heap = TimerHeap(capacity: 300)
        defer { heap.deallocate() }
        var random = SeededRandom(seed: 7)
        let timers = try (0..<300).map { try #require(heap.take(.connection(slot: $0))) }
        #expect(heap.take(.connection(slot: 300)) == nil)
        var model: [Int: (deadline: UInt64, order: Int)] = [:]
        for order in 0..<3000 {
            let index = Int(random.below(300))
            if random.chance(1, in: 4) {
                heap.disarm(timers[index])
                model[index] = nil
            } else {
                let deadline = random.below(20_000)
                heap.arm(timers[index], at: self.start + .microseconds(deadline))
                model[index] = (deadline, order)
            }
        }
        var expired: [UInt32] = []
        while let timer = heap.popExpired(at: self.start + .seconds(10)) { expired.append(timer) }
        let expected = model.sorted {
            ($0.value.deadline, $0.value.order) < ($1.value.deadline, $1.value.order)
        }
        #expect(expired == expected.map { timers[$0.key] })
    }
}
