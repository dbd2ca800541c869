// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

@Suite struct BatchedFlushTests {
    @Test func `a flush releases what completed before it started, and nothing later`() {
        var clock = FlushClock()
        var queue = BatchedFlush<UInt32>(capacity: 4)
        let idle = queue.needsFlush(clock)
        queue.append(1, flushes: clock)
        queue.append(2, flushes: clock)
        let wanted = queue.needsFlush(clock)
        clock.start()
        queue.append(3, flushes: clock)
        let early = queue.popReleased(clock)
        clock.complete()
        let released = [
            queue.popReleased(clock), queue.popReleased(clock), queue.popReleased(clock),
        ]
        let again = queue.needsFlush(clock)
        #expect(!idle && wanted && early == nil && again)
        #expect(released == [1, 2, nil])
    }

    @Test func `an item without writes keeps its place and needs no flush of its own`() {
        var clock = FlushClock()
        var queue = BatchedFlush<UInt32>(capacity: 4)
        queue.append(1, mark: 0)
        let needs = queue.needsFlush(clock)
        let first = queue.popReleased(clock)
        queue.append(2, flushes: clock)
        queue.append(3, mark: 0)
        let blocked = queue.popReleased(clock)
        clock.start()
        clock.complete()
        let rest = [queue.popReleased(clock), queue.popReleased(clock)]
        #expect(!needs && first == 1 && blocked == nil && rest == [2, 3])
    }

    @Test(arguments: 0..<30)
    func `random completions and flushes: released once, in order, never early`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var clock = FlushClock()
        let capacity = 1 + Int(random.below(40))
        var queue = BatchedFlush<UInt32>(capacity: capacity)
        var next: UInt32 = 0
        var expected: UInt32 = 0
        // What the running flush covers, and what a completed one does: item numbers below these.
        var running: UInt32 = 0
        var covered: UInt32 = 0
        for _ in 0..<3_000 {
            switch random.below(3) {
            case 0:
                let isFull = queue.isFull
                #expect(isFull == (next - expected == capacity))
                guard !isFull else { break }
                queue.append(next, flushes: clock)
                next += 1
            case 1:
                if clock.isRunning {
                    clock.complete()
                    covered = running
                } else if queue.needsFlush(clock) {
                    clock.start()
                    running = next
                } else {
                    #expect(next == covered, "what is not covered asks for a flush")
                }
            default:
                while let item = queue.popReleased(clock) {
                    #expect(item == expected && item < covered)
                    expected += 1
                }
                #expect(expected == covered)
            }
        }
    }
}
