// SPDX-License-Identifier: Apache-2.0

/// What a server sends during the negotiation.
///
/// Each function writes one message to the start of `memory` and returns its length. They trap when
/// the memory is too small: ``headerByteCount`` and the texts' lengths say what is needed.
package enum NBDOptionReply {
    /// The server's first message.
    package static func encodeGreeting(
        _ flags: NBDHandshakeFlags,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = PacketWriter(memory)
        writer.bigEndian(NBDMagic.greeting)
        writer.bigEndian(NBDMagic.option)
        writer.bigEndian(flags.rawValue)
        return writer.count
    }

    /// The answer to EXPORT_NAME, which has no header; 124 bytes of zero end it for old clients.
    package static func encodeExportName(
        byteCount: UInt64,
        flags: NBDTransmissionFlags,
        withZeroes: Bool,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = PacketWriter(memory)
        writer.bigEndian(byteCount)
        writer.bigEndian(flags.rawValue)
        if withZeroes { writer.zeroes(124) }
        return writer.count
    }

    /// REP_ACK: the option is done.
    package static func encodeAcknowledge(
        _ option: UInt32,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        Self.header(option, .acknowledge, 0, memory).count
    }

    /// An error reply with a sentence for the user of the client.
    package static func encodeError(
        _ option: UInt32,
        _ type: NBDOptionReplyType,
        _ message: StaticString,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = Self.header(option, type, message.utf8CodeUnitCount, memory)
        writer.text(message)
        return writer.count
    }

    /// An error reply with a sentence for the user of the client.
    package static func encodeError(
        _ option: UInt32,
        _ type: NBDOptionReplyType,
        _ message: String,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = Self.header(option, type, message.utf8.count, memory)
        writer.text(message)
        return writer.count
    }

    /// REP_SERVER: one entry of the list of exports.
    package static func encodeServer(
        name: String,
        description: String,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        let nameLength = name.utf8.count
        let length = 4 + nameLength + description.utf8.count
        var writer = Self.header(NBDOption.list.rawValue, .server, length, memory)
        writer.bigEndian(UInt32(nameLength))
        writer.text(name)
        writer.text(description)
        return writer.count
    }

    /// REP_INFO with the size and the flags.
    package static func encodeExport(
        _ option: UInt32,
        byteCount: UInt64,
        flags: NBDTransmissionFlags,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = Self.header(option, .info, 12, memory)
        writer.bigEndian(NBDInformation.export.rawValue)
        writer.bigEndian(byteCount)
        writer.bigEndian(flags.rawValue)
        return writer.count
    }

    /// REP_INFO with a text: the canonical name or the description.
    package static func encodeText(
        _ option: UInt32,
        _ information: NBDInformation,
        _ text: String,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = Self.header(option, .info, 2 + text.utf8.count, memory)
        writer.bigEndian(information.rawValue)
        writer.text(text)
        return writer.count
    }

    /// REP_INFO with the block sizes of every export: 512, 4096, 32 MiB.
    package static func encodeBlockSize(
        _ option: UInt32,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        var writer = Self.header(option, .info, 14, memory)
        writer.bigEndian(NBDInformation.blockSize.rawValue)
        writer.bigEndian(NBDLimits.blockSizeMinimum)
        writer.bigEndian(NBDLimits.blockSizePreferred)
        writer.bigEndian(NBDLimits.payloadMaximum)
        return writer.count
    }

    /// REP_META_CONTEXT for `base:allocation`.
    ///
    /// `identifier` is 0 when contexts are only listed.
    package static func encodeBaseAllocation(
        _ option: UInt32,
        identifier: UInt32,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        let name: StaticString = "base:allocation"
        var writer = Self.header(option, .metaContext, 4 + name.utf8CodeUnitCount, memory)
        writer.bigEndian(identifier)
        writer.text(name)
        return writer.count
    }

    private static func header(
        _ option: UInt32,
        _ type: NBDOptionReplyType,
        _ length: Int,
        _ memory: UnsafeMutableRawBufferPointer
    ) -> PacketWriter {
        var writer = PacketWriter(memory)
        writer.bigEndian(NBDMagic.optionReply)
        writer.bigEndian(option)
        writer.bigEndian(type.rawValue)
        writer.bigEndian(UInt32(length))
        return writer
    }
}
