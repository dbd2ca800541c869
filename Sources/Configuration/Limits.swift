// SPDX-License-Identifier: Apache-2.0

/// The bounds of a configuration, each with its reason.
package enum Limits {
    /// Bytes of one unquoted word; the length that the grammar's tools share.
    package static let wordBytes = 128
    /// Bytes of one quoted string; the length that the grammar's tools share.
    package static let quotedBytes = 255
    /// Bytes of one file: far above any real one, so that a wrong path ends quickly.
    package static let fileBytes = 4 << 20
    /// Files of one configuration, includes counted.
    package static let files = 4096
    /// Files that include each other; the grammar itself nests to a fixed depth.
    package static let includeDepth = 16
    /// Braces inside a skipped section.
    package static let skipDepth = 64
    /// Resources of one configuration: each needs at least one minor and one port.
    package static let resources = 16384
    /// Hosts of one resource: DRBD's metadata has 32 node ids.
    package static let hosts = 32
    /// The largest node id.
    package static let nodeIDMaximum = 31
    /// Volumes of one resource.
    package static let volumes = 4096
    /// The largest volume number: DRBD's 16 bits.
    package static let volumeNumberMaximum = 65534
    /// The largest minor number: 20 bits in the kernel.
    package static let minorMaximum = (1 << 20) - 1
    /// Connections written or generated in one resource.
    package static let connections = 4096
    /// Paths of one connection.
    package static let paths = 16
    /// Plugin lines of one relay.
    package static let plugins = 16
    /// Words of one plugin line or host list.
    package static let words = 64
    /// Value errors collected before parsing stops.
    package static let diagnostics = 100
}
