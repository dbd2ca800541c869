// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Testing

@Suite struct BufferAccountingTests {
    @Test("DRX-38 the usable part grows while bytes pass", arguments: 0..<20)
    func model(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let capacity = 16 + Int(random.below(500))
        var memory = [UInt8](repeating: 0, count: capacity)
        var buffer = BufferAccounting(capacity: UInt64(capacity))
        var model: [UInt8] = []
        var written: UInt8 = 0
        for _ in 0..<4_000 {
            switch random.below(9) {
            case 0 where buffer.usable < buffer.capacity:
                buffer.grow(
                    to: buffer.usable + 1 + random.below(buffer.capacity - buffer.usable)
                )
            case 0..<5:
                let region = buffer.writable
                let count = random.below(region.byteCount + 1)
                for index in 0..<Int(count) {
                    memory[Int(region.position) + index] = written
                    model.append(written)
                    written &+= 1
                }
                buffer.append(count, at: .zero)
            default:
                let region = buffer.readable
                let count = Int(random.below(region.byteCount + 1))
                let start = Int(region.position)
                #expect(Array(memory[start..<start + count]) == Array(model.prefix(count)))
                model.removeFirst(count)
                buffer.remove(UInt64(count))
            }
            let used = buffer.used
            #expect(used == UInt64(model.count))
            #expect(buffer.readable.byteCount > 0 || model.isEmpty)
            #expect(!buffer.isFull || model.count == Int(buffer.usable) || buffer.lapIsShort)
        }
    }

    @Test func `takes as many bytes as are usable, then it is full`() {
        var buffer = BufferAccounting(capacity: 100)
        let fullAtFirst = buffer.isFull
        #expect(fullAtFirst)
        buffer.grow(to: 60)
        buffer.append(60, at: .zero)
        let full = buffer.isFull
        #expect(full)
        buffer.grow(to: 100)
        let region = buffer.writable
        #expect(region.position == 60)
        #expect(region.byteCount == 40)
        let complete = buffer.isComplete
        #expect(complete)
    }

    @Test func `the latency is the age of the oldest byte`() {
        var buffer = BufferAccounting(capacity: 100)
        buffer.grow(to: 100)
        for second in 1...10 as ClosedRange<UInt64> {
            buffer.append(10, at: Instant(nanoseconds: second * 1_000_000_000))
        }
        let now = Instant(nanoseconds: 20_000_000_000)
        let oldest = buffer.latency(at: now)
        #expect(oldest == .seconds(19))
        buffer.remove(35)
        let later = buffer.latency(at: now)
        #expect(later == .seconds(16))
        buffer.remove(65)
        let empty = buffer.latency(at: now)
        #expect(empty == .zero)
    }

    @Test func `the age is never too low, whatever the number of marks`() {
        var random = SeededRandom(seed: 3)
        var buffer = BufferAccounting(capacity: 1_000_000)
        buffer.grow(to: 1_000_000)
        var times: [(end: UInt64, at: UInt64)] = []
        for step in 1...20_000 as ClosedRange<UInt64> {
            buffer.append(
                min(random.below(400), buffer.writable.byteCount),
                at: Instant(nanoseconds: step)
            )
            times.append((buffer.end, step))
            buffer.remove(min(random.below(390), buffer.readable.byteCount))
            guard step % 500 == 0, buffer.used > 0 else { continue }
            let begin = buffer.begin
            let exact = step - (times.first { $0.end > begin }?.at ?? step)
            let latency = buffer.latency(at: Instant(nanoseconds: step)).nanoseconds
            #expect(latency >= exact)
            #expect(latency <= exact + 60)
        }
    }
}

extension BufferAccounting {
    /// A lap that began before the buffer grew is finished in its old length.
    fileprivate var lapIsShort: Bool { self.readable.byteCount < self.used }
}
