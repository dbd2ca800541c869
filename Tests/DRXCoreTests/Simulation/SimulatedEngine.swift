// SPDX-License-Identifier: Apache-2.0

import DRXCore
import Primitives
import Testing
import Wire

/// A replication engine as a relay sees it: makes its two sockets the way DRBD does, then exchanges
/// bytes on both and verifies each one that arrives.
///
/// What is written on a socket follows from a random number at its start, so a gap, a repetition, a
/// swap or a byte of another socket shows at once.
final class SimulatedEngine {
    /// Which socket the engine uses first when it has none.
    enum Style: CaseIterable {
        /// Every DRBD 8.4, so that connects cross, and one node under DRBD 9.
        case dataFirst
        /// The other node under DRBD 9.
        case metaFirst
    }

    let name: String
    let world: World
    let link: Link
    let style: Style
    weak var relay: SimulatedRelay?

    /// Switches for situations.
    var dials = true
    var listens = true
    var dialMaximum = Int.max
    /// Never gives up a socket by itself.
    var isPatient = false
    var isFrozen = false

    private(set) var connects = 0
    private(set) var bytesVerified = 0
    private var data: Socket?
    private var meta: Socket?
    private var isActive = false
    private var isConnected = false
    private var life: UInt64 = 0
    private var burst = 4096

    init(_ name: String, _ world: World, _ link: Link, style: Style, burst: Int = 4096) {
        self.name = name
        self.world = world
        self.link = link
        self.style = style
        self.burst = burst
    }

    /// Both sockets are there and the other engine was heard on each.
    var isReplicating: Bool {
        self.isConnected && self.data?.expected != nil && self.meta?.expected != nil
    }
    var hasData: Bool { self.data != nil }
    var hasMeta: Bool { self.meta != nil }

    func start() {
        self.life += 1
        self.isActive = true
        self.isConnected = false
        self.attempt()
    }

    /// Ends the process.
    func stop() {
        self.life += 1
        self.isActive = false
        self.dropSockets()
    }

    /// What the relay reaches when it dials the engine.
    func listener() -> ((Endpoint) -> Void)? {
        guard self.isActive, self.listens, !self.isConnected else { return nil }
        let life = self.life
        return { [self] endpoint in
            endpoint.onChange = { [weak self] in
                guard let self, life == self.life else { return }
                self.accepted(endpoint)
            }
        }
    }

    // MARK: Connecting

    private func attempt() {
        guard self.isActive, !self.isConnected else { return }
        self.dropDead()
        if self.data != nil, self.meta != nil { return self.settle() }
        self.later(self.world.milliseconds(860...1140)) { $0.attempt() }
        guard self.dials, self.dialMaximum > 0, let relay = self.relay else { return }
        self.link.connect({ relay.engineListener() }) { [weak self, life = self.life] endpoint in
            guard let endpoint else { return }
            guard let self, life == self.life, self.isActive, !self.isConnected else {
                return endpoint.reset()
            }
            self.dialled(endpoint)
        }
    }

    private func dialled(_ endpoint: Endpoint) {
        let prefersMeta = self.style == .metaFirst && self.meta == nil
        let type: ChannelType = self.data == nil && !prefersMeta ? .data : .meta
        guard type == .data || self.meta == nil else { return endpoint.reset() }
        self.dialMaximum -= 1
        let socket = Socket(endpoint, self.world.random.next())
        socket.outgoing += initialPacket(type) + socket.preamble
        self.adopt(socket, type)
    }

    private func accepted(_ endpoint: Endpoint) {
        if endpoint.hasEnded { return endpoint.close() }
        guard endpoint.available >= 8 else { return }
        guard !self.isConnected || self.isPatient else { return endpoint.reset() }
        let packet = endpoint.read(8)
        guard let type = ChannelType(initialPacket: packet.span.bytes) else {
            Issue.record("engine \(self.name) was sent \(packet) first")
            return endpoint.reset()
        }
        let socket = Socket(endpoint, self.world.random.next())
        socket.outgoing += socket.preamble
        switch type {
        case .data: self.data?.endpoint.close()
        case .meta: self.meta?.endpoint.close()
        }
        self.adopt(socket, type)
    }

    private func adopt(_ socket: Socket, _ type: ChannelType) {
        switch type {
        case .data: self.data = socket
        case .meta: self.meta = socket
        }
        let life = self.life
        socket.endpoint.onChange = { [weak self] in
            guard let self, life == self.life else { return }
            self.changed()
        }
        self.changed()
        if self.data != nil, self.meta != nil, !self.isConnected { self.settle() }
    }

    private func settle() {
        let (data, meta) = (self.data, self.meta)
        self.later(.milliseconds(100)) { engine in
            guard engine.data === data, engine.meta === meta, !engine.isConnected else { return }
            engine.dropDead()
            guard engine.data != nil, engine.meta != nil else { return engine.attempt() }
            engine.isConnected = true
            engine.connects += 1
            engine.changed()
            engine.later(.seconds(2)) { engine in
                guard engine.data === data, engine.meta === meta, !engine.isPatient else { return }
                if !engine.isReplicating { engine.giveUp() } else { engine.beat() }
            }
            engine.write()
        }
    }

    /// Pings by way of the meta socket; silence ends the connection.
    private func beat() {
        guard self.isConnected, let meta = self.meta else { return }
        guard meta.verified > meta.verifiedAtBeat || self.isFrozen else { return self.giveUp() }
        meta.verifiedAtBeat = meta.verified
        self.later(.seconds(4)) { if $0.meta === meta { $0.beat() } }
    }

    private func giveUp() {
        guard !self.isPatient else { return }
        self.isConnected = false
        self.dropSockets()
        self.later(.seconds(1)) { $0.attempt() }
    }

    private func dropDead() {
        if let data = self.data, data.endpoint.hasEnded {
            data.endpoint.close()
            self.data = nil
        }
        if let meta = self.meta, meta.endpoint.hasEnded {
            meta.endpoint.close()
            self.meta = nil
        }
    }

    private func dropSockets() {
        self.data?.endpoint.close()
        self.meta?.endpoint.close()
        (self.data, self.meta) = (nil, nil)
        self.isConnected = false
    }

    // MARK: Bytes

    private func write() {
        guard self.isConnected, let data = self.data, let meta = self.meta else { return }
        if !self.isFrozen {
            data.queue(Int(self.world.random.below(UInt64(self.burst) + 1)))
            meta.queue(16)
        }
        self.changed()
        self.later(self.world.milliseconds(20...200)) { if $0.data === data { $0.write() } }
    }

    private func changed() {
        guard !self.isFrozen else { return }
        for socket in [self.data, self.meta] {
            guard let socket else { continue }
            if self.isConnected || self.isPatient { self.bytesVerified += socket.verify(self.name) }
            socket.flush()
        }
        guard self.isConnected else { return }
        if self.data?.endpoint.hasEnded != false || self.meta?.endpoint.hasEnded != false {
            self.giveUp()
        }
    }

    /// What the data socket still has to send.
    var unsentDataByteCount: Int { self.data?.outgoing.count ?? 0 }

    func writeData(_ count: Int) {
        self.data?.queue(count)
        self.changed()
    }

    func thaw() {
        self.isFrozen = false
        self.changed()
    }

    private func later(_ span: TimeSpan, _ work: @escaping (SimulatedEngine) -> Void) {
        let life = self.life
        self.world.after(span) { [weak self] in
            guard let self, life == self.life else { return }
            work(self)
        }
    }
}

extension SimulatedEngine {
    /// One of the engine's two sockets.
    private final class Socket {
        let endpoint: Endpoint
        let seed: UInt64
        var outgoing: [UInt8] = []
        private var written: UInt64 = 0
        private(set) var expected: UInt64?
        private(set) var verified: UInt64 = 0
        var verifiedAtBeat: UInt64 = 0

        init(_ endpoint: Endpoint, _ seed: UInt64) {
            self.endpoint = endpoint
            self.seed = seed
        }

        var preamble: [UInt8] { withUnsafeBytes(of: self.seed.bigEndian, Array.init) }

        func queue(_ count: Int) {
            guard self.outgoing.count < 200_000 else { return }
            for _ in 0..<count {
                self.outgoing.append(stream(self.seed, self.written))
                self.written += 1
            }
        }

        func flush() {
            guard !self.outgoing.isEmpty else { return }
            self.outgoing.removeFirst(self.endpoint.send(self.outgoing[...]))
        }

        /// Reads and compares; the number of bytes that were right.
        func verify(_ name: String) -> Int {
            if self.expected == nil {
                guard self.endpoint.available >= 8 else { return 0 }
                self.expected = self.endpoint.read(8).reduce(0) { $0 << 8 | UInt64($1) }
            }
            guard let expected = self.expected else { return 0 }
            let bytes = self.endpoint.read(.max)
            for byte in bytes {
                guard byte == stream(expected, self.verified) else {
                    Issue.record("engine \(name): byte \(self.verified) of a socket is wrong")
                    return 0
                }
                self.verified += 1
            }
            return bytes.count
        }
    }
}

/// Byte `offset` of the stream of `seed`.
private func stream(_ seed: UInt64, _ offset: UInt64) -> UInt8 {
    var word = seed &+ (offset >> 3) &* 0x9E37_79B9_7F4A_7C15
    word = (word ^ word >> 29) &* 0xBF58_476D_1CE4_E5B9
    return UInt8(truncatingIfNeeded: word >> ((offset & 7) * 8))
}

func initialPacket(_ type: ChannelType) -> [UInt8] {
    [0x83, 0x74, 0x02, 0x67, 0xFF, type == .data ? 0xF2 : 0xF1, 0, 0]
}
