// SPDX-License-Identifier: Apache-2.0

package import Wire

extension ChannelType {
    /// The length of the first packet that DRBD writes on a fresh socket.
    package static var initialPacketByteCount: Int { 8 }

    /// Reads the type from the first packet of a fresh socket: P_INITIAL_DATA or P_INITIAL_META in
    /// DRBD's oldest header, without payload; nil if it is anything else.
    package init?(initialPacket bytes: RawSpan) {
        guard bytes.byteCount >= Self.initialPacketByteCount else { return nil }
        var value: UInt64 = 0
        for offset in 0..<Self.initialPacketByteCount {
            let byte = bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
            value = value << 8 | UInt64(byte)
        }
        switch value {
        case 0x8374_0267_FFF2_0000: self = .data
        case 0x8374_0267_FFF1_0000: self = .meta
        default: return nil
        }
    }
}
