// SPDX-License-Identifier: Apache-2.0

/// Seeds, as ranges that neither touch nor overlap.
package struct SeedSet: Hashable, Sendable {
    package private(set) var ranges: [Range<UInt64>] = []

    package init() {}

    /// How many there are.
    package var count: UInt64 { self.ranges.reduce(0) { $0 + UInt64($1.count) } }

    package func contains(_ seed: UInt64) -> Bool {
        self.ranges.contains { $0.contains(seed) }
    }

    package mutating func insert(_ seed: UInt64) {
        guard !self.contains(seed) else { return }
        let place = self.ranges.firstIndex { $0.lowerBound > seed } ?? self.ranges.count
        self.ranges.insert(seed..<seed + 1, at: place)
        if place + 1 < self.ranges.count,
            self.ranges[place].upperBound == self.ranges[place + 1].lowerBound
        {
            let next = self.ranges.remove(at: place + 1)
            self.ranges[place] = self.ranges[place].lowerBound..<next.upperBound
        }
        if place > 0, self.ranges[place - 1].upperBound == self.ranges[place].lowerBound {
            let own = self.ranges.remove(at: place)
            self.ranges[place - 1] = self.ranges[place - 1].lowerBound..<own.upperBound
        }
    }
}

extension SeedSet: Codable {
    /// As `["0..<17", "20..<21"]`.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.ranges.map { "\($0.lowerBound)..<\($0.upperBound)" })
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        for text in try container.decode([String].self) {
            guard let range = Range<UInt64>(seeds: text),
                self.ranges.last.map({ $0.upperBound < range.lowerBound }) ?? true
            else {
                throw DecodingError.dataCorruptedError(
                    in: container,
                    debugDescription: "'\(text)' is no range of seeds, or not behind the one before"
                )
            }
            self.ranges.append(range)
        }
    }
}

extension Range<UInt64> {
    /// Reads `A..<B`; nil if it is something else or empty.
    package init?(seeds text: String) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: true)
        guard parts.count == 2, let first = UInt64(parts[0]), parts[1].first == "<",
            let end = UInt64(parts[1].dropFirst()), first < end
        else { return nil }
        self = first..<end
    }
}
