// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Reactor
import Wire

/// A TCP connection with the other relay and the memory that it lends to the reactor.
///
/// Lives until the reactor has reported that the connection is closed.
final class BridgeSocket {
    /// A data frame with its header, the largest that there is.
    static let frameByteCount =
        BridgeLimits.headerByteCount + Int(BridgeLimits.contentMaximum)
        + Int(BridgeLimits.expansionMaximum)
    /// Frames that wait for the kernel's socket buffer, at most.
    static let frameSlots = 8
    private static let receiveByteCount = 4 * frameByteCount

    let id: ConnectionID
    /// Nil while the remote relay has not named its connection, and after the end.
    var lane: RelayLane?
    var socket = SocketID(0)
    /// Until when an accepted connection must have greeted.
    var greetingDeadline = Instant.distantFuture
    /// Whether the remote relay has ended its stream; what was received is handled first.
    var hasEnded = false
    var isReceiving = false
    var isWelcomed = false

    private let frames: UnsafeMutableRawPointer
    private var freeFrames: UInt8 = .max
    private let memory: UnsafeMutableRawPointer
    private var start = 0
    private var end = 0

    init(_ id: ConnectionID) {
        self.id = id
        self.frames = .allocate(byteCount: Self.frameByteCount * Self.frameSlots, alignment: 64)
        self.memory = .allocate(byteCount: Self.receiveByteCount, alignment: 64)
    }

    deinit {
        self.frames.deallocate()
        self.memory.deallocate()
    }

    // MARK: Receiving

    /// What was received and not yet consumed.
    var received: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: self.memory + self.start, count: self.end - self.start)
    }

    func consume(_ byteCount: Int) {
        self.start += byteCount
        if self.start == self.end { (self.start, self.end) = (0, 0) }
    }

    func arrived(_ byteCount: Int) {
        self.isReceiving = false
        self.end += byteCount
    }

    /// Where the next bytes go; there is always room for a whole frame behind what is unfinished.
    func receiveMemory() -> UnsafeMutableRawBufferPointer {
        if Self.receiveByteCount - self.end < Self.frameByteCount {
            self.memory.copyMemory(
                from: self.memory + self.start,
                byteCount: self.end - self.start
            )
            (self.start, self.end) = (0, self.end - self.start)
        }
        return UnsafeMutableRawBufferPointer(
            start: self.memory + self.end,
            count: Self.receiveByteCount - self.end
        )
    }

    // MARK: Sending

    var hasFreeFrame: Bool { self.freeFrames != 0 }

    /// Takes memory for one frame; ``hasFreeFrame`` tells whether there is any.
    func takeFrame() -> (slot: Int, memory: UnsafeMutableRawBufferPointer) {
        let slot = self.freeFrames.trailingZeroBitCount
        invariant(slot < Self.frameSlots, "a frame is taken when one is free")
        self.freeFrames &= ~(1 << UInt8(slot))
        let memory = UnsafeMutableRawBufferPointer(
            start: self.frames + slot * Self.frameByteCount,
            count: Self.frameByteCount
        )
        return (slot, memory)
    }

    func releaseFrame(_ slot: Int) { self.freeFrames |= 1 << UInt8(slot) }
}
