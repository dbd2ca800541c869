// SPDX-License-Identifier: Apache-2.0

import Wire

/// Counts the packets of both streams of one connection.
///
/// It follows DRBD's handshake as far as framing needs it: the first packet tells the data socket
/// from the meta socket, the features the version, P_PROTOCOL the size of the digests. Bytes that
/// are no packet end the decoding of their stream; the rest of it is counted as bytes.
package struct ConnectionCounter: Sendable {
    /// The direction of a stream.
    package enum Direction: Sendable, CaseIterable {
        case forward
        case backward
    }

    private var forward = StreamCounter(on: .undecided)
    private var backward = StreamCounter(on: .undecided)

    /// Creates the counter of a new connection.
    package init() {}

    /// Counts the next bytes of a stream, in any pieces.
    package mutating func count(
        _ bytes: RawSpan,
        _ direction: Direction,
        into counters: inout LinkCounters
    ) {
        switch direction {
        case .forward:
            self.forward.count(bytes, into: &counters.forward, peer: &self.backward)
        case .backward:
            self.backward.count(bytes, into: &counters.backward, peer: &self.forward)
        }
    }
}

/// Counts the packets of one stream.
private struct StreamCounter: Sendable {
    private enum Progress {
        /// Waits for so many bytes of a packet's head.
        case head(needed: Int)
        /// So many bytes of the packet are still to come, the last `payload` of them payload.
        case trailing(PacketCommand, left: Int, payload: Int)
        /// Not DRBD's protocol.
        case undecoded
    }

    private var progress = Progress.head(needed: 8)
    private var head: [UInt8] = []
    private var socket: PacketSocket
    private var agreement = WireAgreement.none
    private var features: ConnectionFeatures?

    init(on socket: PacketSocket) { self.socket = socket }

    mutating func count(
        _ bytes: RawSpan,
        into counters: inout DirectionCounters,
        peer: inout Self
    ) {
        counters.bytes += UInt64(bytes.byteCount)
        var rest = bytes
        while !rest.isEmpty {
            switch self.progress {
            case .head(let needed):
                let count = min(needed - self.head.count, rest.byteCount)
                for index in 0..<count {
                    self.head.append(rest.unsafeLoad(fromByteOffset: index, as: UInt8.self))
                }
                rest = rest.extracting(droppingFirst: count)
                if self.head.count == needed { self.decodeHead(into: &counters, peer: &peer) }
            case .trailing(let command, let left, let payload):
                let count = min(left, rest.byteCount)
                rest = rest.extracting(droppingFirst: count)
                self.countTrailing(command, count, of: left, payload: payload, into: &counters)
            case .undecoded:
                counters.undecodedBytes += UInt64(rest.byteCount)
                return
            }
        }
    }

    private mutating func decodeHead(into counters: inout DirectionCounters, peer: inout Self) {
        do throws(WireError) {
            let progress = try PacketFrame.decode(
                self.head.span.bytes,
                on: self.socket,
                under: self.agreement
            )
            switch progress {
            case .incomplete(let needed): self.progress = .head(needed: needed)
            case .head(let frame):
                try self.note(frame.packet, peer: &peer)
                self.begin(frame, into: &counters)
            }
        } catch {
            counters.undecodedBytes += UInt64(self.head.count)
            self.head = []
            self.progress = .undecoded
        }
    }

    private mutating func begin(_ frame: PacketFrame, into counters: inout DirectionCounters) {
        let command = frame.header.command
        let digested: [PacketCommand] = [.data, .dataReply, .resyncDataReply, .writeSame]
        let digest = digested.contains(command) ? Int(self.agreement.digestByteCount) : 0
        counters.packets[command.title, default: PacketCounters()].packets += 1
        counters.packets[command.title]?.bytes += UInt64(self.head.count)
        self.head = []
        self.progress =
            frame.trailingByteCount == 0
            ? .head(needed: 8)
            : .trailing(
                command,
                left: frame.trailingByteCount,
                payload: frame.trailingByteCount - digest
            )
    }

    private mutating func countTrailing(
        _ command: PacketCommand,
        _ count: Int,
        of left: Int,
        payload: Int,
        into counters: inout DirectionCounters
    ) {
        let payloadLeft = min(payload, left - count)
        counters.packets[command.title]?.bytes += UInt64(count)
        counters.packets[command.title]?.payloadBytes += UInt64(payload - payloadLeft)
        self.progress =
            left == count
            ? .head(needed: 8) : .trailing(command, left: left - count, payload: payloadLeft)
    }

    /// Learns what decides about the packets that follow.
    private mutating func note(_ packet: Packet, peer: inout Self) throws(WireError) {
        if case .initialData = packet {
            self.socket = .data
            peer.socket = .data
        }
        if case .initialMeta = packet {
            // The version was agreed on the data socket; no packet of the meta socket differs in
            // size between versions.
            let newest = WireAgreement(
                version: ReplicationLimits.versionMaximum,
                features: .announced
            )
            (self.socket, self.agreement) = (.meta, newest)
            (peer.socket, peer.agreement) = (.meta, newest)
        }
        if case .features(let features) = packet {
            self.features = features
            guard let other = peer.features else { return }
            self.agreement = try features.agreement(with: other)
            peer.agreement = self.agreement
        }
        if let algorithm = packet.integrityAlgorithm {
            self.agreement.digestByteCount = digestByteCount(of: algorithm)
        }
    }
}

extension Packet {
    /// What its sender puts in front of the payload from now on; nil if the packet says nothing.
    fileprivate var integrityAlgorithm: AlgorithmName? {
        if case .protocolParameters(let parameters) = self { return parameters.integrityAlgorithm }
        if case .protocolUpdate(let parameters) = self { return parameters.integrityAlgorithm }
        return nil
    }
}

extension PacketCommand {
    /// The name as a key.
    fileprivate var title: String { "\(self.name)" }
}

/// The size of what an integrity algorithm puts in front of the payload.
///
/// Blocks are whole sectors, so an unknown size shows as a payload that is none.
private func digestByteCount(of algorithm: AlgorithmName) -> UInt32 {
    switch "\(algorithm)" {
    case "crc32c", "crc32": 4
    case "md5": 16
    case "sha1": 20
    case "sha224": 28
    case "sha256": 32
    case "sha384": 48
    case "sha512": 64
    default: 0
    }
}
