// SPDX-License-Identifier: Apache-2.0

/// A number of bytes.
@frozen
public struct ByteCount: Hashable, Comparable, Sendable, BitwiseCopyable {
    /// The number.
    public var bytes: UInt64

    /// Creates a count of `bytes`.
    @inlinable public init(_ bytes: UInt64) { self.bytes = bytes }

    /// A count of KiB.
    ///
    /// Traps above 2^64 bytes.
    @inlinable public static func kibibytes(_ count: UInt64) -> Self { Self(count * 1024) }

    /// A count of MiB.
    ///
    /// Traps above 2^64 bytes.
    @inlinable public static func mebibytes(_ count: UInt64) -> Self { Self(count * 1_048_576) }

    /// Orders by size.
    @inlinable
    public static func < (left: Self, right: Self) -> Bool { left.bytes < right.bytes }
}

/// A run of 512-byte sectors of one volume.
@frozen
public struct SectorRange: Hashable, Sendable, BitwiseCopyable {
    /// The first sector.
    public var start: UInt64
    /// The number of sectors.
    public var count: UInt64

    /// Creates the run of `count` sectors from `start`.
    @inlinable
    public init(start: UInt64, count: UInt64) {
        self.start = start
        self.count = count
    }

    /// The sector behind the last one.
    ///
    /// Traps if it exceeds 2^64; decoders check before.
    @inlinable public var end: UInt64 { self.start + self.count }

    /// The length in bytes.
    @inlinable public var byteCount: UInt64 { self.count * 512 }

    /// Whether the two runs share a sector.
    @inlinable
    public func overlaps(_ other: Self) -> Bool {
        self.start < other.end && other.start < self.end
    }
}
