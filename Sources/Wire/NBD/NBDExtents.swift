// SPDX-License-Identifier: Apache-2.0

/// What `base:allocation` says about an extent.
///
/// Neither flag is always a safe answer.
package struct NBDAllocation: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Not allocated: a later write may find no space.
    package static var hole: Self { Self(rawValue: 1 << 0) }
    /// Reads as zeroes.
    package static var zero: Self { Self(rawValue: 1 << 1) }
    /// Allocated, or nobody knows.
    package static var data: Self { [] }
}

/// A run of bytes of one status.
package struct NBDExtent: Hashable, Sendable, BitwiseCopyable {
    package var byteCount: UInt32
    package var status: NBDAllocation

    package init(byteCount: UInt32, status: NBDAllocation) {
        self.byteCount = byteCount
        self.status = status
    }
}

/// The extents of one block-status reply, from the start of the requested range.
///
/// Neighbours of the same status are merged, what lies behind the range is cut off. It never holds
/// more than its limit: a reply may cover less than was asked for. A list that nothing was appended
/// to says "data" for the whole range, the answer when the storage cannot tell.
package struct NBDExtentList: Sendable, BitwiseCopyable {
    private var extents: InlineArray<64, NBDExtent>
    private var used: Int
    private let limit: Int
    private let requested: UInt32
    private var covered: UInt32

    /// Creates the list for a request of `byteCount` bytes; `limit` is 1 if the client wants one
    /// extent.
    package init(
        byteCount: UInt32,
        limit: Int = NBDLimits.blockStatusExtentsMaximum
    ) {
        self.extents = .init(repeating: NBDExtent(byteCount: byteCount, status: .data))
        self.used = 0
        self.limit = max(1, min(limit, NBDLimits.blockStatusExtentsMaximum))
        self.requested = byteCount
        self.covered = 0
    }

    /// The number of extents of the reply, at least 1.
    package var count: Int { max(self.used, 1) }

    /// Whether the range is covered, so that nothing more need be looked up.
    ///
    /// A full list that does not cover the range still takes more of the last status.
    package var isComplete: Bool { self.covered == self.requested }

    package subscript(index: Int) -> NBDExtent { self.extents[index] }

    /// Adds `byteCount` bytes behind those already there.
    ///
    /// - Returns: false if there was no room: what follows must not be appended either.
    package mutating func append(byteCount: UInt64, status: NBDAllocation) -> Bool {
        let length = UInt32(
            truncatingIfNeeded: min(byteCount, UInt64(self.requested - self.covered))
        )
        guard length > 0 else { return true }
        if self.used > 0, self.extents[self.used - 1].status == status {
            self.extents[self.used - 1].byteCount += length
        } else {
            guard self.used < self.limit else { return false }
            self.extents[self.used] = NBDExtent(byteCount: length, status: status)
            self.used += 1
        }
        self.covered += length
        return true
    }
}
