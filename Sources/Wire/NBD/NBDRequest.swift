// SPDX-License-Identifier: Apache-2.0

/// The header of a request, 28 bytes.
///
/// Nothing but the magic number has been checked.
package struct NBDRequest: Hashable, Sendable, BitwiseCopyable {
    package var flags: NBDCommandFlags
    /// The command as received; it need not be one of ``NBDCommand``.
    package var command: UInt16
    /// Eight bytes that the reply echoes.
    ///
    /// They have no meaning here, not even an order.
    package var cookie: UInt64
    /// In bytes.
    package var offset: UInt64
    /// In bytes.
    package var byteCount: UInt32

    package init(
        flags: NBDCommandFlags = [],
        command: UInt16,
        cookie: UInt64,
        offset: UInt64,
        byteCount: UInt32
    ) {
        self.flags = flags
        self.command = command
        self.cookie = cookie
        self.offset = offset
        self.byteCount = byteCount
    }

    /// Decodes the header at the start of `bytes`; nil if it is not complete yet.
    package static func decode(_ bytes: RawSpan) throws(NBDFault) -> Self? {
        guard bytes.byteCount >= NBDLimits.requestByteCount else { return nil }
        let reader = PacketReader(bytes)
        let magic = reader.bigEndian32(at: 0)
        guard magic == NBDMagic.request else { throw .requestMagic(magic) }
        return Self(
            flags: NBDCommandFlags(rawValue: reader.bigEndian16(at: 4)),
            command: reader.bigEndian16(at: 6),
            cookie: reader.raw64(at: 8),
            offset: reader.bigEndian64(at: 16),
            byteCount: reader.bigEndian32(at: 24)
        )
    }
}
