// SPDX-License-Identifier: Apache-2.0

import Primitives
import TestSupport
import Testing
import Wire

@Suite("Hostile bytes")
struct PacketFuzzTests {
    /// Heads of recorded packets, at most `limit` of each command, and one drawn packet of
    /// each command that the recordings lack.
    private static func seeds(ofEach limit: Int = 40) throws -> [Seed] {
        var seeds: [Seed] = []
        var counts: [PacketCommand: Int] = [:]
        for name in Recording.names {
            let recording = try Recording(name)
            for (index, socket) in recording.used {
                for side in Recording.Side.allCases {
                    for packet in try recording.decoded(index, socket, side) {
                        let command = packet.frame.header.command
                        guard counts[command, default: 0] < limit else { continue }
                        counts[command, default: 0] += 1
                        let head = packet.bytes[..<packet.frame.headByteCount]
                        let isInitial = !command.isCarried(on: socket)
                        seeds.append(
                            Seed(
                                bytes: Array(head),
                                socket: isInitial ? .undecided : socket,
                                agreement: packet.agreement
                            )
                        )
                    }
                }
            }
        }
        #expect(counts.count >= 38)
        return seeds + self.drawn(besides: Set(counts.keys))
    }

    private static func drawn(besides recorded: Set<PacketCommand>) -> [Seed] {
        var random = SeededRandom(seed: 7)
        return PacketCommand.allCases.filter { !recorded.contains($0) }.compactMap { command in
            let agreement = WireAgreement(
                version: command == .syncParameters88 ? 88 : 101,
                features: .announced
            )
            guard let made = RandomPacket.packet(command, under: agreement, &random),
                let socket = PacketSocket.allCases.first(where: command.isCarried)
            else { return nil }
            let bytes = encodedHead(made.packet, trailing: made.trailing, under: agreement)
            return Seed(bytes: bytes, socket: socket, agreement: agreement)
        }
    }

    @Test func `every single-bit change and every truncation is decoded or refused`() throws {
        var inputs = 0
        var verdict = Verdict()
        for seed in try Self.seeds(ofEach: 12) {
            for count in 0...seed.bytes.count {
                verdict.judge(Array(seed.bytes[..<count]), seed.socket, seed.agreement)
            }
            for bit in 0..<seed.bytes.count * 8 {
                var bytes = seed.bytes
                bytes[bit / 8] ^= 1 << UInt8(bit % 8)
                verdict.judge(bytes, seed.socket, seed.agreement)
            }
            inputs += seed.bytes.count * 9 + 1
        }
        #expect(verdict.broken.isEmpty, "\(verdict.broken.prefix(3))")
        #expect(inputs > 100_000)
        #expect(verdict.accepted > 10_000 && verdict.refused > 10_000)
    }

    @Test func `100,000 mutated packets are decoded or refused`() throws {
        let seeds = try Self.seeds()
        var random = SeededRandom(seed: 2026)
        var verdict = Verdict()
        for _ in 0..<100_000 {
            let seed = seeds[Int(random.below(UInt64(seeds.count)))]
            var bytes = seed.bytes
            for _ in 0...random.below(4) { mutate(&bytes, &random) }
            let agreement =
                random.chance(1, in: 4) ? RandomPacket.agreement(&random) : seed.agreement
            let socket =
                random.chance(1, in: 8)
                ? PacketSocket.allCases[Int(random.below(3))] : seed.socket
            verdict.judge(bytes, socket, agreement)
        }
        #expect(verdict.broken.isEmpty, "\(verdict.broken.prefix(3))")
        #expect(verdict.accepted > 5_000 && verdict.refused > 20_000)
    }

    @Test func `100,000 mutated bitmap packets never leave the bitmap`() throws {
        var seeds: [(Packet, [UInt8])] = []
        for name in Recording.names {
            let recording = try Recording(name)
            for (index, socket) in recording.used where socket == .data {
                for side in Recording.Side.allCases {
                    for packet in try recording.decoded(index, socket, side) {
                        guard case .compressedBitmap = packet.frame.packet else { continue }
                        seeds.append((packet.frame.packet, Array(packet.trailing)))
                    }
                }
            }
        }
        #expect(seeds.count == 38)
        var random = SeededRandom(seed: 38)
        var escaped = 0
        var finished = 0
        for _ in 0..<100_000 {
            let (packet, recorded) = seeds[Int(random.below(UInt64(seeds.count)))]
            var bytes = recorded
            if random.chance(9, in: 10) { mutate(&bytes, &random) }
            let bitCount: UInt64 = random.chance(1, in: 2) ? 246 : random.below(600)
            let wordCount = Int((bitCount + 63) / 64)
            var words = [UInt64](repeating: 0, count: wordCount + 1)
            var receiver = BitmapReceiver(bitCount: bitCount, under: Recording.agreement)
            var span = words.mutableSpan
            try? receiver.receive(packet, trailing: bytes.span.bytes, into: &span)
            if receiver.isFinished { finished += 1 }
            let set = words.reduce(0) { $0 + UInt64($1.nonzeroBitCount) }
            let tail = bitCount % 64 == 0 ? 0 : words[wordCount - 1] >> (bitCount % 64)
            if words[wordCount] != 0 || tail != 0 || set != receiver.newlySetCount { escaped += 1 }
        }
        #expect(escaped == 0)
        #expect(finished > 500)
    }
}

/// Bytes that decode, and where.
private struct Seed {
    var bytes: [UInt8]
    var socket: PacketSocket
    var agreement: WireAgreement
}

/// Decodes and remembers what contradicts the decoder's promises.
private struct Verdict {
    var accepted = 0
    var refused = 0
    var broken: [[UInt8]] = []

    mutating func judge(_ bytes: [UInt8], _ socket: PacketSocket, _ agreement: WireAgreement) {
        do throws(WireError) {
            let progress = try PacketFrame.decode(bytes.span.bytes, on: socket, under: agreement)
            switch progress {
            case .incomplete(let needed):
                if needed <= bytes.count || needed > ReplicationLimits.headByteCount {
                    self.broken.append(bytes)
                }
            case .head(let frame):
                self.accepted += 1
                if !self.isWithinLimits(frame, agreement) || !self.comesBack(frame, agreement) {
                    self.broken.append(bytes)
                }
            }
        } catch {
            self.refused += 1
        }
    }

    private func isWithinLimits(_ frame: PacketFrame, _ agreement: WireAgreement) -> Bool {
        let body = frame.header.length
        let head = Int(frame.header.format.byteCount)
        let limit =
            frame.header.command.lengths(under: agreement, in: frame.header.format).upperBound
        return body <= limit && limit <= agreement.payloadLimit + 64 + 28
            && frame.headByteCount + frame.trailingByteCount == head + Int(body)
            && frame.trailingByteCount >= 0
    }

    /// What was accepted can be sent, and is then the same packet.
    private func comesBack(_ frame: PacketFrame, _ agreement: WireAgreement) -> Bool {
        // A compressed or plain bitmap that filled an 8-byte header's packet does not fit a larger
        // one.
        let room = Int(4096 - agreement.headerFormat(length: 0).byteCount)
        let isBitmap = frame.packet.command == .bitmap || frame.packet.command == .compressedBitmap
        if isBitmap, Int(frame.header.length) > room { return true }
        let bytes = encodedHead(
            frame.packet,
            trailing: frame.trailingByteCount,
            under: agreement
        )
        return (try? decodedPacket(bytes, under: agreement)) == frame.packet
    }
}

/// One random change: a bit, a byte, a number of extreme value, a cut, or bytes put in.
private func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
    guard !bytes.isEmpty else {
        bytes.append(UInt8(truncatingIfNeeded: random.next()))
        return
    }
    let place = Int(random.below(UInt64(bytes.count)))
    switch random.below(6) {
    case 0: bytes[place] ^= 1 << UInt8(random.below(8))
    case 1: bytes[place] = UInt8(truncatingIfNeeded: random.next())
    case 2: bytes[place] = [0, 0xff, 0x7f, 0x80][Int(random.below(4))]
    case 3:
        for index in place..<min(place + 4, bytes.count) { bytes[index] = 0xff }
    case 4: bytes.removeLast(bytes.count - place)
    default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
    }
}
