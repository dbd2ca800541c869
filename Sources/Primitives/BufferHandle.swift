// SPDX-License-Identifier: Apache-2.0

/// A payload buffer of the driver's pool; cores only pass the handle on.
@frozen
public struct BufferHandle: Hashable, Sendable, BitwiseCopyable {
    /// The pool's number of the buffer.
    public let number: UInt32

    /// Creates the handle of buffer `number`.
    @inlinable public init(number: UInt32) { self.number = number }

    /// No buffer: a request without payload.
    @inlinable public static var none: Self { Self(number: .max) }
}
