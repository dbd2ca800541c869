// SPDX-License-Identifier: Apache-2.0

/// The numbers that begin NBD's messages (`doc/proto.md` of the NetworkBlockDevice project).
package enum NBDMagic {
    /// "NBDMAGIC", the first bytes of a server.
    package static var greeting: UInt64 { 0x4e42_444d_4147_4943 }
    /// "IHAVEOPT", behind the greeting and in front of each option.
    package static var option: UInt64 { 0x4948_4156_454f_5054 }
    package static var optionReply: UInt64 { 0x0003_e889_0455_65a9 }
    package static var request: UInt32 { 0x2560_9513 }
    package static var simpleReply: UInt32 { 0x6744_6698 }
    package static var structuredReply: UInt32 { 0x668e_33ef }
}

/// Sizes and limits of NBD's messages, in bytes.
package enum NBDLimits {
    package static var clientFlagsByteCount: Int { 4 }
    package static var optionHeaderByteCount: Int { 16 }
    package static var optionReplyHeaderByteCount: Int { 20 }
    package static var requestByteCount: Int { 28 }
    package static var structuredReplyByteCount: Int { 20 }

    /// The longest string of the protocol: names, descriptions, messages, queries.
    package static var textMaximum: Int { 4096 }
    /// The most data of an option that is looked at: a longest name, and 4096 for the rest.
    package static var optionDataMaximum: Int { Self.textMaximum + 4096 }
    /// The longest read and the largest payload of a write, the usual limit of servers.
    package static var payloadMaximum: UInt32 { 33_554_432 }
    /// The smallest unit of offsets and lengths: the sector of the engine.
    package static var blockSizeMinimum: UInt32 { 512 }
    package static var blockSizePreferred: UInt32 { 4096 }
    /// The most extents in one block-status reply; a client asks again for the rest.
    package static var blockStatusExtentsMaximum: Int { 64 }
    /// Memory that any reply's head fits into: the longest is a block status.
    package static var replyHeadByteCountMaximum: Int {
        Self.structuredReplyByteCount + 4 + Self.blockStatusExtentsMaximum * 8
    }
}

/// What the server says about itself in its greeting.
package struct NBDHandshakeFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static var fixedNewstyle: Self { Self(rawValue: 1 << 0) }
    package static var noZeroes: Self { Self(rawValue: 1 << 1) }
}

/// The client's answer to ``NBDHandshakeFlags``.
package struct NBDClientFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static var fixedNewstyle: Self { Self(rawValue: 1 << 0) }
    package static var noZeroes: Self { Self(rawValue: 1 << 1) }
    /// All that the protocol defines; a server must close the connection on any other.
    package static var all: Self { [.fixedNewstyle, .noZeroes] }

    /// Decodes the flags at the start of `bytes`; nil if they are not complete yet.
    package static func decode(_ bytes: RawSpan) -> Self? {
        guard bytes.byteCount >= NBDLimits.clientFlagsByteCount else { return nil }
        return Self(rawValue: PacketReader(bytes).bigEndian32(at: 0))
    }
}

/// What an export can do.
public struct NBDTransmissionFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    /// The bits as they are sent.
    public let rawValue: UInt16

    /// Takes any bits.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    @inlinable package static var hasFlags: Self { Self(rawValue: 1 << 0) }
    @inlinable package static var readOnly: Self { Self(rawValue: 1 << 1) }
    @inlinable package static var sendFlush: Self { Self(rawValue: 1 << 2) }
    @inlinable package static var sendForcedUnitAccess: Self { Self(rawValue: 1 << 3) }
    @inlinable package static var rotational: Self { Self(rawValue: 1 << 4) }
    @inlinable package static var sendTrim: Self { Self(rawValue: 1 << 5) }
    @inlinable package static var sendWriteZeroes: Self { Self(rawValue: 1 << 6) }
    @inlinable package static var sendDoNotFragment: Self { Self(rawValue: 1 << 7) }
    @inlinable package static var canMultiConnection: Self { Self(rawValue: 1 << 8) }
    @inlinable package static var sendCache: Self { Self(rawValue: 1 << 10) }
    @inlinable package static var sendFastZero: Self { Self(rawValue: 1 << 11) }
}

/// How one request is to be carried out.
public struct NBDCommandFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    /// The bits as they are sent.
    public let rawValue: UInt16

    /// Takes any bits.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// Answer only when the data is on stable storage.
    @inlinable package static var forcedUnitAccess: Self { Self(rawValue: 1 << 0) }
    /// Write-zeroes may not deallocate.
    @inlinable package static var noHole: Self { Self(rawValue: 1 << 1) }
    /// Read: at most one content chunk.
    @inlinable package static var doNotFragment: Self { Self(rawValue: 1 << 2) }
    /// Block status: one extent.
    @inlinable package static var requestOne: Self { Self(rawValue: 1 << 3) }
    /// Write-zeroes: fail rather than be as slow as a write.
    @inlinable package static var fastZero: Self { Self(rawValue: 1 << 4) }
}

/// The command of a request.
///
/// CACHE, RESIZE and others are refused as unknown.
public enum NBDCommand: UInt16, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case read = 0
    case write = 1
    case disconnect = 2
    case flush = 3
    case trim = 4
    case writeZeroes = 6
    case blockStatus = 7
}

/// The error of a reply; the values are the protocol's, whatever the system's are.
public enum NBDError: UInt32, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    /// EPERM
    case notPermitted = 1
    /// EIO
    case inputOutput = 5
    /// ENOMEM
    case noMemory = 12
    /// EINVAL
    case invalid = 22
    /// ENOSPC
    case noSpace = 28
    /// EOVERFLOW
    case overflow = 75
    /// ENOTSUP
    case notSupported = 95
    /// ESHUTDOWN
    case shutdown = 108

    /// The sentence of a structured error reply.
    package var message: StaticString {
        switch self {
        case .notPermitted: "not permitted: the volume is not Primary on this node"
        case .inputOutput: "no copy of the data could be read or written"
        case .noMemory: "the server is out of memory"
        case .invalid: "the request is not valid for this export"
        case .noSpace: "the backing storage is full"
        case .overflow: "the request is too long"
        case .notSupported: "the request would not be fast on this export"
        case .shutdown: "the server stops"
        }
    }
}
