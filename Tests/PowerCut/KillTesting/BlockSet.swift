// SPDX-License-Identifier: Apache-2.0

/// A set of 4 KiB blocks of the volume.
struct BlockSet {
    static let sectorsPerBlock = 8
    static let byteCount = 4096

    private(set) var words: [UInt64]

    /// Makes a set without blocks for a volume of `sectorCount` sectors.
    init(sectorCount: Int) {
        let blocks = (sectorCount + Self.sectorsPerBlock - 1) / Self.sectorsPerBlock
        self.words = Array(repeating: 0, count: (blocks + 63) / 64)
    }

    /// The number of blocks in the set.
    var count: Int { self.words.reduce(0) { $0 + $1.nonzeroBitCount } }

    var isEmpty: Bool { self.words.allSatisfy { $0 == 0 } }

    /// The smallest block of the set.
    var first: Int? {
        self.words.firstIndex { $0 != 0 }.map { $0 * 64 + self.words[$0].trailingZeroBitCount }
    }

    mutating func insert(_ block: Int) { self.words[block / 64] |= 1 << UInt64(block % 64) }

    mutating func insert(_ blocks: Range<Int>) { for block in blocks { self.insert(block) } }

    mutating func formUnion(_ other: Self) {
        for index in self.words.indices { self.words[index] |= other.words[index] }
    }

    /// What is in this set and not in `other`.
    func subtracting(_ other: Self) -> Self {
        var rest = self
        for index in rest.words.indices { rest.words[index] &= ~other.words[index] }
        return rest
    }

    /// Works on the words: bit n of word m stands for block 64 m + n.
    mutating func withWords<Result>(
        _ body: (UnsafeMutableBufferPointer<UInt64>) throws -> Result
    ) rethrows -> Result {
        try self.words.withUnsafeMutableBufferPointer { try body($0) }
    }
}
