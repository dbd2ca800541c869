// SPDX-License-Identifier: Apache-2.0

/// What a configuration file says, included files and all.
package struct Configuration: Sendable {
    /// The main file's absolute path.
    package var file: String
    /// The `global` section.
    package var global = GlobalSection()
    /// The `common` section, if there is one.
    package var common: Sections?
    /// The resources in the order of the files.
    package var resources: [Resource] = []
    /// What was accepted with a doubt.
    package var warnings: [Diagnostic] = []

    /// The resource called `name`.
    package func resource(named name: String) -> Resource? {
        self.resources.first { $0.name == name }
    }
}

/// The `global` section.
package struct GlobalSection: Hashable, Sendable {
    /// Where it stands; nil if it is missing.
    package var position: SourcePosition?
    /// `disable-ip-verification`: accepted; local addresses are never verified.
    package var disablesAddressVerification = false
    /// `minor-count`: accepted for the sake of shared files.
    package var minorCount: Int?
    /// `dialog-refresh`, in seconds.
    package var dialogRefreshSeconds: Int?
    /// `usage-count`: accepted; nothing is ever sent.
    package var usageCount: String?
    /// `udev-always-use-vnr`: accepted; there are no udev links.
    package var alwaysUsesVolumeNumbers = false
    /// `cmd-timeout-short`, `-medium`, `-long` in seconds.
    package var commandTimeoutSeconds: [String: Int] = [:]
    /// `hostname`: the name to compare with host sections instead of the machine's.
    package var hostName: String?
}

/// The option sections that `common`, a template and a resource have.
package struct Sections: Hashable, Sendable {
    /// `options {}`.
    package var options = OptionList()
    /// `net {}`.
    package var net = OptionList()
    /// The device part of `disk {}`.
    package var disk = OptionList()
    /// The peer-device part of `disk {}`.
    package var peerDevice = OptionList()
    /// `startup {}`.
    package var startup = OptionList()
    /// `stacked-timeouts` of `startup {}`.
    package var hasStackedTimeouts = false
    /// `proxy {}`.
    package var proxy = ProxySection()
    /// `handlers {}`.
    package var handlers = OptionList()
}

/// The options of a relay and its processing steps.
package struct ProxySection: Hashable, Sendable {
    /// One line of `plugin {}`.
    package struct PluginLine: Hashable, Sendable {
        /// The words in front of the semicolon.
        package var words: [String]
        /// Where the line stands.
        package var position: SourcePosition
        /// Its place among the lines of its section.
        var index: Int
        /// From how many sections outwards it was inherited.
        var distance = 0
    }

    /// The options.
    package var options = OptionList()
    /// The lines of `plugin {}` in order.
    package var plugins: [PluginLine] = []

    /// True if nothing is set.
    package var isEmpty: Bool { self.options.isEmpty && self.plugins.isEmpty }

    /// The typed options; processing steps in the order of the files, outer sections first.
    ///
    /// `plugins` itself has the order that the field's tools print after inheritance.
    package func typed() throws(OptionError) -> ProxyOptions {
        let lines = self.plugins.sorted { ($1.distance, $0.index) < ($0.distance, $1.index) }
        return try ProxyOptions(self.options.pairs, plugins: lines.map(\.words))
    }
}

/// A `resource` section.
///
/// The same type holds a resource as written and, after `Resource.expanded(common:)`, with
/// everything that it inherits.
package struct Resource: Sendable {
    /// The name.
    package var name: String
    /// Where it is defined.
    package var position: SourcePosition
    /// The absolute path of its `template-file`.
    package var templateFile: String?
    /// The `common` section of the template file.
    package var template: Sections?
    /// The volumes at resource level.
    package var volumes: [Volume] = []
    /// The host sections.
    package var hosts: [Host] = []
    /// The `connection` sections, after expansion all connections.
    package var connections: [Connection] = []
    /// The `connection-mesh` sections.
    package var meshes: [Mesh] = []
    /// The option sections.
    package var sections = Sections()

    /// The index of the host section that is called `name`.
    package func hostIndex(named name: String) -> Int? {
        self.hosts.firstIndex { $0.answers(to: name) }
    }
}

/// A volume as one section describes it; what the section does not say is nil.
package struct Volume: Hashable, Sendable {
    /// A `device` statement.
    package struct Device: Hashable, Sendable {
        /// The device's name, if written.
        package var name: String?
        /// The minor number.
        package var minor: Int

        /// Creates a device.
        package init(name: String?, minor: Int) {
            self.name = name
            self.minor = minor
        }

        /// The name, by default made from the minor number.
        package var path: String { self.name ?? "/dev/drbd\(self.minor)" }
    }

    /// A `disk` statement.
    package enum Disk: Hashable, Sendable {
        /// `disk none`: the node has no copy.
        case none
        /// The backing device or file.
        case path(String)
    }

    /// A `meta-disk` statement.
    package enum MetaDisk: Hashable, Sendable {
        /// At the end of the data device.
        case `internal`
        /// A device of its own.
        case flexible(String)
        /// Slot `index` of a shared device.
        case indexed(String, index: Int)
    }

    /// The volume number.
    package var number: Int
    /// Where the volume is described.
    package var position: SourcePosition
    /// True if it is made of statements outside a `volume` section.
    package var isImplicit: Bool
    /// `device`.
    package var device: Device?
    /// `disk`.
    package var disk: Disk?
    /// `meta-disk`.
    package var metaDisk: MetaDisk?
    /// The device part of `disk {}`.
    package var diskOptions = OptionList()
    /// The peer-device part of `disk {}`.
    package var peerDeviceOptions = OptionList()
    /// True if there is a `disk {}`.
    package var hasDiskSection = false

    /// Creates a volume about which nothing is said yet.
    package init(number: Int, position: SourcePosition, isImplicit: Bool) {
        self.number = number
        self.position = position
        self.isImplicit = isImplicit
    }

    /// The backing device's path; nil for a volume without a copy.
    package var backingPath: String? {
        guard case .path(let path) = self.disk else { return nil }
        return path
    }
}

/// A host section.
package struct Host: Hashable, Sendable {
    /// Which statement opens it.
    package enum Kind: Hashable, Sendable {
        /// `on`, `on-linux` or `on-windows`.
        case on(keyword: String)
        /// `floating`: found by its address.
        case floating
        /// `stacked-on-top-of RESOURCE`.
        case stacked(lower: String)
    }

    /// How it is opened.
    package var kind: Kind
    /// The host names; for `floating` the address, for `stacked` the hosts of the lower resource.
    package var names: [String]
    /// Where it stands.
    package var position: SourcePosition
    /// `node-id`.
    package var nodeID: Int?
    /// True if `node-id` is written, or derived by expansion.
    package var hasWrittenNodeID = false
    /// bsr's `node-name`.
    package var nodeName: String?
    /// bsr's `group`.
    package var group: String?
    /// `address`.
    package var address: SocketAddress?
    /// bsr's `public-address`.
    package var publicAddress: SocketAddress?
    /// Resource and node options of this host.
    package var options = OptionList()
    /// The volumes.
    package var volumes: [Volume] = []
    /// The relay, in the form for one connection.
    package var proxy: Proxy?

    /// True if one of the section's names is `name`.
    package func answers(to name: String) -> Bool {
        if self.kind == .floating { return self.names.contains(name) }
        return self.names.contains { HostName.matches($0, name) }
    }

    /// The names in one word, as `_name` carries them.
    package var joinedName: String { self.names.joined(separator: "_") }

    /// The volume with `number`.
    package func volume(_ number: Int) -> Volume? { self.volumes.first { $0.number == number } }
}

/// A relay on one side of a path.
package struct Proxy: Hashable, Sendable {
    /// The hosts on which the relay runs.
    package var hosts: [String]
    /// Where it stands.
    package var position: SourcePosition
    /// The address for the engine.
    package var inside: SocketAddress?
    /// The address for the other relay.
    package var outside: SocketAddress?
    /// bsr's `public-inside`.
    package var publicInside: SocketAddress?
    /// bsr's `public-outside`.
    package var publicOutside: SocketAddress?
    /// Its options and plugins.
    package var settings = ProxySection()
}

/// A `connection` section, or one made from a mesh or from two hosts.
package struct Connection: Sendable {
    /// How a connection came to be.
    package enum Origin: Hashable, Sendable {
        case written
        case mesh
        case implicit
    }

    /// How it came to be.
    package var origin: Origin
    /// Where it, or what it was made from, stands.
    package var position: SourcePosition
    /// The paths; host lines without `path {}` are one path.
    package var paths: [Path] = []
    /// `net {}`.
    package var net = OptionList()
    /// `disk {}`: options of all its peer devices.
    package var peerDeviceOptions = OptionList()
    /// `volume N { disk {} }`.
    package var peerDevices: [PeerDevice] = []
}

/// The `volume` section of a connection.
package struct PeerDevice: Hashable, Sendable {
    /// The volume number.
    package var number: Int
    /// Where it stands.
    package var position: SourcePosition
    /// The options.
    package var options = OptionList()
}

/// Two addresses over which a connection may run.
package struct Path: Hashable, Sendable {
    /// Where it stands.
    package var position: SourcePosition
    /// True for host lines directly in the connection.
    package var isImplicit: Bool
    /// The two ends.
    package var endpoints: [Endpoint] = []
}

/// One end of a path.
package struct Endpoint: Hashable, Sendable {
    /// The host as written.
    package var hostName: String?
    /// Where it stands.
    package var position: SourcePosition
    /// `address`, after expansion always set.
    package var address: SocketAddress?
    /// `port`, in place of the host's.
    package var port: Int?
    /// The relay.
    package var proxy: Proxy?
    /// The host section, known after the check.
    package var hostIndex: Int?
}

/// A `connection-mesh` section.
package struct Mesh: Hashable, Sendable {
    /// The hosts, every two of which are connected.
    package var hosts: [String]
    /// Where it stands.
    package var position: SourcePosition
    /// `net {}` of its connections.
    package var net = OptionList()
}

/// Comparison of host names.
package enum HostName {
    /// True if the names are equal, letter case ignored; if one lacks a domain, only the first
    /// labels are compared.
    package static func matches(_ left: String, _ right: String) -> Bool {
        let one = left.lowercased()
        let other = right.lowercased()
        if one == other { return true }
        guard one.contains(".") != other.contains(".") else { return false }
        return one.prefix { $0 != "." } == other.prefix { $0 != "." }
    }
}
