// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// Turns the runs of a dump into the area on disk, part by part from its start.
package struct BitmapRunReader {
    private let geometry: BitmapGeometry
    private let runs: [[BitmapRun]]
    private var places: [Place]

    /// The next word of one slot.
    private struct Place {
        var run = 0
        var used: UInt64 = 0
        var word: UInt64 = 0
        /// Whether the low half of `word` has been given out.
        var isHalfDone = false
    }

    /// Begins at the start of the area of `dump`.
    package init(_ dump: ParsedDump) {
        self.geometry = dump.bitmap
        self.runs = dump.runs
        self.places = Array(repeating: Place(), count: dump.runs.count)
    }

    /// Fills `memory`, the next part of the area; zero where the dump has no more words.
    ///
    /// Traps unless the part has whole 32-bit words of all slots.
    package mutating func fill(_ memory: UnsafeMutableRawBufferPointer) {
        invariant(memory.count % 4 == 0, "whole words of the bitmap")
        let writer = MetadataWriter(memory)
        let slots = self.geometry.slotCount
        for index in 0..<memory.count / 4 {
            let slot = (self.indexInRow + index) % slots
            writer.storeLittle(self.nextHalf(of: slot), at: index * 4)
        }
        self.indexInRow = (self.indexInRow + memory.count / 4) % slots
    }

    /// Whether words are left, not counting those that are zero.
    package var hasMore: Bool {
        for slot in self.places.indices {
            let place = self.places[slot]
            if place.isHalfDone && place.word >> 32 != 0 { return true }
            for run in self.runs[slot].indices.dropFirst(place.run) {
                let rest = self.runs[slot][run].count - (run == place.run ? place.used : 0)
                if rest > 0 && self.runs[slot][run].word != 0 { return true }
            }
        }
        return false
    }

    /// The slot of the next word of the area.
    private var indexInRow = 0

    private mutating func nextHalf(of slot: Int) -> UInt32 {
        if self.places[slot].isHalfDone {
            self.places[slot].isHalfDone = false
            return UInt32(truncatingIfNeeded: self.places[slot].word >> 32)
        }
        var place = self.places[slot]
        defer { self.places[slot] = place }
        guard place.run < self.runs[slot].count else {
            place.word = 0
            place.isHalfDone = true
            return 0
        }
        let run = self.runs[slot][place.run]
        place.word = run.word
        place.isHalfDone = true
        place.used += 1
        if place.used == run.count {
            place.run += 1
            place.used = 0
        }
        return UInt32(truncatingIfNeeded: place.word)
    }
}
