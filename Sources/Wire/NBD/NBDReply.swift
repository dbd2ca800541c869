// SPDX-License-Identifier: Apache-2.0

/// The head of a reply of the transmission phase: all of it but the data of a read.
///
/// Each function writes one head to the start of `memory` and returns its length, at most
/// ``NBDLimits/replyHeadByteCountMaximum``. Each structured reply is one chunk, so it carries the
/// flag DONE.
package enum NBDReply {
    /// A simple reply; the data of a successful read follows it.
    package static func encodeSimple(
        cookie: UInt64,
        _ error: NBDError?,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = PacketWriter(memory)
        writer.bigEndian(NBDMagic.simpleReply)
        writer.bigEndian(error?.rawValue ?? 0)
        writer.raw(cookie)
        return writer.count
    }

    /// A structured reply to a read; `byteCount` bytes of data follow it.
    package static func encodeData(
        cookie: UInt64,
        offset: UInt64,
        byteCount: UInt32,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = Self.chunk(.offsetData, cookie, byteCount: 8 + byteCount, memory)
        writer.bigEndian(offset)
        return writer.count
    }

    /// A structured error with a sentence for the user of the client, and the offset of the byte
    /// that could not be served if it is known.
    package static func encodeError(
        cookie: UInt64,
        _ error: NBDError,
        _ message: StaticString,
        at offset: UInt64? = nil,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        let text = UInt16(message.utf8CodeUnitCount)
        let type: ChunkType = offset == nil ? .error : .errorOffset
        let length = 6 + UInt32(text) + (offset == nil ? 0 : 8)
        var writer = Self.chunk(type, cookie, byteCount: length, memory)
        writer.bigEndian(error.rawValue)
        writer.bigEndian(text)
        writer.text(message)
        if let offset { writer.bigEndian(offset) }
        return writer.count
    }

    /// A structured reply to a block status.
    ///
    /// `context` is the number that SET_META_CONTEXT was answered with.
    package static func encodeBlockStatus(
        cookie: UInt64,
        context: UInt32,
        _ extents: borrowing NBDExtentList,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        let length = 4 + 8 * UInt32(extents.count)
        var writer = Self.chunk(.blockStatus, cookie, byteCount: length, memory)
        writer.bigEndian(context)
        for index in 0..<extents.count {
            writer.bigEndian(extents[index].byteCount)
            writer.bigEndian(extents[index].status.rawValue)
        }
        return writer.count
    }

    private enum ChunkType: UInt16 {
        case offsetData = 1
        case blockStatus = 5
        case error = 0x8001
        case errorOffset = 0x8002
    }

    private static func chunk(
        _ type: ChunkType,
        _ cookie: UInt64,
        byteCount: UInt32,
        _ memory: UnsafeMutableRawBufferPointer
    ) -> PacketWriter {
        var writer = PacketWriter(memory)
        writer.bigEndian(NBDMagic.structuredReply)
        writer.bigEndian(UInt16(1))  // NBD_REPLY_FLAG_DONE
        writer.bigEndian(type.rawValue)
        writer.raw(cookie)
        writer.bigEndian(byteCount)
        return writer
    }
}
