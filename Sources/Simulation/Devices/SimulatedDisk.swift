// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// A data device behind a page cache.
///
/// A write may be read when it has completed, and is on stable storage when a flush has succeeded
/// that began later, or at once with force unit access. The end of a process leaves the cache as it
/// is. A power cut keeps any of the cached contents of a sector, or the stable one; of a write in
/// flight any subset of its sectors. After a failed flush nothing becomes stable any more, and the
/// cache may be lost when the disk is closed.
package final class SimulatedDisk {
    private struct Write {
        let number: UInt64
        let range: SectorRange
        let content: [Content]
        /// Survives a power cut.
        var isStable = false
    }

    /// What reads return.
    package private(set) var current: SectorContent
    /// What is on stable storage but for writes in the cache.
    private var base: SectorContent
    /// Completed writes that no flush has covered, oldest first.
    private var cache: [Write] = []
    /// Writes in flight, oldest first.
    private var writes: [Write] = []
    private var number: UInt64 = 0
    /// A flush has failed: what is in the cache may be lost when the disk is closed.
    private var isDoomed = false

    package init(sectorCount: Int, initial: Content) {
        self.current = SectorContent(sectorCount: sectorCount, initial: initial)
        self.base = self.current
    }

    /// A disk in the same state.
    package init(copyOf other: SimulatedDisk) {
        self.current = other.current
        self.base = other.base
        self.cache = other.cache
        self.writes = other.writes
        self.number = other.number
        self.isDoomed = other.isDoomed
    }

    /// What is on stable storage for certain.
    package var durable: SectorContent {
        var content = self.base
        for write in self.cache where write.isStable { Self.apply(write, to: &content) }
        return content
    }

    /// The ranges of the writes in flight.
    package var rangesInFlight: [SectorRange] { self.writes.map(\.range) }

    // MARK: Operations

    /// Takes a write; nil if it overlaps one in flight, whose order would be undefined.
    package func begin(_ range: SectorRange, _ content: [Content]) -> UInt64? {
        invariant(Int(range.end) <= self.current.sectorCount, "a write inside the device")
        invariant(content.count == Int(range.count), "content for each sector")
        if self.writes.contains(where: { $0.range.overlaps(range) }) { return nil }
        self.number += 1
        self.writes.append(Write(number: self.number, range: range, content: content))
        return self.number
    }

    private func take(_ id: UInt64) -> Write? {
        guard let index = self.writes.firstIndex(where: { $0.number == id }) else { return nil }
        return self.writes.remove(at: index)
    }

    package func complete(_ id: UInt64, isForcedUnitAccess: Bool) {
        guard let write = self.take(id) else { return }
        self.keep(write, isStable: isForcedUnitAccess)
    }

    private func keep(_ write: Write, isStable: Bool) {
        Self.apply(write, to: &self.current)
        self.number += 1
        self.cache.append(
            Write(
                number: self.number,
                range: write.range,
                content: write.content,
                isStable: isStable
            )
        )
    }

    private static func apply(_ write: Write, to content: inout SectorContent) {
        content.update(write.range) { offset, _ in write.content[offset] }
    }

    /// A write fails: any of its sectors may have been written.
    package func fail(_ id: UInt64, _ random: inout SeededRandom) {
        guard let write = self.take(id) else { return }
        self.keepPartly(write, &random)
    }

    /// What a flush that begins now covers.
    package var flushMark: UInt64 { self.number }

    package func flushed(_ mark: UInt64) {
        if self.isDoomed { return }
        for write in self.cache where write.number <= mark { Self.apply(write, to: &self.base) }
        self.cache.removeAll { $0.number <= mark }
    }

    /// A flush fails: no later one succeeds.
    package func flushFailed() { self.isDoomed = true }

    /// The process closes the disk.
    package func close(_ random: inout SeededRandom) {
        if self.isDoomed { self.loseCache(&random) }
    }

    // MARK: Crashes

    /// The process is gone: what was handed over to the kernel may have been written, or not.
    package func kill(_ random: inout SeededRandom) {
        for write in self.writes { self.keepPartly(write, &random) }
        self.writes = []
        self.close(&random)
    }

    package func cutPower(_ random: inout SeededRandom) {
        self.kill(&random)
        self.loseCache(&random)
    }

    private func loseCache(_ random: inout SeededRandom) {
        self.isDoomed = false
        for write in self.cache { Self.applyPartly(write, to: &self.base, &random) }
        self.cache = []
        self.current = self.base
    }

    private func keepPartly(_ write: Write, _ random: inout SeededRandom) {
        var partial = self.current[write.range]
        let chance = Self.chance(&random)
        for offset in partial.indices where random.chance(chance, in: 4) {
            partial[offset] = write.content[offset]
        }
        self.keep(
            Write(number: write.number, range: write.range, content: partial),
            isStable: false
        )
    }

    private static func applyPartly(
        _ write: Write,
        to content: inout SectorContent,
        _ random: inout SeededRandom
    ) {
        if write.isStable { return Self.apply(write, to: &content) }
        let chance = Self.chance(&random)
        if chance == 0 { return }
        if chance == 4 { return Self.apply(write, to: &content) }
        content.update(write.range) { offset, old in
            random.chance(chance, in: 4) ? write.content[offset] : old
        }
    }

    /// How many of four sectors a torn write keeps; all and none are likely.
    private static func chance(_ random: inout SeededRandom) -> UInt64 {
        switch random.below(4) {
        case 0: 0
        case 1: 4
        default: 1 + random.below(3)
        }
    }
}
