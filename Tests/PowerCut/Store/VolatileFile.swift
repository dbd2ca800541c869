// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives

/// A file behind a volatile cache of 512-byte sectors: what is not written back is lost when the
/// process is killed.
package final class VolatileFile {
    package static let sectorByteCount = 512

    private let descriptor: Int32
    private let sectorCount: Int
    /// The cached sectors at their places; memory is used only for those.
    private let cache: UnsafeMutableRawPointer
    /// By sector: its place in `dirty`, plus one; 0 if it is not cached.
    private let places: UnsafeMutablePointer<UInt32>
    /// The cached sectors, in no order.
    private var dirty: [UInt32] = []

    /// Opens the file at `path`, whose size must not change.
    package init(path: String) throws(VolatileFileError) {
        self.descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard self.descriptor >= 0 else { throw VolatileFileError(path: path, errno: errno) }
        let end = lseek(self.descriptor, 0, SEEK_END)
        self.sectorCount = (Int(end) + Self.sectorByteCount - 1) / Self.sectorByteCount
        self.cache = Self.reserve(self.sectorCount * Self.sectorByteCount)
        self.places = Self.reserve(self.sectorCount * 4).assumingMemoryBound(to: UInt32.self)
    }

    deinit {
        munmap(self.cache, max(1, self.sectorCount * Self.sectorByteCount))
        munmap(self.places, max(1, self.sectorCount * 4))
        close(self.descriptor)
    }

    /// The number of sectors that a kill would lose.
    package var dirtyCount: Int { self.dirty.count }

    /// The sectors that a kill would lose.
    package var dirtySectors: [UInt32] { self.dirty }

    /// Fills `memory` with the newest content.
    package func read(at offset: UInt64, into memory: UnsafeMutableRawPointer, byteCount: Int) {
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        var done = 0
        while done < byteCount {
            let count = pread(
                self.descriptor,
                memory + done,
                byteCount - done,
                off_t(offset) + off_t(done)
            )
            if count < 0, errno == EINTR { continue }
            invariant(count >= 0, "a test file can be read")
            if count == 0 { break }
            done += count
        }
        for (number, sector) in self.sectors(offset, byteCount).enumerated()
        where self.places[sector] != 0 {
            (memory + number * Self.sectorByteCount).copyMemory(
                from: self.cache + sector * Self.sectorByteCount,
                byteCount: Self.sectorByteCount
            )
        }
    }

    /// Caches `byteCount` bytes; nil stands for zeroes.
    package func write(at offset: UInt64, from memory: UnsafeRawPointer?, byteCount: Int) {
        for (number, sector) in self.sectors(offset, byteCount).enumerated() {
            self.fill(sector, from: memory.map { $0 + number * Self.sectorByteCount })
            guard self.places[sector] == 0 else { continue }
            self.dirty.append(UInt32(sector))
            self.places[sector] = UInt32(self.dirty.count)
        }
    }

    /// Writes those sectors of a range to the file that `isChosen` picks, in its order, past the
    /// cache.
    package func writeThrough(
        at offset: UInt64,
        from memory: UnsafeRawPointer?,
        byteCount: Int,
        where isChosen: () -> Bool = { true }
    ) {
        var run = 0..<0
        for (number, sector) in self.sectors(offset, byteCount).enumerated() where isChosen() {
            self.fill(sector, from: memory.map { $0 + number * Self.sectorByteCount })
            self.extend(&run, by: sector)
            self.forget(sector)
        }
        self.store(run)
    }

    /// Writes cached sectors back.
    package func writeBack(_ sectors: [UInt32]) {
        var run = 0..<0
        for sector in sectors.sorted() where self.places[Int(sector)] != 0 {
            self.extend(&run, by: Int(sector))
            self.forget(Int(sector))
        }
        self.store(run)
    }

    /// Writes one cached sector back, the one at `index` of those there are.
    package func writeBackOne(_ index: Int) {
        let sector = Int(self.dirty[index])
        self.store(sector)
        self.forget(sector)
    }

    private func sectors(_ offset: UInt64, _ byteCount: Int) -> Range<Int> {
        invariant(offset % 512 == 0 && byteCount % 512 == 0, "operations are of whole sectors")
        let first = Int(offset) / Self.sectorByteCount
        let range = first..<first + byteCount / Self.sectorByteCount
        invariant(range.upperBound <= self.sectorCount, "an operation ends within the file")
        return range
    }

    private func fill(_ sector: Int, from memory: UnsafeRawPointer?) {
        let place = self.cache + sector * Self.sectorByteCount
        if let memory {
            place.copyMemory(from: memory, byteCount: Self.sectorByteCount)
        } else {
            place.initializeMemory(as: UInt8.self, repeating: 0, count: Self.sectorByteCount)
        }
    }

    /// Adds a sector to those that are to be stored together, or stores them and begins anew.
    private func extend(_ run: inout Range<Int>, by sector: Int) {
        if sector == run.upperBound, !run.isEmpty {
            run = run.lowerBound..<sector + 1
        } else {
            self.store(run)
            run = sector..<sector + 1
        }
    }

    private func store(_ sector: Int) { self.store(sector..<sector + 1) }

    private func store(_ sectors: Range<Int>) {
        let offset = sectors.lowerBound * Self.sectorByteCount
        let byteCount = sectors.count * Self.sectorByteCount
        guard byteCount > 0 else { return }
        let count = pwrite(self.descriptor, self.cache + offset, byteCount, off_t(offset))
        invariant(count == byteCount, "a test file can be written")
    }

    private func forget(_ sector: Int) {
        let place = Int(self.places[sector])
        guard place != 0 else { return }
        self.places[sector] = 0
        let last = self.dirty.removeLast()
        guard Int(last) != sector else { return }
        self.dirty[place - 1] = last
        self.places[Int(last)] = UInt32(place)
    }

    private static func reserve(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let memory = mmap(
            nil,
            max(1, byteCount),
            PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
            -1,
            0
        )
        guard let memory, memory != MAP_FAILED else { invariantBroken("address space is there") }
        return memory
    }
}

/// A file that could not be opened.
package struct VolatileFileError: Error, CustomStringConvertible {
    let path: String
    let errno: Int32

    package var description: String { "\(self.path): \(String(cString: strerror(self.errno)))" }
}
