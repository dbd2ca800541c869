// SPDX-License-Identifier: Apache-2.0

/// The options of the negotiation that this server knows by name.
///
/// All others, PEEK_EXPORT and EXTENDED_HEADERS among them, get ``NBDOptionReplyType/unsupported``.
package enum NBDOption: UInt32, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case exportName = 1
    case abort = 2
    case list = 3
    case startTLS = 5
    case info = 6
    case go = 7
    case structuredReply = 8
    case listMetaContext = 9
    case setMetaContext = 10
}

/// The kind of an answer to an option; errors have the highest bit set.
package enum NBDOptionReplyType: UInt32, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case acknowledge = 1
    case server = 2
    case info = 3
    case metaContext = 4
    case unsupported = 0x8000_0001
    case policy = 0x8000_0002
    case invalid = 0x8000_0003
    case unknown = 0x8000_0006
    case shutdown = 0x8000_0007
    case tooBig = 0x8000_0009
}

/// What a client wants to know about an export.
package enum NBDInformation: UInt16, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case export = 0
    case name = 1
    case description = 2
    case blockSize = 3
}

/// What stands in front of each option: magic, number, length of the data.
package struct NBDOptionHeader: Hashable, Sendable, BitwiseCopyable {
    /// The number as received; it need not be one of ``NBDOption``.
    package var option: UInt32
    /// The number of bytes behind the header.
    package var byteCount: UInt32

    /// Decodes the header at the start of `bytes`; nil if it is not complete yet.
    package static func decode(_ bytes: RawSpan) throws(NBDFault) -> Self? {
        guard bytes.byteCount >= NBDLimits.optionHeaderByteCount else { return nil }
        let reader = PacketReader(bytes)
        let magic = reader.bigEndian64(at: 0)
        guard magic == NBDMagic.option else { throw .optionMagic(magic) }
        return Self(option: reader.bigEndian32(at: 8), byteCount: reader.bigEndian32(at: 12))
    }
}

/// Bytes that are no NBD message at all: the connection ends.
package enum NBDFault: Error, Hashable, Sendable, BitwiseCopyable {
    case optionMagic(UInt64)
    case requestMagic(UInt32)
}

/// Why an option's data is refused with ``NBDOptionReplyType/invalid``.
package enum NBDOptionFault: Error, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case truncated
    case trailingBytes
    case nameTooLong
    case queryTooLong
    case unexpectedData

    /// The sentence for the client.
    package var message: StaticString {
        switch self {
        case .truncated: "the option's data is shorter than the lengths in it say"
        case .trailingBytes: "the option's data is longer than the lengths in it say"
        case .nameTooLong: "an export name has at most 4096 bytes"
        case .queryTooLong: "a metadata context query has at most 4096 bytes"
        case .unexpectedData: "this option takes no data"
        }
    }
}

/// The data of INFO and GO: an export's name and what to tell about it.
package struct NBDInfoRequest: ~Escapable {
    package let name: RawSpan
    package let wantsName: Bool
    package let wantsDescription: Bool

    /// Decodes `data`, the whole data of the option.
    ///
    /// Kinds of information that are not known are ignored, as the protocol asks.
    @_lifetime(copy data)
    package init(_ data: RawSpan) throws(NBDOptionFault) {
        let nameEnd = try decodeNameEnd(data)
        guard data.byteCount - nameEnd >= 2 else { throw .truncated }
        let reader = PacketReader(data)
        let count = Int(reader.bigEndian16(at: nameEnd))
        let start = nameEnd + 2
        guard data.byteCount - start >= count * 2 else { throw .truncated }
        guard data.byteCount - start == count * 2 else { throw .trailingBytes }
        var wantsName = false
        var wantsDescription = false
        for index in 0..<count {
            switch NBDInformation(rawValue: reader.bigEndian16(at: start + index * 2)) {
            case .name: wantsName = true
            case .description: wantsDescription = true
            case .export, .blockSize, nil: break  // Always sent; not known.
            }
        }
        self.name = data.extracting(4..<nameEnd)
        self.wantsName = wantsName
        self.wantsDescription = wantsDescription
    }
}

/// The data of LIST_META_CONTEXT and SET_META_CONTEXT: an export's name and queries.
///
/// The only context is `base:allocation`. Queries of other namespaces match nothing, which is no
/// error.
package struct NBDMetaContextRequest: ~Escapable {
    package let name: RawSpan
    /// Whether a client that lists contexts is to see `base:allocation`.
    package let listsBaseAllocation: Bool
    /// Whether a client that sets contexts selects `base:allocation`.
    package let selectsBaseAllocation: Bool

    /// Decodes `data`, the whole data of the option.
    @_lifetime(copy data)
    package init(_ data: RawSpan) throws(NBDOptionFault) {
        let nameEnd = try decodeNameEnd(data)
        guard data.byteCount - nameEnd >= 4 else { throw .truncated }
        let reader = PacketReader(data)
        let count = reader.bigEndian32(at: nameEnd)
        var position = nameEnd + 4
        var isNamed = false
        var isWildcard = false
        // Each query takes 4 bytes or more, so a count beyond the data ends in `truncated` soon.
        for _ in 0..<count {
            guard data.byteCount - position >= 4 else { throw .truncated }
            let length = Int(reader.bigEndian32(at: position))
            position += 4
            guard length <= NBDLimits.textMaximum else { throw .queryTooLong }
            guard data.byteCount - position >= length else { throw .truncated }
            let query = data.extracting(position..<position + length)
            position += length
            if isEqual(query, "base:allocation") { isNamed = true }
            if isEqual(query, "base:") { isWildcard = true }
        }
        guard position == data.byteCount else { throw .trailingBytes }
        self.name = data.extracting(4..<nameEnd)
        self.selectsBaseAllocation = isNamed
        self.listsBaseAllocation = isNamed || isWildcard || count == 0
    }
}

/// Checks the length of the name that `data` begins with and returns the offset behind it.
private func decodeNameEnd(_ data: RawSpan) throws(NBDOptionFault) -> Int {
    guard data.byteCount >= 4 else { throw .truncated }
    let length = Int(PacketReader(data).bigEndian32(at: 0))
    guard length <= NBDLimits.textMaximum else { throw .nameTooLong }
    guard data.byteCount - 4 >= length else { throw .truncated }
    return 4 + length
}

private func isEqual(_ bytes: RawSpan, _ text: StaticString) -> Bool {
    guard bytes.byteCount == text.utf8CodeUnitCount else { return false }
    return bytes.withUnsafeBytes { bytes in
        let text = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
        return bytes.elementsEqual(text)
    }
}
