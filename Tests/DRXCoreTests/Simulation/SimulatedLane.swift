// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Wire

/// The sockets and buffers of one lane of a ``SimulatedRelay``.
final class SimulatedLane {
    let id: LaneID
    var bridge: Endpoint?
    var bridgeID: SocketID?
    var bridgeIn: [UInt8] = []
    var bridgeOut: [UInt8] = []
    var isPaused = false
    var engine: Endpoint?
    var engineID: SocketID?
    var awaitsInitialPacket = false
    var isReading = false
    var transmit: TransmitBuffer
    var received: [UInt8] = []
    var relaying: UInt32?
    var finishing: UInt32?
    var delivering: UInt32?
    var sentByteCount: UInt64 = 0
    var acceptedByteCount = 0
    var deliveredByteCount = 0

    init(_ id: LaneID, _ settings: SimulatedRelay.Settings) {
        self.id = id
        self.transmit = TransmitBuffer(
            small: settings.smallBuffer,
            large: settings.memoryLimit
        )
    }

    func setBridge(_ endpoint: Endpoint, _ socket: SocketID) {
        self.dropBridge()
        self.bridge = endpoint
        self.bridgeID = socket
    }

    func dropBridge() {
        self.bridge = nil
        self.bridgeID = nil
        self.bridgeIn = []
        self.bridgeOut = []
        self.isPaused = false
        self.relaying = nil
    }

    func setEngine(_ endpoint: Endpoint, _ socket: SocketID) {
        self.engine = endpoint
        self.engineID = socket
        self.transmit.removeAll()
        self.received = []
        self.delivering = nil
        self.finishing = nil
        self.isReading = true
        (self.acceptedByteCount, self.deliveredByteCount) = (0, 0)
    }

    func dropEngine() {
        self.engine = nil
        self.engineID = nil
        self.received = []
        self.isReading = false
        self.awaitsInitialPacket = false
    }

    func start(_ generation: UInt32) {
        self.relaying = generation
        self.sentByteCount = 0
    }

    func append(_ header: BridgeFrameHeader) {
        var bytes = [UInt8](repeating: 0, count: BridgeLimits.headerByteCount)
        bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        self.bridgeOut += bytes
    }

    func appendFrame(_ content: [UInt8], _ generation: UInt32) {
        let data = BridgeData(
            generation: generation,
            position: self.sentByteCount,
            contentByteCount: UInt32(content.count),
            payloadByteCount: UInt32(content.count),
            codec: .none,
            checksum: 0
        )
        self.append(data.header)
        self.bridgeOut += content
        self.sentByteCount += UInt64(content.count)
    }
}

/// A small buffer of the lane, and the connection's large one behind it while it is granted.
final class TransmitBuffer {
    private let small: ByteRing
    private let large: ByteRing
    private var isGranted = false

    init(small: UInt64, large: UInt64) {
        self.small = ByteRing(small)
        self.small.accounting.grow(to: small)
        self.large = ByteRing(large)
    }

    var used: Int { Int(self.small.accounting.used + self.large.accounting.used) }
    var room: Int {
        Int((self.isGranted ? self.large : self.small).accounting.writable.byteCount)
    }

    func grow(to byteCount: UInt64) { self.large.accounting.grow(to: byteCount) }
    func grant() { self.isGranted = true }

    func release() {
        self.isGranted = false
        self.large.accounting.removeAll()
    }

    func append(_ bytes: [UInt8], at now: Instant) {
        (self.isGranted ? self.large : self.small).append(bytes, at: now)
    }

    func take(_ maximum: Int) -> [UInt8] {
        (self.small.accounting.used > 0 ? self.small : self.large).take(maximum)
    }

    func peek(_ count: Int) -> [UInt8] { self.small.peek(count) }

    func removeAll() {
        self.small.accounting.removeAll()
        self.large.accounting.removeAll()
    }
}

/// Memory under a ``BufferAccounting``.
final class ByteRing {
    var accounting: BufferAccounting
    private var memory: [UInt8]

    init(_ capacity: UInt64) {
        self.accounting = BufferAccounting(capacity: capacity)
        self.memory = [UInt8](repeating: 0, count: Int(capacity))
    }

    func append(_ bytes: [UInt8], at now: Instant) {
        let start = Int(self.accounting.writable.position)
        self.memory.replaceSubrange(start..<start + bytes.count, with: bytes)
        self.accounting.append(UInt64(bytes.count), at: now)
    }

    func take(_ maximum: Int) -> [UInt8] {
        let bytes = self.peek(maximum)
        self.accounting.remove(UInt64(bytes.count))
        return bytes
    }

    func peek(_ maximum: Int) -> [UInt8] {
        let region = self.accounting.readable
        let start = Int(region.position)
        return Array(self.memory[start..<start + min(Int(region.byteCount), maximum)])
    }
}
