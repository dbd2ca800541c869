// SPDX-License-Identifier: Apache-2.0

/// Writes configurations in the normal form of `drbdadm dump`, byte for byte where that can be
/// parsed again; names that would not are quoted.
package struct Dump {
    /// The text so far.
    package private(set) var text = ""
    private let node: NodeIdentity
    private var level = 0

    /// Creates a writer that says which resources concern `node`.
    package init(node: NodeIdentity) { self.node = node }

    /// Writes file name, `global` and `common`.
    package mutating func writeHead(of configuration: Configuration) {
        self.line("# \(configuration.file)")
        self.write(configuration.global)
        guard let common = configuration.common else { return }
        self.block("common") { dump in dump.write(common) }
        self.line("")
    }

    /// Writes one resource as written or expanded.
    package mutating func write(_ resource: Resource) {
        let host = resource.hosts.first { self.node.matches($0) }
        let isStacked = host.map { if case .stacked = $0.kind { true } else { false } } ?? false
        self.line(
            "# resource \(Self.name(resource.name)) on \(self.node.name): "
                + (host == nil ? "ignored, " : "not ignored, ")
                + (isStacked ? "stacked" : "not stacked")
        )
        self.line("# defined at \(resource.position)")
        self.block("resource \(Self.name(resource.name))") { dump in
            if let template = resource.templateFile {
                dump.line("template-file \(Self.value(template));")
            }
            for volume in resource.volumes { dump.write(volume, inheriting: nil) }
            for host in resource.hosts { dump.write(host, of: resource) }
            for connection in resource.connections { dump.write(connection) }
            for mesh in resource.meshes { dump.write(mesh) }
            dump.write(resource.sections)
        }
        self.line("")
    }

    // MARK: Lines

    private mutating func line(_ text: String) {
        if !text.isEmpty, self.level > 0 { self.text += self.indentation }
        self.text += text + "\n"
    }

    private var indentation: String { String(repeating: "    ", count: self.level) }

    private mutating func block(_ title: String, _ body: (inout Dump) -> Void) {
        self.line(title + " {")
        self.level += 1
        body(&self)
        self.level -= 1
        self.line("}")
    }

    /// A statement in columns: the name up to column 24, the value at least three wide.
    private mutating func statement(_ name: String, _ value: String) {
        let width = max(0, 24 - 4 * self.level)
        self.line("\(Self.padded(name, width)) \(Self.rightAligned(value));")
    }

    /// A statement whose column does not move with the level.
    private mutating func fixed(_ name: String, _ value: String, end: String = ";") {
        self.line("\(Self.padded(name, 16)) \(value)\(end)")
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.utf8.count))
    }

    private static func rightAligned(_ text: String) -> String {
        String(repeating: " ", count: max(0, 3 - text.utf8.count)) + text
    }

    /// `text`, quoted if the grammar needs it.
    package static func value(_ text: String) -> String {
        let isPlain =
            !text.isEmpty && text.utf8.count <= 80
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x2F, 0x5F: true
                default: false
                }
            }
        if isPlain { return text }
        var quoted = "\""
        for character in text.unicodeScalars {
            if character == "\"" || character == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "\""
    }

    /// `text` where a name is expected: keywords and numbers are quoted too.
    private static func name(_ text: String) -> String {
        var lexer = Lexer(file: "", bytes: Array(text.utf8))
        let token = lexer.next()
        let isName = token.kind == .word && !token.isKeyword && token.text == text
        return isName || token.text != text ? Self.value(text) : "\"\(text)\""
    }

    private static func names(_ names: [String]) -> String {
        names.map(Self.name).joined(separator: " ")
    }

    // MARK: Sections

    private mutating func write(_ global: GlobalSection) {
        let isDefault =
            !global.disablesAddressVerification && global.minorCount == nil
            && global.dialogRefreshSeconds == nil && (global.usageCount ?? "ask") == "ask"
            && global.hostName == nil
        if isDefault { return }
        self.block("global") { dump in
            if global.disablesAddressVerification { dump.line("disable-ip-verification;") }
            if let count = global.minorCount { dump.line("minor-count \(count);") }
            if let seconds = global.dialogRefreshSeconds {
                dump.line("dialog-refresh \(seconds);")
            }
            if let usage = global.usageCount, usage != "ask" {
                dump.line("usage-count \(usage);")
            }
            if let name = global.hostName { dump.line("hostname \(Self.name(name));") }
        }
        self.line("")
    }

    private mutating func write(_ sections: Sections) {
        self.section("options", sections.options)
        self.section("net", sections.net)
        var disk = sections.disk
        disk.settings += sections.peerDevice.settings
        self.section("disk", disk)
        if !sections.startup.isEmpty || sections.hasStackedTimeouts {
            self.block("startup") { dump in
                dump.options(sections.startup)
                if sections.hasStackedTimeouts { dump.line("stacked-timeouts;") }
            }
        }
        self.proxySection("proxy", sections.proxy)
        self.section("handlers", sections.handlers)
    }

    private mutating func section(_ name: String, _ list: OptionList) {
        if list.isEmpty { return }
        self.block(name) { dump in dump.options(list) }
    }

    private mutating func options(_ list: OptionList) {
        for setting in list.settings { self.statement(setting.name, Self.value(setting.value)) }
    }

    private mutating func proxySection(_ name: String, _ proxy: ProxySection) {
        if proxy.isEmpty { return }
        self.block(name) { dump in
            dump.options(proxy.options)
            if proxy.plugins.isEmpty { return }
            dump.block("plugin") { dump in
                for plugin in proxy.plugins {
                    dump.line(plugin.words.map(Self.value).joined(separator: " ") + ";")
                }
            }
        }
    }

    // MARK: Volumes and hosts

    private mutating func write(_ volume: Volume, inheriting parent: Volume?) {
        if volume.isImplicit {
            self.parts(of: volume, parent)
        } else {
            self.block("volume \(volume.number)") { dump in dump.parts(of: volume, parent) }
        }
    }

    private mutating func parts(of volume: Volume, _ parent: Volume?) {
        var disk = volume.diskOptions
        disk.settings += volume.peerDeviceOptions.settings
        self.section("disk", disk)
        if let device = volume.device {
            let name = device.name ?? parent?.device?.name
            let padding = String(repeating: " ", count: max(0, 19 - 4 * self.level))
            self.line(
                "device\(padding)\(name.map { Self.value($0) + " " } ?? "")minor \(device.minor);"
            )
        }
        switch volume.disk {
        case .some(.none): self.statement("disk", "none")
        case .some(.path(let path)): self.statement("disk", Self.value(path))
        case nil: break
        }
        switch volume.metaDisk {
        case .internal: self.statement("meta-disk", "internal")
        case .flexible(let path): self.fixed("meta-disk", Self.value(path))
        case .indexed(let path, let index):
            self.fixed("meta-disk", "\(Self.value(path)) [\(index)]")
        case nil: break
        }
    }

    private mutating func write(_ host: Host, of resource: Resource) {
        switch host.kind {
        case .on(let keyword): self.line("\(keyword) \(Self.names(host.names)) {")
        case .floating:
            let address = host.address.map(\.description) ?? ""
            self.fixed("floating", address, end: " {")
        case .stacked(let lower):
            self.line("stacked-on-top-of \(Self.name(lower)) {")
        }
        self.level += 1
        if host.hasWrittenNodeID, let id = host.nodeID { self.line("node-id \(id);") }
        if let name = host.nodeName { self.line("node-name \(Self.name(name));") }
        if let group = host.group { self.line("group \(Self.value(group));") }
        self.section("options", host.options)
        for volume in host.volumes {
            self.write(
                volume,
                inheriting: resource.volumes.first { $0.number == volume.number }
            )
        }
        if host.kind != .floating, let address = host.address {
            self.fixed("address", address.description)
        }
        if let address = host.publicAddress {
            self.fixed("public-address", address.description)
        }
        if let proxy = host.proxy {
            self.line("proxy on \(Self.names(proxy.hosts)) {")
            self.body(of: proxy)
        }
        self.level -= 1
        self.line("}")
    }

    /// What stands between the braces of a relay, and the closing one.
    private mutating func body(of proxy: Proxy) {
        self.level += 1
        let addresses = [
            ("inside", proxy.inside), ("outside", proxy.outside),
            ("public-inside", proxy.publicInside), ("public-outside", proxy.publicOutside),
        ]
        for (name, address) in addresses {
            if let address { self.fixed(name, address.description) }
        }
        self.proxySection("options", proxy.settings)
        self.level -= 1
        self.line("}")
    }

    // MARK: Connections

    private mutating func write(_ connection: Connection) {
        self.block("connection") { dump in
            for path in connection.paths {
                if path.isImplicit {
                    for endpoint in path.endpoints { dump.write(endpoint) }
                } else {
                    dump.block("path") { dump in
                        for endpoint in path.endpoints { dump.write(endpoint) }
                    }
                }
            }
            dump.section("net", connection.net)
            dump.section("disk", connection.peerDeviceOptions)
            for device in connection.peerDevices {
                dump.block("volume \(device.number)") { dump in
                    dump.section("disk", device.options)
                }
            }
        }
    }

    private mutating func write(_ endpoint: Endpoint) {
        let gap = self.indentation
        var text = endpoint.hostName.map { "host \(Self.name($0))" } ?? ""
        if let port = endpoint.port {
            text += " port \(port)"
        } else if let address = endpoint.address {
            let isNamed = endpoint.hostName != nil
            text += isNamed ? gap + Self.padded(" address", 16) : Self.padded("address", 16)
            text += " \(address)"
        }
        guard let proxy = endpoint.proxy else { return self.line(text + ";") }
        self.line("\(text)\(gap) via proxy on \(Self.names(proxy.hosts)) {")
        self.body(of: proxy)
    }

    private mutating func write(_ mesh: Mesh) {
        self.block("connection-mesh") { dump in
            dump.line("hosts \(Self.names(mesh.hosts));")
            dump.section("net", mesh.net)
        }
    }
}
