// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Reactor
import Wire

/// A socket of the local engine and the memory that it lends to the reactor.
///
/// Lives until the reactor has reported that the connection is closed.
final class EngineSocket {
    /// The most that is read at a time.
    static let receiveByteCount = 128 * 1024
    /// Blocks of what goes to the engine, at least, and the bytes of one.
    static let blockMinimum = 2
    static let blockByteCount = Int(BridgeLimits.contentMaximum)

    let id: ConnectionID
    /// Nil after the end.
    var lane: RelayLane?
    let socket: SocketID
    var isReceiving = false
    let memory: UnsafeMutableRawBufferPointer
    /// Segments that the kernel has not taken yet.
    private(set) var queuedSegments = 0

    private let blocks: UnsafeMutableRawPointer
    private let blockCount: Int
    /// Below the segments that the send queue takes.
    private let segmentMaximum: Int
    private var segmentsOfBlock: [Int]
    private var current = 0
    private var filled = 0

    /// Creates the memory of a socket that takes `blockCount` blocks and `segmentMaximum` frames.
    init(_ id: ConnectionID, _ socket: SocketID, blockCount: Int, segmentMaximum: Int) {
        self.blockCount = blockCount
        self.segmentMaximum = segmentMaximum
        self.segmentsOfBlock = Array(repeating: 0, count: blockCount)
        self.id = id
        self.socket = socket
        self.memory = .allocate(byteCount: Self.receiveByteCount, alignment: 64)
        self.blocks = .allocate(byteCount: Self.blockByteCount * blockCount, alignment: 64)
    }

    deinit {
        self.memory.deallocate()
        self.blocks.deallocate()
    }

    /// Whether the content of one more frame can be taken.
    func hasRoom(for byteCount: Int) -> Bool {
        guard self.queuedSegments < self.segmentMaximum else { return false }
        if self.segmentsOfBlock[self.current] == 0 { return true }
        if Self.blockByteCount - self.filled >= byteCount { return true }
        return self.segmentsOfBlock[(self.current + 1) % self.blockCount] == 0
    }

    /// Takes memory for the content of one frame; ``hasRoom(for:)`` tells whether there is any.
    func take(_ byteCount: Int) -> (block: Int, memory: UnsafeMutableRawBufferPointer) {
        if self.segmentsOfBlock[self.current] == 0 {
            self.filled = 0
        } else if Self.blockByteCount - self.filled < byteCount {
            self.current = (self.current + 1) % self.blockCount
            self.filled = 0
        }
        invariant(
            self.filled > 0 || self.segmentsOfBlock[self.current] == 0,
            "a block is filled anew when the kernel has taken what it held"
        )
        let memory = UnsafeMutableRawBufferPointer(
            start: self.blocks + self.current * Self.blockByteCount + self.filled,
            count: byteCount
        )
        self.filled += byteCount
        self.segmentsOfBlock[self.current] += 1
        self.queuedSegments += 1
        return (self.current, memory)
    }

    func release(_ block: Int) {
        self.segmentsOfBlock[block] -= 1
        self.queuedSegments -= 1
    }
}
