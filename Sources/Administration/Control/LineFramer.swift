// SPDX-License-Identifier: Apache-2.0

/// Cuts a stream of bytes into lines.
///
/// Holds at most `maximum` bytes of an unfinished line. After an error it stays useless: the
/// connection has to be closed, because the next line's start is unknown.
package struct LineFramer: Sendable {
    private let maximum: Int
    private var bytes: [UInt8] = []
    private var consumed = 0
    private var searched = 0

    /// Creates a framer for lines of at most `maximum` bytes, their end not counted.
    package init(maximum: Int) { self.maximum = maximum }

    /// Whether a part of a line was received.
    package var hasPartialLine: Bool { self.consumed < self.bytes.count }

    /// Whether ``next()`` has something without more being received.
    package var hasWholeLine: Bool {
        self.bytes[self.searched...].contains(UInt8(ascii: "\n"))
    }

    /// Takes what was received.
    package mutating func append(_ received: some Collection<UInt8>) {
        if self.consumed > 0 {
            self.bytes.removeFirst(self.consumed)
            self.searched -= self.consumed
            self.consumed = 0
        }
        self.bytes.append(contentsOf: received)
    }

    /// The next whole line without its end; nil if more has to be received.
    ///
    /// - Throws: ``ControlError/lineTooLong(maximum:)``.
    package mutating func next() throws(ControlError) -> [UInt8]? {
        let end = self.bytes[self.searched...].firstIndex(of: UInt8(ascii: "\n"))
        let length = (end ?? self.bytes.count) - self.consumed
        guard length <= self.maximum else { throw .lineTooLong(maximum: self.maximum) }
        guard let end else {
            self.searched = self.bytes.count
            return nil
        }
        let line = Array(self.bytes[self.consumed..<end])
        self.consumed = end + 1
        self.searched = end + 1
        return line
    }
}
