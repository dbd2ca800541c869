// SPDX-License-Identifier: Apache-2.0

import Administration
import Testing

struct LineFramerTests {
    @Test func `cuts lines however they arrive`() throws {
        let bytes = Array("one\n\nthree\nrest".utf8)
        for size in 1...bytes.count {
            var framer = LineFramer(maximum: 5)
            var lines: [String] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                framer.append(bytes[start..<min(start + size, bytes.count)])
                while let line = try framer.next() {
                    lines.append(String(decoding: line, as: UTF8.self))
                }
            }
            #expect(lines == ["one", "", "three"])
            #expect(framer.hasPartialLine)
        }
    }

    @Test func `takes a line of the maximum length and refuses one byte more`() throws {
        var framer = LineFramer(maximum: 4)
        framer.append(Array("1234\n".utf8))
        #expect(try framer.next()?.count == 4)
        framer.append(Array("12345".utf8))
        #expect(throws: ControlError.lineTooLong(maximum: 4)) { try framer.next() }
    }

    @Test func `refuses a line that is too long even when its end has arrived`() {
        var framer = LineFramer(maximum: 4)
        framer.append(Array("12345\n1\n".utf8))
        #expect(throws: ControlError.lineTooLong(maximum: 4)) { try framer.next() }
    }
}
