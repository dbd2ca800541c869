// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Every write that applications have submitted in a world, by number.
///
/// A write's number is the content that it puts into its sectors; zeroes of trim and write-zeroes
/// are 0 and are looked for among those.
package final class WriteTable {
    package struct Write {
        package var volume: UInt16
        package var range: SectorRange
        package var isZeroes: Bool
        /// The session of the Primary that it was submitted in.
        package var session: Int
        /// Steps of the world.
        package var submittedAt: UInt64
        /// When it was completed with success.
        package var completedAt: UInt64?
    }

    /// By number minus ``firstContent``.
    package private(set) var writes: [Write] = []
    /// The numbers of the writes of zeroes, by volume.
    private var zeroes: [[Content]]

    package static var firstContent: Content { 100 }

    init(volumes: Int) { self.zeroes = Array(repeating: [], count: volumes) }

    /// The number of the next write.
    var next: Content { Self.firstContent + Content(self.writes.count) }

    /// Notes a write that is about to be submitted and returns its number.
    func begin(_ write: Write) -> Content {
        let content = self.next
        self.writes.append(write)
        if write.isZeroes { self.zeroes[Int(write.volume)].append(content) }
        return content
    }

    subscript(content: Content) -> Write { self.writes[Int(content - Self.firstContent)] }

    func completed(_ content: Content, at step: UInt64) {
        self.writes[Int(content - Self.firstContent)].completedAt = step
    }

    /// What is wrong with `content` in a sector that has to be at least as new as `floor`; nil if
    /// nothing is.
    ///
    /// A floor of 0 stands for no write at all.
    func fault(_ volume: UInt16, _ sector: Int, _ content: Content, floor: Content) -> String? {
        if content >= Self.firstContent {
            let write = self[content]
            guard write.volume == volume, write.range.contains(sector), !write.isZeroes else {
                return "holds \(content) of elsewhere"
            }
            return content >= floor ? nil : "holds \(content), which is older than \(floor)"
        }
        if floor == 0 { return nil }
        if content == 0, self.wasZeroed(volume, sector, since: floor) { return nil }
        return "holds \(content), but \(floor) was written"
    }

    private func wasZeroed(_ volume: UInt16, _ sector: Int, since floor: Content) -> Bool {
        for content in self.zeroes[Int(volume)].reversed() {
            if content < floor { return false }
            if self[content].range.contains(sector) { return true }
        }
        return false
    }
}

extension SectorRange {
    func contains(_ sector: Int) -> Bool {
        sector >= Int(self.start) && sector < Int(self.end)
    }
}
