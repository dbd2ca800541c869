// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// The clock of a link: it stands still while the link is cut.
///
/// So whatever was on its way at the cut takes the rest of its time after the link has healed.
package struct LinkClock: Sendable {
    /// How much the link's clock is behind.
    private var lag = TimeSpan.zero
    private var cutAt: Instant?

    /// Creates the clock of a link that is not cut.
    package init() {}

    /// Whether the clock stands still.
    package var isCut: Bool { self.cutAt != nil }

    /// Stops the clock; nothing happens if it stands still already.
    package mutating func cut(at now: Instant) { self.cutAt = self.cutAt ?? now }

    /// Lets the clock go on; nothing happens if it does already.
    package mutating func heal(at now: Instant) {
        guard let cutAt = self.cutAt else { return }
        self.lag = self.lag + now.since(cutAt)
        self.cutAt = nil
    }

    /// The link's time when the system's clock shows `now`.
    package func time(at now: Instant) -> Instant {
        let shown = self.cutAt ?? now
        return Instant(
            nanoseconds: shown.since(Instant(nanoseconds: self.lag.nanoseconds)).nanoseconds
        )
    }
}
