// SPDX-License-Identifier: Apache-2.0

internal import Primitives

/// A dump that was read: a superblock, without its place, and the bitmaps.
package struct ParsedDump: Hashable, Sendable {
    /// Everything the dump says; where it lies follows from ``place(on:)``.
    package let superblock: AnySuperblock
    /// The stripes and blocks that the dump asks for.
    package let geometry: ActivityLogGeometry
    /// The number of slots.
    package let bitmap: BitmapGeometry
    /// The bitmap of each slot.
    package let runs: [[BitmapRun]]

    /// Reads the text of a dump of format `version`.
    ///
    /// Total: any other text is a ``DumpFault``.
    package init(_ text: [UInt8], version: FormatVersion) throws(DumpFault) {
        var parser = DumpParser(text)
        self = try parser.dump(version)
    }

    init(
        superblock: AnySuperblock,
        geometry: ActivityLogGeometry,
        bitmap: BitmapGeometry,
        runs: [[BitmapRun]]
    ) {
        self.superblock = superblock
        self.geometry = geometry
        self.bitmap = bitmap
        self.runs = runs
    }

    /// The metadata for `layout`; the agreed size is cut to what the layout can hold.
    package func place(on layout: Layout) -> StoredMetadata {
        var metadata = StoredMetadata(superblock: self.superblock, layout: layout)
        metadata.superblock.move(to: layout)
        return metadata
    }
}

/// Equal 64-bit words that follow each other in the bitmap of one slot.
package struct BitmapRun: Hashable, Sendable, BitwiseCopyable {
    /// How many there are.
    package var count: UInt64
    /// Their value; bit n is bit n mod 64 of the bitmap.
    package var word: UInt64

    package init(count: UInt64, word: UInt64) {
        self.count = count
        self.word = word
    }
}

/// Reads the grammar of a dump; its words come in a fixed order.
private struct DumpParser {
    private var lexer: DumpLexer
    private var token = DumpLexer.Token.end

    init(_ text: [UInt8]) { self.lexer = DumpLexer(text) }

    mutating func dump(_ version: FormatVersion) throws(DumpFault) -> ParsedDump {
        try self.advance()
        try self.expect(word: "version")
        let found = try self.string()
        guard found == version.rawValue else { throw .version(found: found, requested: version) }
        try self.expect(mark: ";")
        switch version {
        case .v09: return try self.dump09()
        case .v08: return try self.dump08()
        }
    }

    private mutating func dump09() throws(DumpFault) -> ParsedDump {
        let slots = try self.number(after: "max-peers", in: 1...31)
        var block = Superblock(creating: Self.placeholder(slotCount: Int(slots)))
        let nodeID = try self.number(after: "node-id", in: -1...31)
        block.nodeID = nodeID < 0 ? nil : UInt8(nodeID)
        block.currentGeneration = try self.hex64(after: "current-uuid")
        block.flags = DeviceFlags(rawValue: try self.hex32(after: "flags"))
        if self.token == .word("members") { block.members = try self.hex64(after: "members") }
        var seen: UInt32 = 0
        for _ in 0..<Superblock.nodeCount { try self.peer(of: &block, seen: &seen) }
        try self.expect(word: "history-uuids")
        try self.expect(mark: "{")
        for index in 0..<Superblock.historyCount {
            block[history: index] = try self.hex64()
            try self.expect(mark: ";")
        }
        try self.expect(mark: "}")
        let common = try self.common()
        block.effectiveSectors = common.effectiveSectors
        block.deviceUUID = common.deviceUUID
        block.peerMaximumRequestBytes = common.peerMaximumRequestBytes
        var runs: [[BitmapRun]] = []
        for slot in 0..<slots {
            try self.expect(word: "bitmap")
            _ = try self.index(in: slot...slot, of: "bitmap")
            runs.append(try self.runs())
        }
        try self.expectEnd()
        return ParsedDump(
            superblock: .v09(block),
            geometry: common.geometry,
            bitmap: block.bitmap,
            runs: runs
        )
    }

    private mutating func dump08() throws(DumpFault) -> ParsedDump {
        var block = LegacySuperblock(creating: Self.placeholder(slotCount: 1))
        try self.expect(word: "uuid")
        try self.expect(mark: "{")
        block.currentGeneration = try self.hex64()
        try self.expect(mark: ";")
        block.bitmapGeneration = try self.hex64()
        try self.expect(mark: ";")
        block.historyYounger = try self.hex64()
        try self.expect(mark: ";")
        block.historyOlder = try self.hex64()
        try self.expect(mark: ";")
        block.flags = DeviceFlags(rawValue: try self.hex32(after: "flags"))
        try self.expect(mark: "}")
        let common = try self.common()
        block.effectiveSectors = common.effectiveSectors
        block.deviceUUID = common.deviceUUID
        block.peerMaximumRequestBytes = common.peerMaximumRequestBytes
        try self.expect(word: "bm")
        let runs = try self.runs()
        try self.expectEnd()
        return ParsedDump(
            superblock: .v08(block),
            geometry: common.geometry,
            bitmap: .single,
            runs: [runs]
        )
    }

    private mutating func peer(
        of block: inout Superblock,
        seen: inout UInt32
    ) throws(DumpFault) {
        try self.expect(word: "peer")
        let line = self.lexer.line
        let node = UInt8(try self.index(in: 0...31, of: "peer"))
        guard seen & 1 << UInt32(node) == 0 else {
            throw .outOfBounds(
                line: line,
                what: "peer",
                value: "\(node)",
                rule: "each node comes once"
            )
        }
        seen |= 1 << UInt32(node)
        try self.expect(mark: "{")
        let slot = try self.number(after: "bitmap-index", in: -1...31)
        block[peer: node].bitmapSlot = slot < 0 ? nil : UInt8(slot)
        block[peer: node].bitmapGeneration = try self.hex64(after: "bitmap-uuid")
        block[peer: node].bitmapDagtag = try self.hex64(after: "bitmap-dagtag")
        block[peer: node].flags = PeerFlags(rawValue: try self.hex32(after: "flags"))
        try self.expect(mark: "}")
    }

    private struct Common {
        var effectiveSectors: UInt64
        var deviceUUID: UInt64
        var peerMaximumRequestBytes: UInt32
        var geometry: ActivityLogGeometry
    }

    private mutating func common() throws(DumpFault) -> Common {
        let sectors = try self.number(after: "la-size-sect", in: 0...Int64.max)
        let bytesPerBit = Int64(BitmapGeometry.bytesPerBit)
        _ = try self.number(after: "bm-byte-per-bit", in: bytesPerBit...bytesPerBit)
        let uuid = try self.hex64(after: "device-uuid")
        let requestBytes = try self.number(after: "la-peer-max-bio-size", in: 0...1_048_576)
        let stripes = try self.number(after: "al-stripes", in: 0...Int64(UInt32.max))
        let line = self.lexer.line
        let blocks = try self.number(after: "al-stripe-size-4k", in: 0...Int64(UInt32.max))
        guard
            let geometry = ActivityLogGeometry(
                stripes: UInt32(stripes),
                blocksPerStripe: UInt32(blocks)
            )
        else {
            throw .outOfBounds(
                line: line,
                what: "activity log",
                value: "of \(stripes) × \(blocks) blocks",
                rule: "it has \(ActivityLogGeometry.blockCountRange) blocks"
            )
        }
        return Common(
            effectiveSectors: UInt64(sectors),
            deviceUUID: uuid,
            peerMaximumRequestBytes: UInt32(requestBytes),
            geometry: geometry
        )
    }

    private mutating func runs() throws(DumpFault) -> [BitmapRun] {
        try self.expect(mark: "{")
        var runs: [BitmapRun] = []
        while self.token != .mark(UInt8(ascii: "}")) {
            var count: Int64 = 1
            if case .number(let repetitions) = self.token {
                count = repetitions
                guard count > 0 else {
                    throw .outOfBounds(
                        line: self.lexer.line,
                        what: "repetition",
                        value: "\(count)",
                        rule: "it is at least 1"
                    )
                }
                try self.advance()
                try self.expect(word: "times")
            }
            runs.append(BitmapRun(count: UInt64(count), word: try self.hex64()))
            try self.expect(mark: ";")
        }
        try self.advance()
        return runs
    }

    /// `[ number ]`.
    private mutating func index(
        in range: ClosedRange<Int64>,
        of what: String
    ) throws(DumpFault) -> Int64 {
        try self.expect(mark: "[")
        let value = try self.number(what, in: range)
        try self.expect(mark: "]")
        return value
    }

    /// `word number ;`.
    private mutating func number(
        after word: String,
        in range: ClosedRange<Int64>
    ) throws(DumpFault) -> Int64 {
        try self.expect(word: word)
        let value = try self.number(word, in: range)
        try self.expect(mark: ";")
        return value
    }

    /// `word 0x… ;` with 16 digits.
    private mutating func hex64(after word: String) throws(DumpFault) -> UInt64 {
        try self.expect(word: word)
        let value = try self.hex64()
        try self.expect(mark: ";")
        return value
    }

    /// `word 0x… ;` with 8 digits.
    private mutating func hex32(after word: String) throws(DumpFault) -> UInt32 {
        try self.expect(word: word)
        guard case .hex32(let value) = self.token else { throw self.unexpected("0x and 8 digits") }
        try self.advance()
        try self.expect(mark: ";")
        return value
    }

    private mutating func number(
        _ what: String,
        in range: ClosedRange<Int64>
    ) throws(DumpFault) -> Int64 {
        guard case .number(let value) = self.token else { throw self.unexpected("number") }
        guard range.contains(value) else {
            throw .outOfBounds(
                line: self.lexer.line,
                what: what,
                value: "\(value)",
                rule: range.lowerBound == range.upperBound
                    ? "it is \(range.lowerBound)"
                    : "it is between \(range.lowerBound) and \(range.upperBound)"
            )
        }
        try self.advance()
        return value
    }

    private mutating func hex64() throws(DumpFault) -> UInt64 {
        guard case .hex64(let value) = self.token else { throw self.unexpected("0x and 16 digits") }
        try self.advance()
        return value
    }

    private mutating func string() throws(DumpFault) -> String {
        guard case .string(let value) = self.token else { throw self.unexpected("string") }
        try self.advance()
        return value
    }

    private mutating func expect(word: String) throws(DumpFault) {
        guard self.token == .word(word) else { throw self.unexpected("'\(word)'") }
        try self.advance()
    }

    private mutating func expect(mark: UnicodeScalar) throws(DumpFault) {
        guard self.token == .mark(UInt8(ascii: mark)) else { throw self.unexpected("'\(mark)'") }
        try self.advance()
    }

    private func expectEnd() throws(DumpFault) {
        guard self.token == .end else { throw self.unexpected("end of file") }
    }

    private func unexpected(_ expected: String) -> DumpFault {
        .unexpected(line: self.lexer.line, expected: expected, found: self.token.text)
    }

    private mutating func advance() throws(DumpFault) { self.token = try self.lexer.next() }

    /// Any layout; a dump does not say on which device its metadata lay.
    private static func placeholder(slotCount: Int) -> Layout {
        guard let slots = BitmapGeometry(slotCount: slotCount),
            let layout = try? Layout(.flexibleExternal, deviceBytes: 1 << 20, slots: slots)
        else { invariantBroken("a layout for any number of slots that a dump may have") }
        return layout
    }
}
