// SPDX-License-Identifier: Apache-2.0

/// Texts of the negotiation and of error replies: byte by byte, they are short and rare.
extension PacketWriter {
    mutating func text(_ text: StaticString) {
        text.withUTF8Buffer { for byte in $0 { self.byte(byte) } }
    }

    mutating func text(_ text: String) {
        for byte in text.utf8 { self.byte(byte) }
    }
}
