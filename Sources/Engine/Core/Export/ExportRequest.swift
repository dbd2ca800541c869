// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Wire

/// A request of an NBD client that has been checked completely: range, length, alignment and flags.
public struct ExportRequest: Hashable, Sendable, BitwiseCopyable {
    /// The command.
    public enum Kind: UInt8, Hashable, Sendable, BitwiseCopyable, CaseIterable {
        case read
        case write
        case flush
        case trim
        case writeZeroes
        /// What of the range is allocated: an ``NBDExtentList``.
        case blockStatus
    }

    package var kind: Kind
    /// Completes only when the data is on stable storage.
    package var isForcedUnitAccess: Bool
    /// Write-zeroes: the range may be deallocated.
    package var mayUnmap: Bool
    /// Write-zeroes: end with `notSupported` at once rather than write zeroes.
    package var mustBeFast: Bool
    /// Block status: the client wants one extent.
    package var wantsOneExtent: Bool
    /// In bytes, a multiple of 512; 0 for a flush.
    package var byteCount: UInt32
    /// In bytes, a multiple of 512; 0 for a flush.
    package var offset: UInt64

    package init(
        _ kind: Kind,
        offset: UInt64,
        byteCount: UInt32,
        isForcedUnitAccess: Bool = false,
        mayUnmap: Bool = false,
        mustBeFast: Bool = false,
        wantsOneExtent: Bool = false
    ) {
        self.kind = kind
        self.isForcedUnitAccess = isForcedUnitAccess
        self.mayUnmap = mayUnmap
        self.mustBeFast = mustBeFast
        self.wantsOneExtent = wantsOneExtent
        self.byteCount = byteCount
        self.offset = offset
    }

    /// The range in sectors.
    package var sectors: SectorRange {
        SectorRange(start: self.offset / 512, count: UInt64(self.byteCount) / 512)
    }

    /// The memory that the request needs for data, in bytes.
    package var payloadByteCount: UInt32 {
        switch self.kind {
        case .read, .write: self.byteCount
        case .flush, .trim, .writeZeroes, .blockStatus: 0
        }
    }

    /// The empty list that the answer to this block status is collected in.
    package var emptyExtentList: NBDExtentList {
        NBDExtentList(
            byteCount: self.byteCount,
            limit: self.wantsOneExtent ? 1 : NBDLimits.blockStatusExtentsMaximum
        )
    }
}

/// What a connection has agreed on when it enters transmission.
package struct ExportAgreement: Hashable, Sendable, BitwiseCopyable {
    package var identifier: UInt32
    package var byteCount: UInt64
    package var flags: NBDTransmissionFlags
    package var structuredReplies: Bool
    /// Whether `base:allocation` was selected for this export.
    package var blockStatus: Bool
}

/// Why a request is answered with an error before anything was done.
///
/// The stream stays in step.
package enum ExportRefusal: Error, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case unknownCommand
    case commandNotAnnounced
    case flagNotAllowed
    case zeroLength
    case unaligned
    case tooLong
    case readBeyondEnd
    case writeBeyondEnd
    case flushOfRange
    case blockStatusNotNegotiated

    /// The error code of the reply.
    package var error: NBDError {
        switch self {
        case .unknownCommand, .commandNotAnnounced, .flagNotAllowed, .zeroLength, .unaligned,
            .tooLong, .readBeyondEnd, .flushOfRange, .blockStatusNotNegotiated:
            .invalid
        case .writeBeyondEnd: .noSpace
        }
    }

    /// The sentence of a structured error reply.
    package var message: StaticString {
        switch self {
        case .unknownCommand: "the command is unknown or not supported"
        case .commandNotAnnounced: "the export has not announced this command"
        case .flagNotAllowed: "a flag is unknown or not allowed for this command"
        case .zeroLength: "the length is 0"
        case .unaligned: "offset and length must be multiples of 512 bytes, the minimum block size"
        case .tooLong: "the length exceeds 33554432 bytes, the maximum block size"
        case .readBeyondEnd: "the range ends behind the end of the export"
        case .writeBeyondEnd: "the range to write ends behind the end of the export"
        case .flushOfRange: "offset and length of a flush must be 0"
        case .blockStatusNotNegotiated: "base:allocation was not negotiated"
        }
    }
}

extension ExportRequest {
    /// Checks `request` against what was agreed; `command` is its command, which is not DISC.
    init(
        _ request: NBDRequest,
        _ kind: Kind,
        under agreement: ExportAgreement
    ) throws(ExportRefusal) {
        try Self.checkFlags(request.flags, kind, agreement)
        try Self.checkAnnounced(kind, agreement)
        try Self.checkRange(request, kind, agreement)
        self.init(
            kind,
            offset: request.offset,
            byteCount: request.byteCount,
            isForcedUnitAccess: request.flags.contains(.forcedUnitAccess),
            mayUnmap: kind == .writeZeroes && !request.flags.contains(.noHole),
            mustBeFast: request.flags.contains(.fastZero),
            wantsOneExtent: request.flags.contains(.requestOne)
        )
    }

    /// FUA is allowed with every command: "the server MUST accept all commands with this bit set".
    private static func checkFlags(
        _ flags: NBDCommandFlags,
        _ kind: Kind,
        _ agreement: ExportAgreement
    ) throws(ExportRefusal) {
        var allowed = NBDCommandFlags.forcedUnitAccess
        switch kind {
        case .read:
            if agreement.flags.contains(.sendDoNotFragment) { allowed.insert(.doNotFragment) }
        case .writeZeroes:
            allowed.insert(.noHole)
            if agreement.flags.contains(.sendFastZero) { allowed.insert(.fastZero) }
        case .blockStatus:
            allowed.insert(.requestOne)
        case .write, .flush, .trim:
            break
        }
        guard flags.isSubset(of: allowed) else { throw .flagNotAllowed }
    }

    private static func checkAnnounced(
        _ kind: Kind,
        _ agreement: ExportAgreement
    ) throws(ExportRefusal) {
        switch kind {
        case .read, .write, .flush: break
        case .trim:
            guard agreement.flags.contains(.sendTrim) else { throw .commandNotAnnounced }
        case .writeZeroes:
            guard agreement.flags.contains(.sendWriteZeroes) else { throw .commandNotAnnounced }
        case .blockStatus:
            guard agreement.blockStatus else { throw .blockStatusNotNegotiated }
        }
    }

    /// A request of no bytes is unspecified in NBD; we refuse it, as nbdkit does.
    ///
    /// There is no read-modify-write: what is not whole sectors is refused.
    private static func checkRange(
        _ request: NBDRequest,
        _ kind: Kind,
        _ agreement: ExportAgreement
    ) throws(ExportRefusal) {
        if kind == .flush {
            guard request.offset == 0, request.byteCount == 0 else { throw .flushOfRange }
            return
        }
        guard request.byteCount > 0 else { throw .zeroLength }
        if kind == .read || kind == .write {
            guard request.byteCount <= NBDLimits.payloadMaximum else { throw .tooLong }
        }
        guard (request.offset | UInt64(request.byteCount)) % UInt64(NBDLimits.blockSizeMinimum) == 0
        else { throw .unaligned }
        let (end, overflow) = request.offset.addingReportingOverflow(UInt64(request.byteCount))
        guard !overflow, end <= agreement.byteCount else {
            switch kind {
            case .write, .writeZeroes: throw .writeBeyondEnd
            case .read, .flush, .trim, .blockStatus: throw .readBeyondEnd
            }
        }
    }
}
