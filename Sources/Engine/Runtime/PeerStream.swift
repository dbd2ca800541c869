// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor
import Wire

/// One socket of an established connection: bytes received and not yet decoded, and what is queued.
final class PeerStream {
    let connection: ConnectionID
    let socket: PacketSocket
    let stage: UnsafeMutableRawBufferPointer
    var staged = 0..<0
    var isReceiving = false
    /// The packet whose payload is being received into a buffer.
    var incoming: IncomingPacket?
    /// The packets sent on the data socket, by the position at which each ends; for protocol A.
    var sentPackets: UInt64 = 0
    var isSendBlocked = false
    /// Actions that wait for room in the send queue.
    var unsent = ActionQueue<ResourceAction>(capacity: 64)

    init(connection: ConnectionID, socket: PacketSocket) {
        self.connection = connection
        self.socket = socket
        self.stage = .allocate(
            byteCount: socket == .data ? EngineConfiguration.peerStageByteCount : 65_536,
            alignment: BufferPool.pageByteCount
        )
    }

    /// Whether it waits for memory, or for room in the core's tables.
    var isStarved = false

    deinit { self.stage.deallocate() }

    /// Moves staged bytes to the front when little room is left behind them.
    func compact() {
        if self.staged.isEmpty {
            self.staged = 0..<0
        } else if self.stage.count - self.staged.upperBound < self.stage.count / 4,
            let start = self.stage.baseAddress
        {
            start.copyMemory(from: start + self.staged.lowerBound, byteCount: self.staged.count)
            self.staged = 0..<self.staged.count
        }
    }
}

/// A packet whose payload has not all arrived.
struct IncomingPacket: BitwiseCopyable {
    var frame: PacketFrame
    var buffer: BufferHandle
    var filled = 0
}
