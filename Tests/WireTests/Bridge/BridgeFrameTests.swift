// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing
import Wire

@Suite struct BridgeFrameTests {
    @Test(arguments: BridgeSample.all)
    func `decodes what it encodes`(sample: BridgeSample) throws {
        let decoded = try #require(try decode(sample.bytes))
        #expect(decoded.frame == sample.frame)
        #expect(decoded.byteCount == sample.bytes.count)
    }

    @Test func `golden bytes of a stream's opening`() {
        let bytes = BridgeSignal.open(generation: 7, .meta).bytes
        let expected: [UInt8] = [
            0x42, 0x52, 4, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ]
        #expect(Array(bytes.prefix(28)) == expected)
        #expect(Array(bytes.suffix(4)) == castagnoli(expected))
    }

    @Test(arguments: BridgeSample.all)
    func `every truncation is incomplete, never an error`(sample: BridgeSample) throws {
        for count in 0..<sample.bytes.count {
            #expect(try decode(Array(sample.bytes.prefix(count))) == nil)
        }
    }

    @Test(arguments: BridgeSample.all)
    func `every changed bit is detected`(sample: BridgeSample) {
        for bit in 0..<sample.bytes.count * 8 {
            var bytes = sample.bytes
            bytes[bit / 8] ^= 1 << (bit % 8)
            #expect(throws: BridgeError.self) { _ = try decode(bytes) }
        }
    }

    @Test(arguments: ForbiddenField.all)
    func `refuses a field that its kind forbids`(forbidden: ForbiddenField) {
        let error = #expect(throws: BridgeError.self) {
            _ = try decode(forbidden.header.bytes)
        }
        guard case .field(forbidden.header.kind, forbidden.field, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `refuses names and lists outside their limits`() throws {
        let payload = Array(BridgeSample.hello.bytes.dropFirst(32))
        func rejects(_ change: (inout [UInt8]) -> Void) {
            var changed = payload
            change(&changed)
            #expect(throws: BridgeError.self) { _ = try decode(greeting(.hello, changed)) }
        }
        rejects { $0[1] = 9 }  // The lowest version above the highest.
        rejects { $0[4] = 2 }  // Lane 2.
        rejects { $0[13] = 0 }  // An empty name.
        rejects { $0[14] = 0x0A }  // A control character.
        rejects { $0[14] = 0xFF }  // No UTF-8.
        rejects { $0[$0.count - 1] = 23 }  // A level above 22.
        rejects { $0.append(0) }  // Behind the last field.
        rejects { $0.removeLast() }
    }

    @Test func `a refusal's text is cut, not refused`() throws {
        let refusal = BridgeRefusal(code: .plugins, text: String(repeating: "ü", count: 2000))
        let decoded = try #require(try decode(refusal.bytes))
        let cut = BridgeRefusal(code: .plugins, text: String(repeating: "ü", count: 512))
        #expect(decoded.frame == .refusal(cut))
    }

    @Test(arguments: 0..<4)
    func `survives mutated frames whose checksums are right`(part: UInt64) {
        var random = SeededRandom(seed: 0xB41D + part)
        let samples = BridgeSample.all
        var accepted = 0
        for _ in 0..<25_000 {
            var bytes = samples[Int(random.below(UInt64(samples.count)))].bytes
            for _ in 0...random.below(4) {
                let index = Int(random.below(UInt64(bytes.count)))
                bytes[index] = UInt8(truncatingIfNeeded: random.next())
            }
            if random.chance(1, in: 8) {
                bytes.removeLast(Int(random.below(UInt64(bytes.count))))
            }
            if random.chance(7, in: 8) { repair(&bytes) }
            guard let frame = try? decode(bytes)?.frame else { continue }
            accepted += 1
            if case .data(let data) = frame {
                #expect(data.contentByteCount <= BridgeLimits.contentMaximum)
                #expect(data.payloadByteCount <= data.contentByteCount + 2048)
            }
        }
        #expect(accepted > 100)
    }
}

struct ForbiddenField: Sendable {
    let header: BridgeFrameHeader
    let field: BridgeField

    init(
        _ field: BridgeField,
        _ kind: BridgeFrameKind,
        _ change: (inout BridgeFrameHeader) -> Void
    ) {
        var header = BridgeFrameHeader(kind: kind)
        change(&header)
        self.header = header
        self.field = field
    }

    static var all: [Self] {
        [
            Self(.detail, .open) { ($0.detail, $0.generation) = (3, 1) },
            Self(.detail, .keepAlive) { $0.detail = 0xB0 },
            Self(.generation, .open) { $0.detail = 1 },
            Self(.generation, .laneRequest) { $0.generation = 1 },
            Self(.position, .open) { ($0.detail, $0.generation, $0.position) = (1, 1, 1) },
            Self(.position, .close) { ($0.detail, $0.generation, $0.position) = (1, 1, 1 << 63) },
            Self(.payloadByteCount, .laneRequest) { $0.payloadByteCount = 1 },
            Self(.payloadByteCount, .hello) { _ in },
            Self(.payloadByteCount, .hello) { $0.payloadByteCount = 2049 },
            Self(.contentByteCount, .data) {
                ($0.generation, $0.payloadByteCount, $0.contentByteCount) = (1, 131_073, 131_073)
            },
            Self(.payloadByteCount, .data) {
                ($0.generation, $0.payloadByteCount, $0.contentByteCount) = (1, 9, 10)
            },
            Self(.payloadByteCount, .data) {
                ($0.generation, $0.payloadByteCount, $0.contentByteCount) = (1, 2059, 10)
                $0.detail = 1
            },
            Self(.payloadChecksum, .laneRequest) { $0.payloadChecksum = 1 },
        ]
    }
}

struct BridgeSample: Sendable, CustomTestStringConvertible {
    let frame: BridgeFrame
    let bytes: [UInt8]
    var testDescription: String { "\(self.frame)" }

    static let hello = BridgeHello(
        lane: 1,
        incarnation: 0x0102_0304_0506_0708,
        resource: "r1",
        fromNode: "nb",
        toNode: "nä",
        plugins: [Plugin(algorithm: .zstd, level: 1)]
    )

    static var all: [Self] {
        let welcome = BridgeWelcome(version: 1, incarnation: 99)
        let refusal = BridgeRefusal(code: .unknownConnection, text: "no connection r1-na-nb")
        let data = BridgeData(
            generation: 3,
            position: 1 << 40,
            contentByteCount: 131_072,
            payloadByteCount: 4711,
            codec: .lz4,
            checksum: 0xDEAD_BEEF
        )
        let states = ChannelStates(acceptor: .established, connector: .stopped)
        let signals: [BridgeSignal] = [
            .open(generation: 1, .data), .open(generation: .max, .meta),
            .established(generation: 2), .close(generation: 3, .engineClosed, byteCount: 1 << 50),
            .abort(generation: 4, .replaced), .keepAlive(sentAt: 5, states),
            .keepAliveEcho(sentAt: 6), .laneRequest,
        ]
        return [
            Self(frame: .hello(self.hello), bytes: self.hello.bytes),
            Self(frame: .welcome(welcome), bytes: welcome.bytes),
            Self(frame: .refusal(refusal), bytes: refusal.bytes),
            Self(frame: .data(data), bytes: data.header.bytes),
        ] + signals.map { Self(frame: .signal($0), bytes: $0.bytes) }
    }
}

extension BridgeFrameHeader {
    fileprivate var bytes: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        bytes.withUnsafeMutableBytes { self.encode(into: $0) }
        return bytes
    }
}

extension BridgeSignal {
    fileprivate var bytes: [UInt8] { self.header.bytes }
}

private func decode(_ bytes: [UInt8]) throws(BridgeError) -> (frame: BridgeFrame, byteCount: Int)? {
    try BridgeFrame.decode(bytes.span.bytes)
}

private func greeting(_ kind: BridgeFrameKind, _ payload: [UInt8]) -> [UInt8] {
    var header = BridgeFrameHeader(kind: kind)
    header.payloadByteCount = UInt32(payload.count)
    var bytes = header.bytes + payload
    repair(&bytes)
    return bytes
}

/// Makes both checksums right.
private func repair(_ bytes: inout [UInt8]) {
    guard bytes.count >= 32 else { return }
    if (1...3).contains(bytes[2]), bytes.count > 32 {
        bytes.replaceSubrange(24..<28, with: castagnoli(Array(bytes[32...])))
    }
    bytes.replaceSubrange(28..<32, with: castagnoli(Array(bytes[..<28])))
}

/// CRC-32C by its definition as a polynomial division, big-endian bytes.
private func castagnoli(_ bytes: [UInt8]) -> [UInt8] {
    var remainder: UInt32 = 0xFFFF_FFFF
    for byte in bytes {
        for bit in 0..<8 {
            let top = (remainder >> 31) ^ UInt32(byte >> bit & 1)
            remainder = remainder << 1 ^ (top == 1 ? 0x1EDC_6F41 : 0)
        }
    }
    var reflected: UInt32 = 0
    for bit in 0..<32 { reflected |= (remainder >> bit & 1) << (31 - bit) }
    return withUnsafeBytes(of: (~reflected).bigEndian, Array.init)
}
