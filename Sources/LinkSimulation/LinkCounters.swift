// SPDX-License-Identifier: Apache-2.0

/// What arrived at the ends of a link since it was started, by direction.
package struct LinkCounters: Hashable, Codable, Sendable {
    /// From those who connect to the link towards those it connects to.
    package var forward = DirectionCounters()
    /// The other way.
    package var backward = DirectionCounters()

    /// Creates counters at 0.
    package init() {}

    /// The same in memory of its own, for another thread: see `Guarded`.
    var unshared: LinkCounters {
        var copy = self
        copy.forward.packets = self.forward.packets.mapValues { $0 }
        copy.backward.packets = self.backward.packets.mapValues { $0 }
        return copy
    }

    /// Both directions together, for a packet's name such as `P_RS_DATA_REPLY`.
    package func packets(_ name: String) -> PacketCounters {
        let pair = [self.forward, self.backward].compactMap { $0.packets[name] }
        return pair.reduce(into: PacketCounters()) { sum, one in
            sum.packets += one.packets
            sum.bytes += one.bytes
            sum.payloadBytes += one.payloadBytes
        }
    }
}

/// What arrived in one direction.
package struct DirectionCounters: Hashable, Codable, Sendable {
    /// All bytes.
    package var bytes: UInt64 = 0
    /// Those of streams that are not, or from some point on not, of DRBD's protocol.
    package var undecodedBytes: UInt64 = 0
    /// By the packet's name, for instance `P_DATA`.
    package var packets: [String: PacketCounters] = [:]

    /// Creates counters at 0.
    package init() {}
}

/// What arrived of one kind of packet.
package struct PacketCounters: Hashable, Codable, Sendable {
    /// Packets whose head has arrived whole.
    package var packets: UInt64 = 0
    /// Bytes of headers and everything behind them.
    package var bytes: UInt64 = 0
    /// Bytes behind the fixed part without the digest: blocks, bitmaps, digests to compare.
    package var payloadBytes: UInt64 = 0

    /// Creates counters.
    package init(packets: UInt64 = 0, bytes: UInt64 = 0, payloadBytes: UInt64 = 0) {
        self.packets = packets
        self.bytes = bytes
        self.payloadBytes = payloadBytes
    }
}

extension LinkCounters {
    /// A table for people.
    package var table: String {
        Self.text(of: self.forward, titled: "forward") + "\n"
            + Self.text(of: self.backward, titled: "backward")
    }

    private static func text(of counters: DirectionCounters, titled title: String) -> String {
        let name = counters.packets.keys.map(\.count).max() ?? 0
        let lines = counters.packets.sorted { $0.key < $1.key }.map { kind, count in
            "  " + kind + String(repeating: " ", count: name - kind.count)
                + right(count.packets, 10) + " packets" + right(count.bytes, 14) + " bytes"
                + right(count.payloadBytes, 14) + " payload"
        }
        let head = "\(title): \(counters.bytes) bytes, \(counters.undecodedBytes) not decoded"
        return ([head] + lines).joined(separator: "\n")
    }

    private static func right(_ number: UInt64, _ width: Int) -> String {
        let text = "\(number)"
        return String(repeating: " ", count: max(1, width - text.count)) + text
    }
}
