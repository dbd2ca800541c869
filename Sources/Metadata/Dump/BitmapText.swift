// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// Prints the bitmap of one slot as a dump shows it: 64-bit words, four to a line, runs of equal
/// lines as `512 times 0x…;`.
///
/// The area is given in parts, so that no bitmap has to fit in memory; the text does not depend on
/// where they end. What is printed for a run is known only behind it, so ``finish(to:)`` comes
/// last.
package struct BitmapText {
    private let geometry: BitmapGeometry
    private let slot: Int
    /// The bits seen set so far, also those beyond the end of the volume.
    package private(set) var setBits = 0
    /// The number of 32-bit words of this slot that were seen.
    private var position: UInt64 = 0
    /// Lines of eight equal 32-bit words that are not printed yet.
    private var run: (word: UInt32, lines: UInt64, start: UInt64)?

    /// Begins with `slot`.
    package init(_ geometry: BitmapGeometry, slot: Int) {
        invariant(slot >= 0 && slot < geometry.slotCount, "slot of the bitmap")
        self.geometry = geometry
        self.slot = slot
    }

    /// The bytes of the area to give at once.
    package static func partBytes(_ geometry: BitmapGeometry) -> Int {
        let unit = 4096 * geometry.slotCount
        return max(1, (1 << 20) / unit) * unit
    }

    /// The line above the words.
    package static func opening(_ version: FormatVersion, slot: Int) -> String {
        switch version {
        case .v09: "bitmap[\(slot)] {"
        case .v08: "bm {"
        }
    }

    /// The line below the words.
    package static let closing = "\n}\n"

    /// Prints the words of the slot in `part`, the next of the area.
    ///
    /// Traps unless each part but the last is a multiple of 32 bytes for every slot.
    package mutating func append(_ part: RawSpan, to text: inout [UInt8]) {
        invariant(self.position % 8 == 0, "parts of whole lines")
        let words = SlotWords(part, self.geometry, self.slot)
        var index = 0
        while index < words.count {
            let end = min(index + 8, words.count)
            for word in index..<end { self.setBits += words[word].nonzeroBitCount }
            let isUniform =
                end - index == 8 && (index..<end).allSatisfy { words[$0] == words[index] }
            if isUniform {
                self.extendRun(words[index], to: &text)
            } else {
                self.finishRun(to: &text)
                self.appendLine(words, index..<end, to: &text)
            }
            self.position += UInt64(end - index)
            index = end
        }
    }

    /// Prints what is still held back.
    package mutating func finish(to text: inout [UInt8]) { self.finishRun(to: &text) }

    private mutating func extendRun(_ word: UInt32, to text: inout [UInt8]) {
        if let run = self.run, run.word == word {
            self.run?.lines += 1
        } else {
            self.finishRun(to: &text)
            self.run = (word, 1, self.position)
        }
    }

    private mutating func finishRun(to text: inout [UInt8]) {
        guard let run = self.run else { return }
        self.run = nil
        self.beginLine(at: run.start, to: &text)
        let word = "0x\(run.word.hex8)\(run.word.hex8);"
        if run.lines > 1 {
            text.append(contentsOf: " \(run.lines * 4) times \(word)".utf8)
        } else {
            for _ in 0..<4 { text.append(contentsOf: " \(word)".utf8) }
        }
    }

    /// Prints up to four 64-bit words; a 32-bit word without its second half is left out.
    private func appendLine(
        _ words: borrowing SlotWords,
        _ range: Range<Int>,
        to text: inout [UInt8]
    ) {
        self.beginLine(at: self.position, to: &text)
        for index in stride(from: range.lowerBound, to: range.upperBound - 1, by: 2) {
            let wide = UInt64(words[index + 1]) << 32 | UInt64(words[index])
            text.append(contentsOf: " 0x\(wide.hex16);".utf8)
        }
    }

    /// Starts a line, here and there with a comment that says where in the volume it begins.
    ///
    /// The comment is right for one slot only, as the field's own tool has it.
    private func beginLine(at position: UInt64, to text: inout [UInt8]) {
        text.append(contentsOf: "\n   ".utf8)
        let place = position * UInt64(self.geometry.slotCount)
        guard (place + UInt64(self.slot)) & 63 == UInt64(self.slot) else { return }
        text.append(contentsOf: "# at \(place * 128)kB\n   ".utf8)
    }
}

/// The 32-bit words of one slot in a part of the area.
private struct SlotWords: ~Escapable {
    private let reader: MetadataReader
    private let stride: Int
    private let slot: Int
    let count: Int

    @_lifetime(copy part)
    init(_ part: RawSpan, _ geometry: BitmapGeometry, _ slot: Int) {
        self.reader = MetadataReader(part)
        self.stride = geometry.slotCount
        self.slot = slot
        self.count = (part.byteCount / 4 + geometry.slotCount - 1 - slot) / geometry.slotCount
    }

    subscript(index: Int) -> UInt32 {
        self.reader.little32(at: (index * self.stride + self.slot) * 4)
    }
}
