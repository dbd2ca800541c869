// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Decides whether a buffered write is made on the loop itself, or by a thread.
///
/// A copy into the page cache takes less time than waking a thread for it, but the kernel may make
/// a writer wait: for the old content of a part of a page, for a commit of the journal, or because
/// too many pages are dirty. Therefore only writes of a few whole pages are made on the loop, and
/// after one that has waited long the threads have their turn for a while. One that has taken long
/// only because the processor was busy with others does not count.
package struct InlineWriting: BitwiseCopyable {
    /// The most bytes that are written on the loop at once.
    package static var byteCountMaximum: Int { 65_536 }
    /// A write that takes longer is suspected of having waited.
    package static var patience: TimeSpan { .milliseconds(2) }
    /// How long nothing is written on the loop afterwards.
    package static var rest: TimeSpan { .milliseconds(50) }

    private static var pageByteCount: Int { 4096 }

    private var restsUntil = Instant.zero

    /// Begins with writes on the loop.
    package init() {}

    /// Whether a write of `byteCount` bytes at `offset` is to be made on the loop.
    package func accepts(offset: UInt64, byteCount: Int, at now: Instant) -> Bool {
        byteCount <= Self.byteCountMaximum && byteCount % Self.pageByteCount == 0
            && offset % UInt64(Self.pageByteCount) == 0 && self.restsUntil <= now
    }

    /// Notes how long a write on the loop has taken, and whether the thread has slept meanwhile.
    package mutating func note(
        from start: Instant,
        to end: Instant,
        hasSlept: @autoclosure () -> Bool
    ) {
        guard end.since(start) > Self.patience, hasSlept() else { return }
        self.restsUntil = end + Self.rest
    }
}
