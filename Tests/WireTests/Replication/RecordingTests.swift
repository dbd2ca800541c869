// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing
import TestSupport
import Wire

@Suite("Recorded sessions of DRBD 8.4")
struct RecordingTests {
    @Test(arguments: Recording.names)
    func `every packet decodes and encodes to the same bytes`(_ name: String) throws {
        let recording = try Recording(name)
        let framed = try recording.packets()
        var count = 0
        for (index, socket) in recording.used {
            for side in Recording.Side.allCases {
                let packets = try recording.decoded(index, socket, side)
                let independent = framed.filter { $0.connection == index && $0.from == side }
                #expect(packets.map(\.bytes) == independent.map(\.bytes))
                #expect(packets.map(\.frame.header.command.rawValue) == independent.map(\.command))
                for packet in packets {
                    let again = encodedPacket(
                        packet.frame.packet,
                        volume: packet.frame.header.volume,
                        trailing: packet.trailing,
                        under: packet.agreement
                    )
                    #expect(again == withPadsCleared(packet), "\(packet.frame)")
                }
                count += packets.count
            }
        }
        #expect(count == framed.count)
        #expect(count > 3)
    }

    @Test func `no packet of the captures is missing`() throws {
        // The numbers are those of the decoder that came with the captures.
        var counts: [PacketCommand: Int] = [:]
        var total = 0
        for name in Recording.names {
            let recording = try Recording(name)
            for (index, socket) in recording.used {
                for side in Recording.Side.allCases {
                    for packet in try recording.decoded(index, socket, side) {
                        counts[packet.frame.header.command, default: 0] += 1
                        total += 1
                    }
                }
            }
        }
        let expected: [PacketCommand: Int] = [
            .authChallenge: 7, .authResponse: 6, .barrier: 65, .barrierAck: 65, .bitmap: 4,
            .compressedBitmap: 38, .features: 72, .connectionStateChangeReply: 25,
            .connectionStateChangeRequest: 25, .checksumResyncRequest: 32, .data: 123,
            .dataReply: 4, .dataRequest: 4, .initialData: 37, .initialMeta: 36, .outOfSync: 29,
            .verifyReply: 492, .verifyRequest: 492, .verifyResult: 492, .ping: 87, .pingAck: 85,
            .protocolParameters: 69, .receiveAck: 3, .resyncDataReply: 324,
            .resyncDataRequest: 290, .deallocated: 114, .isInSync: 1, .thinResyncRequest: 117,
            .resyncWriteAck: 438, .sizes: 75, .state: 206, .stateChangeReply: 24,
            .stateChangeRequest: 24, .syncParameters: 69, .syncUUID: 22, .trim: 2,
            .unplugRemote: 69, .uuids: 102, .writeAck: 110, .zeroes: 7,
        ]
        #expect(counts == expected)
        #expect(total == 4286)
    }

    @Test(arguments: Recording.names)
    func `bytes may come whole, in any pieces, and one by one`(_ name: String) throws {
        let recording = try Recording(name)
        var random = SeededRandom(seed: 1)
        for (index, socket) in recording.used {
            for side in Recording.Side.allCases {
                let stream = recording.stream(of: index, from: side)
                let whole = try recording.decoded(index, socket, side)
                var single = recording.decoder(of: index, socket: socket, from: side)
                var pieces = single
                var position = 0
                while position < stream.count {
                    let count = min(Int(random.below(3000)) + 1, stream.count - position)
                    try pieces.feed(stream[position..<position + count])
                    position += count
                }
                // One by one through every head; payload in one piece, for it is only counted.
                for packet in whole {
                    for byte in packet.bytes[..<packet.frame.headByteCount] {
                        try single.feed(CollectionOfOne(byte))
                    }
                    try single.feed(packet.trailing)
                }
                #expect(pieces.packets == whole)
                #expect(single.packets == whole)
            }
        }
    }

    @Test(arguments: Recording.names)
    func `sequence numbers have no gap across both sockets`(_ name: String) throws {
        let recording = try Recording(name)
        // A session is the time between two exchanges of features; a relay's copies are left out.
        var numbers: [Character: Set<UInt32>] = [:]
        func finish(_ node: Character) {
            let session = numbers.removeValue(forKey: node) ?? []
            #expect(session.max().map(Int.init) ?? 0 == session.count, "node \(node)")
            #expect(!session.contains(0))
        }
        for packet in try recording.packets() where packet.node != "r" {
            if packet.command == PacketCommand.features.rawValue { finish(packet.node) }
            let agreement =
                packet.headerByteCount == 16
                ? WireAgreement(version: 101, features: .announced) : .none
            guard let command = PacketCommand(rawValue: packet.command), command.hasSequenceNumber
            else { continue }
            let body = Array(packet.body)
            let header = PacketHeader(
                command: command,
                volume: 0,
                length: UInt32(body.count),
                format: .h100
            )
            var digested = agreement
            digested.digestByteCount = UInt32(body.count - 24) % 512
            let number = try Packet.decode(header, body.span.bytes, under: digested).sequenceNumber
            let inserted = numbers[packet.node, default: []].insert(try #require(number)).inserted
            #expect(inserted)
        }
        for node in Array(numbers.keys) { finish(node) }
    }

    @Test(
        "AL-07 one bit covers 4 KiB: bitmaps fit the device and encode to the same bytes",
        arguments: Recording.names
    )
    func bitmaps(_ name: String) throws {
        let recording = try Recording(name)
        for (index, socket) in recording.used where socket == .data {
            var bitCount: UInt64 = 0
            var sent: [[UInt64]] = []
            var transfers: [Recording.Side: BitmapTransferCheck] = [:]
            let streams = try Recording.Side.allCases.map { side in
                (side, try recording.decoded(index, socket, side))
            }
            var next = [0, 0]
            for packet in try recording.packets() where packet.connection == index {
                let decoded = streams[packet.from.rawValue].1[next[packet.from.rawValue]]
                next[packet.from.rawValue] += 1
                if case .sizes(let sizes) = decoded.frame.packet, sizes.currentSectors > 0 {
                    bitCount = (sizes.currentSectors + 7) / 8
                }
                guard
                    decoded.frame.header.command == .bitmap
                        || decoded.frame.header.command == .compressedBitmap
                else { continue }
                var check =
                    transfers.removeValue(forKey: packet.from) ?? BitmapTransferCheck(bitCount)
                try check.add(decoded)
                if check.receiver.isFinished {
                    #expect(check.packetsOfSender() == check.packets)
                    sent.append(check.words)
                } else {
                    transfers[packet.from] = check
                }
            }
            #expect(transfers.isEmpty)
            // The target's bitmap is the union: what the source sent is in it.
            for pair in stride(from: 0, to: sent.count - 1, by: 2) {
                #expect(zip(sent[pair], sent[pair + 1]).allSatisfy { $0 & ~$1 == 0 })
            }
        }
    }
}

/// Receives one transfer and sends it again.
private struct BitmapTransferCheck {
    let bitCount: UInt64
    var receiver: BitmapReceiver
    var words: [UInt64]
    var packets: [[UInt8]] = []
    var compresses = false

    init(_ bitCount: UInt64) {
        self.bitCount = bitCount
        self.receiver = BitmapReceiver(bitCount: bitCount, under: Recording.agreement)
        self.words = Array(repeating: 0, count: Int((bitCount + 63) / 64))
    }

    mutating func add(_ packet: StreamPacket) throws {
        if packet.frame.header.command == .compressedBitmap { self.compresses = true }
        let trailing = Array(packet.trailing)
        var receiver = self.receiver
        var span = self.words.mutableSpan
        try receiver.receive(packet.frame.packet, trailing: trailing.span.bytes, into: &span)
        self.receiver = receiver
        self.packets.append(packet.bytes)
    }

    func packetsOfSender() -> [[UInt8]] {
        transferred(self.words, self.bitCount, compresses: self.compresses).map {
            encodedPacket($0.packet, trailing: $0.bytes, under: Recording.agreement)
        }
    }
}

/// The recorded bytes with the pad fields cleared, which DRBD 8.4 does not always do.
private func withPadsCleared(_ packet: StreamPacket) -> [UInt8] {
    let pad: Range<Int>
    switch packet.frame.header.command {
    case .dataRequest, .resyncDataRequest, .thinResyncRequest, .checksumResyncRequest,
        .verifyRequest, .verifyReply:
        pad = 20..<24
    case .outOfSync, .deallocated: pad = 12..<16
    case .barrier: pad = 4..<8
    default: return packet.bytes
    }
    var bytes = packet.bytes
    let header = Int(packet.frame.header.format.byteCount)
    for offset in pad { bytes[header + offset] = 0 }
    return bytes
}
