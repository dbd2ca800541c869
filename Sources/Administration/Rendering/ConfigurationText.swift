// SPDX-License-Identifier: Apache-2.0

/// The text of `show`: what is configured, in a form like drbd.conf that `adjust` reads.
///
/// Source: `reference/drbd-metadata.md` §9.4.
package struct ConfigurationText {
    private var text = ""
    private var depth = 0

    /// The text of `resources`, each followed by an empty line.
    package static func render(_ resources: [ResourceConfiguration]) -> String {
        guard !resources.isEmpty else { return "# No currently configured DRBD found.\n" }
        var writer = ConfigurationText()
        for resource in resources.sorted(by: { $0.name < $1.name }) { writer.write(resource) }
        return writer.text
    }

    private mutating func write(_ resource: ResourceConfiguration) {
        self.block("resource \(Self.quoted(resource.name))") { writer in
            writer.options("options", resource.options)
            writer.block("_this_host") { writer in
                writer.line("node-id\t\t\t\(resource.nodeID);")
                for volume in resource.volumes { writer.write(volume) }
            }
            for connection in resource.connections { writer.write(connection) }
        }
        self.text += "\n"
    }

    private mutating func write(_ volume: VolumeConfiguration) {
        self.block("volume \(volume.volume)") { writer in
            writer.line("device\t\t\tminor \(volume.minor);")
            switch volume.backing {
            case .none: break
            case .client: writer.line("disk\t\t\tnone;")
            case .disk(let path, let metaDisk, let options):
                writer.line("disk\t\t\t\(Self.quoted(path));")
                writer.line("meta-disk\t\t\t\(Self.text(of: metaDisk));")
                writer.options("disk", options)
            }
        }
    }

    private mutating func write(_ connection: ConnectionConfiguration) {
        self.block("connection") { writer in
            writer.line("_peer_node_id \(connection.peerNodeID);")
            for path in connection.paths {
                writer.block("path") { writer in
                    writer.line("_this_host \(Self.address(path.local));")
                    writer.line("_remote_host \(Self.address(path.peer));")
                }
            }
            if connection.isStandalone { writer.line("_is_standalone;") }
            writer.options("net", connection.options)
            for (volume, options) in connection.volumes.sorted(by: { $0.key < $1.key })
            where !options.isEmpty {
                writer.block("volume \(volume)") { $0.options("disk", options) }
            }
        }
    }

    private mutating func options(_ name: String, _ options: [ShownOption]) {
        guard !options.isEmpty else { return }
        self.block(name) { writer in
            for option in options { writer.line(Self.text(of: option)) }
        }
    }

    private mutating func block(_ head: String, _ body: (inout Self) -> Void) {
        self.line(head + " {")
        self.depth += 1
        body(&self)
        self.depth -= 1
        self.line("}")
    }

    private mutating func line(_ line: String) {
        self.text += String(repeating: "    ", count: self.depth) + line + "\n"
    }

    private static func text(of option: ShownOption) -> String {
        let padding = String(repeating: " ", count: max(0, 16 - option.name.utf8.count))
        let value =
            option.isQuoted || !Self.isWord(option.value)
            ? Self.quoted(option.value) : option.value + option.suffix
        let remarks = [option.unit, option.isDefault ? "default" : nil].compactMap(\.self)
        return option.name + padding + "\t" + value + ";"
            + (remarks.isEmpty ? "" : " # " + remarks.joined(separator: ", "))
    }

    private static func text(of metaDisk: VolumeConfiguration.MetaDisk) -> String {
        switch metaDisk {
        case .internal: "internal"
        case .flexible(let path): Self.quoted(path)
        case .indexed(let path, let index): "\(Self.quoted(path)) [ \(index) ]"
        }
    }

    /// `ipv4:A:P` as `ipv4 A:P`.
    private static func address(_ address: String) -> String {
        guard let colon = address.firstIndex(of: ":") else { return address }
        return address[..<colon] + " " + address[address.index(after: colon)...]
    }

    /// True if the resource files' grammar takes `text` for a word or a number without quotes.
    ///
    /// Its words have at most 128 bytes.
    private static func isWord(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x2F, 0x5F: true
                default: false
                }
            }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for character in text {
            if character == "\"" || character == "\\" { quoted += "\\" }
            quoted.append(character)
        }
        return quoted + "\""
    }
}
