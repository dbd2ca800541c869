// SPDX-License-Identifier: Apache-2.0

package import Wire

/// How a world is built.
package struct WorldConfiguration {
    /// Sectors of each volume.
    package var volumes = [32_768]
    package var replicationProtocol = ReplicationProtocol.c
    /// Whether the nodes start with equal, UpToDate data; else with fresh metadata.
    package var startsEqual = true
    /// Bitmap slots of the metadata.
    package var bitmapSlots = 1
    /// Disk operations take up to this long.
    package var diskDelayMicroseconds: UInt64 = 2_000
    /// One of this many disk operations takes a hundred times longer; 0 for none.
    package var slowOperation: UInt64 = 0
    package var networkDelayMicroseconds: UInt64 = 1_000
    /// Whether the nodes show each other that they know a secret.
    package var authenticates = false
    package var usesRunLengthEncoding = true
    /// What the meta socket takes longer than the data socket, both ways.
    package var metaDelayMicroseconds: UInt64 = 0
    package var requestMaximum = 256
    package var peerRequestMaximum = 256
    /// What the machines leave out on purpose, to see whether a checker notices.
    package var mutation: Mutation?

    package init() {}
}
