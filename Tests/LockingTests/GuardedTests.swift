// SPDX-License-Identifier: Apache-2.0

import Dispatch
import Locking
import Testing

@Suite struct GuardedTests {
    @Test func `no change of concurrent threads is lost`() {
        let counts = Guarded([0, 0])
        DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<10_000 {
                counts.withLock { counts in
                    // Equal whenever no other thread is between the two.
                    guard counts[0] == counts[1] else { return }
                    counts[0] += 1
                    counts[1] += 1
                }
            }
        }
        #expect(counts.withLock { $0 } == [80_000, 80_000])
    }

    @Test func `is free again after an error`() {
        struct Refusal: Error, Equatable {}
        let value = Guarded(1)
        #expect(throws: Refusal()) {
            try value.withLock { value throws(Refusal) in
                value = 2
                throw Refusal()
            }
        }
        #expect(value.withLock { $0 } == 2)
    }

    @Test func `keeps a value that cannot be copied, and ends it with itself`() {
        struct Owner: ~Copyable {
            let ends: Guarded<Int>
            deinit { self.ends.withLock { $0 += 1 } }
        }
        let ends = Guarded(0)
        do {
            let guarded = Guarded<Owner?>(Owner(ends: ends))
            guarded.withLock { $0 = nil }
            #expect(ends.withLock { $0 } == 1)
            guarded.withLock { $0 = Owner(ends: ends) }
            #expect(ends.withLock { $0 } == 1)
        }
        #expect(ends.withLock { $0 } == 2)
    }
}
