// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Keeps the books of a transmit buffer (BAB): a ring of bytes between the local engine and the
/// bridge.
///
/// The driver owns the memory; this says where to read into and what to send from. The ring works
/// while its memory is still being faulted in: the usable part grows from the front, and a lap that
/// began before the growth is finished in the old length.
///
///     not wrapped   0 ····· read ████████ write ····· usable
///     wrapped       0 ██ write ····· read ███████ lapEnd
package struct BufferAccounting: ~Copyable {
    /// The size that was configured.
    package let capacity: UInt64
    /// How much of it is backed by memory.
    package private(set) var usable: UInt64
    /// The bytes taken from the buffer since its creation.
    package private(set) var begin: UInt64 = 0
    /// The bytes put into it since its creation.
    package private(set) var end: UInt64 = 0

    private var readPosition: UInt64 = 0
    private var writePosition: UInt64 = 0
    /// Where the writer turned to the front; nil while it is ahead of the reader.
    private var lapEnd: UInt64?
    private var marks: ActionQueue<Mark>

    /// When the byte at an offset came in.
    ///
    /// Not private: the compiler could then not destroy a buffer in another module.
    struct Mark: BitwiseCopyable {
        let offset: UInt64
        let at: Instant
    }

    /// A part of the ring that is in one piece.
    package struct Region: Hashable, Sendable, BitwiseCopyable {
        package var position: UInt64
        package var byteCount: UInt64
    }

    /// At most so many time marks; the age of the oldest byte is at most one mark's share too high.
    private static let markMaximum: UInt64 = 256

    /// Creates an empty buffer of `capacity` bytes, none of them usable yet.
    package init(capacity: UInt64) {
        invariant(capacity > 0, "a buffer has room")
        self.capacity = capacity
        self.usable = 0
        self.marks = ActionQueue(capacity: Int(Self.markMaximum))
    }

    /// The bytes in the buffer.
    package var used: UInt64 { self.end - self.begin }

    /// Whether there is no room: the driver stops reading from the engine.
    package var isFull: Bool { self.writable.byteCount == 0 }

    /// Whether the memory is there as configured.
    package var isComplete: Bool { self.usable == self.capacity }

    /// Takes note that the first `byteCount` bytes of the memory can be used.
    ///
    /// Traps if the usable part would shrink or exceed the capacity.
    package mutating func grow(to byteCount: UInt64) {
        invariant(byteCount >= self.usable, "a buffer's usable part grows")
        invariant(byteCount <= self.capacity, "a buffer's usable part is within its capacity")
        self.usable = byteCount
    }

    /// Where the next bytes from the engine go.
    package var writable: Region {
        if self.lapEnd != nil {
            return Region(
                position: self.writePosition,
                byteCount: self.readPosition - self.writePosition
            )
        }
        if self.writePosition < self.usable {
            return Region(
                position: self.writePosition,
                byteCount: self.usable - self.writePosition
            )
        }
        return Region(position: 0, byteCount: self.readPosition)
    }

    /// The oldest bytes, as far as they are in one piece.
    package var readable: Region {
        let end = self.lapEnd ?? self.writePosition
        return Region(position: self.readPosition, byteCount: end - self.readPosition)
    }

    /// Adds `byteCount` bytes that were read into ``writable``.
    ///
    /// Traps if they did not fit.
    package mutating func append(_ byteCount: UInt64, at now: Instant) {
        let region = self.writable
        invariant(byteCount <= region.byteCount, "bytes were read where there was room")
        guard byteCount > 0 else { return }
        self.mark(at: now)
        if self.lapEnd == nil, region.position < self.writePosition {
            self.lapEnd = self.writePosition
        }
        self.writePosition = region.position + byteCount
        self.end += byteCount
    }

    /// Removes the `byteCount` oldest bytes, which were sent.
    ///
    /// Traps if ``readable`` has fewer.
    package mutating func remove(_ byteCount: UInt64) {
        invariant(byteCount <= self.readable.byteCount, "bytes were sent that were there")
        self.readPosition += byteCount
        self.begin += byteCount
        if self.readPosition == self.lapEnd {
            self.readPosition = 0
            self.lapEnd = nil
        }
        if self.used == 0 { (self.readPosition, self.writePosition) = (0, 0) }
        self.dropMarks()
    }

    /// Drops everything: the stream is over.
    package mutating func removeAll() {
        self.begin = self.end
        (self.readPosition, self.writePosition) = (0, 0)
        self.lapEnd = nil
        self.marks.removeAll()
    }

    /// The age of the oldest byte; zero when there is none.
    package func latency(at now: Instant) -> TimeSpan {
        guard self.used > 0, !self.marks.isEmpty else { return .zero }
        return now.since(self.marks[0].at)
    }

    private mutating func mark(at now: Instant) {
        guard !self.marks.isEmpty else {
            self.marks.append(Mark(offset: self.end, at: now))
            return
        }
        let last = self.marks[self.marks.count - 1]
        let interval = self.capacity / Self.markMaximum + 1
        guard self.end - last.offset >= interval else { return }
        self.marks.append(Mark(offset: self.end, at: now))
    }

    /// Keeps the mark of the oldest byte at the front.
    private mutating func dropMarks() {
        while self.marks.count > 1, self.marks[1].offset <= self.begin {
            _ = self.marks.popFirst()
        }
        if self.used == 0 { self.marks.removeAll() }
    }
}
