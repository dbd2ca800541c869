// SPDX-License-Identifier: Apache-2.0

import Primitives
import Reactor
import Testing

@Suite struct InlineWritingTests {
    private static let start = Instant.zero + .seconds(1)

    @Test func `writes a few whole pages on the loop`() {
        let writing = InlineWriting()
        let cases: [(UInt64, Int, Bool)] = [
            (0, 4096, true), (8192, 65_536, true), (0, 69_632, false), (512, 4096, false),
            (4096, 512, false), (4096, 6144, false), (0, 1_048_576, false),
        ]
        for (offset, byteCount, isAccepted) in cases {
            #expect(
                writing.accepts(offset: offset, byteCount: byteCount, at: Self.start) == isAccepted
            )
        }
    }

    @Test func `leaves writes to the threads for a while after one that has waited`() {
        var writing = InlineWriting()
        writing.note(from: Self.start, to: Self.start + .microseconds(2000), hasSlept: true)
        #expect(writing.accepts(offset: 0, byteCount: 4096, at: Self.start))
        let end = Self.start + .microseconds(2001)
        writing.note(from: Self.start, to: end, hasSlept: false)
        #expect(writing.accepts(offset: 0, byteCount: 4096, at: end))
        writing.note(from: Self.start, to: end, hasSlept: true)
        #expect(!writing.accepts(offset: 0, byteCount: 4096, at: end))
        #expect(!writing.accepts(offset: 0, byteCount: 4096, at: end + .microseconds(49_999)))
        #expect(writing.accepts(offset: 0, byteCount: 4096, at: end + .milliseconds(50)))
    }
}
