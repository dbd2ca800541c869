// SPDX-License-Identifier: Apache-2.0

/// What is configured in the engine for one resource: what `show` prints and `adjust` compares.
package struct ResourceConfiguration: Codable, Sendable, Hashable {
    /// The name.
    package var name: String
    /// The own node id.
    package var nodeID: Int
    /// The resource options.
    package var options: [ShownOption] = []
    /// The volumes, by number.
    package var volumes: [VolumeConfiguration] = []
    /// The connections.
    package var connections: [ConnectionConfiguration] = []

    /// Creates the configuration of a resource without volumes and connections.
    package init(name: String, nodeID: Int) {
        self.name = name
        self.nodeID = nodeID
    }
}

/// An option that is set, or that `show --show-defaults` asks for.
package struct ShownOption: Codable, Sendable, Hashable {
    /// The name.
    package var name: String
    /// The value, in the option's default unit if it is a number.
    package var value: String
    /// Whether the value is a text that is printed in quotes.
    package var isQuoted = false
    /// The letter behind a number: `k` or `s`.
    package var suffix = ""
    /// What a number counts, for the comment: `bytes/second`.
    package var unit: String?
    /// Whether the value is the default.
    package var isDefault = false

    /// Creates an option.
    package init(_ name: String, _ value: String, isQuoted: Bool = false, suffix: String = "") {
        self.name = name
        self.value = value
        self.isQuoted = isQuoted
        self.suffix = suffix
    }
}

/// A volume of this node as configured.
package struct VolumeConfiguration: Codable, Sendable, Hashable {
    /// Where the data is.
    package enum Backing: Codable, Sendable, Hashable {
        /// No disk is attached.
        case none
        /// The volume is meant to have no disk.
        case client
        /// A disk is attached.
        case disk(path: String, metaDisk: MetaDisk, options: [ShownOption])
    }

    /// Where the metadata is.
    package enum MetaDisk: Codable, Sendable, Hashable {
        /// At the end of the disk.
        case `internal`
        /// All of a device of its own.
        case flexible(path: String)
        /// A slot of a device of its own.
        case indexed(path: String, index: Int)
    }

    /// The volume number.
    package var volume: Int
    /// The minor number.
    package var minor: Int
    /// Where the data is.
    package var backing: Backing

    /// Creates the configuration of a volume.
    package init(volume: Int, minor: Int, backing: Backing = .none) {
        self.volume = volume
        self.minor = minor
        self.backing = backing
    }
}

/// A connection as configured.
package struct ConnectionConfiguration: Codable, Sendable, Hashable {
    /// The peer's node id.
    package var peerNodeID: Int
    /// Whether it is StandAlone.
    package var isStandalone = false
    /// The address pairs; ``PathStatus/isEstablished`` is not looked at.
    package var paths: [PathStatus] = []
    /// The net options, the peer's name as `_name` among them.
    package var options: [ShownOption] = []
    /// The peer-device options of each volume.
    package var volumes: [Int: [ShownOption]] = [:]

    /// Creates the configuration of a connection.
    package init(peerNodeID: Int) { self.peerNodeID = peerNodeID }
}

extension ResourceConfiguration {
    /// The configuration without the options that have their default.
    package var withoutDefaults: Self {
        var result = self
        result.options.removeAll(where: \.isDefault)
        for index in result.volumes.indices {
            guard case .disk(let path, let metaDisk, var options) = result.volumes[index].backing
            else { continue }
            options.removeAll(where: \.isDefault)
            result.volumes[index].backing =
                .disk(path: path, metaDisk: metaDisk, options: options)
        }
        for index in result.connections.indices {
            result.connections[index].options.removeAll(where: \.isDefault)
            for volume in result.connections[index].volumes.keys {
                result.connections[index].volumes[volume]?.removeAll(where: \.isDefault)
            }
        }
        return result
    }
}
