// SPDX-License-Identifier: Apache-2.0

/// A span of time in nanoseconds, never negative.
@frozen
public struct TimeSpan: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The length in nanoseconds.
    public var nanoseconds: UInt64

    /// Creates a span of `nanoseconds`.
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// A span of whole microseconds.
    @inlinable
    public static func microseconds(_ count: UInt64) -> Self { Self(nanoseconds: count * 1_000) }

    /// A span of whole milliseconds.
    @inlinable
    public static func milliseconds(_ count: UInt64) -> Self {
        Self(nanoseconds: count * 1_000_000)
    }

    /// A span of tenths of a second, the unit of `timeout`, `ping-timeout` and other options.
    @inlinable
    public static func deciseconds(_ count: UInt64) -> Self {
        Self(nanoseconds: count * 100_000_000)
    }

    /// A span of whole seconds.
    @inlinable
    public static func seconds(_ count: UInt64) -> Self {
        Self(nanoseconds: count * 1_000_000_000)
    }

    /// No time at all.
    @inlinable public static var zero: Self { Self(nanoseconds: 0) }

    /// The span in whole milliseconds, rounded down.
    @inlinable public var milliseconds: UInt64 { self.nanoseconds / 1_000_000 }

    /// Orders by length.
    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The sum of two spans.
    ///
    /// Traps if it exceeds 584 years.
    @inlinable
    public static func + (left: Self, right: Self) -> Self {
        Self(nanoseconds: left.nanoseconds + right.nanoseconds)
    }

    /// `count` times the span.
    ///
    /// Traps if it exceeds 584 years.
    @inlinable
    public static func * (span: Self, count: UInt64) -> Self {
        Self(nanoseconds: span.nanoseconds * count)
    }
}

/// A point on a clock that never runs backwards, in nanoseconds since an arbitrary start.
///
/// The driver takes it from `CLOCK_MONOTONIC`, the simulator from its event queue. Cores receive it
/// as an argument and never read a clock.
@frozen
public struct Instant: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// Nanoseconds since the start of the clock.
    public var nanoseconds: UInt64

    /// Creates the instant `nanoseconds` after the start of the clock.
    @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// The start of the clock.
    @inlinable public static var zero: Self { Self(nanoseconds: 0) }

    /// A point that is never reached: the deadline of a timer that is off.
    @inlinable public static var distantFuture: Self { Self(nanoseconds: .max) }

    /// Orders by time.
    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The instant `span` later; `distantFuture` if that is past the end of the clock.
    @inlinable
    public static func + (instant: Self, span: TimeSpan) -> Self {
        let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(span.nanoseconds)
        return overflow ? .distantFuture : Self(nanoseconds: sum)
    }

    /// The time from `earlier` until `self`; zero if `earlier` is in fact later.
    @inlinable
    public func since(_ earlier: Self) -> TimeSpan {
        earlier.nanoseconds >= self.nanoseconds
            ? .zero : TimeSpan(nanoseconds: self.nanoseconds - earlier.nanoseconds)
    }
}
