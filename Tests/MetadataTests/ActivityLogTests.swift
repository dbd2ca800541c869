// SPDX-License-Identifier: Apache-2.0

import Metadata
import Primitives
import Testing

struct ActivityLogBlockTests {
    @Test("AL-02 a block's bytes are those the field's tools write and read")
    func goldenBlocks() {
        let initialised = block { ActivityLogBlock.encodeInitialised(into: $0) }
        #expect(
            sha256(initialised)
                == "52cd904d58f207a32113d76020e96c5fcc8c573dc71878cb581d14f7d41af15e"
        )
        #expect(Array(initialised[8..<12]) == [0x70, 0x9C, 0xC6, 0x51])
        #expect(
            sha256(transaction(0, [(0, 0), (1, 1)]))
                == "55bd98ae85a63d2c6995a43d598e5321e6f590c68cb585cb0bee33aeb83fb23d"
        )
        #expect(
            sha256(transaction(1, [(1, 3)], context: [0, 1]))
                == "d60cd3026a712fd03a20c96b9ae0c80b9e73652f66e8d5304d26edd2e3f853d4"
        )
    }

    @Test func `reads what was written`() throws {
        var random = SeededRandom(seed: 4)
        for _ in 0..<200 {
            let slotCount = 1 + Int(random.below(65534))
            let start = Int(random.below(UInt64(slotCount)))
            let updates = (0..<random.below(65)).map { _ in
                (slot: UInt16(random.below(65535)), extent: UInt32(random.below(1 << 32)))
            }
            let context = (0..<random.below(920)).map { _ in UInt32(random.below(1 << 32)) }
            let number = UInt32(random.below(1 << 32))
            let bytes = transaction(
                number,
                updates,
                slotCount: slotCount,
                contextStart: start,
                context: context
            )
            guard let block = ActivityLogBlockReader(bytes.span.bytes) else {
                Issue.record("a block that was just written")
                return
            }
            let head = (
                block.transaction, block.kind, Int(block.slotCount), Int(block.contextStart),
                Int(block.updateCount)
            )
            #expect(head == (number, 0, slotCount, start, updates.count))
            for index in 0..<64 {
                let update = block.update(at: index)
                let expected = index < updates.count ? updates[index] : (0xFFFF, .max)
                #expect(update.slot == expected.slot && update.extent == expected.extent)
            }
            for index in 0..<919 {
                let extent = block.context(at: index)
                #expect(extent == (index < context.count ? context[index] : .max))
            }
        }
    }

    @Test func `every single-bit change of a block is found`() {
        let whole = transaction(7, [(3, 9)], context: [1, 2, 3])
        for bit in 0..<4096 * 8 {
            var bytes = whole
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!Self.isBlock(bytes), "bit \(bit)")
        }
        for count in stride(from: 0, to: 4096, by: 7) {
            #expect(!Self.isBlock(Array(whole[..<count])))
        }
    }

    private static func isBlock(_ bytes: [UInt8]) -> Bool {
        guard let _ = ActivityLogBlockReader(bytes.span.bytes) else { return false }
        return true
    }
}

struct ActivityLogReplayTests {
    private static let initialised = block { ActivityLogBlock.encodeInitialised(into: $0) }
    private static let damaged = [UInt8](repeating: 0, count: 4096)

    /// A ring of `blocks`, the rest as if never used.
    private static func ring(
        _ blocks: [Int: [UInt8]],
        _ geometry: ActivityLogGeometry = .standard
    ) -> [UInt8] {
        (0..<Int(geometry.blockCount)).flatMap { blocks[$0] ?? Self.initialised }
    }

    private static func replay(
        _ blocks: [Int: [UInt8]],
        _ geometry: ActivityLogGeometry = .standard
    ) -> ActivityLogReplay {
        let ring = Self.ring(blocks, geometry)
        return ActivityLogReplay(ring: ring.span.bytes, geometry: geometry)
    }

    /// Eight transactions, number n assigning extent n to slot n mod 8, each with the slots before
    /// it.
    private static func tracked(damaging: UInt32? = nil) -> [Int: [UInt8]] {
        var slots = [UInt32](repeating: .max, count: 8)
        var blocks: [Int: [UInt8]] = [:]
        for number in UInt32(6)...13 {
            blocks[Int(number % 8)] = transaction(
                number,
                [(UInt16(number % 8), number)],
                slotCount: 8,
                context: slots
            )
            if number == damaging { blocks[Int(number % 8)]?[9] ^= 1 }
            slots[Int(number % 8)] = number
        }
        return blocks
    }

    @Test("AL-05 replay finds the extents of the newest mapping")
    func hotExtents() {
        let two = Self.replay([
            0: transaction(0, [(0, 0), (1, 1)]), 1: transaction(1, [(1, 3)], context: [0, 1]),
        ])
        #expect(two.outcome == .replayed(corrupt: 0, hot: [0, 3]))
        #expect(Self.replay(Self.tracked()).outcome == .replayed(corrupt: 0, hot: Array(6...13)))
        #expect(
            Self.replay(Self.tracked(damaging: 13)).outcome
                == .replayed(corrupt: 1, hot: Array(6...12))
        )
    }

    @Test func `transaction numbers wrap`() {
        var blocks: [Int: [UInt8]] = [:]
        for (index, number) in [UInt32.max - 1, .max, 0, 1].enumerated() {
            blocks[Int(number % 8)] = transaction(
                number,
                [(UInt16(index), UInt32(index))],
                slotCount: 67,
                context: Array(0..<UInt32(index))
            )
        }
        #expect(Self.replay(blocks).outcome == .replayed(corrupt: 0, hot: [0, 1, 2, 3]))
    }

    @Test func `transactions of a striped ring are found`() throws {
        let geometry = try #require(ActivityLogGeometry(stripes: 2, blocksPerStripe: 16))
        var blocks: [Int: [UInt8]] = [:]
        for (number, place) in [0, 16, 1, 17].enumerated() {
            blocks[place] = transaction(
                UInt32(number),
                [(UInt16(number), UInt32(number * 10))],
                context: (0..<number).map { UInt32($0 * 10) }
            )
        }
        let replay = Self.replay(blocks, geometry)
        #expect(replay.outcome == .replayed(corrupt: 0, hot: [0, 10, 20, 30]))
    }

    @Test func `each state of the ring has its outcome`() {
        let allDamaged = Dictionary(uniqueKeysWithValues: (0..<8).map { ($0, Self.damaged) })
        #expect(Self.replay(allDamaged).outcome == .unusable)
        #expect(Self.replay([:]).outcome == .neverUsed)
        #expect(Self.replay([0: Self.damaged]).outcome == .firstTransactionTorn)
        #expect(Self.replay([3: Self.damaged]).outcome == .noTransaction(corrupt: 1))
        #expect(
            Self.replay([0: Self.damaged, 1: Self.damaged]).outcome == .noTransaction(corrupt: 2)
        )
        let empty: [UInt8] = []
        #expect(
            ActivityLogReplay(ring: empty.span.bytes, geometry: .standard).outcome == .unusable
        )
    }

    @Test func `slots that cannot exist are ignored and named`() {
        let replay = Self.replay([0: transaction(5, [(65534, 9), (65533, 4)], slotCount: 65534)])
        #expect(replay.outcome == .replayed(corrupt: 0, hot: [4]))
        #expect(replay.warnings.map(\.text) == ["update slot number out of range: tr:5 slot:65534"])
    }

    @Test func `verdicts follow whether the log counts`() throws {
        let layout = try layout(.internal, bytes: 64 << 20, peers: 1)
        var primary = Superblock(creating: layout)
        primary.effectiveSectors = layout.usableSectors
        primary.flags = .primary
        var secondary = primary
        secondary.flags = []
        let bytes = layout.bitmapBytes(forSectors: layout.usableSectors)
        let cases: [([Int: [UInt8]], ActivityLogVerdict.Action, ActivityLogVerdict.Action)] = [
            (
                [:], .apply(extents: [], initialisesRing: false),
                .apply(extents: [], initialisesRing: false)
            ),
            ([3: Self.damaged], .fail, .apply(extents: [], initialisesRing: true)),
            (
                [0: transaction(0, [(0, 2), (1, 99999)])],
                .apply(extents: [2], initialisesRing: true),
                .apply(extents: [], initialisesRing: true)
            ),
        ]
        for (blocks, whenPrimary, whenSecondary) in cases {
            let replay = Self.replay(blocks)
            #expect(
                ActivityLogVerdict(replay, superblock: .v09(primary), bitmapBytes: bytes).action
                    == whenPrimary
            )
            #expect(
                ActivityLogVerdict(replay, superblock: .v09(secondary), bitmapBytes: bytes).action
                    == whenSecondary
            )
        }
        let beyond = Self.replay([0: transaction(0, [(1, 99999)])])
        #expect(
            ActivityLogVerdict(beyond, superblock: .v09(primary), bitmapBytes: bytes).messages
                == ["extent 99999 beyond end of bitmap! (12799872 >= 4096)"]
        )
        #expect(
            ActivityLogVerdict.marked(bits: 3 * 2048)
                == "Marked additional 24 MB as out-of-sync based on AL."
        )
    }

    /// A model: slots change at random, some transactions are lost as a crash would lose them.
    @Test("AL-05 after a crash at any transaction every extent that was hot is found")
    func crashes() throws {
        var random = SeededRandom(seed: 5)
        for round in 0..<60 {
            let geometry = try #require(
                ActivityLogGeometry(
                    stripes: UInt32(1 + random.below(3)),
                    blocksPerStripe: UInt32(8 + random.below(4))
                )
            )
            // With more slots than one context describes, the cursor has to go round.
            let slotCount = round % 3 == 0 ? 2500 : 67 + Int(random.below(200))
            var ring = Self.ring([:], geometry)
            var slots = [UInt32](repeating: .max, count: slotCount)
            var cursor = 0
            let first = UInt32(truncatingIfNeeded: random.next())
            for step in 0..<40 {
                var updates: [(slot: UInt16, extent: UInt32)] = []
                for _ in 0..<1 + random.below(64) {
                    let slot = UInt16(random.below(UInt64(slotCount)))
                    if updates.contains(where: { $0.slot == slot }) { continue }
                    updates.append((slot, UInt32(random.below(100_000))))
                }
                let end = min(cursor + 919, slotCount)
                let number = first &+ UInt32(step)
                let bytes = transaction(
                    number,
                    updates,
                    slotCount: slotCount,
                    contextStart: cursor,
                    context: Array(slots[cursor..<end])
                )
                cursor = end == slotCount ? 0 : end
                let place = Int(geometry.block(ofTransaction: number)) * 4096
                // The write may be torn by the crash: then what was hot before must be found.
                var torn = ring
                torn.replaceSubrange(place..<place + 2048, with: bytes[..<2048])
                ring.replaceSubrange(place..<place + 4096, with: bytes)
                if torn != ring { Self.expect(torn, geometry, finds: slots) }
                for update in updates { slots[Int(update.slot)] = update.extent }
                Self.expect(ring, geometry, finds: slots)
            }
        }
    }

    private static func expect(
        _ ring: [UInt8],
        _ geometry: ActivityLogGeometry,
        finds slots: [UInt32]
    ) {
        let hot = Set(slots).subtracting([.max]).sorted()
        let replay = ActivityLogReplay(ring: ring.span.bytes, geometry: geometry)
        switch replay.outcome {
        case .replayed(_, let found): #expect(Set(found).isSuperset(of: hot))
        case .firstTransactionTorn, .neverUsed: #expect(hot.isEmpty)
        case .noTransaction(let corrupt): #expect(hot.isEmpty && corrupt == 1)
        case .unusable: Issue.record("a ring with valid blocks")
        }
    }
}
