// SPDX-License-Identifier: Apache-2.0

import LinkSimulation
import Primitives
import Testing
import TestSupport
import Wire

/// Counting, against the recordings' own framing.
struct CounterTests {
    @Test(arguments: Recording.names)
    func `counts every packet of a recorded session by kind`(_ name: String) throws {
        let recording = try Recording(name)
        var random = SeededRandom(seed: 1)
        var counters = LinkCounters()
        var connections = recording.connections.map { _ in ConnectionCounter() }
        for event in recording.events {
            guard case .bytes(let side, let bytes) = event.kind,
                !recording.connections[event.connection].isContinued
            else { continue }
            for piece in pieces(of: bytes, &random) {
                connections[event.connection].count(
                    piece.span.bytes,
                    side == .connector ? .forward : .backward,
                    into: &counters
                )
            }
        }
        #expect(counters.forward == (try recording.counted(from: .connector)))
        #expect(counters.backward == (try recording.counted(from: .acceptor)))
    }

    @Test func `counts a stream that is not DRBD's as bytes`() {
        var counters = LinkCounters()
        var connection = ConnectionCounter()
        let bytes = [UInt8](repeating: 0x42, count: 1000)
        for size in [3, 4, 1, 992] {
            connection.count(bytes.span.bytes.extracting(first: size), .forward, into: &counters)
        }
        connection.count(bytes.span.bytes, .backward, into: &counters)
        #expect(counters.forward.bytes == 1000)
        #expect(counters.forward.undecodedBytes == 1000)
        #expect(counters.forward.packets.isEmpty)
        #expect(counters.backward.undecodedBytes == 1000)
    }

    @Test func `a stream that is damaged goes on as bytes, and none is counted twice`() throws {
        for name in ["integrity", "c-basic", "plain-bitmap"] {
            let recording = try Recording(name)
            let connection = try #require(
                recording.connections.indices.first { recording.connections[$0].socket == .data }
            )
            let events = recording.events.filter { $0.connection == connection }
            for seed in 1...300 as ClosedRange<UInt64> {
                var random = SeededRandom(seed: seed)
                var counters = LinkCounters()
                var counter = ConnectionCounter()
                for event in events {
                    guard case .bytes(let side, var bytes) = event.kind else { continue }
                    if random.chance(1, in: 20) {
                        let place = Int(random.below(UInt64(bytes.count)))
                        bytes[place] ^= 1 << UInt8(random.below(8))
                    }
                    counter.count(
                        bytes.span.bytes,
                        side == .connector ? .forward : .backward,
                        into: &counters
                    )
                }
                for direction in [counters.forward, counters.backward] {
                    let decoded = direction.packets.values.reduce(0) { $0 + $1.bytes }
                    // A head that is not complete yet is in neither.
                    let pending = direction.bytes - decoded - direction.undecodedBytes
                    #expect(pending < ReplicationLimits.headByteCount)
                }
            }
        }
    }

    @Test func `the table names what was counted`() {
        var counters = LinkCounters()
        counters.forward.bytes = 4136
        counters.forward.packets["P_DATA"] = PacketCounters(
            packets: 1,
            bytes: 4136,
            payloadBytes: 4096
        )
        #expect(
            counters.table == """
                forward: 4136 bytes, 0 not decoded
                  P_DATA         1 packets          4136 bytes          4096 payload
                backward: 0 bytes, 0 not decoded
                """
        )
    }
}

private func pieces(of bytes: [UInt8], _ random: inout SeededRandom) -> [ArraySlice<UInt8>] {
    var rest = bytes[...]
    var pieces: [ArraySlice<UInt8>] = []
    while !rest.isEmpty {
        let count = Int(random.below(random.chance(1, in: 2) ? 20 : 2000)) + 1
        pieces.append(rest.prefix(count))
        rest = rest.dropFirst(count)
    }
    return pieces
}

extension Recording {
    /// What one side of all connections sent, by the recording's own framing.
    func counted(from side: Side) throws -> DirectionCounters {
        var counters = DirectionCounters()
        for packet in try self.packets()
        where packet.from == side && !self.connections[packet.connection].isContinued {
            let command = try #require(PacketCommand(rawValue: packet.command))
            var count = counters.packets["\(command.name)"] ?? PacketCounters()
            count.packets += 1
            count.bytes += UInt64(packet.bytes.count)
            count.payloadBytes += UInt64(payload(command, packet.body.count))
            counters.packets["\(command.name)"] = count
            counters.bytes += UInt64(packet.bytes.count)
        }
        return counters
    }

    /// What is behind the fixed part and the digest, which is never a whole sector.
    private func payload(_ command: PacketCommand, _ byteCount: Int) -> Int {
        switch command {
        case .data, .dataReply, .resyncDataReply: (byteCount - 24) / 512 * 512
        case .verifyReply, .checksumResyncRequest: byteCount - 24
        case .bitmap, .authChallenge, .authResponse: byteCount
        case .compressedBitmap: byteCount - 1
        default: 0
        }
    }
}
