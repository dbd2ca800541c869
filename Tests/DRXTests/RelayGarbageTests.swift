// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import Glibc
import Primitives
import TestSupport
import Testing
import Wire

/// Bytes that are no protocol, on each socket of a running relay.
///
/// It stays up, says so within bounds, does not take memory for it, and serves whoever is right.
@Suite(.serialized, .timeLimit(.minutes(2))) struct RelayGarbageTests {
    private static let logLineMaximum = 400
    private static let memoryMaximum = 96 << 20

    @Test("DRX-05 garbage at the inside address harms nothing")
    func inside() throws {
        let pair = try RelayPair(memoryLimit: 1 << 20)
        try pair.up()
        let memory = pair.alpha.relay.residentByteCount
        // Two that say nothing keep both places of an engine, but not for long.
        let silent = try [pair.alpha.dialInside(), pair.alpha.dialInside()]
        try silent[0].send(ChannelType.data.initialPacket.prefix(5))
        for socket in silent { #expect(socket.receive() != .nothing) }
        #expect(pair.alpha.relay.log.contains("said nothing in time: closed"))

        var random = SeededRandom(seed: 31)
        for _ in 0..<300 {
            guard let socket = try? pair.alpha.dialInside() else { continue }
            try? socket.send(Self.firstPacket(&random))
            Self.leave(socket, &random)
        }
        #expect(pair.alpha.relay.log.contains("did not begin as an engine does: closed"))
        try self.expectHealthy(pair, memory)
    }

    @Test("DRX-04 garbage at the outside address harms nothing")
    func outside() throws {
        let pair = try RelayPair(memoryLimit: 1 << 20)
        try pair.up()
        let memory = pair.alpha.relay.residentByteCount
        var random = SeededRandom(seed: 32)
        for _ in 0..<400 {
            let socket = try BlockingSocket.connected(to: pair.alpha.outside)
            try? socket.send(Self.greeting(&random))
            Self.leave(socket, &random)
        }
        // More strangers than there are places do not keep the other relay out.
        let silent = try (0..<80).map { _ in try BlockingSocket.connected(to: pair.alpha.outside) }
        pair.beta.relay.kill()
        try pair.beta.relay.start()
        try pair.beta.up()
        for site in [pair.alpha, pair.beta] { try site.await(.waiting, .connecting) }
        for socket in silent { #expect(socket.receive() != .nothing) }
        #expect(pair.alpha.relay.log.contains("was closed: bytes 0x"))
        try self.expectHealthy(pair, memory)
    }

    @Test("DRX-04 a remote relay that breaks the protocol is refused, whatever it announces")
    func afterGreeting() throws {
        let site = try RelaySite("alpha", peer: "beta")
        site.peerOutside = try freePort()
        site.arguments = site.plainArguments(1 << 20)
        try site.relay.start()
        try site.up()
        try site.await(.bridging, .bridging)
        let memory = site.relay.residentByteCount
        var random = SeededRandom(seed: 33)
        for number in 0..<200 {
            let socket = try BlockingSocket.connected(to: site.outside)
            try socket.send(Self.hello(plugins: []).bytes)
            guard case .bytes = socket.receive() else {
                Issue.record("no welcome for bridge \(number)")
                return
            }
            try? socket.send(Self.brokenFrame(&random))
            var end = socket.receive()
            while case .bytes = end { end = socket.receive() }
            #expect(end != .nothing, "bridge \(number) was kept")
        }
        #expect(site.relay.isRunning)
        #expect(site.relay.residentByteCount < memory + Self.memoryMaximum)
        #expect(site.relay.log.split(separator: "\n").count < Self.logLineMaximum)
        #expect(site.relay.log.contains("no bridge: "))
        #expect(try site.relay.report() != nil)
    }

    @Test("DRX-04 names, plugins and a relay's own hello are refused with a sentence")
    func refusedHellos() throws {
        let site = try RelaySite("alpha", peer: "beta")
        site.peerOutside = site.outside
        site.arguments = site.plainArguments(1 << 20)
        try site.relay.start()
        try site.up()
        try site.await(.bridging, .bridging)
        let stranger = BridgeHello(
            lane: 0,
            incarnation: 1,
            resource: "other",
            fromNode: "beta",
            toNode: "alpha",
            plugins: []
        )
        #expect(try refusal(stranger, by: site).code == .unknownConnection)
        let other = Self.hello(plugins: [Plugin(algorithm: .lz4, level: 1)])
        #expect(try refusal(other, by: site).code == .plugins)
        // It dials itself: its own hello names the nodes the wrong way round.
        try waitFor("it says why") { site.relay.log.contains("no bridge: refused: ") }
        #expect(site.relay.logLines(with: "no bridge") <= 2)
    }

    @Test("DRX-05 garbage on the control socket harms nothing")
    func control() throws {
        let pair = try RelayPair(memoryLimit: 1 << 20)
        try pair.up()
        let memory = pair.alpha.relay.residentByteCount
        var random = SeededRandom(seed: 34)
        let requests = Self.requests(try #require(pair.alpha.arguments))
        for _ in 0..<300 {
            let socket = try UnixSocket(pair.alpha.relay.controlPath)
            socket.send(Self.line(requests, &random))
            // A line without end is answered when the client ends.
            socket.finish()
            #expect(socket.receivesAnEnd())
        }
        let endless = try UnixSocket(pair.alpha.relay.controlPath)
        endless.send(Array(repeating: UInt8(ascii: "["), count: 3 << 20))
        #expect(endless.receivesAnEnd())
        try self.expectHealthy(pair, memory)
    }

    @Test("DRX-04 DRX-05 what a connection cannot be relayed with is refused")
    func refusedArguments() throws {
        let site = try RelaySite("alpha", peer: "beta")
        site.peerOutside = try freePort()
        try site.relay.start()
        let changes: [(String, (inout RelayArguments) -> Void)] = [
            ("memlimit", { $0.memoryLimit = 4096 }),
            ("more than this machine's memory", { $0.memoryLimit = 1 << 44 }),
            ("rx-memlimit", { $0.receiveMemoryLimit = 0 }),
            ("rx-memlimit", { $0.receiveMemoryLimit = 1 << 40 }),
            ("ping-timeout", { $0.pingTimeoutMilliseconds = 0 }),
            ("needs a port", { $0.inside.port = 0 }),
            ("name", { $0.name = "a\nb" }),
            ("name", { $0.resource = "" }),
            ("names", { $0.peerNodes = [String(repeating: "x", count: 300)] }),
            ("nowhere", { $0.engine.host = "nowhere" }),
            ("brotli", { $0.steps = [.init(algorithm: "brotli", level: 1)] }),
            ("level 99", { $0.steps = [.init(algorithm: "zstd", level: 99)] }),
            (
                "more than one",
                { $0.steps = Array(repeating: .init(algorithm: "lz4", level: 1), count: 2) }
            ),
        ]
        for (text, change) in changes {
            var arguments = site.plainArguments(1 << 20)
            change(&arguments)
            let (_, reply) = try site.relay.ask(.up(arguments))
            #expect(reply.code == .refused)
            #expect(reply.texts.joined().contains(text), "\(reply.texts)")
        }
        #expect(try site.relay.report() == nil)
    }

    // MARK: What is sent

    private static func bytes(_ count: UInt64, _ random: inout SeededRandom) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    private static func mutated(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0...random.below(3) where !bytes.isEmpty {
            let place = Int(random.below(UInt64(bytes.count)))
            switch random.below(3) {
            case 0: bytes[place] ^= UInt8(1) << UInt8(random.below(8))
            case 1: bytes.removeSubrange(place...)
            default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
            }
        }
        return bytes
    }

    /// Never a first packet that an engine might send.
    private static func firstPacket(_ random: inout SeededRandom) -> [UInt8] {
        let bytes =
            switch random.below(3) {
            case 0: Self.bytes(random.below(20), &random)
            case 1: Self.bytes(200_000, &random)
            default: Self.mutated(ChannelType.data.initialPacket, &random)
            }
        let isValid = ChannelType.allCases.contains { bytes.starts(with: $0.initialPacket) }
        return isValid ? [] : bytes
    }

    private static func hello(plugins: [Plugin]) -> BridgeHello {
        BridgeHello(
            lane: 0,
            incarnation: 1,
            resource: "r1",
            fromNode: "beta",
            toNode: "alpha",
            plugins: plugins
        )
    }

    private static func greeting(_ random: inout SeededRandom) -> [UInt8] {
        switch random.below(4) {
        case 0: return Self.bytes(random.below(100), &random)
        case 1: return Self.bytes(300_000, &random)
        case 2:
            // Announces more than a greeting may have, with a right checksum.
            var header = BridgeFrameHeader(kind: .hello)
            header.payloadByteCount = .max
            return Self.encoded(header)
        default:
            let hello = Self.mutated(Self.hello(plugins: []).bytes, &random)
            return hello == Self.hello(plugins: []).bytes ? [] : hello
        }
    }

    private static func encoded(_ header: BridgeFrameHeader) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: BridgeLimits.headerByteCount)
        bytes.withUnsafeMutableBytes { header.encode(into: $0) }
        return bytes
    }

    /// What no relay sends to an acceptor that has welcomed it.
    private static func brokenFrame(_ random: inout SeededRandom) -> [UInt8] {
        var header = BridgeFrameHeader(kind: .data, generation: 1)
        switch random.below(6) {
        case 0:
            header.payloadByteCount = .max
            header.contentByteCount = .max
        case 1:
            header.payloadByteCount = 100_000
            header.contentByteCount = 100_000
            header.payloadChecksum = 1
            return Self.encoded(header) + Self.bytes(100_000, &random)
        case 2:
            header = BridgeFrameHeader(kind: .established, generation: 7)
        case 3:
            header = BridgeFrameHeader(kind: .open, detail: 1, generation: 1)
        case 4:
            header = BridgeFrameHeader(kind: .close, detail: 1, generation: 1, position: 99)
        default:
            return Self.bytes(32 + random.below(500), &random)
        }
        return Self.encoded(header)
    }

    private static func requests(_ arguments: RelayArguments) -> [[UInt8]] {
        [
            ControlCoding.line(RelayRequest.status), ControlCoding.line(RelayRequest.up(arguments)),
            ControlCoding.line(RelayRequest.down(name: "nobody")),
        ]
    }

    /// A line that changes nothing: a request of no effect, or none at all.
    private static func line(_ requests: [[UInt8]], _ random: inout SeededRandom) -> [UInt8] {
        let request = requests[Int(random.below(UInt64(requests.count)))]
        switch random.below(5) {
        case 0: return request
        case 1: return Array(request.prefix(Int(random.below(UInt64(request.count)))))
        case 2: return Self.bytes(random.below(3_000), &random)
        case 3: return Array(repeating: UInt8(ascii: "["), count: 20_000) + [10]
        default: return request + request + Self.bytes(50, &random) + [10]
        }
    }

    private static func leave(_ socket: BlockingSocket, _ random: inout SeededRandom) {
        switch random.below(4) {
        case 0: socket.reset()
        case 1: socket.finish()
        case 2: _ = socket.receive(within: .milliseconds(20))
        default: break
        }
    }

    // MARK: What must hold

    private func refusal(_ hello: BridgeHello, by site: RelaySite) throws -> BridgeRefusal {
        let socket = try BlockingSocket.connected(to: site.outside)
        try socket.send(hello.bytes)
        let header = socket.receive(exactly: BridgeLimits.headerByteCount)
        let length = try #require(
            try BridgeFrameHeader.decode(header.span.bytes)
        ).payloadByteCount
        let whole = header + socket.receive(exactly: Int(length))
        guard case .refusal(let refusal)? = try BridgeFrame.decode(whole.span.bytes)?.frame else {
            throw WaitError(description: "no refusal")
        }
        return refusal
    }

    private func expectHealthy(_ pair: RelayPair, _ memory: Int) throws {
        for site in [pair.alpha, pair.beta] { try site.await(.waiting, .connecting) }
        let (data, meta) = try pair.connect()
        for (stream, seed) in [(data, UInt64(40)), (meta, 41)] {
            let content = Pattern.bytes(400_000, seed: seed)
            _ = Sender(content, to: stream.near)
            #expect(stream.far.receive(exactly: content.count) == content)
        }
        let relay = pair.alpha.relay
        #expect(relay.residentByteCount < memory + Self.memoryMaximum)
        #expect(relay.log.split(separator: "\n").count < Self.logLineMaximum)
    }
}

/// A client of a control socket that does not keep to its protocol.
private final class UnixSocket {
    private let descriptor: Int32

    init(_ path: String) throws {
        self.descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(self.descriptor, $0, length)
            }
        }
        guard result == 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        var time = timeval(tv_sec: 20, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            let size = socklen_t(MemoryLayout<timeval>.size)
            setsockopt(self.descriptor, SOL_SOCKET, option, &time, size)
        }
    }

    deinit { close(self.descriptor) }

    /// Sends as much as is taken.
    func send(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    func finish() { shutdown(self.descriptor, Int32(SHUT_WR)) }

    func receivesAnEnd() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(self.descriptor, &bytes, bytes.count, 0)
            if count == 0 { return true }
            if count < 0, errno != EINTR { return errno == ECONNRESET || errno == EPIPE }
        }
    }
}
