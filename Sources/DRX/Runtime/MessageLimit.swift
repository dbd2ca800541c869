// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Lets a number of messages pass at once, and then one per interval, so that nobody outside can
/// fill the log.
struct MessageLimit {
    private let burst: UInt64
    private let interval: TimeSpan
    private var left: UInt64
    private var refilledAt = Instant.zero
    private var skipped: UInt64 = 0

    /// Creates a limit that lets `burst` messages pass at first.
    init(burst: UInt64, interval: TimeSpan) {
        self.burst = burst
        self.interval = interval
        self.left = burst
    }

    /// The text to log: `text`, with how many were left out before it, or nil if it is left out
    /// too.
    mutating func admitted(_ text: String, at now: Instant) -> String? {
        let gained = now.since(self.refilledAt).nanoseconds / self.interval.nanoseconds
        if gained > 0 {
            self.left = min(self.burst, self.left + min(gained, self.burst))
            self.refilledAt = now
        }
        guard self.left > 0 else {
            self.skipped += 1
            return nil
        }
        self.left -= 1
        guard self.skipped > 0 else { return text }
        defer { self.skipped = 0 }
        return "\(text) (\(self.skipped) messages like this were left out)"
    }
}
