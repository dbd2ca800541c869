// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

@Suite struct ActivityLogTests {
    /// The range of `count` extents from `extent`, inset by a sector at both ends.
    private static func range(_ extent: some BinaryInteger, _ count: UInt64 = 1) -> SectorRange {
        SectorRange(start: UInt64(extent) * 8192 + 1, count: count * 8192 - 2)
    }

    /// Writes what the log plans and resumes whom it names.
    private static func settle(_ log: inout ActivityLog, _ clock: inout FlushClock) -> [UInt32] {
        var resumed: [UInt32] = []
        while true {
            while let action = log.nextAction(flushes: clock) {
                switch action {
                case .writeBitmap: log.bitmapWritten()
                case .writeTransaction: log.transactionWritten()
                case .resume(let request): resumed.append(request)
                case .metadataFailed, .refuse: Issue.record("nothing has failed")
                }
            }
            guard log.needsFlush(clock) else { return resumed }
            clock.start()
            clock.complete()
        }
    }

    @Test("AL-03 a write to a cold extent waits for the transaction, the next one does not")
    func coldThenHot() {
        var log = ActivityLog(slotCount: 67, requestCapacity: 8)
        let clock = FlushClock()
        let range = Self.range(7)
        let first = log.begin(request: 1, range: range)
        #expect(first == .wait)
        let action = log.nextAction(flushes: clock)
        #expect(action == .writeTransaction(number: 0))
        let planned = log.update(at: 0)
        #expect(planned == ActivityLog.Update(slot: 0, extent: 7))
        let before = log.context(at: 0)
        #expect(before == ActivityLog.noExtent)
        let meanwhile = log.begin(request: 2, range: range)
        #expect(meanwhile == .wait)
        var actions: [ActivityLog.Action] = []
        while let action = log.nextAction(flushes: clock) { actions.append(action) }
        #expect(actions.isEmpty)
        log.transactionWritten()
        while let action = log.nextAction(flushes: clock) { actions.append(action) }
        #expect(actions == [.resume(request: 1), .resume(request: 2)])
        let third = log.begin(request: 3, range: range)
        #expect(third == .hot)
        let references = log.referenceCount(of: 7)
        #expect(references == 3)
    }

    @Test func `collects cold extents of one batch into one transaction of at most 64 changes`() {
        var log = ActivityLog(slotCount: 200, requestCapacity: 200)
        let clock = FlushClock()
        for request in 0..<100 {
            let admission = log.begin(request: UInt32(request), range: Self.range(request))
            #expect(admission == .wait)
        }
        let first = log.nextAction(flushes: clock)
        #expect(first == .writeTransaction(number: 0))
        let count = log.updateCount
        #expect(count == 64)
        log.transactionWritten()
        var resumed = 0
        var second: ActivityLog.Action?
        while let action = log.nextAction(flushes: clock) {
            if case .resume = action { resumed += 1 } else { second = action }
        }
        #expect(resumed == 64)
        #expect(second == .writeTransaction(number: 1))
        let rest = log.updateCount
        #expect(rest == 36)
    }

    @Test("AL-06 the least recently used extent goes, after a flush and its bitmap pages")
    func evictsLeastRecentlyUsed() {
        var log = ActivityLog(slotCount: 67, requestCapacity: 8)
        var clock = FlushClock()
        for extent in 0..<67 {
            _ = log.begin(request: 0, range: Self.range(extent))
            let resumed = Self.settle(&log, &clock)
            #expect(resumed == [0])
            log.end(range: Self.range(extent), flushes: clock)
        }
        let flushesBefore = clock.started
        #expect(flushesBefore == 0)
        let again = log.begin(request: 0, range: Self.range(0))
        #expect(again == .hot)
        log.end(range: Self.range(0), flushes: clock)

        _ = log.begin(request: 5, range: Self.range(100))
        let first = log.nextAction(flushes: clock)
        #expect(first == .writeBitmap)
        let evicted = log.evictedExtent(at: 0)
        #expect(evicted == 1)
        let needed = log.needsFlush(clock)
        #expect(needed)
        clock.start()
        log.bitmapWritten()
        let early = log.nextAction(flushes: clock)
        #expect(early == nil)
        let write = log.begin(request: 6, range: Self.range(1))
        #expect(write == .wait)
        clock.complete()
        let second = log.nextAction(flushes: clock)
        #expect(second == .writeTransaction(number: 67))
    }

    @Test func `a flush that started before the last write ended does not free the extent`() {
        var log = ActivityLog(slotCount: 67, requestCapacity: 80)
        var clock = FlushClock()
        for extent in 0..<67 { _ = log.begin(request: UInt32(extent), range: Self.range(extent)) }
        let resumed = Self.settle(&log, &clock)
        #expect(resumed.count == 67)
        clock.start()
        for extent in 0..<67 { log.end(range: Self.range(extent), flushes: clock) }
        clock.complete()
        _ = log.begin(request: 0, range: Self.range(90))
        let first = log.nextAction(flushes: clock)
        #expect(first == .writeBitmap)
        log.bitmapWritten()
        let blocked = log.nextAction(flushes: clock)
        #expect(blocked == nil)
        let needed = log.needsFlush(clock)
        #expect(needed)
    }

    @Test func `a starving request is served before later ones on hot extents`() {
        var log = ActivityLog(slotCount: 67, requestCapacity: 80)
        var clock = FlushClock()
        for extent in 0..<67 { _ = log.begin(request: UInt32(extent), range: Self.range(extent)) }
        _ = Self.settle(&log, &clock)
        _ = log.begin(request: 70, range: Self.range(200, 2))
        let none = Self.settle(&log, &clock)
        #expect(none.isEmpty)
        let starving = log.isStarving
        #expect(starving)
        let hot = log.begin(request: 71, range: Self.range(5))
        #expect(hot == .wait)
        log.end(range: Self.range(8), flushes: clock)
        let still = Self.settle(&log, &clock)
        #expect(still.isEmpty)
        log.end(range: Self.range(9), flushes: clock)
        let served = Self.settle(&log, &clock)
        #expect(served == [70, 71])
    }

    @Test func `a request's own idle extent is no slot for its cold one`() {
        var log = ActivityLog(slotCount: 67, requestCapacity: 80)
        var clock = FlushClock()
        for extent in 0..<67 { _ = log.begin(request: UInt32(extent), range: Self.range(extent)) }
        _ = Self.settle(&log, &clock)
        log.end(range: Self.range(66), flushes: clock)
        _ = log.begin(request: 70, range: Self.range(66, 2))
        let none = Self.settle(&log, &clock)
        let starving = log.isStarving
        #expect(none.isEmpty && starving)
        log.end(range: Self.range(0), flushes: clock)
        let served = Self.settle(&log, &clock)
        #expect(served == [70])
    }

    @Test func `a failed transaction refuses every waiting request once`() {
        var log = ActivityLog(slotCount: 67, requestCapacity: 80)
        var clock = FlushClock()
        _ = log.begin(request: 0, range: Self.range(0))
        _ = Self.settle(&log, &clock)
        for request in 1..<71 {
            _ = log.begin(request: UInt32(request), range: Self.range(request))
        }
        let write = log.nextAction(flushes: clock)
        #expect(write == .writeTransaction(number: 1))
        log.fail()
        log.transactionWritten()
        var actions: [ActivityLog.Action] = []
        while let action = log.nextAction(flushes: clock) { actions.append(action) }
        #expect(actions == [.metadataFailed] + (1..<71).map { .refuse(request: $0) })
        let number = log.transactionNumber
        #expect(number == 1)
        let late = log.begin(request: 1, range: Self.range(0))
        #expect(late == .failed)
        log.end(range: Self.range(0), flushes: clock)
    }

    @Test func `the context window moves by 919 slots and wraps, numbers advance with each block`()
    {
        var log = ActivityLog(slotCount: 2000, requestCapacity: 4)
        var clock = FlushClock()
        var starts: [Int] = []
        var counts: [Int] = []
        for extent in 0..<4 {
            starts.append(log.contextStart)
            counts.append(log.contextCount)
            _ = log.begin(request: 0, range: Self.range(extent))
            _ = Self.settle(&log, &clock)
        }
        #expect(starts == [0, 919, 1838, 0])
        #expect(counts == [919, 919, 162, 919])
        let number = log.transactionNumber
        #expect(number == 4)
    }

    @Test(arguments: 0..<60)
    func `random requests and completions keep every rule of the log`(seed: UInt64) {
        let world = ActivityLogWorld(seed: seed)
        for _ in 0..<3_000 { world.step() }
        world.drain()
    }
}

/// A log with a naive model of the disk beside it; every action is checked against the model.
private final class ActivityLogWorld {
    private var random: SeededRandom
    private var log: ActivityLog
    private var clock = FlushClock()
    private let extents: UInt64
    private let slotCount: Int
    private let requests: Int
    private var ranges: [UInt32: SectorRange] = [:]
    private var waiting: Set<UInt32> = []
    private var running: Set<UInt32> = []
    /// What a replay of the written blocks would find.
    private var disk: [UInt32?]
    private var references: [UInt32: Int] = [:]
    private var lastEnd: [UInt32: Int] = [:]
    private var unflushed: [UInt32: UInt64] = [:]
    private var ends = 0
    private var number: UInt32 = 0
    private var start = 0
    private var bitmapPending = false
    private var bitmapDone = false
    private var transactionPending = false

    init(seed: UInt64) {
        self.random = SeededRandom(seed: seed)
        self.slotCount = 67 + Int(self.random.below(40))
        self.extents = [40, 100, 400, 5000][Int(self.random.below(4))]
        self.requests = 8 + Int(self.random.below(120))
        self.disk = Array(repeating: nil, count: self.slotCount)
        self.log = ActivityLog(slotCount: self.slotCount, requestCapacity: self.requests)
    }

    private static func extents(of range: SectorRange) -> [UInt32] {
        (range.start / 8192...(range.end - 1) / 8192).map { UInt32($0) }
    }

    func step() {
        switch self.random.below(10) {
        case 0..<4: self.begin()
        case 4..<7: self.end()
        case 7: self.flush()
        case 8: self.completeMetadata()
        default: self.act()
        }
    }

    func drain() {
        var rounds = 0
        while !self.waiting.isEmpty || !self.running.isEmpty {
            self.act()
            self.flush()
            self.completeMetadata()
            self.end()
            rounds += 1
            guard rounds < 10_000 else {
                Issue.record("a request waits for ever")
                return
            }
        }
        let quiet = self.log.referencedCount
        #expect(quiet == 0)
    }

    private func begin() {
        let request = UInt32(self.random.below(UInt64(self.requests)))
        guard !self.waiting.contains(request), !self.running.contains(request) else { return }
        let length = self.random.chance(1, in: 4) ? 1 + self.random.below(8192 * 3) : 8
        let range = SectorRange(start: self.random.below(self.extents * 8192), count: length)
        self.ranges[request] = range
        let starving = self.log.isStarving
        switch self.log.begin(request: request, range: range) {
        case .hot:
            #expect(!starving)
            self.run(request)
        case .wait: self.waiting.insert(request)
        case .failed: Issue.record("nothing has failed")
        }
    }

    private func run(_ request: UInt32) {
        self.running.insert(request)
        for extent in Self.extents(of: self.ranges[request, default: .init(start: 0, count: 1)]) {
            #expect(self.disk.contains(extent), "a running request's extents are on disk")
            self.references[extent, default: 0] += 1
        }
    }

    private func end() {
        guard let request = self.running.sorted().randomElement(using: &self.random),
            let range = self.ranges[request]
        else { return }
        self.running.remove(request)
        self.log.end(range: range, flushes: self.clock)
        self.ends += 1
        for extent in Self.extents(of: range) {
            self.references[extent, default: 0] -= 1
            self.lastEnd[extent] = self.ends
            self.unflushed[extent] = self.clock.mark
        }
    }

    private func flush() {
        if self.clock.isRunning {
            self.clock.complete()
        } else if self.log.needsFlush(self.clock) || self.random.chance(1, in: 8) {
            self.clock.start()
        }
    }

    private func completeMetadata() {
        if self.bitmapPending {
            self.bitmapPending = false
            self.bitmapDone = true
            self.log.bitmapWritten()
        } else if self.transactionPending {
            self.transactionPending = false
            for index in 0..<self.log.updateCount {
                let update = self.log.update(at: index)
                self.disk[Int(update.slot)] = update.extent
            }
            self.number += 1
            self.start = self.start + 919 >= self.slotCount ? 0 : self.start + 919
            self.log.transactionWritten()
            #expect(Set(self.disk.compactMap { $0 }).count == self.disk.count { $0 != nil })
        }
    }

    private func act() {
        let plannedBefore = self.log.updateCount
        while let action = self.log.nextAction(flushes: self.clock) {
            switch action {
            case .writeBitmap:
                self.bitmapPending = true
                self.bitmapDone = false
            case .writeTransaction(let number):
                #expect(number == self.number)
                self.checkTransaction()
                self.transactionPending = true
            case .resume(let request):
                #expect(self.waiting.remove(request) != nil, "resumed exactly once")
                self.run(request)
            case .metadataFailed, .refuse: Issue.record("nothing has failed")
            }
        }
        if plannedBefore == 0 && self.log.updateCount > 0 { self.checkVictims() }
    }

    private func checkTransaction() {
        let updates = self.log.updateCount
        #expect(updates > 0 && updates <= 64)
        let start = self.log.contextStart
        #expect(start == self.start)
        for index in 0..<self.log.contextCount {
            let context = self.log.context(at: index)
            #expect(context == self.disk[start + index] ?? .max)
        }
        var evicted = 0
        for index in 0..<self.log.updateCount {
            guard let extent = self.log.evictedExtent(at: index) else { continue }
            evicted += 1
            #expect(self.references[extent, default: 0] == 0, "a referenced extent stays")
            if let mark = self.unflushed[extent] {
                #expect(mark <= self.clock.completed, "nothing leaves before its flush")
            }
        }
        if evicted > 0 { #expect(self.bitmapDone, "nothing leaves before its bitmap pages") }
        self.bitmapDone = false
    }

    /// Nothing that stays idle is older than what goes.
    private func checkVictims() {
        var evicted: [UInt32] = []
        for index in 0..<self.log.updateCount {
            if let extent = self.log.evictedExtent(at: index) { evicted.append(extent) }
        }
        guard let youngest = evicted.compactMap({ self.lastEnd[$0] }).max() else { return }
        for extent in self.disk.compactMap({ $0 }) where !evicted.contains(extent) {
            guard self.log.referenceCount(of: extent) == 0 else { continue }
            #expect(self.lastEnd[extent, default: 0] >= youngest)
        }
    }
}
