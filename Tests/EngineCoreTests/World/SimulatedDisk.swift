// SPDX-License-Identifier: Apache-2.0

import Primitives

/// A data device with a volatile cache.
///
/// A write may be read when it has completed, and is on stable storage when a flush has completed
/// that began later, or at once with force unit access. A power cut keeps any of the cached
/// contents of a sector, or the stable one; of a write in flight any subset of its sectors.
final class SimulatedDisk {
    private struct Cached {
        let number: UInt64
        let content: Content
    }

    private struct Write {
        let range: SectorRange
        let content: [Content]
    }

    /// What reads return.
    private(set) var current: SectorContent
    private(set) var durable: SectorContent
    private var cache: [Int: [Cached]] = [:]
    private var writes: [UInt64: Write] = [:]
    private var number: UInt64 = 0
    /// Called for every run of sectors whose possible contents have changed.
    var onChange: ((SectorRange) -> Void)?

    init(sectorCount: Int, initial: Content) {
        self.current = SectorContent(sectorCount: sectorCount, initial: initial)
        self.durable = self.current
    }

    // MARK: Operations

    /// Takes a write; nil if it overlaps one in flight, whose order would be undefined.
    func begin(_ range: SectorRange, _ content: [Content]) -> UInt64? {
        precondition(Int(range.end) <= self.current.sectorCount, "a write inside the device")
        precondition(content.count == Int(range.count), "content for each sector")
        if self.writes.values.contains(where: { $0.range.overlaps(range) }) { return nil }
        self.number += 1
        self.writes[self.number] = Write(range: range, content: content)
        self.onChange?(range)
        return self.number
    }

    func complete(_ id: UInt64, isForcedUnitAccess: Bool) {
        guard let write = self.writes.removeValue(forKey: id) else { return }
        self.number += 1
        for (offset, content) in write.content.enumerated() {
            let sector = Int(write.range.start) + offset
            self.current[sector] = content
            if isForcedUnitAccess {
                self.durable[sector] = content
                self.cache[sector] = nil
            } else {
                self.cache[sector, default: []].append(
                    Cached(number: self.number, content: content)
                )
            }
        }
        self.onChange?(write.range)
    }

    /// A write fails: any of its sectors may have been written.
    func fail(_ id: UInt64, _ random: inout SeededRandom) {
        guard let write = self.writes.removeValue(forKey: id) else { return }
        self.applyPartly(write, &random)
        self.onChange?(write.range)
    }

    /// What a flush that begins now covers.
    var flushMark: UInt64 { self.number }

    func flushed(_ mark: UInt64) {
        for (sector, entries) in self.cache {
            guard let last = entries.last(where: { $0.number <= mark }) else { continue }
            self.durable[sector] = last.content
            let left = entries.filter { $0.number > mark }
            self.cache[sector] = left.isEmpty ? nil : left
            self.onChange?(SectorRange(start: UInt64(sector), count: 1))
        }
    }

    // MARK: Crashes

    /// The process is gone: what was handed over to the kernel may have been written, or not.
    func kill(_ random: inout SeededRandom) {
        for id in self.writes.keys.sorted() {
            guard let write = self.writes.removeValue(forKey: id) else { continue }
            self.applyPartly(write, &random)
            self.onChange?(write.range)
        }
    }

    func cutPower(_ random: inout SeededRandom) {
        self.kill(&random)
        for sector in self.cache.keys.sorted() {
            guard let entries = self.cache.removeValue(forKey: sector) else { continue }
            let choice = Int(random.below(UInt64(entries.count + 1)))
            if choice < entries.count { self.durable[sector] = entries[choice].content }
            self.current[sector] = self.durable[sector]
            self.onChange?(SectorRange(start: UInt64(sector), count: 1))
        }
    }

    private func applyPartly(_ write: Write, _ random: inout SeededRandom) {
        let keepsAll = random.chance(1, in: 4)
        let keepsNone = random.chance(1, in: 3)
        for (offset, content) in write.content.enumerated()
        where keepsAll || !keepsNone && random.chance(1, in: 2) {
            let sector = Int(write.range.start) + offset
            self.number += 1
            self.current[sector] = content
            self.cache[sector, default: []].append(Cached(number: self.number, content: content))
        }
    }

    // MARK: What may be left

    /// What a sector may hold if the node goes on, or is killed.
    func contentsAfterKill(_ sector: Int) -> Set<Content> {
        var contents: Set = [self.current[sector]]
        for write in self.writes.values
        where sector >= Int(write.range.start) && sector < Int(write.range.end) {
            contents.insert(write.content[sector - Int(write.range.start)])
        }
        return contents
    }

    /// What a sector may hold after a power cut now.
    func contentsAfterPowerCut(_ sector: Int) -> Set<Content> {
        var contents = self.contentsAfterKill(sector)
        contents.insert(self.durable[sector])
        for entry in self.cache[sector] ?? [] { contents.insert(entry.content) }
        return contents
    }
}
