// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import PowerCutStore
import Primitives
import TestSupport
import Testing

/// The disk of the kill tests: what it keeps and what it loses.
@Suite struct PowerCutStoreTests {
    private let folder: TemporaryFolder
    private let path: String
    private let file: VolatileFile

    init() throws {
        self.folder = try TemporaryFolder()
        self.path = self.folder.file("disk")
        try Data(repeating: 1, count: 64 * 512).write(to: URL(fileURLWithPath: self.path))
        self.file = try VolatileFile(path: self.path)
    }

    /// What the file has, the cache aside: what a power cut leaves.
    private func stable(_ sector: Int) throws -> UInt8? {
        let data = try Data(contentsOf: URL(fileURLWithPath: self.path))
        let bytes = Set(data[sector * 512..<(sector + 1) * 512])
        return bytes.count == 1 ? bytes.first : nil
    }

    private func write(_ sectors: Range<Int>, _ value: UInt8) {
        let bytes = [UInt8](repeating: value, count: sectors.count * 512)
        bytes.withUnsafeBytes {
            guard let base = $0.baseAddress else { return }
            self.file.write(at: UInt64(sectors.lowerBound * 512), from: base, byteCount: $0.count)
        }
    }

    private func read(_ sector: Int) -> UInt8? {
        var bytes = [UInt8](repeating: 0, count: 512)
        bytes.withUnsafeMutableBytes {
            guard let base = $0.baseAddress else { return }
            self.file.read(at: UInt64(sector * 512), into: base, byteCount: 512)
        }
        return Set(bytes).count == 1 ? bytes[0] : nil
    }

    @Test func `a write is read back and not yet stable`() throws {
        self.write(3..<5, 7)
        #expect(self.read(2) == 1)
        #expect(self.read(3) == 7)
        #expect(self.read(4) == 7)
        #expect(try self.stable(3) == 1)
        #expect(self.file.dirtyCount == 2)
    }

    @Test func `what is written back is stable, and the rest is not`() throws {
        self.write(0..<8, 7)
        self.file.writeBack([1, 6])
        #expect(try self.stable(0) == 1)
        #expect(try self.stable(1) == 7)
        #expect(try self.stable(6) == 7)
        #expect(self.file.dirtyCount == 6)
        #expect(self.read(0) == 7)
    }

    @Test func `a write past the cache replaces what is cached`() throws {
        self.write(0..<4, 7)
        let bytes = [UInt8](repeating: 9, count: 1024)
        bytes.withUnsafeBytes {
            self.file.writeThrough(at: 512, from: $0.baseAddress, byteCount: 1024)
        }
        #expect(self.read(1) == 9)
        #expect(try self.stable(1) == 9)
        self.file.writeBack(self.file.dirtySectors)
        #expect(try self.stable(0) == 7)
        #expect(try self.stable(2) == 9)
        #expect(try self.stable(3) == 7)
    }

    @Test func `any order of write-backs ends with everything stable`() throws {
        var random = SeededRandom(seed: 1)
        for round in 0..<50 {
            let start = Int(random.below(60))
            self.write(start..<start + 4, UInt8(round + 2))
            for _ in 0..<random.below(4) where self.file.dirtyCount > 0 {
                self.file.writeBackOne(Int(random.below(UInt64(self.file.dirtyCount))))
            }
        }
        let expected = (0..<64).map(self.read)
        self.file.writeBack(self.file.dirtySectors)
        #expect(self.file.dirtyCount == 0)
        #expect(try (0..<64).map(self.stable) == expected)
    }
}
