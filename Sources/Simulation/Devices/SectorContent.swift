// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// What a sector holds: the number of the write that put it there, or 0 for zeroes.
package typealias Content = UInt32

/// The content of every sector of a device; untouched parts cost nothing.
package struct SectorContent {
    private static var chunk: Int { 2048 }

    package let sectorCount: Int
    private let initial: Content
    private var chunks: [[Content]?]

    package init(sectorCount: Int, initial: Content) {
        self.sectorCount = sectorCount
        self.initial = initial
        self.chunks = Array(repeating: nil, count: (sectorCount + Self.chunk - 1) / Self.chunk)
    }

    package subscript(sector: Int) -> Content {
        get { self.chunks[sector / Self.chunk]?[sector % Self.chunk] ?? self.initial }
        set {
            self.touch(sector / Self.chunk)
            self.chunks[sector / Self.chunk]?[sector % Self.chunk] = newValue
        }
    }

    package subscript(range: SectorRange) -> [Content] {
        var content: [Content] = []
        content.reserveCapacity(Int(range.count))
        for sector in Int(range.start)..<Int(range.end) { content.append(self[sector]) }
        return content
    }

    private mutating func touch(_ index: Int) {
        if self.chunks[index] == nil {
            self.chunks[index] = Array(repeating: self.initial, count: Self.chunk)
        }
    }

    /// Replaces the content of a range, sector by sector.
    ///
    /// `merge` gets a sector's place in the range and its content.
    package mutating func update(
        _ range: SectorRange,
        _ merge: (_ offset: Int, _ old: Content) -> Content
    ) {
        var sector = Int(range.start)
        while sector < Int(range.end) {
            let index = sector / Self.chunk
            let end = min((index + 1) * Self.chunk, Int(range.end))
            self.touch(index)
            self.chunks[index]?.withUnsafeMutableBufferPointer { chunk in
                for place in sector..<end {
                    let offset = place - Int(range.start)
                    chunk[place % Self.chunk] = merge(offset, chunk[place % Self.chunk])
                }
            }
            sector = end
        }
    }

    /// Raises every sector to at least what `other` has.
    package mutating func raise(to other: Self) {
        for (index, chunk) in other.chunks.enumerated() {
            guard let chunk else { continue }
            guard let own = self.chunks[index] else {
                self.chunks[index] = chunk
                continue
            }
            if own != chunk { self.chunks[index] = zip(own, chunk).map { max($0, $1) } }
        }
    }

    /// Calls `body` for every sector below `limit` that either side has touched, until it returns
    /// false.
    package func compare(
        with other: Self,
        below limit: Int,
        _ body: (_ sector: Int, _ own: Content, _ other: Content) -> Bool
    ) {
        for index in self.chunks.indices where index * Self.chunk < limit {
            let mine = self.chunks[index]
            let theirs = other.chunks[index]
            if mine == nil, theirs == nil, self.initial == other.initial { continue }
            let end = min((index + 1) * Self.chunk, limit)
            for sector in index * Self.chunk..<end {
                let offset = sector % Self.chunk
                let own = mine?[offset] ?? self.initial
                guard body(sector, own, theirs?[offset] ?? other.initial) else { return }
            }
        }
    }

    /// Calls `body` for every sector below `limit` in which the two differ, until it returns false.
    package func forEachDifference(
        from other: Self,
        below limit: Int,
        _ body: (_ sector: Int, _ own: Content, _ other: Content) -> Bool
    ) {
        self.compare(with: other, below: limit) { $1 == $2 || body($0, $1, $2) }
    }
}
