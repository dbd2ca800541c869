// SPDX-License-Identifier: Apache-2.0

import CZstd
import Foundation

/// A recorded session of two DRBD 8.4 nodes: the TCP streams of one capture, in order of time.
///
/// `Scripts/convert-recordings` made the files and describes their layout. Scenarios,
/// configurations and what happened in each: the README of the lab's captures. Framing here is done
/// by magic numbers and lengths alone, independent of `Wire`, so that the two check each other.
package struct Recording: Sendable {
    /// The scenario, for instance `c-basic`.
    package let name: String
    /// In order of their first SYN; attempts that were refused are among them, without packets.
    package let connections: [Connection]
    /// Everything that happened, in order of time.
    package let events: [Event]

    /// One TCP connection.
    package struct Connection: Sendable {
        /// The letters of the nodes: `a`, `b`, or `r` for a relay between them.
        package let connector: Character
        package let acceptor: Character
        /// Whether it was open before the recording began; its first packet is then not its first.
        package let isContinued: Bool
        /// What it carries, by its first packet; nil if it carried nothing or that is unknown.
        package fileprivate(set) var socket: Socket?
    }

    package enum Socket: Sendable {
        case data
        case meta
    }

    package enum Side: Int, Sendable, CaseIterable {
        case connector = 0
        case acceptor = 1
    }

    package struct Event: Sendable {
        /// Time since the capture's first frame.
        package let microseconds: UInt64
        /// Index into ``Recording/connections``.
        package let connection: Int
        package let kind: Kind

        package enum Kind: Sendable {
            case opened
            /// The next bytes of a side's stream, as they came in one segment.
            case bytes(from: Side, [UInt8])
            case endOfStream(from: Side)
            case reset(from: Side)
        }
    }

    /// One packet, when its last byte had come.
    package struct Packet: Sendable {
        package let microseconds: UInt64
        /// Index into ``Recording/connections``.
        package let connection: Int
        package let from: Side
        /// The letter of the node that sent it.
        package let node: Character
        package let socket: Socket?
        package let command: UInt16
        package let volume: UInt16
        /// The whole packet.
        package let bytes: [UInt8]
        package let headerByteCount: Int

        /// What is behind the header.
        package var body: ArraySlice<UInt8> { self.bytes[self.headerByteCount...] }
    }

    /// The names of all recordings.
    package static let names = [
        "a-ahead", "a-basic", "b-basic", "c-basic", "c-fs16", "diskless", "hmac", "integrity",
        "plain-bitmap", "power-cut", "power-cut-2", "refuse", "relay", "resize", "split-brain",
        "thin", "two-primaries",
    ]

    /// Loads the recording `name`.
    package init(_ name: String) throws {
        guard
            let url = Bundle.module.url(
                forResource: name,
                withExtension: "recording.zst",
                subdirectory: "Recordings"
            )
        else { throw RecordingError(name: name, reason: "no such recording") }
        var reader = EventReader(bytes: try decompressed(Data(contentsOf: url), of: name)[...])
        guard reader.take(8).elementsEqual("BSRREC1\n".utf8) else {
            throw RecordingError(name: name, reason: "the file does not begin with BSRREC1")
        }
        var connections: [Connection] = []
        var events: [Event] = []
        while !reader.bytes.isEmpty {
            let event = try reader.next(of: name, into: &connections)
            events.append(event)
        }
        self.name = name
        self.connections = connections
        self.events = events
    }

    /// The whole stream that `side` of `connection` sent.
    package func stream(of connection: Int, from side: Side) -> [UInt8] {
        var stream: [UInt8] = []
        for event in self.events where event.connection == connection {
            if case .bytes(side, let bytes) = event.kind { stream += bytes }
        }
        return stream
    }

    /// All packets, in the order in which their last bytes came.
    package func packets() throws -> [Packet] {
        var packets: [Packet] = []
        var buffers: [Int: [UInt8]] = [:]
        for event in self.events {
            guard case .bytes(let side, let bytes) = event.kind else { continue }
            let key = event.connection * 2 + side.rawValue
            var buffer = buffers[key, default: []] + bytes
            while let (header, length) = try self.frame(buffer), buffer.count >= header + length {
                packets.append(
                    self.packet(Array(buffer[..<(header + length)]), header, side, event)
                )
                buffer.removeFirst(header + length)
            }
            buffers[key] = buffer
        }
        guard buffers.values.allSatisfy(\.isEmpty) else {
            throw RecordingError(name: self.name, reason: "bytes are left over")
        }
        return packets
    }

    private func packet(_ bytes: [UInt8], _ header: Int, _ side: Side, _ event: Event) -> Packet {
        let connection = self.connections[event.connection]
        return Packet(
            microseconds: event.microseconds,
            connection: event.connection,
            from: side,
            node: side == .connector ? connection.connector : connection.acceptor,
            socket: connection.socket,
            command: bigEndian16(bytes, at: header == 16 ? 6 : 4),
            volume: header == 16 ? bigEndian16(bytes, at: 4) : 0,
            bytes: bytes,
            headerByteCount: header
        )
    }

    /// The sizes of header and body of the packet at the start of `bytes`; nil if not known yet.
    private func frame(_ bytes: [UInt8]) throws -> (header: Int, length: Int)? {
        guard bytes.count >= 8 else { return nil }
        if bytes.starts(with: [0x83, 0x74, 0x02, 0x67]) {
            return (8, Int(bigEndian16(bytes, at: 6)))
        }
        guard bytes.starts(with: [0x86, 0x20, 0xec, 0x20]) else {
            throw RecordingError(name: self.name, reason: "bytes that begin no packet")
        }
        guard bytes.count >= 16 else { return nil }
        return (16, Int(bigEndian16(bytes, at: 8)) << 16 | Int(bigEndian16(bytes, at: 10)))
    }
}

/// Why a recording cannot be used.
package struct RecordingError: Error, CustomStringConvertible {
    let name: String
    let reason: String

    package var description: String { "recording \(self.name): \(self.reason)" }
}

/// Takes events from the decompressed file.
private struct EventReader {
    var bytes: ArraySlice<UInt8>

    mutating func take(_ count: Int) -> ArraySlice<UInt8> {
        defer { self.bytes = self.bytes.dropFirst(count) }
        return self.bytes.prefix(count)
    }

    mutating func number(_ count: Int) -> UInt64 {
        self.take(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    mutating func next(of name: String, into connections: inout [Recording.Connection]) throws
        -> Recording.Event
    {
        let kind = self.number(1)
        let direction = Int(self.number(1))
        let connection = Int(self.number(2))
        let time = self.number(8)
        let count = Int(self.number(4))
        let content = Array(self.take(count))
        guard content.count == count, let side = Recording.Side(rawValue: direction) else {
            throw RecordingError(name: name, reason: "the file is cut or damaged")
        }
        let what: Recording.Event.Kind
        switch kind {
        case 0:
            guard connection == connections.count, count == 2 else {
                throw RecordingError(name: name, reason: "connections out of order")
            }
            connections.append(
                Recording.Connection(
                    connector: Character(Unicode.Scalar(content[0])),
                    acceptor: Character(Unicode.Scalar(content[1])),
                    isContinued: direction == 1
                )
            )
            what = .opened
        case 1:
            connections[connection].note(content, from: side)
            what = .bytes(from: side, content)
        case 2: what = .endOfStream(from: side)
        case 3: what = .reset(from: side)
        default: throw RecordingError(name: name, reason: "an event of kind \(kind)")
        }
        return Recording.Event(microseconds: time, connection: connection, kind: what)
    }
}

extension Recording.Connection {
    /// Learns from the first bytes what the connection carries.
    fileprivate mutating func note(_ bytes: [UInt8], from side: Recording.Side) {
        guard self.socket == nil, side == .connector, bytes.count >= 6 else { return }
        let command = bigEndian16(bytes, at: 4)
        if command == 0xfff1 { self.socket = .meta }
        if command == 0xfff2 { self.socket = .data }
    }
}

private func bigEndian16(_ bytes: [UInt8], at offset: Int) -> UInt16 {
    UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
}

private func decompressed(_ file: Data, of name: String) throws -> [UInt8] {
    let size = file.withUnsafeBytes { ZSTD_getFrameContentSize($0.baseAddress, $0.count) }
    guard size < 1 << 28 else { throw RecordingError(name: name, reason: "not a zstd file") }
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(size)) { target, count in
        let result = file.withUnsafeBytes {
            ZSTD_decompress(target.baseAddress, target.count, $0.baseAddress, $0.count)
        }
        count = ZSTD_isError(result) == 0 ? result : 0
    }
    guard bytes.count == Int(size) else {
        throw RecordingError(name: name, reason: "decompression failed")
    }
    return bytes
}
