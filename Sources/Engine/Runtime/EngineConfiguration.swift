// SPDX-License-Identifier: Apache-2.0

package import Reactor

/// How an engine is set up when its daemon starts; resources come and go later.
package struct EngineConfiguration: Sendable {
    /// The name of this node, for logs.
    package var nodeName: String
    /// Where NBD clients connect; the unix socket in the run directory comes first.
    package var nbdAddresses: [SocketAddress]

    package init(nodeName: String, nbdAddresses: [SocketAddress]) {
        self.nodeName = nodeName
        self.nbdAddresses = nbdAddresses
    }

    /// Payload memory of one loop: 4 KiB requests are the most frequent, 1 MiB ones the largest.
    ///
    /// What is reserved is for the peers: clients that do not read their replies cannot take it.
    /// Each client finds a first buffer of the smaller sizes whatever the others hold.
    package static var bufferClasses: [BufferClass] {
        [
            BufferClass(byteCount: 4096, count: 4096, reserved: 512, firsts: 256),
            BufferClass(byteCount: 65_536, count: 1024, reserved: 128, firsts: 256),
            BufferClass(byteCount: 1_048_576, count: 192, reserved: 32, firsts: 16),
        ]
    }

    /// NBD clients that may be connected at once.
    package static var clientMaximum: Int { 256 }
    /// Resources of one engine.
    package static var resourceMaximum: Int { 128 }
    /// Bytes that one client's socket is read into before they are sorted.
    package static var clientStageByteCount: Int { 262_144 }
    /// Bytes that a peer's data socket is read into before they are sorted.
    package static var peerStageByteCount: Int { 524_288 }
}
