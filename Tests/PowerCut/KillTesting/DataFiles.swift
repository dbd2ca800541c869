// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The data files of the two nodes, compared.
enum DataFiles {
    /// What is read at a time.
    private static let pieceByteCount = 1 << 20
    /// SEEK_DATA of lseek(2), which needs a macro that Swift does not set.
    private static let seekData: Int32 = 3

    /// The 4 KiB blocks in which two files of `byteCount` bytes differ.
    ///
    /// Ranges that are holes in both are not read.
    static func difference(_ one: String, _ two: String, byteCount: Int) throws -> BlockSet {
        let files = try [one, two].map { path in
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw KillTestFailure("\(path): errno \(errno)") }
            return descriptor
        }
        defer { for file in files { close(file) } }
        var difference = BlockSet(sectorCount: byteCount / 512)
        var pieces = files.map { _ in [UInt8](repeating: 0, count: Self.pieceByteCount) }
        var offset = 0
        while offset < byteCount {
            let next = files.map { Self.nextData(of: $0, from: offset, byteCount: byteCount) }
            offset = min(next[0], next[1]) / Self.pieceByteCount * Self.pieceByteCount
            guard offset < byteCount else { break }
            let count = min(Self.pieceByteCount, byteCount - offset)
            for (index, file) in files.enumerated() {
                guard pread(file, &pieces[index], count, off_t(offset)) == count else {
                    throw KillTestFailure("a data file ends before byte \(offset + count)")
                }
            }
            Self.compare(pieces[0], pieces[1], count, at: offset, into: &difference)
            offset += count
        }
        return difference
    }

    private static func compare(
        _ one: [UInt8],
        _ two: [UInt8],
        _ count: Int,
        at offset: Int,
        into difference: inout BlockSet
    ) {
        one.withUnsafeBytes { one in
            two.withUnsafeBytes { two in
                guard let one = one.baseAddress, let two = two.baseAddress,
                    memcmp(one, two, count) != 0
                else { return }
                for start in stride(from: 0, to: count, by: BlockSet.byteCount)
                where memcmp(one + start, two + start, min(BlockSet.byteCount, count - start)) != 0
                {
                    difference.insert((offset + start) / BlockSet.byteCount)
                }
            }
        }
    }

    /// The next byte at or behind `offset` that is in no hole; `byteCount` if there is none.
    private static func nextData(of file: Int32, from offset: Int, byteCount: Int) -> Int {
        let place = lseek(file, off_t(offset), Self.seekData)
        if place >= 0 { return Int(place) }
        return errno == ENXIO ? byteCount : offset
    }
}
