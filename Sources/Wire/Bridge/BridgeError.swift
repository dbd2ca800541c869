// SPDX-License-Identifier: Apache-2.0

/// Why bytes from the other end are no frame of the bridge protocol; each ends the bridge.
package enum BridgeError: Error, Hashable, Sendable {
    /// The bytes do not begin a frame.
    case magic(UInt16)
    /// The header was damaged.
    case headerChecksum(stored: UInt32, computed: UInt32)
    /// No frame of version 1 has this number.
    case unknownKind(UInt8)
    /// A field has a value that the frame's kind forbids.
    case field(BridgeFrameKind, BridgeField, value: UInt64)
    /// The payload of a greeting was damaged.
    case payloadChecksum(BridgeFrameKind, stored: UInt32, computed: UInt32)
    /// The payload of a greeting ends in the middle of a field, or behind the last one.
    case payloadLength(BridgeFrameKind, byteCount: UInt32)
    /// A name is empty, too long, no UTF-8, or has control characters.
    case name(BridgeFrameKind)
}

/// The field that a ``BridgeError`` is about.
package enum BridgeField: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case detail
    case generation
    case position
    case payloadByteCount
    case contentByteCount
    case payloadChecksum
    case versions
    case lane
    case plugin
    case refusal

    /// What the field must be.
    package var rule: StaticString {
        switch self {
        case .detail: "the detail must be one that the frame's kind has"
        case .generation: "a stream's frame has a generation above 0, any other has 0"
        case .position: "the position must stay below 2^63, and be 0 where it means nothing"
        case .payloadByteCount: "the payload must fit the frame's kind and content"
        case .contentByteCount: "the content must be 1 to 131072 bytes in a data frame, else 0"
        case .payloadChecksum: "the checksum must be 0 without payload"
        case .versions: "the lowest version must not be above the highest"
        case .lane: "the lane must be 0 or 1"
        case .plugin: "at most 8 plugins, known algorithms, levels of 1 to 22"
        case .refusal: "the code of a refusal must be a known one"
        }
    }
}

extension BridgeError: CustomStringConvertible {
    /// A sentence for the log: what, the value, the rule.
    package var description: String {
        switch self {
        case .magic(let value):
            return "bytes 0x\(String(value, radix: 16)) begin no frame of a relay; is the"
                + " remote address the outside address of a relay?"
        case .headerChecksum(let stored, let computed):
            return "a frame's header is damaged: checksum 0x\(String(stored, radix: 16)), computed"
                + " 0x\(String(computed, radix: 16))"
        case .unknownKind(let number):
            return "frame kind \(number) is unknown in bridge protocol 1"
        case .field(let kind, let field, let value):
            return "frame \(kind): \(field) \(value): \(field.rule)"
        case .payloadChecksum(let kind, let stored, let computed):
            return "the payload of frame \(kind) is damaged: checksum"
                + " 0x\(String(stored, radix: 16)), computed 0x\(String(computed, radix: 16))"
        case .payloadLength(let kind, let byteCount):
            return "frame \(kind): its fields do not fill its \(byteCount) bytes"
        case .name(let kind):
            return "frame \(kind): a name must be 1 to 255 bytes of UTF-8 without control"
                + " characters, a text at most 1024"
        }
    }
}
