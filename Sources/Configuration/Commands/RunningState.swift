// SPDX-License-Identifier: Apache-2.0

/// A resource as the engine has it, from the text of `bsrsetup show`.
package struct RunningResource: Sendable {
    /// A volume of this node.
    package struct RunningVolume: Sendable {
        var number: Int
        var minor: Int = -1
        var disk: Volume.Disk?
        var metaDisk: Volume.MetaDisk?
        /// The options of the backing device.
        package var diskOptions = OptionList()

        /// True if a disk is attached.
        var isAttached: Bool {
            if case .path = self.disk { return true }
            return false
        }
    }

    /// A connection to a peer.
    package struct RunningConnection: Sendable {
        var peerNodeID: Int = -1
        var isStandalone = false
        /// The net options.
        package var net = OptionList()
        var routes: [PeerView.Route] = []
        /// The peer-device options by volume number.
        package var peerDevices: [Int: OptionList] = [:]
    }

    /// The name.
    package var name: String
    /// The resource options.
    package var options = OptionList()
    /// The volumes.
    package var volumes: [RunningVolume] = []
    /// The connections.
    package var connections: [RunningConnection] = []
}

/// Parses the text of `bsrsetup show`: drbd.conf's syntax with a few statements of its own.
///
/// Statements and options that it does not know are skipped, because the engine may be newer than
/// the tool.
package struct RunningStateParser {
    private var lexer: Lexer
    private var token: Token

    /// The resources in `text`, which messages call `source`.
    ///
    /// - Throws: `Diagnostic` if the text is not of this form.
    package static func parse(_ text: [UInt8], source: String = "bsrsetup show")
        throws(Diagnostic) -> [RunningResource]
    {
        var parser = RunningStateParser(text, source)
        var resources: [RunningResource] = []
        while parser.token.kind != .end {
            guard parser.take().isWord("resource") else { throw parser.expected("resource") }
            var resource = RunningResource(name: try parser.value("a resource name"))
            try parser.parseResource(&resource)
            resources.append(resource)
        }
        return resources
    }

    private init(_ text: [UInt8], _ source: String) {
        self.lexer = Lexer(file: source, bytes: text)
        self.token = self.lexer.next()
    }

    private mutating func take() -> Token {
        let taken = self.token
        self.token = self.lexer.next()
        return taken
    }

    private mutating func expect(_ mark: Character) throws(Diagnostic) {
        guard self.token.isMark(mark) else { throw self.expected(String(mark)) }
        _ = self.take()
    }

    private mutating func accept(_ mark: Character) -> Bool {
        guard self.token.isMark(mark) else { return false }
        _ = self.take()
        return true
    }

    private func expected(_ what: String) -> Diagnostic {
        Diagnostic(
            SourcePosition(file: self.lexer.file, line: self.token.line),
            "Parse error: '\(what)' expected,\n\tbut got '\(self.token.text)'"
        )
    }

    private mutating func value(_ what: String) throws(Diagnostic) -> String {
        guard self.token.isValue else { throw self.expected(what) }
        return self.take().text
    }

    private mutating func integer(_ what: String) throws(Diagnostic) -> Int {
        guard let number = Int(try self.value(what)) else { throw self.expected(what) }
        return number
    }

    /// Skips the rest of a statement: up to `;`, or a braced block.
    private mutating func skip() throws(Diagnostic) {
        var depth = 0
        while true {
            switch self.token.kind {
            case .end: throw self.expected(";")
            case .mark("{"): depth += 1
            case .mark("}"): depth -= 1
            case .mark(";") where depth == 0:
                _ = self.take()
                return
            case .word, .integer, .address, .quoted, .mark, .stray, .tooLong: break
            }
            if depth < 0 { throw self.expected(";") }
            let wasClosing = self.take().isMark("}")
            if wasClosing, depth == 0 { return }
        }
    }

    private mutating func parseResource(_ resource: inout RunningResource) throws(Diagnostic) {
        try self.expect("{")
        while !self.accept("}") {
            switch self.take().text {
            case "options": resource.options = try self.options([.resource])
            case "_this_host": try self.parseThisHost(&resource)
            case "connection": resource.connections.append(try self.connection())
            default: try self.skip()
            }
        }
    }

    private mutating func parseThisHost(_ resource: inout RunningResource) throws(Diagnostic) {
        try self.expect("{")
        while !self.accept("}") {
            if self.take().isWord("volume") {
                resource.volumes.append(try self.volume())
            } else {
                try self.skip()
            }
        }
    }

    private mutating func volume() throws(Diagnostic) -> RunningResource.RunningVolume {
        var volume = RunningResource.RunningVolume(number: try self.integer("a volume number"))
        try self.expect("{")
        while !self.accept("}") {
            switch self.take().text {
            case "device":
                while !self.token.isWord("minor"), self.token.isValue { _ = self.take() }
                _ = self.take()
                volume.minor = try self.integer("a minor number")
                try self.expect(";")
            case "disk" where self.token.isMark("{"):
                volume.diskOptions = try self.options([.disk])
            case "disk":
                let isNone = self.token.isWord("none")
                let path = try self.value("a disk")
                volume.disk = isNone ? Volume.Disk.none : .path(path)
                try self.expect(";")
            case "meta-disk": volume.metaDisk = try self.metaDisk()
            default: try self.skip()
            }
        }
        return volume
    }

    private mutating func metaDisk() throws(Diagnostic) -> Volume.MetaDisk {
        let path = try self.value("a metadata device")
        if self.accept("[") {
            let index = try self.integer("an index")
            try self.expect("]")
            try self.expect(";")
            return .indexed(path, index: index)
        }
        try self.expect(";")
        return path == "internal" ? .internal : .flexible(path)
    }

    private mutating func connection() throws(Diagnostic) -> RunningResource.RunningConnection {
        var connection = RunningResource.RunningConnection()
        try self.expect("{")
        while !self.accept("}") {
            switch self.take().text {
            case "_peer_node_id":
                connection.peerNodeID = try self.integer("a node id")
                try self.expect(";")
            case "_is_standalone":
                connection.isStandalone = true
                try self.expect(";")
            case "_cstate":
                connection.isStandalone = try self.value("a connection state") == "StandAlone"
                try self.expect(";")
            case "net": connection.net = try self.options([.net])
            case "path": connection.routes += try self.routes()
            case "volume":
                let number = try self.integer("a volume number")
                try self.expect("{")
                while !self.accept("}") {
                    guard self.take().isWord("disk") else { throw self.expected("disk") }
                    connection.peerDevices[number] = try self.options([.peerDevice])
                }
            default: try self.skip()
            }
        }
        return connection
    }

    private mutating func routes() throws(Diagnostic) -> [PeerView.Route] {
        var local: SocketAddress?
        var remote: SocketAddress?
        try self.expect("{")
        while !self.accept("}") {
            switch self.take().text {
            case "_this_host": local = try self.address()
            case "_remote_host": remote = try self.address()
            default: try self.skip()
            }
        }
        guard let local, let remote else { return [] }
        return [PeerView.Route(local: local, remote: remote)]
    }

    private mutating func address() throws(Diagnostic) -> SocketAddress {
        var text = self.token.kind == .word ? self.take().text + " " : ""
        if self.token.isMark("[") {
            guard let inner = self.lexer.bracketed() else { throw self.expected("]") }
            text += "[\(inner)]"
            self.token = self.lexer.next()
        } else {
            text += try self.value("an address")
        }
        try self.expect(":")
        text += ":" + (try self.value("a port"))
        guard let address = SocketAddress(text) else { throw self.expected("an address") }
        try self.expect(";")
        return address
    }

    private mutating func options(_ sections: [OptionSection]) throws(Diagnostic) -> OptionList {
        var list = OptionList()
        try self.expect("{")
        while !self.accept("}") {
            let position = SourcePosition(file: self.lexer.file, line: self.token.line)
            let name = try self.value("an option")
            var value = "yes"
            if self.token.isValue { value = self.take().text }
            try self.expect(";")
            if sections.contains(where: { OptionTable.find(name, in: $0) != nil }) {
                list.settings.append(OptionSetting(name, value, at: position))
            }
        }
        return list
    }
}
