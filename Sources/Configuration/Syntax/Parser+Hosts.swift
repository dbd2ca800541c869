// SPDX-License-Identifier: Apache-2.0

extension Parser {
    // MARK: Host sections

    /// Parses `on`, `on-linux`, `on-windows`, `floating` or `stacked-on-top-of`.
    mutating func parseHost(of resource: inout Resource) throws(Diagnostic) {
        let start = self.position
        let keyword = self.advance().text
        if resource.hosts.count == Limits.hosts {
            throw Diagnostic(start, "more than \(Limits.hosts) host sections")
        }
        var host = Host(kind: .on(keyword: keyword), names: [], position: start)
        switch keyword {
        case "floating":
            let address = try self.parseAddress()
            host.kind = .floating
            host.names = [address.endpoint]
            host.address = address
            if self.accept(mark: ";") {
                resource.hosts.append(host)
                return
            }
        case "stacked-on-top-of":
            host.kind = .stacked(lower: try self.name("a resource name"))
        default: host.names = try self.parseNames("a host name", until: "{")
        }
        try self.expect("{")
        while !self.accept(mark: "}") {
            try self.parseHostStatement(of: &host, in: resource.name)
        }
        resource.hosts.append(host)
    }

    /// Parses one or more names in front of `mark`, which stays.
    mutating func parseNames(_ what: String, until mark: Character) throws(Diagnostic)
        -> [String]
    {
        var names: [String] = []
        repeat {
            if names.count == Limits.words {
                throw Diagnostic(self.position, "more than \(Limits.words) names")
            }
            names.append(try self.name(what))
        } while !self.token.isMark(mark)
        return names
    }

    private mutating func parseHostStatement(of host: inout Host, in resource: String)
        throws(Diagnostic)
    {
        let start = self.position
        guard self.token.kind == .word else { throw self.expected(Self.hostKeywords) }
        switch self.token.text {
        case "skip": try self.parseSkip()
        case "device", "disk", "meta-disk", "flexible-meta-disk", "volume":
            try self.parseVolumeStatement(into: &host.volumes, of: .host)
        case "address" where host.kind != .floating:
            self.advance()
            if host.address != nil { throw self.repeated("address", start) }
            host.address = try self.parseAddress()
            try self.expect(";")
        case "public-address":
            self.advance()
            if host.publicAddress != nil { throw self.repeated("public-address", start) }
            host.publicAddress = try self.parseAddress()
            try self.expect(";")
        case "node-id":
            self.advance()
            if host.nodeID != nil { throw self.repeated("node-id", start) }
            host.nodeID = try self.integer("node-id", in: 0...Limits.nodeIDMaximum)
            host.hasWrittenNodeID = true
            try self.expect(";")
        case "node-name":
            self.advance()
            host.nodeName = try self.name("a node name")
            try self.expect(";")
        case "group":
            self.advance()
            guard self.token.isValue else { throw self.expected("a group") }
            host.group = self.advance().text
            try self.expect(";")
        case "options":
            self.advance()
            try self.parseOptions([.node, .resource], into: &host.options)
        case "proxy":
            self.advance()
            if host.proxy != nil { throw self.repeated("proxy", start) }
            host.proxy = try self.parseProxy()
        default: throw self.expected(Self.hostKeywords)
        }
    }

    private static var hostKeywords: String {
        "device | disk | meta-disk | flexible-meta-disk | volume | address | public-address | "
            + "node-id | node-name | group | options | proxy | skip"
    }

    // MARK: Addresses

    /// Parses `[FAMILY] ADDRESS:PORT`.
    mutating func parseAddress() throws(Diagnostic) -> SocketAddress {
        let start = self.position
        var family: SocketAddress.Family?
        if self.token.kind == .word, let known = SocketAddress.Family(rawValue: self.token.text) {
            family = known
            self.advance()
        }
        let address: String
        if self.token.isMark("["), family == nil || family == .ipv6 {
            family = .ipv6
            address = try self.bracketedAddress()
        } else if family != .ipv6, self.token.kind == .address {
            address = self.advance().text
        } else {
            let what = family == nil ? "ssocks | sdp | ipv4 | ipv6 | <ipv4 address> " : "an address"
            throw self.expected(family == .ipv6 ? "an IPv6 address in brackets" : what)
        }
        try self.expect(":")
        let port = try self.integer("port", in: 1...65535)
        guard let result = SocketAddress(family: family ?? .ipv4, address: address, port: port)
        else {
            throw Diagnostic(start, "'\(address)' is not an address of its family")
        }
        return result
    }

    /// Parses `on NAMES { inside …; outside …; … }`; `proxy` was taken.
    mutating func parseProxy() throws(Diagnostic) -> Proxy {
        let start = self.position
        guard self.accept("on") else { throw self.expected("on") }
        var proxy = Proxy(hosts: try self.parseNames("a host name", until: "{"), position: start)
        try self.expect("{")
        while !self.accept(mark: "}") {
            let keyword = self.token
            if self.accept("options") {
                if !proxy.settings.isEmpty { throw self.repeated("options section", start) }
                proxy.settings = try self.parseProxyOptions()
                continue
            }
            guard keyword.kind == .word, let place = Self.proxyAddresses[keyword.text] else {
                throw self.expected(
                    "inside | outside | public-inside | public-outside | options | }"
                )
            }
            let line = self.position
            self.advance()
            if proxy[keyPath: place] != nil { throw self.repeated(keyword.text, line) }
            proxy[keyPath: place] = try self.parseAddress()
            try self.expect(";")
        }
        for keyword in ["inside", "outside"] {
            if let place = Self.proxyAddresses[keyword], proxy[keyPath: place] == nil {
                throw Diagnostic(start, "'\(keyword)' keyword missing in the proxy section.")
            }
        }
        return proxy
    }

    private static var proxyAddresses: [String: WritableKeyPath<Proxy, SocketAddress?>] {
        [
            "inside": \.inside, "outside": \.outside, "public-inside": \.publicInside,
            "public-outside": \.publicOutside,
        ]
    }

    // MARK: Connections

    /// Parses `connection [NAME] { … }`.
    mutating func parseConnection(of resource: inout Resource) throws(Diagnostic) {
        let start = self.position
        self.advance()
        if resource.connections.count == Limits.connections {
            throw Diagnostic(start, "more than \(Limits.connections) connections")
        }
        if !self.token.isMark("{") {
            let name = try self.name("{")
            self.configuration.warnings.append(
                Diagnostic(
                    start,
                    "explicitly named connections are deprecated!\n"
                        + "\tits name ('\(name)') will be ignored"
                )
            )
        }
        var connection = Connection(origin: .written, position: start)
        var seen: Set<String> = []
        try self.expect("{")
        while !self.accept(mark: "}") {
            try self.parseConnectionStatement(of: &connection, &seen)
        }
        resource.connections.append(connection)
    }

    private mutating func parseConnectionStatement(
        of connection: inout Connection,
        _ seen: inout Set<String>
    ) throws(Diagnostic) {
        let start = self.position
        switch self.token.kind == .word ? self.token.text : "" {
        case "skip": try self.parseSkip()
        case "host", "address":
            if connection.paths.contains(where: { !$0.isImplicit }) {
                throw Diagnostic(start, "host lines and path sections can not be mixed")
            }
            if connection.paths.isEmpty {
                connection.paths.append(Path(position: start, isImplicit: true))
            }
            try self.parseHostLine(of: &connection.paths[0], "connection")
        case "path":
            self.advance()
            if connection.paths.contains(where: \.isImplicit) {
                throw Diagnostic(start, "host lines and path sections can not be mixed")
            }
            if connection.paths.count == Limits.paths {
                throw Diagnostic(start, "more than \(Limits.paths) paths")
            }
            connection.paths.append(try self.parsePath(at: start))
        case "net":
            self.advance()
            try self.claimOnce("net", &seen, start)
            connection.net = try self.parseOptions([.net])
        case "disk":
            self.advance()
            try self.claimOnce("disk", &seen, start)
            connection.peerDeviceOptions = try self.parseOptions([.peerDevice])
        case "volume": try self.parsePeerDevice(of: &connection)
        default: throw self.expected("host | path | net | disk | volume | skip | }")
        }
    }

    private func claimOnce(_ section: String, _ seen: inout Set<String>, _ start: SourcePosition)
        throws(Diagnostic)
    {
        guard seen.insert(section).inserted else {
            throw Diagnostic(start, "only one '\(section)' section allowed")
        }
    }

    private mutating func parsePath(at start: SourcePosition) throws(Diagnostic) -> Path {
        var path = Path(position: start, isImplicit: false)
        try self.expect("{")
        while !self.accept(mark: "}") {
            guard self.token.isWord("host") || self.token.isWord("address") else {
                throw self.expected("host | address | }")
            }
            try self.parseHostLine(of: &path, "path")
        }
        return path
    }

    private mutating func parseHostLine(of path: inout Path, _ owner: String) throws(Diagnostic) {
        var endpoint = Endpoint(position: self.position)
        if path.endpoints.count == 2 {
            throw Diagnostic(
                endpoint.position,
                "only two 'host' keywords per \(owner) allowed"
            )
        }
        if self.accept("host") {
            endpoint.hostName = try self.name("a host name")
            if self.accept("address") {
                endpoint.address = try self.parseAddress()
            } else if self.accept("port") {
                endpoint.port = try self.integer("port", in: 1...65535)
            }
        } else {
            self.advance()
            endpoint.address = try self.parseAddress()
        }
        if self.accept("via") {
            guard self.accept("proxy") else { throw self.expected("proxy") }
            endpoint.proxy = try self.parseProxy()
            _ = self.accept(mark: ";")
        } else {
            guard self.token.isMark(";") else { throw self.expected("address | port | via | ;") }
            self.advance()
        }
        path.endpoints.append(endpoint)
    }

    private mutating func parsePeerDevice(of connection: inout Connection) throws(Diagnostic) {
        let start = self.position
        self.advance()
        let number = try self.integer("volume", in: 0...Limits.volumeNumberMaximum)
        if let first = connection.peerDevices.first(where: { $0.number == number }) {
            throw Self.conflict(start, "volume section '\(number)'", first.position)
        }
        if connection.peerDevices.count == Limits.volumes {
            throw Diagnostic(start, "more than \(Limits.volumes) volumes")
        }
        var device = PeerDevice(number: number, position: start)
        try self.expect("{")
        while !self.accept(mark: "}") {
            guard self.accept("disk") else { throw self.expected("disk | }") }
            try self.parseOptions([.peerDevice], into: &device.options)
        }
        connection.peerDevices.append(device)
    }

    /// Parses `connection-mesh { … }`.
    mutating func parseMesh(of resource: inout Resource) throws(Diagnostic) {
        let start = self.position
        self.advance()
        if resource.meshes.count == Limits.connections {
            throw Diagnostic(start, "more than \(Limits.connections) meshes")
        }
        var mesh = Mesh(hosts: [], position: start)
        var seen: Set<String> = []
        try self.expect("{")
        while !self.accept(mark: "}") {
            let line = self.position
            if self.accept("hosts") {
                mesh.hosts += try self.parseNames("a host name", until: ";")
                try self.expect(";")
            } else if self.accept("net") {
                try self.claimOnce("net", &seen, line)
                mesh.net = try self.parseOptions([.net])
            } else {
                throw self.expected("hosts | net | }")
            }
        }
        if mesh.hosts.count > Limits.hosts {
            throw Diagnostic(start, "a mesh has at most \(Limits.hosts) hosts")
        }
        resource.meshes.append(mesh)
    }
}
