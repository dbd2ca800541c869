// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Foundation
import Primitives
import Wire

/// The sockets and buffers of one lane of a connection.
final class RelayLane {
    /// How long a bridge or engine socket has for its last bytes.
    static let closingTime = TimeSpan.seconds(5)
    /// The buffer of every stream but the joined data stream.
    static let smallBufferByteCount = 1 << 20

    /// What has passed since the connection is up.
    struct Counters {
        var sentContent: UInt64 = 0
        var sentPayload: UInt64 = 0
        var receivedContent: UInt64 = 0
        var receivedPayload: UInt64 = 0
    }

    let id: LaneID
    unowned let driver: RelayDriver
    var bridge: BridgeSocket?
    /// Whether we do not receive because the engine does not take what has arrived.
    var isPaused = false
    /// Why there is no bridge, as the log has it; nil while there is one.
    var toldLoss: String?
    var engine: EngineSocket?
    var awaitsInitialPacket = false
    /// Whether what the engine writes is kept; else it is thrown away until its end.
    var isReading = false
    let transmit = TransmitBuffer(smallByteCount: smallBufferByteCount)
    var type: ChannelType = .data
    /// The stream that is sent, and its position.
    var relaying: UInt32?
    var sentByteCount: UInt64 = 0
    var finishing: UInt32?
    var delivering: UInt32?
    var compressor: Compressor?
    var decompressor: Decompressor?
    var counters = Counters()
    var upSince: Date?

    init(_ id: LaneID, _ driver: RelayDriver) {
        self.id = id
        self.driver = driver
    }

    /// Takes note of a fresh TCP connection with the remote relay.
    func setBridge(_ bridge: BridgeSocket, _ socket: SocketID) {
        self.dropBridge()
        bridge.lane = self
        bridge.socket = socket
        self.bridge = bridge
    }

    func dropBridge() {
        self.bridge?.lane = nil
        self.bridge = nil
        self.isPaused = false
        self.relaying = nil
    }

    /// Takes note of a fresh socket of the engine.
    func setEngine(_ engine: EngineSocket) {
        self.dropEngine()
        engine.lane = self
        self.engine = engine
        self.transmit.removeAll()
        self.finishing = nil
        self.delivering = nil
        self.isReading = true
    }

    func dropEngine() {
        self.engine?.lane = nil
        self.engine = nil
        self.isReading = false
        self.awaitsInitialPacket = false
    }

    /// Begins a stream with fresh histories of compression.
    func start(_ generation: UInt32, _ plugin: Plugin?) throws(CodecError) {
        self.relaying = generation
        self.sentByteCount = 0
        self.compressor = try Compressor(plugin, for: self.type)
        self.decompressor = Decompressor(for: self.type)
    }
}
