// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

@Suite struct ResyncWalkTests {
    private static func idle(_: SectorRange) -> Bool { false }

    /// All requests of one pass over `marked`, as ranges of blocks.
    private static func requests(
        marked: [Range<Int>],
        sectorCount: UInt64,
        limit: ByteCount = .mebibytes(1)
    ) -> [Range<Int>] {
        var bitmap = OutOfSyncBitmap(sectorCount: sectorCount)
        for bits in marked { _ = bitmap.set(bits: bits) }
        var walk = ResyncWalk(
            capacity: 4096,
            requestLimit: limit,
            window: ResyncWindow(floor: .mebibytes(1024), cap: .mebibytes(1024))
        )
        walk.begin(dirtyBlocks: bitmap.count, at: .zero)
        var result: [Range<Int>] = []
        while case .request(_, let range) = walk.next(in: bitmap, at: .zero, isBusy: Self.idle) {
            result.append(Int(range.start / 8)..<Int((range.end + 7) / 8))
        }
        return result
    }

    @Test(
        "SYNC-03 requests follow the merge rules, upward",
        arguments: [
            ([0..<1], [0..<1]),
            ([0..<300], [0..<256, 256..<300]),
            ([1..<9], [1..<2, 2..<4, 4..<8, 8..<9]),
            ([3..<6, 7..<8], [3..<4, 4..<6, 7..<8]),
            ([4..<7], [4..<7]),
            ([6..<12], [6..<8, 8..<12]),
            ([4090..<4100], [4090..<4092, 4092..<4096, 4096..<4100]),
            ([4000..<4200], [4000..<4032, 4032..<4096, 4096..<4200]),
        ]
    )
    func mergeRules(marked: [Range<Int>], expected: [Range<Int>]) {
        let found = Self.requests(marked: marked, sectorCount: 8 * 10_000)
        #expect(found == expected)
    }

    @Test func `no request crosses a 16 MiB boundary or exceeds the limit`() {
        let whole = Self.requests(marked: [0..<10_000], sectorCount: 8 * 10_000)
        #expect(whole.allSatisfy { $0.lowerBound / 4096 == ($0.upperBound - 1) / 4096 })
        #expect(whole.map(\.count).max() == 256 && whole.map(\.count).reduce(0, +) == 10_000)
        let small = Self.requests(marked: [0..<64], sectorCount: 512, limit: .kibibytes(16))
        #expect(small == stride(from: 0, to: 64, by: 4).map { $0..<$0 + 4 })
    }

    @Test func `the last request is clipped to the volume`() {
        var bitmap = OutOfSyncBitmap(sectorCount: 8 * 9 + 3)
        _ = bitmap.setAll()
        var walk = ResyncWalk(capacity: 8)
        walk.begin(dirtyBlocks: bitmap.count, at: .zero)
        var ranges: [SectorRange] = []
        while case .request(_, let range) = walk.next(in: bitmap, at: .zero, isBusy: Self.idle) {
            ranges.append(range)
        }
        #expect(ranges == [SectorRange(start: 0, count: 75)])
    }

    @Test func `an empty resync finishes at once, a failed block does not keep it alive`() {
        var bitmap = OutOfSyncBitmap(sectorCount: 800)
        var walk = ResyncWalk(capacity: 8)
        walk.begin(dirtyBlocks: 0, at: .zero)
        let empty = walk.next(in: bitmap, at: .zero, isBusy: Self.idle)
        #expect(empty == .finished)

        _ = bitmap.set(bits: 5..<6)
        walk.begin(dirtyBlocks: 1, at: .zero)
        guard case .request(let id, _) = walk.next(in: bitmap, at: .zero, isBusy: Self.idle) else {
            Issue.record("one request")
            return
        }
        let waiting = walk.next(in: bitmap, at: .zero, isBusy: Self.idle)
        #expect(waiting == .wait)
        walk.answered(id, at: .zero)
        let range = walk.finish(id, .failed)
        #expect(range == SectorRange(start: 40, count: 8))
        let end = walk.next(in: bitmap, at: .zero, isBusy: Self.idle)
        let failed = walk.failedBlocks
        #expect(end == .finished && failed == 1)
    }

    @Test func `answers are matched by range, strangers are not`() {
        var bitmap = OutOfSyncBitmap(sectorCount: 800)
        _ = bitmap.set(bits: 4..<8)
        var walk = ResyncWalk(capacity: 8)
        walk.begin(dirtyBlocks: 4, at: .zero)
        guard case .request(let id, let range) = walk.next(in: bitmap, at: .zero, isBusy: Self.idle)
        else {
            Issue.record("one request")
            return
        }
        let part = walk.request(for: SectorRange(start: range.start, count: 8))
        let whole = walk.request(for: range)
        walk.answered(id, at: .zero)
        let twice = walk.request(for: range)
        #expect(part == nil && whole == id && twice == nil)
        walk.abort()
        let late = walk.finish(id, .synchronised)
        let known = walk.contains(id)
        #expect(late == nil && !known)
    }

    @Test func `while everything left is busy the walk waits, then makes another pass`() {
        var bitmap = OutOfSyncBitmap(sectorCount: 800)
        _ = bitmap.set(bits: 7..<9)
        var walk = ResyncWalk(capacity: 8)
        walk.begin(dirtyBlocks: 2, at: .zero)
        for _ in 0..<5 {
            let step = walk.next(in: bitmap, at: .zero) { _ in true }
            #expect(step == .wait)
        }
        let step = walk.next(in: bitmap, at: .zero, isBusy: Self.idle)
        guard case .request(_, let range) = step else {
            Issue.record("the blocks are free")
            return
        }
        #expect(range == SectorRange(start: 56, count: 8))
    }

    @Test(
        "SYNC-01 a random resync with writes on both sides ends with equal data",
        arguments: 0..<40
    )
    func randomResync(seed: UInt64) {
        let world = ResyncWorld(seed: seed)
        world.run()
    }
}

/// A source and a target with sector contents, and writes on both sides during the resync.
private final class ResyncWorld {
    /// What travels from source to target, in order.
    private enum Packet {
        case reply(ResyncWalk.RequestID, [Int])
        case cancel(ResyncWalk.RequestID)
        case write(SectorRange, Int)
    }

    /// What travels from target to source, on one socket: requests do not overtake writes.
    private enum Upstream {
        case request(ResyncWalk.RequestID)
        case write(SectorRange, Int)
    }

    private var random: SeededRandom
    private let sectorCount: UInt64
    private var bitmap: OutOfSyncBitmap
    private var walk: ResyncWalk
    private var source: [Int]
    private var target: [Int]
    private var version = 1
    private var now = Instant.zero
    /// What the source has not answered, and which of that it has received.
    private var requested: [ResyncWalk.RequestID: SectorRange] = [:]
    private var received: [ResyncWalk.RequestID] = []
    private var stream: [Packet] = []
    /// Written, not flushed.
    private var finishing: [(ResyncWalk.RequestID, SectorRange)] = []
    /// Writes on the target's disk.
    private var writing: [(SectorRange, Int)] = []
    private var towardsSource: [Upstream] = []
    private var finished = false
    private var writesLeft = 60

    init(seed: UInt64) {
        self.random = SeededRandom(seed: seed)
        self.sectorCount = 1 + self.random.below([100, 5_000, 60_000][Int(self.random.below(3))])
        self.source = Array(repeating: 0, count: Int(self.sectorCount))
        self.target = self.source
        self.bitmap = OutOfSyncBitmap(sectorCount: self.sectorCount)
        self.walk = ResyncWalk(
            capacity: 1 + Int(self.random.below(20)),
            requestLimit: .kibibytes(4 << self.random.below(9))
        )
        for _ in 0..<20 {
            let range = self.randomRange()
            self.version += 1
            self.put(self.version, range, into: &self.source)
            _ = self.bitmap.set(range)
        }
    }

    func run() {
        self.walk.begin(dirtyBlocks: self.bitmap.count, at: self.now)
        var steps = 0
        while !self.finished {
            self.now = self.now + .milliseconds(1)
            self.step()
            steps += 1
            guard steps < 200_000 else {
                Issue.record("the resync does not end")
                return
            }
        }
        while !self.towardsSource.isEmpty { self.deliverToSource() }
        while !self.writing.isEmpty { self.completeWrite() }
        while !self.stream.isEmpty { self.deliver() }
        while !self.writing.isEmpty { self.completeWrite() }
        let differing = zip(self.source, self.target).count { $0 != $1 }
        #expect(differing == 0)
        let left = self.bitmap.count
        #expect(left == 0)
    }

    private func randomRange() -> SectorRange {
        let start = self.random.below(self.sectorCount)
        let count = 1 + self.random.below(min(400, self.sectorCount - start))
        return SectorRange(start: start, count: count)
    }

    private func put(_ value: Int, _ range: SectorRange, into disk: inout [Int]) {
        for sector in range.start..<range.end { disk[Int(sector)] = value }
    }

    private func step() {
        switch self.random.below(8) {
        case 0, 1: self.ask()
        case 2: self.answer()
        case 3: self.deliver()
        case 4:
            guard !self.finishing.isEmpty else { return }
            let index = Int(self.random.below(UInt64(self.finishing.count)))
            let (id, range) = self.finishing.remove(at: index)
            let ended = self.walk.finish(id, .synchronised)
            #expect(ended == range)
            _ = self.bitmap.clear(range)
        case 5: self.completeWrite()
        case 6: self.deliverToSource()
        default: self.write()
        }
    }

    private func ask() {
        let writing = self.writing
        let step = self.walk.next(in: self.bitmap, at: self.now) { range in
            writing.contains { $0.0.overlaps(range) }
        }
        switch step {
        case .request(let id, let range):
            #expect(!writing.contains { $0.0.overlaps(range) }, "not over a write in flight")
            #expect(!self.requested.values.contains { $0.overlaps(range) }, "asked for once")
            for bit in Int(range.start / 8)..<Int((range.end + 7) / 8) {
                let isMarked = self.bitmap.contains(bit)
                #expect(isMarked)
            }
            self.requested[id] = range
            self.towardsSource.append(.request(id))
        case .wait:
            break
        case .finished:
            let outstanding = self.walk.outstanding
            let failed = self.walk.failedBlocks
            #expect(outstanding == 0 && failed == 0)
            self.finished = true
        }
    }

    private func answer() {
        guard !self.received.isEmpty else { return }
        let id = self.received.remove(at: Int(self.random.below(UInt64(self.received.count))))
        guard let range = self.requested.removeValue(forKey: id) else {
            Issue.record("answered once")
            return
        }
        if self.random.chance(1, in: 10) {
            self.stream.append(.cancel(id))
        } else {
            self.stream.append(.reply(id, Array(self.source[Int(range.start)..<Int(range.end)])))
        }
    }

    private func deliver() {
        guard !self.stream.isEmpty else { return }
        switch self.stream.removeFirst() {
        case .cancel(let id):
            self.walk.answered(id, at: self.now)
            let range = self.walk.finish(id, .cancelled)
            #expect(range != nil)
        case .reply(let id, let data):
            self.walk.answered(id, at: self.now)
            self.store(id, data)
        case .write(let range, let value):
            self.startWrite(range, value)
        }
    }

    private func store(_ id: ResyncWalk.RequestID, _ data: [Int]) {
        guard let range = self.range(of: id, count: data.count) else {
            Issue.record("an answered request has a range")
            return
        }
        for index in range.start..<range.end {
            self.target[Int(index)] = data[Int(index - range.start)]
        }
        self.finishing.append((id, range))
    }

    private func range(of id: ResyncWalk.RequestID, count: Int) -> SectorRange? {
        let range = self.walk.range(of: id)
        return range?.count == UInt64(count) ? range : nil
    }

    /// A write at the target, in flight for a while.
    private func startWrite(_ range: SectorRange, _ value: Int) {
        self.writing.append((range, value))
        self.put(value, range, into: &self.target)
    }

    private func completeWrite() {
        guard !self.writing.isEmpty else { return }
        self.writing.removeFirst()
    }

    private func deliverToSource() {
        guard !self.towardsSource.isEmpty else { return }
        switch self.towardsSource.removeFirst() {
        case .request(let id): self.received.append(id)
        case .write(let range, let value): self.put(value, range, into: &self.source)
        }
    }

    /// One side is Primary: the target's application in odd worlds, the source's in even ones.
    private func write() {
        guard self.writesLeft > 0 else { return }
        let range = self.randomRange()
        let isOfTarget = self.sectorCount % 2 == 1
        // The target's application waits for the blocks that are asked for.
        if isOfTarget, self.walk.overlapsOutstanding(range) { return }
        self.writesLeft -= 1
        self.version += 1
        if isOfTarget {
            self.startWrite(range, self.version)
            self.towardsSource.append(.write(range, self.version))
        } else {
            self.put(self.version, range, into: &self.source)
            self.stream.append(.write(range, self.version))
        }
    }
}
