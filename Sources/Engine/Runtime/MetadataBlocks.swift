// SPDX-License-Identifier: Apache-2.0

import Reactor

/// Memory for the metadata blocks that are being written, apart from that for payload: a metadata
/// write never fails or waits because payload is plenty.
///
/// It grows to the most blocks that were ever under way; the core bounds those of each volume.
struct MetadataBlocks: ~Copyable {
    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var free: [UInt32] = []

    deinit { for block in self.blocks { block.deallocate() } }

    /// Takes a block of 4096 bytes; returns its number.
    mutating func take() -> UInt32 {
        if let number = self.free.popLast() { return number }
        self.blocks.append(
            .allocate(byteCount: BufferPool.pageByteCount, alignment: BufferPool.pageByteCount)
        )
        self.free.reserveCapacity(self.blocks.capacity)
        return UInt32(self.blocks.count - 1)
    }

    mutating func release(_ number: UInt32) { self.free.append(number) }

    subscript(number: UInt32) -> UnsafeMutableRawBufferPointer { self.blocks[Int(number)] }
}
