// SPDX-License-Identifier: Apache-2.0

import Primitives

/// What a sector holds: the number of the write that put it there, or 0 for zeroes.
typealias Content = UInt32

/// The content of every sector of a device; untouched parts cost nothing.
struct SectorContent {
    private static var chunk: Int { 2048 }

    let sectorCount: Int
    private let initial: Content
    private var chunks: [[Content]?]

    init(sectorCount: Int, initial: Content) {
        self.sectorCount = sectorCount
        self.initial = initial
        self.chunks = Array(repeating: nil, count: (sectorCount + Self.chunk - 1) / Self.chunk)
    }

    subscript(sector: Int) -> Content {
        get { self.chunks[sector / Self.chunk]?[sector % Self.chunk] ?? self.initial }
        set {
            if self.chunks[sector / Self.chunk] == nil {
                self.chunks[sector / Self.chunk] = Array(
                    repeating: self.initial,
                    count: Self.chunk
                )
            }
            self.chunks[sector / Self.chunk]?[sector % Self.chunk] = newValue
        }
    }

    subscript(range: SectorRange) -> [Content] {
        (Int(range.start)..<Int(range.end)).map { self[$0] }
    }

    /// The first sector below `limit` in which the two differ.
    func firstDifference(from other: Self, below limit: Int) -> Int? {
        for index in self.chunks.indices where index * Self.chunk < limit {
            let mine = self.chunks[index]
            let theirs = other.chunks[index]
            if mine == nil, theirs == nil, self.initial == other.initial { continue }
            if let mine, let theirs, mine == theirs { continue }
            for sector in index * Self.chunk..<min((index + 1) * Self.chunk, limit)
            where self[sector] != other[sector] {
                return sector
            }
        }
        return nil
    }
}
