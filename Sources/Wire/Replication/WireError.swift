// SPDX-License-Identifier: Apache-2.0

/// Why bytes from a peer are not a packet of the agreed protocol.
///
/// Each ends the connection.
package enum WireError: Error, Hashable, Sendable, BitwiseCopyable {
    /// The header begins with none of the three magic numbers.
    case magic(UInt32)
    /// The pad of a header of 16 bytes is not 0.
    case headerPad(UInt32)
    /// The header's format is not that of the agreed version.
    case headerFormat(HeaderFormat, version: UInt32)
    /// No packet of protocol 86 to 101 has this number.
    case unknownCommand(UInt16)
    /// The packet belongs on the other socket.
    case wrongSocket(PacketCommand, on: PacketSocket)
    /// The agreed version or features do not have the packet.
    case notAgreed(PacketCommand, version: UInt32, features: FeatureFlags)
    /// The length in the header is outside the packet's limits.
    case length(PacketCommand, UInt32, minimum: UInt32, maximum: UInt32)
    /// Fewer bytes were handed over than the packet's fixed part has.
    case truncated(PacketCommand, available: UInt32, needed: UInt32)
    /// A field has a value that its rule forbids.
    case field(PacketCommand, PacketField, value: UInt64)
    /// The sectors of a request end behind the largest device.
    case range(PacketCommand, sector: UInt64, byteCount: UInt32)
    /// The peer speaks no version that we speak.
    case noCommonVersion(peerMinimum: UInt32, peerMaximum: UInt32)
}

/// The field of a packet that a ``WireError`` is about.
package enum PacketField: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case payloadSize
    case requestSize
    case replicationProtocol
    case afterSplitBrainPolicy
    case allowTwoPrimaries
    case algorithmName
    case stateRole
    case stateConnection
    case stateDisk
    case stateMask
    case bitmapEncoding

    /// What the field must be.
    package var rule: StaticString {
        switch self {
        case .payloadSize: "the payload must be a multiple of 512 bytes"
        case .requestSize:
            "the size must be a multiple of 512 bytes, above 0 and within the agreed limit"
        case .replicationProtocol: "the replication protocol must be 1 (A), 2 (B) or 3 (C)"
        case .afterSplitBrainPolicy: "an after-split-brain policy must be 0 to 10"
        case .allowTwoPrimaries: "allow-two-primaries must be 0 or 1"
        case .algorithmName: "an algorithm's name must end with NUL within 64 bytes"
        case .stateRole: "a role must be 0 to 2"
        case .stateConnection: "a connection state must be 0 to 23"
        case .stateDisk: "a disk state must be 0 to 8"
        case .stateMask: "a mask must cover whole fields of the state word"
        case .bitmapEncoding: "the encoding of a compressed bitmap must be 2"
        }
    }
}

extension WireError: CustomStringConvertible {
    /// A sentence for the log: what, the value, the rule.
    package var description: String {
        switch self {
        case .magic(let value):
            return "a header begins with 0x\(hexadecimal(value)), which is no packet of DRBD's"
                + " protocol; is the peer's address that of a replication port?"
        case .headerPad(let value):
            return "the pad of a header is 0x\(hexadecimal(value)), it must be 0"
        case .headerFormat(let format, let version):
            return "a header of format \(format) at protocol version \(version)"
        case .unknownCommand(let number):
            return "packet 0x\(hexadecimal(number)) is unknown in protocol versions 86 to 101"
        case .wrongSocket(let command, let socket):
            return "\(command.name) on the \(socket) socket, where it does not belong"
        case .notAgreed(let command, let version, let features):
            return "\(command.name) does not exist at protocol version \(version) with features"
                + " 0x\(hexadecimal(features.rawValue))"
        case .length(let command, let length, let minimum, let maximum):
            return "\(command.name) with a length of \(length) bytes, it must be "
                + (minimum == maximum ? "\(minimum)" : "\(minimum) to \(maximum)")
        case .truncated(let command, let available, let needed):
            return "\(command.name): \(available) of \(needed) bytes are there"
        case .field(let command, let field, let value):
            return "\(command.name) with \(value): \(field.rule)"
        case .range(let command, let sector, let byteCount):
            return "\(command.name) for \(byteCount) bytes at sector \(sector), it must end within"
                + " 2^54 sectors"
        case .noCommonVersion(let minimum, let maximum):
            return "the peer speaks protocol versions \(minimum) to \(maximum), we speak "
                + "\(ReplicationLimits.versionMinimum) to \(ReplicationLimits.versionMaximum);"
                + " one side must be updated"
        }
    }
}

private func hexadecimal(_ value: some UnsignedInteger) -> String { String(value, radix: 16) }
