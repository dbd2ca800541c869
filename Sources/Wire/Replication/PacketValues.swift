// SPDX-License-Identifier: Apache-2.0

/// The cookie of a request: chosen by one node, echoed by the other, never interpreted (§3.3).
package struct BlockID: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    /// The eight bytes as they lie in memory, in no byte order.
    package var rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Marks requests and acks of resync and verify.
    package static let syncer = Self(rawValue: .max)
}

/// The number of an epoch as its sender wrote it: echoed, never interpreted.
package struct BarrierNumber: RawRepresentable, Hashable, Sendable, BitwiseCopyable {
    /// The four bytes as they lie in memory, in no byte order.
    package var rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }
}

/// The `dp_flags` of a write (§3.2).
///
/// Unknown bits are kept and ignored.
public struct DataFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    /// The bits as they are sent.
    public let rawValue: UInt32

    /// Takes any bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The application marked the request synchronous.
    @inlinable package static var synchronous: Self { Self(rawValue: 0x002) }
    /// The sender resyncs: a receiver that has written the range may clear its bits.
    @inlinable package static var maySetInSync: Self { Self(rawValue: 0x004) }
    @inlinable package static var unplug: Self { Self(rawValue: 0x008) }
    /// Force unit access: durable before the ack.
    @inlinable package static var fua: Self { Self(rawValue: 0x010) }
    /// What was written before is durable before this write begins.
    @inlinable package static var flush: Self { Self(rawValue: 0x020) }
    /// With P_TRIM; with P_ZEROES: the range may be deallocated.
    @inlinable package static var discard: Self { Self(rawValue: 0x040) }
    /// The receiver must send P_RECV_ACK (protocol B).
    @inlinable package static var sendReceiveAck: Self { Self(rawValue: 0x080) }
    /// The receiver must send P_WRITE_ACK (protocol C).
    @inlinable package static var sendWriteAck: Self { Self(rawValue: 0x100) }
    @inlinable package static var writeSame: Self { Self(rawValue: 0x200) }
    @inlinable package static var zeroes: Self { Self(rawValue: 0x400) }
}

/// The flags of P_UUIDS (§4.7).
///
/// Unknown bits are kept and ignored.
package struct UUIDFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The administrator gives the sender's data up for this connect.
    package static let discardMyData = Self(rawValue: 1)
    /// The sender was Primary when it went down.
    package static let crashedPrimary = Self(rawValue: 2)
    /// The sender attaches and its disk will be Inconsistent.
    package static let inconsistent = Self(rawValue: 4)
    /// A new current UUID by which both disks count as equal.
    package static let skipInitialSync = Self(rawValue: 8)
}

/// The flags of P_PROTOCOL (§4.4).
package struct ConnectFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// The administrator gives the sender's data up for this connect.
    package static let discardMyData = Self(rawValue: 1)
    /// Decide, report, and disconnect again.
    package static let dryRun = Self(rawValue: 2)
}

/// The `dds_flags` of P_SIZES (§4.6).
package struct SizesFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt16

    package init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Assume that the peer has the space.
    package static let forced = Self(rawValue: 1)
    /// Added space needs no resync.
    package static let noResync = Self(rawValue: 2)
}

/// When a write counts as done: protocol A, B or C.
public enum ReplicationProtocol: UInt32, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case a = 1
    case b = 2
    case c = 3

    /// The letter in configuration and status.
    package var name: StaticString {
        switch self {
        case .a: "A"
        case .b: "B"
        case .c: "C"
        }
    }
}

/// What is done about a split brain without asking; raw values are those of P_PROTOCOL.
package enum AfterSplitBrainPolicy: UInt32, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case disconnect = 0
    case discardYoungerPrimary = 1
    case discardOlderPrimary = 2
    case discardZeroChanges = 3
    case discardLeastChanges = 4
    case discardLocal = 5
    case discardRemote = 6
    case consensus = 7
    case discardSecondary = 8
    case callPrimaryLost = 9
    case violentlyAsZeroPrimaries = 10

    /// The same policy in the peer's words: local and remote exchanged.
    package var asSeenByPeer: Self {
        switch self {
        case .discardLocal: .discardRemote
        case .discardRemote: .discardLocal
        case .disconnect, .discardYoungerPrimary, .discardOlderPrimary, .discardZeroChanges,
            .discardLeastChanges, .consensus, .discardSecondary, .callPrimaryLost,
            .violentlyAsZeroPrimaries:
            self
        }
    }
}

/// The name of a digest algorithm, in place.
///
/// Empty means none. Own names have at most ``AlgorithmName/byteCountMaximum`` bytes, which all
/// that are in use do. Of a longer one that the peer sends one byte more is kept: enough to see
/// that it is none of ours, and packets stay small.
package struct AlgorithmName: Hashable, Sendable, BitwiseCopyable {
    /// The most bytes of an own name.
    package static let byteCountMaximum = 22

    private var bytes: InlineArray<24, UInt8>

    /// No algorithm.
    package init() { self.bytes = .init(repeating: 0) }

    /// The name `text`; nil if it is too long or has a NUL.
    package init?(_ text: String) {
        // Not filled in `self`: see `ShortBytes` for what the optimiser makes of that.
        var bytes = InlineArray<24, UInt8>(repeating: 0)
        guard text.utf8.count <= Self.byteCountMaximum else { return nil }
        for (index, byte) in text.utf8.enumerated() {
            guard byte != 0 else { return nil }
            bytes[index] = byte
        }
        self.bytes = bytes
    }

    /// The name in `count` bytes from `offset`; nil without a NUL.
    ///
    /// What follows it is ignored.
    init?(_ reader: borrowing PacketReader, at offset: Int, count: Int) {
        var bytes = InlineArray<24, UInt8>(repeating: 0)
        for index in 0..<min(count, ReplicationLimits.algorithmNameByteCount) {
            let byte = reader.byte(at: offset + index)
            guard byte != 0 else {
                self.bytes = bytes
                return
            }
            if index <= Self.byteCountMaximum { bytes[index] = byte }
        }
        return nil
    }

    /// The length without the NUL.
    package var count: Int {
        var count = 0
        while count < self.bytes.count, self.bytes[count] != 0 { count += 1 }
        return count
    }

    /// Whether no algorithm is named.
    package var isEmpty: Bool { self.bytes[0] == 0 }

    /// The name and as many zeroes as make `count` bytes.
    func write(_ count: Int, into writer: inout PacketWriter) {
        for index in 0..<count { writer.byte(index < self.bytes.count ? self.bytes[index] : 0) }
    }

    package static func == (left: Self, right: Self) -> Bool {
        for index in 0..<left.bytes.count where left.bytes[index] != right.bytes[index] {
            return false
        }
        return true
    }

    package func hash(into hasher: inout Hasher) {
        for index in 0..<self.count { hasher.combine(self.bytes[index]) }
    }
}

extension AlgorithmName: CustomStringConvertible {
    /// The name as text; bytes that are not UTF-8 are replaced.
    package var description: String {
        var text: [UInt8] = []
        for index in 0..<self.count { text.append(self.bytes[index]) }
        return String(decoding: text, as: UTF8.self)
    }
}
