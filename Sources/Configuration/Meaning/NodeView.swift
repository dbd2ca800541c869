// SPDX-License-Identifier: Apache-2.0

/// The machine on which a configuration is looked at.
package struct NodeIdentity: Hashable, Sendable {
    /// The name that host sections are compared with.
    package var name: String
    /// The machine's own addresses, for `floating` sections.
    package var addresses: Set<String>

    /// Creates an identity.
    package init(name: String, addresses: Set<String> = []) {
        self.name = name
        self.addresses = addresses
    }

    /// True if `host` is this machine.
    package func matches(_ host: Host) -> Bool {
        switch host.kind {
        case .on: host.answers(to: self.name)
        case .floating: host.address.map { self.addresses.contains($0.address) } ?? false
        case .stacked: host.answers(to: self.name)
        }
    }
}

/// A resource as one of its nodes sees it: own volumes, peers, paths from here to there.
package struct NodeView: Sendable {
    /// The expanded resource.
    package let resource: Resource
    /// This node's host section.
    package let host: Host
    /// This node's id.
    package let nodeID: Int
    /// This node's volumes by number.
    package let volumes: [LocalVolume]
    /// The peers in the order of the connections.
    package let peers: [PeerView]

    /// True if this node's host section is stacked on another resource.
    package var isStacked: Bool {
        if case .stacked = self.host.kind { return true }
        return false
    }
}

/// A volume on its own node.
package struct LocalVolume: Hashable, Sendable {
    /// Data and metadata of a volume that has a copy here.
    package struct Backing: Hashable, Sendable {
        /// The data device or file.
        package var disk: String
        /// The metadata device; the data device for internal metadata.
        package var metaDisk: String
        /// Where the metadata is on it.
        package var index: MetaDataIndex
    }

    /// The volume number.
    package var number: Int
    /// The minor number.
    package var minor: Int
    /// The device's path in the field's way.
    package var devicePath: String
    /// The copy; nil on a diskless node.
    package var backing: Backing?
    /// Device options with `resync-after` as a minor number.
    package var diskOptions: OptionList
}

/// Placement of metadata.
package enum MetaDataIndex: Hashable, Sendable {
    case `internal`
    case flexible
    case slot(Int)

    /// The word for the engine's `attach`.
    package var engineWord: String {
        switch self {
        case .internal: "internal"
        case .flexible: "flexible"
        case .slot(let index): String(index)
        }
    }

    /// The word for the metadata tool.
    package var metaDataToolWord: String {
        switch self {
        case .internal: "internal"
        case .flexible: "flex-external"
        case .slot(let index): String(index)
        }
    }
}

/// A peer of a resource, seen from one node.
package struct PeerView: Hashable, Sendable {
    /// The two addresses of a path.
    package struct Route: Hashable, Sendable {
        /// This node's address.
        package var local: SocketAddress
        /// Where this node connects to: the peer, or the own relay.
        package var remote: SocketAddress
    }

    /// The peer's names.
    package var names: [String]
    /// The peer's node id.
    package var nodeID: Int
    /// Net options, `_name` first.
    package var net: OptionList
    /// The paths.
    package var routes: [Route]
    /// Peer-device options by volume number, in the order of the connection.
    package var peerDevices: [PeerDevice]
    /// True if the peer has a disk for at least one volume.
    package var hasDisk: Bool

    /// True if the peer is called `name`.
    package func answers(to name: String) -> Bool {
        self.names.contains { HostName.matches($0, name) || $0 == name }
    }
}

extension Configuration {
    /// `resource` as `node` sees it; nil if no host section is this machine.
    ///
    /// - Throws: `Diagnostic` if the resource contradicts itself, or several sections match.
    package func view(of resource: Resource, on node: NodeIdentity) throws(Diagnostic)
        -> NodeView?
    {
        let expanded = try self.expanded(resource)
        let matching = expanded.hosts.indices.filter { node.matches(expanded.hosts[$0]) }
        guard let index = matching.first else { return nil }
        if matching.count > 1 {
            throw Diagnostic(
                expanded.hosts[matching[1]].position,
                "in resource \(resource.name):\n"
                    + "\tThere are multiple host sections for this node."
            )
        }
        let host = expanded.hosts[index]
        var volumes: [LocalVolume] = []
        for volume in host.volumes {
            volumes.append(try self.localVolume(volume, of: host, in: resource, on: node))
        }
        var peers: [PeerView] = []
        for connection in expanded.connections {
            if let peer = Self.peer(over: connection, of: expanded, from: index) {
                peers.append(peer)
            }
        }
        return NodeView(
            resource: expanded,
            host: host,
            nodeID: host.nodeID ?? 0,
            volumes: volumes,
            peers: peers
        )
    }

    private func localVolume(
        _ volume: Volume,
        of host: Host,
        in resource: Resource,
        on node: NodeIdentity
    ) throws(Diagnostic) -> LocalVolume {
        let device = volume.device ?? Volume.Device(name: nil, minor: 0)
        var local = LocalVolume(
            number: volume.number,
            minor: device.minor,
            devicePath: device.path,
            diskOptions: try self.withResolvedResyncAfter(volume.diskOptions, resource, node)
        )
        var disk = volume.backingPath
        if case .stacked(let name) = host.kind, let lower = self.resource(named: name) {
            let below = try self.view(of: lower, on: node)
            disk = below?.volumes.first { $0.number == volume.number }?.devicePath
        }
        if let disk {
            switch volume.metaDisk {
            case .flexible(let path):
                local.backing = .init(disk: disk, metaDisk: path, index: .flexible)
            case .indexed(let path, let index):
                local.backing = .init(disk: disk, metaDisk: path, index: .slot(index))
            case .internal, nil:
                local.backing = .init(disk: disk, metaDisk: disk, index: .internal)
            }
        }
        return local
    }

    /// Turns `resync-after RESOURCE[/VOLUME]` into this node's minor number; a resource that is
    /// not here is not waited for.
    private func withResolvedResyncAfter(
        _ options: OptionList,
        _ resource: Resource,
        _ node: NodeIdentity
    ) throws(Diagnostic) -> OptionList {
        guard let index = options.settings.firstIndex(where: { $0.name == "resync-after" }) else {
            return options
        }
        var options = options
        let setting = options.settings[index]
        if Int(setting.value) != nil { return options }
        let parts = setting.value.split(separator: "/", maxSplits: 1)
        let number = parts.count == 2 ? Int(parts[1]) : nil
        guard let name = parts.first, let other = self.resource(named: String(name)),
            let host = try self.expanded(other).hosts.first(where: { node.matches($0) })
        else {
            options.settings.remove(at: index)
            return options
        }
        if number == nil, host.volumes.count > 1 {
            throw Diagnostic(
                setting.position,
                "in resource \(resource.name):\n\tresync-after contains '\(setting.value)', "
                    + "which is ambiguous, since it contains \(host.volumes.count) volumes"
            )
        }
        let target = number.map { host.volume($0) } ?? host.volumes.first
        guard let minor = target?.device?.minor else {
            options.settings.remove(at: index)
            return options
        }
        options.settings[index].value = String(minor)
        return options
    }

    private static func peer(over connection: Connection, of resource: Resource, from own: Int)
        -> PeerView?
    {
        let ends = connection.paths.first?.endpoints.compactMap(\.hostIndex) ?? []
        guard ends.contains(own), let peerIndex = ends.first(where: { $0 != own }) else {
            return nil
        }
        let peer = resource.hosts[peerIndex]
        var view = PeerView(
            names: peer.names,
            nodeID: peer.nodeID ?? 0,
            net: connection.net,
            routes: [],
            peerDevices: connection.peerDevices,
            hasDisk: peer.volumes.contains { $0.disk != Volume.Disk.none }
        )
        view.net.settings.removeAll { $0.name == "_name" }
        view.net.settings.insert(
            OptionSetting("_name", peer.joinedName, at: connection.position),
            at: 0
        )
        for path in connection.paths {
            guard let local = path.endpoints.first(where: { $0.hostIndex == own }),
                let remote = path.endpoints.first(where: { $0.hostIndex == peerIndex }),
                let here = local.address, let there = remote.address
            else { continue }
            let isHostAddress = there == peer.address
            let reachable = isHostAddress ? peer.publicAddress ?? there : there
            view.routes.append(.init(local: here, remote: local.proxy?.inside ?? reachable))
        }
        for index in view.peerDevices.indices {
            let volume = peer.volume(view.peerDevices[index].number)
            guard volume?.disk == Volume.Disk.none else { continue }
            var options = view.peerDevices[index].options
            options.settings.removeAll { $0.name == "bitmap" }
            options.settings.append(
                OptionSetting("bitmap", "no", at: connection.position, origin: .inherited)
            )
            view.peerDevices[index].options = options
        }
        return view
    }
}
