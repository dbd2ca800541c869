// SPDX-License-Identifier: Apache-2.0

package import EngineCore
package import Primitives

/// A metadata device: superblock, activity-log ring and bitmap pages, with a volatile cache.
///
/// A power cut keeps any subset of what no flush has covered.
package final class SimulatedMetadata {
    /// One transaction block as the core describes it.
    package struct LogBlock {
        package var number: UInt32
        package var contextStart: Int
        package var context: [UInt32]
        package var updates: [ActivityLog.Update]
    }

    /// Everything that is on the device, or would be after a flush.
    package struct Image {
        package var superblock: SuperblockContent?
        package var log: [Int: LogBlock] = [:]
        /// 32-bit words of this peer's slot, by page.
        package var pages: [UInt32: [UInt32]] = [:]
    }

    package enum Block {
        case superblock(SuperblockContent)
        case log(LogBlock)
        case page(UInt32, [UInt32])
    }

    /// Blocks of the activity log's ring.
    package static var ringBlocks: Int { 8 }

    package private(set) var durable = Image()
    package private(set) var current = Image()
    private var cache: [(number: UInt64, block: Block)] = []
    private var inFlight: [(id: UInt64, block: Block)] = []
    private var number: UInt64 = 0
    /// A flush has failed: what is in the cache may be lost when the disk is closed.
    private var isDoomed = false
    package let interleave: OutOfSyncBitmap.Interleave

    package init(interleave: OutOfSyncBitmap.Interleave) { self.interleave = interleave }

    /// A device in the same state.
    package init(copyOf other: SimulatedMetadata) {
        self.durable = other.durable
        self.current = other.current
        self.cache = other.cache
        self.inFlight = other.inFlight
        self.number = other.number
        self.isDoomed = other.isDoomed
        self.interleave = other.interleave
    }

    /// Metadata of a node that shares its data with its peer already.
    package func format(_ content: SuperblockContent) {
        self.durable = Image()
        self.durable.superblock = content
        self.current = self.durable
    }

    // MARK: Operations

    package func begin(_ block: Block) -> UInt64 {
        self.number += 1
        self.inFlight.append((self.number, block))
        return self.number
    }

    private func take(_ id: UInt64) -> Block? {
        guard let index = self.inFlight.firstIndex(where: { $0.id == id }) else { return nil }
        return self.inFlight.remove(at: index).block
    }

    /// A write fails: it may have been written, or not, or in part.
    package func fail(_ id: UInt64, _ random: inout SeededRandom) {
        guard let block = self.take(id) else { return }
        self.end(block, &random)
    }

    package func complete(_ id: UInt64) {
        guard let block = self.take(id) else { return }
        self.number += 1
        self.cache.append((self.number, block))
        Self.apply(block, to: &self.current)
    }

    package var flushMark: UInt64 { self.number }

    package func flushed(_ mark: UInt64) {
        if self.isDoomed { return }
        for entry in self.cache where entry.number <= mark {
            Self.apply(entry.block, to: &self.durable)
        }
        self.cache.removeAll { $0.number <= mark }
    }

    /// A flush fails: no later one succeeds.
    package func flushFailed() { self.isDoomed = true }

    /// The process closes the device.
    package func close(_ random: inout SeededRandom) {
        if self.isDoomed { self.loseCache(&random) }
    }

    private static func apply(_ block: Block, to image: inout Image) {
        switch block {
        case .superblock(let content): image.superblock = content
        case .log(let block): image.log[Int(block.number) % Self.ringBlocks] = block
        case .page(let page, let words): image.pages[page] = words
        }
    }

    // MARK: Crashes

    /// A block in flight is written, or not, or torn: a torn block of the log is invalid, a torn
    /// page of the bitmap has sectors of both, the superblock is in one sector.
    package func kill(_ random: inout SeededRandom) {
        let blocks = self.inFlight
        self.inFlight = []
        for entry in blocks { self.end(entry.block, &random) }
        self.close(&random)
    }

    private func end(_ block: Block, _ random: inout SeededRandom) {
        switch random.below(4) {
        case 0: break
        case 1: self.tear(block, &random)
        default:
            self.number += 1
            self.cache.append((self.number, block))
            Self.apply(block, to: &self.current)
        }
    }

    private func tear(_ block: Block, _ random: inout SeededRandom) {
        switch block {
        case .superblock: break
        case .log(let block):
            let place = Int(block.number) % Self.ringBlocks
            self.durable.log[place] = nil
            self.current.log[place] = nil
            self.cache.removeAll {
                if case .log(let other) = $0.block {
                    return Int(other.number) % Self.ringBlocks == place
                }
                return false
            }
        case .page(let page, let words):
            let old = self.current.pages[page] ?? self.blankPage(page)
            let mixed = Self.mix(old, words, sectorWords: 128 / self.interleave.peers, &random)
            self.number += 1
            self.cache.append((self.number, .page(page, mixed)))
            self.current.pages[page] = mixed
        }
    }

    private static func mix(
        _ old: [UInt32],
        _ new: [UInt32],
        sectorWords: Int,
        _ random: inout SeededRandom
    ) -> [UInt32] {
        var mixed = old
        for start in stride(from: 0, to: new.count, by: sectorWords) where random.chance(1, in: 2) {
            let end = min(start + sectorWords, new.count)
            mixed.replaceSubrange(start..<end, with: new[start..<end])
        }
        return mixed
    }

    package func cutPower(_ random: inout SeededRandom) {
        self.kill(&random)
        self.loseCache(&random)
    }

    private func loseCache(_ random: inout SeededRandom) {
        self.isDoomed = false
        for entry in self.cache where random.chance(1, in: 2) {
            Self.apply(entry.block, to: &self.durable)
        }
        self.cache.removeAll()
        self.current = self.durable
    }

    // MARK: apply-al and attach

    /// What is left after a crash, as `apply-al` leaves it: all bits of hot extents are set if the
    /// node was Primary, and the ring is empty.
    package func recover(bitCount: Int) {
        var image = self.current
        if image.superblock?.isPrimary == true {
            for extent in Self.hotExtents(of: image.log) {
                self.set(extent: Int(extent), bitCount: bitCount, in: &image)
            }
        }
        image.log = [:]
        self.durable = image
        self.current = image
        self.cache.removeAll()
    }

    /// The extents that the ring of transactions names.
    static func hotExtents(of log: [Int: LogBlock]) -> Set<UInt32> {
        var slots: [Int: UInt32] = [:]
        for block in log.values.sorted(by: { Int32(bitPattern: $0.number &- $1.number) < 0 }) {
            for (offset, extent) in block.context.enumerated() {
                slots[block.contextStart + offset] = extent
            }
            for update in block.updates { slots[Int(update.slot)] = update.extent }
        }
        return Set(slots.values.filter { $0 != ActivityLog.noExtent })
    }

    private func set(extent: Int, bitCount: Int, in image: inout Image) {
        let last = min((extent + 1) * 1024, bitCount)
        for bit in stride(from: extent * 1024, to: last, by: 1) {
            let word = bit / 32
            let page = UInt32(self.interleave.page(ofWord: word))
            var words = image.pages[page] ?? self.blankPage(page)
            words[word - self.firstWord(of: page)] |= 1 << UInt32(bit % 32)
            image.pages[page] = words
        }
    }

    /// The first 32-bit word of the slot that lies in `page`.
    func firstWord(of page: UInt32) -> Int {
        let place = Int(page) * 1024 - self.interleave.slot
        return place <= 0 ? 0 : (place + self.interleave.peers - 1) / self.interleave.peers
    }

    func wordCount(of page: UInt32) -> Int {
        self.firstWord(of: page + 1) - self.firstWord(of: page)
    }

    private func blankPage(_ page: UInt32) -> [UInt32] {
        Array(repeating: 0, count: self.wordCount(of: page))
    }

    /// Whether `bit` is set in the bitmap of `image`.
    package func contains(_ bit: Int, in image: Image) -> Bool {
        let page = UInt32(self.interleave.page(ofWord: bit / 32))
        guard let words = image.pages[page] else { return false }
        return words[bit / 32 - self.firstWord(of: page)] >> UInt32(bit % 32) & 1 == 1
    }

    /// Fills the core's words at attach.
    package func load(into words: UnsafeMutableBufferPointer<UInt64>) {
        for (page, content) in self.current.pages {
            let first = self.firstWord(of: page)
            for (offset, word) in content.enumerated() where (first + offset) / 2 < words.count {
                let shift = UInt64((first + offset) % 2) * 32
                words[(first + offset) / 2] |= UInt64(word) << shift
            }
        }
    }

    /// The words of `page` as the core has them now.
    package func encode(_ page: UInt32, of words: UnsafeBufferPointer<UInt64>) -> [UInt32] {
        let first = self.firstWord(of: page)
        return (first..<first + self.wordCount(of: page)).map { word in
            guard word / 2 < words.count else { return 0 }
            return UInt32(truncatingIfNeeded: words[word / 2] >> (UInt64(word % 2) * 32))
        }
    }
}
