// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// One I/O of the application, at most 1 MiB of payload or 4 MiB of trim or zeroes.
///
/// The export's driver cuts larger NBD requests into pieces, so that one piece touches at most two
/// extents of the activity log and one packet carries it to the peer.
public struct ClientRequest: Hashable, Sendable, BitwiseCopyable {
    /// What is to be done.
    public enum Kind: UInt8, Hashable, Sendable, BitwiseCopyable {
        case read
        case write
        /// Later reads of the range return zeroes or, between flushes, the old content.
        case trim
        /// Later reads of the range return zeroes.
        case writeZeroes
        /// Everything completed before is on stable storage, as far as the protocol covers it.
        case flush
    }

    /// The driver's number, returned with the completion.
    package var identifier: UInt32
    /// Index in the resource's table of volumes, not the volume number.
    package var volume: UInt16
    package var kind: Kind
    /// Completes only when the data is on stable storage.
    package var isForcedUnitAccess: Bool
    /// For write-zeroes: the range may be deallocated.
    package var mayUnmap: Bool
    package var range: SectorRange
    package var buffer: BufferHandle

    package init(
        identifier: UInt32,
        volume: UInt16,
        kind: Kind,
        isForcedUnitAccess: Bool = false,
        mayUnmap: Bool = false,
        range: SectorRange,
        buffer: BufferHandle
    ) {
        self.identifier = identifier
        self.volume = volume
        self.kind = kind
        self.isForcedUnitAccess = isForcedUnitAccess
        self.mayUnmap = mayUnmap
        self.range = range
        self.buffer = buffer
    }

    /// The largest payload of one piece in bytes: the protocol's limit of a packet.
    package static var payloadMaximum: UInt64 { 1_048_576 }

    /// The largest trim or write-zeroes piece in bytes: one activity-log extent's worth.
    package static var rangeMaximum: UInt64 { 4_194_304 }
}

/// Why a request of the application failed.
public enum ClientError: UInt8, Hashable, Sendable, BitwiseCopyable {
    /// No copy of the data could be read or written.
    case io
    /// The backing storage is full.
    case noSpace
    /// This node is not Primary.
    case notPrimary
    /// The range lies outside of the volume.
    case invalid
}
