// SPDX-License-Identifier: Apache-2.0

/// The control protocol of `drxd`.
package enum RelayControl: ControlService {
    package typealias Request = RelayRequest
    package typealias Payload = RelayReport

    package static var daemonName: String { "drxd" }
}

/// What `drxd` is asked.
package enum RelayRequest: Hashable, Codable, Sendable {
    /// Relay a connection; nothing is to be done if it is relayed in just this way already.
    case up(RelayArguments)
    /// Relay a connection in this way from now on, whatever there was.
    case adjust(RelayArguments)
    /// Deliver what was accepted, close and forget the connection of this name.
    case down(name: String)
    /// Report all connections, one item each.
    case status
}

/// How one connection is relayed.
package struct RelayArguments: Hashable, Codable, Sendable {
    /// A numeric address and a port.
    package struct Address: Hashable, Codable, Sendable {
        package var host: String
        package var port: UInt16

        /// Creates an address.
        package init(host: String, port: UInt16) {
            self.host = host
            self.port = port
        }

        /// `host:port`, an IPv6 host in brackets.
        package var text: String {
            self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
        }
    }

    /// A processing step: the compressor's name and level.
    package struct Step: Hashable, Codable, Sendable {
        package var algorithm: String
        package var level: UInt8

        /// Creates a step.
        package init(algorithm: String, level: UInt8) {
            self.algorithm = algorithm
            self.level = level
        }
    }

    /// The name that commands and status use.
    package var name: String
    package var resource: String
    package var peerNodes: [String]
    package var ownNodes: [String]
    /// Where the local engine dials.
    package var inside: Address
    /// Where the remote relay dials.
    package var outside: Address
    /// Where the remote relay is reached.
    package var peerOutside: Address
    /// Where the local engine is reached.
    package var engine: Address
    /// Bytes of the transmit buffer.
    package var memoryLimit: UInt64
    /// Bytes that may wait for the local engine, per channel.
    package var receiveMemoryLimit: UInt64 = 64 << 20
    /// How long the remote relay's keep-alive may be late.
    package var pingTimeoutMilliseconds: UInt64 = 12_000
    /// Bytes of the bridge sockets' buffers; 0 leaves them to the kernel.
    package var sendBufferByteCount: UInt64 = 0
    package var receiveBufferByteCount: UInt64 = 0
    package var steps: [Step] = []

    /// Creates the arguments of a connection without processing.
    package init(
        name: String,
        resource: String,
        peerNodes: [String],
        ownNodes: [String],
        inside: Address,
        outside: Address,
        peerOutside: Address,
        engine: Address,
        memoryLimit: UInt64
    ) {
        self.name = name
        self.resource = resource
        self.peerNodes = peerNodes
        self.ownNodes = ownNodes
        self.inside = inside
        self.outside = outside
        self.peerOutside = peerOutside
        self.engine = engine
        self.memoryLimit = memoryLimit
    }
}

/// What `drxd` reports of one connection; states and types by their numbers on the bridge.
package struct RelayReport: Hashable, Codable, Sendable {
    /// One channel: the acceptor or the connector.
    package struct Channel: Hashable, Codable, Sendable {
        package var state: UInt8 = 0
        package var type: UInt8?
        package var carriesBoth = false
        package var isBridged = false
        package var engineAddress = ""
        package var relayAddress = ""
        package var remoteAddress = ""
        package var upSince = ""
        /// Stream bytes and what they were on the bridge, since the connection is up.
        package var sentContentBytes: UInt64 = 0
        package var sentPayloadBytes: UInt64 = 0
        package var receivedContentBytes: UInt64 = 0
        package var receivedPayloadBytes: UInt64 = 0

        /// Creates an empty report.
        package init() {}
    }

    /// The transmit buffer.
    package struct Buffer: Hashable, Codable, Sendable {
        package var size: UInt64 = 0
        package var usable: UInt64 = 0
        package var used: UInt64 = 0
        package var begin: UInt64 = 0
        package var end: UInt64 = 0
        package var latencyMilliseconds: UInt64 = 0

        /// Creates an empty report.
        package init() {}
    }

    package var name: String
    package var resource: String
    package var acceptor = Channel()
    package var connector = Channel()
    /// The remote relay's acceptor and connector; nil without a bridge.
    package var remoteStates: [UInt8]?
    package var buffer = Buffer()

    /// Creates an empty report.
    package init(name: String, resource: String) {
        self.name = name
        self.resource = resource
    }
}
