// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Wire

/// The configured values that a resource's machines work with; the driver makes them from checked
/// option texts.
///
/// Defaults are bsr's (the manual's option tables).
package struct ResourceParameters: Sendable, BitwiseCopyable {
    package var network = NetworkParameters()
    /// Room for requests of the application and for writes that the peer has not confirmed.
    package var requestMaximum = 16_384
    /// Room for writes and reads that the peer has asked for and that are not yet done.
    package var peerRequestMaximum = 8_192

    package init() {}
}

/// Options of the `net` section.
package struct NetworkParameters: Hashable, Sendable, BitwiseCopyable {
    package var replicationProtocol = ReplicationProtocol.c
    /// `timeout`: no answer for this long counts against ko-count.
    package var timeout = TimeSpan.deciseconds(60)
    package var koCount: UInt64 = 5
    package var connectInterval = TimeSpan.seconds(3)
    package var pingInterval = TimeSpan.seconds(3)
    package var pingTimeout = TimeSpan.deciseconds(30)
    package var socketCheckTimeout = TimeSpan.deciseconds(5)
    package var maximumEpochSize: UInt32 = 16_000
    package var usesRunLengthEncoding = true
    /// The digest's length in bytes of `cram-hmac-alg`; 0 without authentication.
    package var digestLength: UInt8 = 0

    /// An epoch also ends after this many bytes, so that a WAN loses little at once.
    package static let epochBytesMaximum = ByteCount.mebibytes(4)
    /// An epoch also ends when its first write is this old.
    package static let epochAgeMaximum = TimeSpan.milliseconds(100)

    package init() {}
}

/// Options of the `disk` section of one volume.
package struct DiskParameters: Hashable, Sendable, BitwiseCopyable {
    /// `disk-flushes`: the data device is flushed between epochs and before acknowledgements that
    /// may clear bits.
    package var flushesData = true
    /// `md-flushes`: metadata writes are followed by a flush.
    package var flushesMetadata = true
    package var activityLogExtents: UInt32 = 6001
    package var updatesActivityLog = true
    /// `size` in sectors; 0 for all that there is.
    package var userSectors: UInt64 = 0

    package init() {}
}
