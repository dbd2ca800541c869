// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives

/// A metadata device: superblock, activity-log ring and bitmap pages, with a volatile cache.
///
/// A power cut keeps any subset of what no flush has covered.
final class SimulatedMetadata {
    /// One transaction block as the core describes it.
    struct LogBlock {
        var number: UInt32
        var contextStart: Int
        var context: [UInt32]
        var updates: [ActivityLog.Update]
    }

    /// Everything that is on the device, or would be after a flush.
    struct Image {
        var superblock: SuperblockContent?
        var log: [Int: LogBlock] = [:]
        /// 32-bit words of this peer's slot, by page.
        var pages: [UInt32: [UInt32]] = [:]
    }

    enum Block {
        case superblock(SuperblockContent)
        case log(LogBlock)
        case page(UInt32, [UInt32])
    }

    /// Blocks of the activity log's ring.
    static var ringBlocks: Int { 8 }

    private(set) var durable = Image()
    private(set) var current = Image()
    private var cache: [(number: UInt64, block: Block)] = []
    private var inFlight: [UInt64: Block] = [:]
    private var number: UInt64 = 0
    let interleave: OutOfSyncBitmap.Interleave

    init(interleave: OutOfSyncBitmap.Interleave) { self.interleave = interleave }

    /// Metadata of a node that shares its data with its peer already.
    func format(_ content: SuperblockContent) {
        self.durable = Image()
        self.durable.superblock = content
        self.current = self.durable
    }

    // MARK: Operations

    func begin(_ block: Block) -> UInt64 {
        self.number += 1
        self.inFlight[self.number] = block
        return self.number
    }

    func complete(_ id: UInt64) {
        guard let block = self.inFlight.removeValue(forKey: id) else { return }
        self.number += 1
        self.cache.append((self.number, block))
        Self.apply(block, to: &self.current)
    }

    var flushMark: UInt64 { self.number }

    func flushed(_ mark: UInt64) {
        for entry in self.cache where entry.number <= mark {
            Self.apply(entry.block, to: &self.durable)
        }
        self.cache.removeAll { $0.number <= mark }
    }

    private static func apply(_ block: Block, to image: inout Image) {
        switch block {
        case .superblock(let content): image.superblock = content
        case .log(let block): image.log[Int(block.number) % Self.ringBlocks] = block
        case .page(let page, let words): image.pages[page] = words
        }
    }

    // MARK: Crashes

    /// Blocks of 4096 bytes are written whole or not at all, or torn: a torn log block is invalid.
    func kill(_ random: inout SeededRandom) {
        for id in self.inFlight.keys.sorted() {
            guard let block = self.inFlight[id] else { continue }
            if random.chance(1, in: 2) { self.complete(id) } else { self.tear(block, &random) }
        }
        self.inFlight.removeAll()
    }

    private func tear(_ block: Block, _ random: inout SeededRandom) {
        guard case .log(let block) = block, random.chance(1, in: 2) else { return }
        let place = Int(block.number) % Self.ringBlocks
        self.durable.log[place] = nil
        self.current.log[place] = nil
        self.cache.removeAll {
            if case .log(let other) = $0.block {
                return Int(other.number) % Self.ringBlocks == place
            }
            return false
        }
    }

    func cutPower(_ random: inout SeededRandom) {
        self.kill(&random)
        for entry in self.cache where random.chance(1, in: 2) {
            Self.apply(entry.block, to: &self.durable)
        }
        self.cache.removeAll()
        self.current = self.durable
    }

    // MARK: apply-al and attach

    /// What is left after a crash, as `apply-al` leaves it: all bits of hot extents are set if the
    /// node was Primary, and the ring is empty.
    func recover(bitCount: Int) {
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
    func contains(_ bit: Int, in image: Image) -> Bool {
        let page = UInt32(self.interleave.page(ofWord: bit / 32))
        guard let words = image.pages[page] else { return false }
        return words[bit / 32 - self.firstWord(of: page)] >> UInt32(bit % 32) & 1 == 1
    }

    /// Fills the core's words at attach.
    func load(into words: UnsafeMutableBufferPointer<UInt64>) {
        for (page, content) in self.current.pages {
            let first = self.firstWord(of: page)
            for (offset, word) in content.enumerated() where (first + offset) / 2 < words.count {
                let shift = UInt64((first + offset) % 2) * 32
                words[(first + offset) / 2] |= UInt64(word) << shift
            }
        }
    }

    /// The words of `page` as the core has them now.
    func encode(_ page: UInt32, of words: UnsafeBufferPointer<UInt64>) -> [UInt32] {
        let first = self.firstWord(of: page)
        return (first..<first + self.wordCount(of: page)).map { word in
            guard word / 2 < words.count else { return 0 }
            return UInt32(truncatingIfNeeded: words[word / 2] >> (UInt64(word % 2) * 32))
        }
    }
}
