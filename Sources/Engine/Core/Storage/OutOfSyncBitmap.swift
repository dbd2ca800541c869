// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Which 4 KiB blocks of a volume may differ from one peer's.
///
/// Bit n, in 64-bit word n / 64 at place n % 64, covers the sectors 8n..<8n+8; the last block of a
/// device may be shorter. Marking rounds outward, clearing rounds inward: a block that is only
/// partly known to be equal stays marked.
///
/// On disk the 32-bit words of all peers' bitmaps are interleaved (DRBD metadata v09, bitmap): word
/// w of slot s is word w · peers + s of the area. Each change marks its 4096-byte page of that area
/// dirty for this peer. A page whose bits were only cleared may be written at leisure, what is on
/// disk is merely too careful; one with newly set bits has to be durable before the activity log
/// forgets an extent in it.
///
/// Memory is found at creation and in ``resize(sectorCount:newBlocks:)``. Owned by one thread.
package struct OutOfSyncBitmap: ~Copyable {
    /// What has changed in a page since it was last handed to the disk.
    package enum Change: UInt8, Hashable, Comparable, Sendable, BitwiseCopyable {
        case nothing = 0
        /// Bits were cleared, none set.
        case cleared = 1
        /// Bits were set.
        case set = 2

        /// Orders by urgency.
        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// How the area on disk is shared: the bitmap slot of this peer, and the number of slots.
    package struct Interleave: Hashable, Sendable, BitwiseCopyable {
        /// The slot, below ``peers``.
        package let slot: Int
        /// The number of slots, 1 to 32.
        package let peers: Int

        /// Creates the place of `slot` among `peers` slots.
        package init(slot: Int, peers: Int) {
            invariant(peers >= 1 && peers <= 32 && slot >= 0 && slot < peers, "bitmap slot")
            self.slot = slot
            self.peers = peers
        }

        /// The page of the area that holds 32-bit word `word` of the slot.
        package func page(ofWord word: Int) -> Int { (word * self.peers + self.slot) / 1024 }
    }

    /// Sectors that one bit covers: 4 KiB.
    package static var sectorsPerBit: UInt64 { 8 }
    /// Bits of a 4 MiB activity-log extent.
    package static var bitsPerExtent: Int { 1024 }
    private static var wordsPerExtent: Int { 16 }
    private static var writing: UInt8 { 4 }

    /// The size of the volume in sectors.
    package private(set) var sectorCount: UInt64
    /// The number of blocks.
    package private(set) var bitCount: Int
    /// The number of marked blocks.
    package private(set) var count = 0
    /// The number of 64-bit words.
    package private(set) var wordCount: Int
    /// The number of pages of the area on disk.
    package private(set) var pageCount: Int
    /// How the area on disk is shared.
    package let interleave: Interleave

    private var words: UnsafeMutablePointer<UInt64>
    private var extentCounts: UnsafeMutablePointer<UInt16>
    private var pages: UnsafeMutablePointer<UInt8>

    /// Creates a bitmap without marks, of at most 1 PiB, whose pages are taken for equal to those
    /// on disk.
    package init(sectorCount: UInt64, interleave: Interleave = Interleave(slot: 0, peers: 1)) {
        invariant(sectorCount <= 1 << 41, "a volume has at most 1 PiB")
        self.sectorCount = sectorCount
        self.interleave = interleave
        self.bitCount = Int((sectorCount + Self.sectorsPerBit - 1) / Self.sectorsPerBit)
        self.wordCount = (self.bitCount + 63) / 64
        self.pageCount = (self.wordCount * 8 * interleave.peers + 4095) / 4096
        self.words = Self.zeroes(self.wordCount)
        self.extentCounts = Self.zeroes(Self.extentCount(words: self.wordCount))
        self.pages = Self.zeroes(self.pageCount)
    }

    deinit {
        self.words.deallocate()
        self.extentCounts.deallocate()
        self.pages.deallocate()
    }

    /// The number of activity-log extents.
    package var extentCount: Int { Self.extentCount(words: self.wordCount) }

    // MARK: Marking

    /// Marks every block that `range` touches; sectors beyond the volume are ignored.
    ///
    /// - Returns: the number of blocks that were not marked before.
    package mutating func set(_ range: SectorRange) -> Int {
        let end = self.clippedEnd(range)
        guard range.count > 0 && range.start < end else { return 0 }
        let first = Int(range.start / Self.sectorsPerBit)
        let last = Int((end - 1) / Self.sectorsPerBit)
        return self.change(bits: first..<last + 1, to: true)
    }

    /// Clears every block that lies wholly in `range`; the last block of the volume may be shorter.
    ///
    /// - Returns: the number of blocks that were marked before.
    package mutating func clear(_ range: SectorRange) -> Int {
        let bits = self.blocks(inside: range)
        return self.change(bits: bits, to: false)
    }

    /// Marks every block.
    ///
    /// - Returns: the number of blocks that were not marked before.
    package mutating func setAll() -> Int { self.change(bits: 0..<self.bitCount, to: true) }

    /// Clears every block.
    ///
    /// - Returns: the number of blocks that were marked before.
    package mutating func clearAll() -> Int { self.change(bits: 0..<self.bitCount, to: false) }

    /// Marks the blocks `bits` of the volume.
    ///
    /// - Returns: the number of blocks that were not marked before.
    package mutating func set(bits: Range<Int>) -> Int { self.change(bits: bits, to: true) }

    /// The blocks that lie wholly in `range`: those that ``clear(_:)`` clears.
    package func blocks(inside range: SectorRange) -> Range<Int> {
        let end = self.clippedEnd(range)
        guard range.count > 0 && range.start < end else { return 0..<0 }
        let first = Int((range.start + Self.sectorsPerBit - 1) / Self.sectorsPerBit)
        let behind = end == self.sectorCount ? self.bitCount : Int(end / Self.sectorsPerBit)
        return first < behind ? first..<behind : 0..<0
    }

    /// The sectors of the blocks `bits`, clipped to the volume.
    package func sectors(of bits: Range<Int>) -> SectorRange {
        let start = UInt64(bits.lowerBound) * Self.sectorsPerBit
        let end = min(UInt64(bits.upperBound) * Self.sectorsPerBit, self.sectorCount)
        return SectorRange(start: start, count: end > start ? end - start : 0)
    }

    private func clippedEnd(_ range: SectorRange) -> UInt64 {
        let (end, overflow) = range.start.addingReportingOverflow(range.count)
        return overflow ? self.sectorCount : min(end, self.sectorCount)
    }

    private mutating func change(bits: Range<Int>, to value: Bool) -> Int {
        invariant(bits.lowerBound >= 0 && bits.upperBound <= self.bitCount, "blocks of the volume")
        guard !bits.isEmpty else { return 0 }
        var changed = 0
        let firstWord = bits.lowerBound / 64
        let lastWord = (bits.upperBound - 1) / 64
        for index in firstWord...lastWord {
            var mask = ~UInt64(0)
            if index == firstWord { mask &= ~0 << UInt64(bits.lowerBound % 64) }
            if index == lastWord { mask &= ~0 >> UInt64(63 - (bits.upperBound - 1) % 64) }
            let old = self.words[index]
            let difference = (value ? ~old : old) & mask
            if difference == 0 { continue }
            self.words[index] = old ^ difference
            let count = difference.nonzeroBitCount
            changed += count
            self.adjust(extent: index / Self.wordsPerExtent, by: value ? count : -count)
            self.markDirty(word: index, difference: difference, value ? .set : .cleared)
        }
        self.count += value ? changed : -changed
        return changed
    }

    private func adjust(extent: Int, by amount: Int) {
        self.extentCounts[extent] = UInt16(Int(self.extentCounts[extent]) + amount)
    }

    private func markDirty(word: Int, difference: UInt64, _ change: Change) {
        if UInt32(truncatingIfNeeded: difference) != 0 {
            self.markDirty(page: self.interleave.page(ofWord: word * 2), change)
        }
        if difference >> 32 != 0 {
            self.markDirty(page: self.interleave.page(ofWord: word * 2 + 1), change)
        }
    }

    private func markDirty(page: Int, _ change: Change) { self.pages[page] |= change.rawValue }

    // MARK: Looking

    /// Whether block `bit` is marked.
    package func contains(_ bit: Int) -> Bool {
        invariant(bit >= 0 && bit < self.bitCount, "a block of the volume")
        return self.words[bit / 64] >> UInt64(bit % 64) & 1 == 1
    }

    /// The first marked block at or behind `bit`; nil if there is none.
    package func next(from bit: Int) -> Int? {
        invariant(bit >= 0, "a block of the volume")
        guard bit < self.bitCount && self.count > 0 else { return nil }
        var index = bit / 64
        var word = self.words[index] & (~0 << UInt64(bit % 64))
        while word == 0 {
            index += 1
            if index % Self.wordsPerExtent == 0 { index = self.firstMarkedExtent(from: index) }
            if index >= self.wordCount { return nil }
            word = self.words[index]
        }
        return index * 64 + word.trailingZeroBitCount
    }

    /// The first word, from the start of an extent, that belongs to an extent with marks.
    private func firstMarkedExtent(from word: Int) -> Int {
        var extent = word / Self.wordsPerExtent
        while extent < self.extentCount && self.extentCounts[extent] == 0 { extent += 1 }
        return extent * Self.wordsPerExtent
    }

    /// Whether any block that `range` touches is marked.
    package func containsAny(in range: SectorRange) -> Bool {
        let end = self.clippedEnd(range)
        guard range.count > 0 && range.start < end,
            let bit = self.next(from: Int(range.start / Self.sectorsPerBit))
        else { return false }
        return UInt64(bit) * Self.sectorsPerBit < end
    }

    /// The number of marked blocks of activity-log extent `extent`.
    package func count(ofExtent extent: Int) -> Int {
        invariant(extent >= 0 && extent < self.extentCount, "an extent of the volume")
        return Int(self.extentCounts[extent])
    }

    // MARK: Whole words

    /// Lends the words for reading.
    package func withWords<Result, Failure: Error>(
        _ body: (UnsafeBufferPointer<UInt64>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeBufferPointer(start: self.words, count: self.wordCount))
    }

    /// Lends the words to be filled from disk; counts anew and takes all pages for clean.
    ///
    /// Bits beyond the last block, which may be set on disk, are dropped.
    package mutating func loadWords<Result, Failure: Error>(
        _ body: (UnsafeMutableBufferPointer<UInt64>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer {
            self.recount()
            self.pages.update(repeating: 0, count: self.pageCount)
        }
        return try body(UnsafeMutableBufferPointer(start: self.words, count: self.wordCount))
    }

    /// Lends the words to a decoder that only sets bits, such as a peer's bitmap; then counts anew.
    ///
    /// Pages of extents in which the number of marks has grown become dirty. Bits beyond the last
    /// block are dropped. Works too when `body` fails half-way.
    package mutating func mergeWords<Result, Failure: Error>(
        _ body: (UnsafeMutableBufferPointer<UInt64>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { self.recount() }
        return try body(UnsafeMutableBufferPointer(start: self.words, count: self.wordCount))
    }

    private mutating func recount() {
        if self.bitCount % 64 != 0 {
            self.words[self.wordCount - 1] &= ~0 >> UInt64(64 - self.bitCount % 64)
        }
        self.count = 0
        for extent in 0..<self.extentCount {
            let words = self.words(ofExtent: extent)
            var marks = 0
            for index in words { marks += self.words[index].nonzeroBitCount }
            if marks != Int(self.extentCounts[extent]) {
                let change: Change = marks > Int(self.extentCounts[extent]) ? .set : .cleared
                for page in self.pages(ofExtent: extent) { self.markDirty(page: page, change) }
                self.extentCounts[extent] = UInt16(marks)
            }
            self.count += marks
        }
    }

    private func words(ofExtent extent: Int) -> Range<Int> {
        let first = extent * Self.wordsPerExtent
        return first..<min(first + Self.wordsPerExtent, self.wordCount)
    }

    // MARK: Pages on disk

    /// The pages of the area on disk that hold this peer's bits of activity-log extent `extent`.
    package func pages(ofExtent extent: Int) -> ClosedRange<Int> {
        let words = self.words(ofExtent: extent)
        invariant(!words.isEmpty, "an extent of the volume")
        return self.interleave.page(
            ofWord: words.lowerBound * 2
        )...self.interleave.page(
            ofWord: words.upperBound * 2 - 1
        )
    }

    /// What has changed in `page` since its last ``beginWrite(page:)``.
    package func change(ofPage page: Int) -> Change {
        invariant(page >= 0 && page < self.pageCount, "a page of the bitmap")
        return self.pages[page] & Change.set.rawValue != 0
            ? .set : self.pages[page] & Change.cleared.rawValue != 0 ? .cleared : .nothing
    }

    /// Whether every bit that was ever set in `page` is on disk: nothing set since, no write
    /// running.
    package func isDurable(page: Int) -> Bool {
        self.change(ofPage: page) < .set && self.pages[page] & Self.writing == 0
    }

    /// The first page at or behind `page` with a change of at least `change` that is not being
    /// written.
    package func nextDirtyPage(from page: Int, atLeast change: Change = .cleared) -> Int? {
        var page = page
        while page < self.pageCount {
            if self.pages[page] & Self.writing == 0 && self.change(ofPage: page) >= change {
                return page
            }
            page += 1
        }
        return nil
    }

    /// Notes that `page`, as it is now, is being written.
    ///
    /// Traps if a write of it is running.
    ///
    /// - Returns: what had changed; the page counts as unchanged from now on.
    package mutating func beginWrite(page: Int) -> Change {
        let change = self.change(ofPage: page)
        invariant(self.pages[page] & Self.writing == 0, "one write of a page at a time")
        self.pages[page] = Self.writing
        return change
    }

    /// Notes that the running write of `page` is durable.
    ///
    /// A failed one is never reported: the disk has failed.
    package mutating func endWrite(page: Int) {
        invariant(page >= 0 && page < self.pageCount, "a page of the bitmap")
        invariant(self.pages[page] & Self.writing != 0, "a write of the page was running")
        self.pages[page] &= ~Self.writing
    }

    // MARK: Size

    /// Gives the volume another size; blocks that get sectors anew are marked, or left as they are.
    ///
    /// Pages from the former end on become dirty, whatever was on disk there. No page may be being
    /// written.
    package mutating func resize(sectorCount: UInt64, newBlocks isMarked: Bool) {
        let former = self.sectorCount
        for page in 0..<self.pageCount {
            invariant(self.pages[page] & Self.writing == 0, "no write while the size changes")
        }
        var other = OutOfSyncBitmap(sectorCount: sectorCount, interleave: self.interleave)
        other.words.update(from: self.words, count: min(self.wordCount, other.wordCount))
        other.recount()
        other.pages.update(repeating: 0, count: other.pageCount)
        other.pages.update(from: self.pages, count: min(self.pageCount, other.pageCount))
        if sectorCount > former {
            if isMarked {
                _ = other.set(SectorRange(start: former, count: sectorCount - former))
            }
            let firstWord = Int(former / Self.sectorsPerBit) / 32
            for page in self.interleave.page(ofWord: firstWord)..<other.pageCount {
                other.markDirty(page: page, .set)
            }
        }
        self = other
    }

    // MARK: Memory

    private static func extentCount(words: Int) -> Int {
        (words + self.wordsPerExtent - 1) / self.wordsPerExtent
    }

    private static func zeroes<Element: FixedWidthInteger>(
        _ count: Int
    ) -> UnsafeMutablePointer<Element> {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(count, 1))
        memory.initialize(repeating: 0, count: max(count, 1))
        return memory
    }
}
