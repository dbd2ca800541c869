// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor
import Wire

/// One socket of an established connection: bytes received and not yet decoded, and what is queued.
struct PeerStream: ~Copyable {
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

    /// Whether it waits for memory, or for room in the core's tables.
    var isStarved = false

    private init(connection: ConnectionID, socket: PacketSocket) {
        self.connection = connection
        self.socket = socket
        self.stage = .allocate(
            byteCount: socket == .data ? EngineConfiguration.peerStageByteCount : 65_536,
            alignment: BufferPool.pageByteCount
        )
    }

    deinit { self.stage.deallocate() }

    /// Makes a stream that stays where it is until it is destroyed.
    static func make(connection: ConnectionID, socket: PacketSocket) -> UnsafeMutablePointer<Self> {
        let stream = UnsafeMutablePointer<Self>.allocate(capacity: 1)
        stream.initialize(to: Self(connection: connection, socket: socket))
        return stream
    }

    /// Frees a stream and its stage.
    static func destroy(_ stream: UnsafeMutablePointer<Self>) {
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    /// Moves staged bytes to the front when little room is left behind them.
    mutating func compact() {
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
