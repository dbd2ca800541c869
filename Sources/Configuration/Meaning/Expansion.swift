// SPDX-License-Identifier: Apache-2.0

extension Configuration {
    /// `resource` with everything that it inherits and implies: options of `common`, volumes of
    /// every host, node ids, all connections with addresses, relays and peer devices.
    ///
    /// After it every host has the same volume numbers, every volume a device and, unless stacked,
    /// a disk, every path two endpoints with host and address.
    ///
    /// - Throws: `Diagnostic` for the first contradiction.
    package func expanded(_ resource: Resource) throws(Diagnostic) -> Resource {
        var expansion = Expansion(configuration: self, resource: resource)
        try expansion.inheritCommon()
        try expansion.nameStackedHosts()
        try expansion.numberNodes()
        try expansion.expandVolumes()
        try expansion.expandConnections()
        return expansion.resource
    }
}

/// The steps of `Configuration.expanded`.
private struct Expansion {
    let configuration: Configuration
    var resource: Resource

    func fault(_ position: SourcePosition, _ message: String) -> Diagnostic {
        Diagnostic(position, "in resource \(self.resource.name)\(message)")
    }

    /// Takes over `parent`, telling an ambiguity with the resource's name.
    func inherit(_ list: inout OptionList, _ parent: OptionList) throws(Diagnostic) {
        do throws(AmbiguousInheritance) {
            try list.inherit(parent)
        } catch {
            throw Diagnostic(error.second.position, error.message(in: self.resource.name))
        }
    }

    /// Takes over what `parent` and `grandparent` have; the nearer one wins and comes first.
    func inherit(
        _ list: inout OptionList,
        _ parent: OptionList?,
        _ grandparent: OptionList
    ) throws(Diagnostic) {
        let nearer = parent ?? OptionList()
        let rest = grandparent.settings.filter { (nearer[$0.name] ?? $0.value) == $0.value }
        try self.inherit(&list, OptionList(rest))
        try self.inherit(&list, nearer)
    }

    func inherit(_ proxy: inout ProxySection, _ parent: ProxySection) throws(Diagnostic) {
        try self.inherit(&proxy.options, parent.options)
        for line in parent.plugins {
            let key = line.words.first ?? ""
            let isKeyed = ["compressor", "crypto", "rx-memlimit"].contains(key)
            let isKnown = proxy.plugins.contains { own in
                own.words == line.words || isKeyed && own.words.first == key
            }
            if isKnown { continue }
            var inherited = line
            inherited.distance += 1
            proxy.plugins.insert(inherited, at: 0)
        }
    }

    mutating func inheritCommon() throws(Diagnostic) {
        guard let common = self.resource.template ?? self.configuration.common else { return }
        var sections = self.resource.sections
        try self.inherit(&sections.options, common.options)
        try self.inherit(&sections.net, common.net)
        try self.inherit(&sections.disk, common.disk)
        try self.inherit(&sections.peerDevice, common.peerDevice)
        try self.inherit(&sections.startup, common.startup)
        try self.inherit(&sections.handlers, common.handlers)
        try self.inherit(&sections.proxy, common.proxy)
        self.resource.sections = sections
    }

    // MARK: Hosts

    mutating func nameStackedHosts() throws(Diagnostic) {
        for (index, host) in self.resource.hosts.enumerated() {
            guard case .stacked(let name) = host.kind else { continue }
            guard let lower = self.configuration.resource(named: name),
                lower.name != self.resource.name
            else {
                throw self.fault(host.position, ", stacked-on-top-of \(name): no such resource.")
            }
            let names = lower.hosts.flatMap(\.names)
            if names.isEmpty {
                throw self.fault(host.position, ", stacked-on-top-of \(name): it has no hosts.")
            }
            self.resource.hosts[index].names = names
        }
    }

    /// Derives the ids of two hosts that have none; refuses missing and repeated ones.
    mutating func numberNodes() throws(Diagnostic) {
        let hosts = self.resource.hosts
        let ids = hosts.compactMap(\.nodeID)
        if ids.isEmpty, hosts.count == 2, let first = hosts[0].address?.address,
            let second = hosts[1].address?.address
        {
            let firstIsZero = Self.checksum(first) > Self.checksum(second)
            self.resource.hosts[0].nodeID = firstIsZero ? 0 : 1
            self.resource.hosts[1].nodeID = firstIsZero ? 1 : 0
            for index in hosts.indices { self.resource.hosts[index].hasWrittenNodeID = true }
            return
        }
        for (index, host) in hosts.enumerated() {
            guard let id = host.nodeID else {
                throw self.fault(host.position, ", \(host.title): 'node-id' keyword missing.")
            }
            if let other = hosts[..<index].first(where: { $0.nodeID == id }) {
                let what = "node-id '\(self.resource.name):\(id)'"
                throw Parser.conflict(host.position, what, other.position)
            }
        }
    }

    /// CRC-32C of an address as both nodes of an old two-node file compute it: seeded, not
    /// inverted at the end, compared as a signed number.
    private static func checksum(_ address: String) -> Int32 {
        var value: UInt32 = 0x1A65_6F21
        for byte in address.utf8 {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = (value >> 1) ^ (value & 1 == 1 ? 0x82F6_3B78 : 0) }
        }
        return Int32(bitPattern: value)
    }

    // MARK: Volumes

    mutating func expandVolumes() throws(Diagnostic) {
        let shared = self.resource.volumes
        for index in self.resource.hosts.indices {
            let volumes = try self.volumes(of: self.resource.hosts[index], shared)
            self.resource.hosts[index].volumes = volumes
        }
        self.resource.volumes = []
        guard let first = self.resource.hosts.first else { return }
        for host in self.resource.hosts.dropFirst() {
            for (one, other) in [(first, host), (host, first)] {
                for volume in one.volumes { try self.check(volume, of: one, on: other) }
            }
        }
    }

    private func check(_ volume: Volume, of one: Host, on other: Host) throws(Diagnostic) {
        let names = other.names.joined(separator: " ")
        guard let same = other.volume(volume.number) else {
            throw self.fault(
                volume.position,
                ", \(one.title): volume \(volume.number) not defined on \(names)"
            )
        }
        guard same.isImplicit == volume.isImplicit else {
            throw self.fault(
                volume.position,
                ", \(one.title): volume \(volume.number) must not be implicit here and explicit on "
                    + "\(names), or the other way round"
            )
        }
    }

    private func volumes(of host: Host, _ shared: [Volume]) throws(Diagnostic) -> [Volume] {
        var numbers = Set(shared.map(\.number)).union(host.volumes.map(\.number)).sorted()
        if case .stacked = host.kind, numbers.isEmpty { numbers = [0] }
        var volumes: [Volume] = []
        for number in numbers {
            let parent = try self.merged(shared.filter { $0.number == number })
            var volume =
                host.volume(number)
                ?? Volume(
                    number: number,
                    position: parent?.position ?? host.position,
                    isImplicit: parent?.isImplicit ?? true
                )
            try self.complete(&volume, of: host, from: parent)
            volumes.append(volume)
        }
        if let implicit = volumes.first(where: \.isImplicit),
            let explicit = volumes.first(where: { !$0.isImplicit })
        {
            let position = max(implicit.position.line, explicit.position.line)
            throw self.fault(
                SourcePosition(file: explicit.position.file, line: position),
                ": you must not mix implicit and explicit volumes"
            )
        }
        return volumes
    }

    /// What the sections of one volume say together; the first that says something counts.
    private func merged(_ sections: [Volume]) throws(Diagnostic) -> Volume? {
        guard var merged = sections.first, sections.count > 1 else { return sections.first }
        merged.diskOptions = OptionList()
        merged.peerDeviceOptions = OptionList()
        for section in sections.reversed() {
            merged.device = section.device ?? merged.device
            merged.disk = section.disk ?? merged.disk
            merged.metaDisk = section.metaDisk ?? merged.metaDisk
            try self.inherit(&merged.diskOptions, section.diskOptions)
            try self.inherit(&merged.peerDeviceOptions, section.peerDeviceOptions)
        }
        return merged
    }

    private func complete(_ volume: inout Volume, of host: Host, from parent: Volume?)
        throws(Diagnostic)
    {
        if let parent {
            volume.device = volume.device.map { own in
                Volume.Device(name: own.name ?? parent.device?.name, minor: own.minor)
            }
            volume.device = volume.device ?? parent.device
            volume.disk = volume.disk ?? parent.disk
            volume.metaDisk = volume.metaDisk ?? parent.metaDisk
        }
        let sections = self.resource.sections
        try self.inherit(&volume.diskOptions, parent?.diskOptions, sections.disk)
        try self.inherit(&volume.peerDeviceOptions, parent?.peerDeviceOptions, sections.peerDevice)
        guard let device = volume.device else {
            throw self.fault(volume.position, ", \(host.title): 'device' keyword missing.")
        }
        volume.device?.name = device.path
        if case .stacked = host.kind { return }
        switch volume.disk {
        case .some(.path): volume.metaDisk = volume.metaDisk ?? .internal
        case .some(.none): volume.metaDisk = nil
        case nil:
            throw self.fault(volume.position, ", \(host.title): 'disk' keyword missing.")
        }
    }

    // MARK: Connections

    mutating func expandConnections() throws(Diagnostic) {
        let hosts = self.resource.hosts
        var connections = self.resource.connections
        for mesh in self.resource.meshes {
            for (index, first) in mesh.hosts.enumerated() {
                for second in mesh.hosts[(index + 1)...] {
                    connections.append(try self.connection(of: mesh, first, second))
                }
            }
        }
        if connections.isEmpty, self.resource.meshes.isEmpty {
            for first in hosts.indices {
                for second in hosts.indices.dropFirst(first + 1) {
                    connections.append(self.implicitConnection(first, second))
                }
            }
        }
        if connections.count > Limits.connections {
            throw self.fault(
                self.resource.position,
                ": more than \(Limits.connections) connections"
            )
        }
        for index in connections.indices { try self.complete(&connections[index]) }
        self.resource.connections = connections
        self.resource.meshes = []
        for index in self.resource.hosts.indices { self.resource.hosts[index].proxy = nil }
    }

    private func connection(of mesh: Mesh, _ first: String, _ second: String)
        throws(Diagnostic) -> Connection
    {
        var path = Path(position: mesh.position, isImplicit: false)
        for name in [first, second] {
            guard let index = self.resource.hostIndex(named: name) else {
                throw self.fault(
                    mesh.position,
                    ":\n\tThere is no 'on' section for hostname '\(name)' named in the "
                        + "connection-mesh"
                )
            }
            path.endpoints.append(self.endpoint(index, at: mesh.position, named: name))
        }
        var connection = Connection(origin: .mesh, position: mesh.position, paths: [path])
        try self.inherit(&connection.net, mesh.net)
        connection.net = connection.net.asWritten()
        return connection
    }

    private func implicitConnection(_ first: Int, _ second: Int) -> Connection {
        let position = self.resource.position
        var path = Path(position: position, isImplicit: false)
        for index in [first, second] {
            let name = self.resource.hosts[index].names[0]
            path.endpoints.append(self.endpoint(index, at: position, named: name))
        }
        return Connection(origin: .implicit, position: position, paths: [path])
    }

    private func endpoint(_ index: Int, at position: SourcePosition, named name: String)
        -> Endpoint
    {
        var endpoint = Endpoint(position: position)
        endpoint.hostName = name
        endpoint.hostIndex = index
        return endpoint
    }

    private func complete(_ connection: inout Connection) throws(Diagnostic) {
        if connection.paths.isEmpty {
            throw Diagnostic(
                connection.position,
                "connection without a single path (maybe empty?) not allowed"
            )
        }
        for index in connection.paths.indices {
            try self.complete(&connection.paths[index])
        }
        let ends = connection.paths.map { $0.endpoints.compactMap(\.hostIndex) }
        guard let hosts = ends.first, ends.allSatisfy({ Set($0) == Set(hosts) }) else {
            throw self.fault(
                connection.position,
                ": all paths of a connection must have the same hosts"
            )
        }
        if connection.paths.count > 1, connection.paths.contains(where: \.hasProxy) {
            throw self.fault(connection.position, ": several paths with a proxy are not supported")
        }
        try self.inherit(&connection.net, self.resource.sections.net)
        try self.addPeerDevices(to: &connection, hosts)
    }

    private func complete(_ path: inout Path) throws(Diagnostic) {
        if path.endpoints.count != 2 {
            let what = path.isImplicit ? "connection" : "path"
            throw Diagnostic(
                path.position,
                "Resource \(self.resource.name): \(what) needs to have two endpoints"
            )
        }
        path.isImplicit = false
        for index in path.endpoints.indices { try self.complete(&path.endpoints[index]) }
        let (one, other) = (path.endpoints[0], path.endpoints[1])
        if one.hostIndex == other.hostIndex {
            throw self.fault(path.position, " \(one.hostName ?? "") is used for both endpoints")
        }
        if let address = one.address, address == other.address, !address.isLoopback {
            throw self.fault(path.position, " \(address.argument) is used for both endpoints")
        }
        if (one.proxy == nil) != (other.proxy == nil) {
            throw self.fault(
                path.position,
                ": either both endpoints of a path have a proxy or none"
            )
        }
    }

    private func complete(_ endpoint: inout Endpoint) throws(Diagnostic) {
        let name = endpoint.hostName
        let index =
            endpoint.hostIndex
            ?? self.resource.hosts.firstIndex { host in
                name.map { host.answers(to: $0) } ?? (host.address == endpoint.address)
            }
        guard let index else {
            throw self.fault(
                endpoint.position,
                " a hostname (\"\(name ?? endpoint.address?.endpoint ?? "")\") is given\n"
                    + "with a \"host\" keyword, and has no matching\nhost section (\"on\" keyword)"
            )
        }
        let host = self.resource.hosts[index]
        endpoint.hostIndex = index
        endpoint.hostName = name ?? host.names.first
        guard let address = endpoint.address ?? host.address else {
            throw self.fault(host.position, ", \(host.title): 'address' keyword missing.")
        }
        endpoint.address = endpoint.port.flatMap { address.with(port: $0) } ?? address
        endpoint.port = nil
        endpoint.proxy = endpoint.proxy ?? host.proxy
        if var proxy = endpoint.proxy {
            try self.inherit(&proxy.settings, self.resource.sections.proxy)
            endpoint.proxy = proxy
        }
    }

    private func addPeerDevices(to connection: inout Connection, _ hosts: [Int])
        throws(Diagnostic)
    {
        let volumes = self.resource.hosts[hosts[0]].volumes
        for device in connection.peerDevices
        where !volumes.contains(where: { $0.number == device.number }) {
            throw self.fault(
                device.position,
                ": There is a reference to a volume \(device.number) that is not known in this "
                    + "resource"
            )
        }
        for volume in volumes
        where !connection.peerDevices.contains(where: { $0.number == volume.number }) {
            connection.peerDevices.append(
                PeerDevice(number: volume.number, position: volume.position)
            )
        }
        for index in connection.peerDevices.indices {
            var device = connection.peerDevices[index]
            try self.inherit(&device.options, connection.peerDeviceOptions)
            device.options = device.options.asWritten()
            for host in hosts {
                guard let volume = self.resource.hosts[host].volume(device.number) else { continue }
                try self.inherit(&device.options, volume.peerDeviceOptions)
            }
            connection.peerDevices[index] = device
        }
    }
}

extension Path {
    /// True if a relay stands on the path.
    var hasProxy: Bool { self.endpoints.contains { $0.proxy != nil } }
}

extension Host {
    /// The section as messages show it.
    var title: String {
        switch self.kind {
        case .on(let keyword): "\(keyword) \(self.names.joined(separator: " ")) { ... }"
        case .floating: "floating \(self.names.joined()) { ... }"
        case .stacked(let lower): "stacked-on-top-of \(lower) { ... }"
        }
    }
}
