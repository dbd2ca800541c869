// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Finds the activity-log slot of an extent in a few memory accesses.
///
/// Open addressing with linear probing, at most half full, deletion by shifting back. All memory is
/// found at creation.
struct ExtentTable: ~Copyable {
    private struct Entry: BitwiseCopyable {
        var extent: UInt32
        var slot: UInt32
    }

    private let entries: UnsafeMutablePointer<Entry>
    private let mask: Int
    private let shift: UInt32

    /// Creates an empty table with room for `capacity` extents.
    init(capacity: Int) {
        var bits: UInt32 = 4
        while 1 << bits < capacity * 2 { bits += 1 }
        self.mask = (1 << bits) - 1
        self.shift = 32 - bits
        self.entries = .allocate(capacity: self.mask + 1)
        self.entries.initialize(repeating: Self.vacant, count: self.mask + 1)
    }

    deinit { self.entries.deallocate() }

    private static var vacant: Entry { Entry(extent: ActivityLog.noExtent, slot: 0) }

    /// The slot of `extent`; nil if the extent is cold.
    func slot(of extent: UInt32) -> Int? {
        var index = self.home(of: extent)
        while self.entries[index].extent != extent {
            if self.entries[index].extent == ActivityLog.noExtent { return nil }
            index = (index + 1) & self.mask
        }
        return Int(self.entries[index].slot)
    }

    /// Adds an extent that is not in the table.
    mutating func insert(_ extent: UInt32, slot: Int) {
        var index = self.home(of: extent)
        while self.entries[index].extent != ActivityLog.noExtent {
            invariant(self.entries[index].extent != extent, "an extent has one slot")
            index = (index + 1) & self.mask
        }
        self.entries[index] = Entry(extent: extent, slot: UInt32(slot))
    }

    /// Removes an extent that is in the table.
    mutating func remove(_ extent: UInt32) {
        var hole = self.home(of: extent)
        while self.entries[hole].extent != extent {
            invariant(self.entries[hole].extent != ActivityLog.noExtent, "a hot extent is known")
            hole = (hole + 1) & self.mask
        }
        var index = hole
        while true {
            index = (index + 1) & self.mask
            let entry = self.entries[index]
            if entry.extent == ActivityLog.noExtent { break }
            let distanceFromHome = (index - self.home(of: entry.extent)) & self.mask
            if distanceFromHome >= (index - hole) & self.mask {
                self.entries[hole] = entry
                hole = index
            }
        }
        self.entries[hole] = Self.vacant
    }

    /// Fibonacci hashing: neighbouring extents, the usual neighbours in time, are spread apart.
    private func home(of extent: UInt32) -> Int {
        Int((extent &* 0x9E37_79B9) >> self.shift)
    }
}
