// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// Two sites on this machine as an administrator sets them up: one resource file, an engine each.
///
/// The resource is `r0`, the nodes are `alpha` (node id 0) and `beta` (1); everything is driven by
/// the tools.
final class TwoSites {
    /// How the sites are laid out.
    struct Layout {
        /// Lines of the resource besides volumes and hosts.
        var lines = "net { protocol C; }"
        /// The size of each volume's backing file in bytes.
        var volumes: [UInt64] = [32 << 20]
        /// Whether relays with a link between them carry the replication.
        var hasRelays = false
    }

    /// One site.
    enum Node: String, CaseIterable {
        case alpha, beta
    }

    let folder: TemporaryFolder
    let configuration: String
    /// A port of loopback on which alpha's engine serves NBD too.
    let nbdPort: UInt16
    private var engines: [Node: DaemonProcess] = [:]
    private var relays: [Node: DaemonProcess] = [:]
    private var link: DaemonProcess?
    private let layout: Layout
    /// Where the relays reach each other through the link, and where they listen behind it.
    private var linkPorts: [(reached: UInt16, outside: UInt16)] = []

    /// Lays out the files; nothing runs yet.
    init(_ layout: Layout = Layout()) throws {
        self.layout = layout
        self.folder = try TemporaryFolder()
        self.configuration = self.folder.file("bsr.conf")
        self.nbdPort = try freePort()
        for node in Node.allCases {
            try FileManager.default.createDirectory(
                atPath: self.folder.file("\(node)"),
                withIntermediateDirectories: true
            )
            for (volume, size) in layout.volumes.enumerated() {
                let path = self.disk(node, volume)
                _ = FileManager.default.createFile(atPath: path, contents: nil)
                truncate(path, off_t(size))
            }
        }
        try self.writeConfiguration()
    }

    deinit {
        let daemons = Array(self.relays.values) + Array(self.engines.values)
        for daemon in [self.link] + daemons {
            try? daemon?.kill()
        }
    }

    /// The backing file of a volume.
    func disk(_ node: Node, _ volume: Int = 0) -> String {
        self.folder.file("\(node)/disk\(volume)")
    }

    /// The run directory of a site.
    func runDirectory(_ node: Node) -> String { self.folder.file("\(node)/run") }

    /// The address of a volume for NBD clients.
    func uri(_ node: Node, _ volume: Int = 0) -> String {
        "nbd+unix:///r0/\(volume)?socket=\(self.runDirectory(node))/nbd.sock"
    }

    /// The engine's process of a site, which need not run.
    func engine(_ node: Node) -> DaemonProcess {
        if let engine = self.engines[node] { return engine }
        let engine = DaemonProcess(name: "bsrd-\(node)", folder: self.folder.path)
        self.engines[node] = engine
        return engine
    }

    /// Starts the engine of a site, with nothing configured.
    ///
    /// - Parameter fileBlocks: `ulimit -f` in blocks of 512 bytes.
    func startEngine(_ node: Node, fileBlocks: Int? = nil) throws {
        var words = [
            Program.own("bsrd"), "--node", "\(node)", "--run-dir", self.runDirectory(node),
        ]
        if node == .alpha { words += ["--nbd-listen", "127.0.0.1:\(self.nbdPort)"] }
        if let fileBlocks {
            words = Program.limitingFiles(toBlocks: fileBlocks) + words
        }
        try self.engine(node).start(words[0], Array(words.dropFirst()), endsWithInput: false) {
            (try? self.tool("bsrsetup", node, "status"))?.exitCode == 0
        }
    }

    /// Runs one of our tools at a site.
    @discardableResult
    func tool(_ name: String, _ node: Node, _ line: String) throws -> Program.Output {
        try Program.run(
            Program.own(name),
            [
                "--config-file", self.configuration, "--node", "\(node)", "--run-dir",
                self.runDirectory(node),
            ] + line.split(separator: " ").map(String.init)
        )
    }

    /// Runs one of our tools, which has to succeed, and returns what it printed.
    @discardableResult
    func run(_ name: String, _ node: Node, _ line: String) throws -> String {
        let output = try self.tool(name, node, line)
        guard output.exitCode == 0 else {
            throw SiteFailure(
                description: "\(name) \(line) at \(node) exits with \(output.exitCode): "
                    + output.everything
            )
        }
        return output.text
    }

    /// Waits until `bsradm status` prints the lines at `node`.
    func waitForStatus(_ node: Node, _ lines: String) throws {
        var last = ""
        let isReached = try waitUntil(within: .seconds(30), lookingEvery: .milliseconds(50)) {
            last = try self.run("bsradm", node, "status r0")
            return last == lines
        }
        guard isReached else {
            throw SiteFailure(description: "\(node) does not get to\n\(lines)but is\n\(last)")
        }
    }

    /// Changes the resource file.
    func edit(_ change: (String) -> String) throws {
        let text = try String(contentsOfFile: self.configuration, encoding: .utf8)
        try change(text).write(toFile: self.configuration, atomically: true, encoding: .utf8)
    }

    /// Starts everything that the layout has, makes metadata and brings the resource up.
    func bringUp() throws {
        for node in Node.allCases {
            try self.startEngine(node)
            if self.layout.hasRelays { try self.startRelay(node) }
        }
        if self.layout.hasRelays { try self.startLink() }
        for node in Node.allCases {
            try self.run("bsradm", node, "create-md all")
            if self.layout.hasRelays { try self.run("drxctl", node, "up") }
            try self.run("bsradm", node, "up all")
        }
    }

    /// Brings everything up, with alpha Primary and beta a full copy of it.
    func replicate() throws {
        try self.bringUp()
        try self.run("bsradm", .alpha, "primary --force r0")
        try self.waitForStatus(.alpha, self.healthy(.alpha))
    }

    /// What `bsradm status` prints at a node when all is well and alpha is Primary.
    func healthy(_ node: Node) -> String {
        let (own, peer) = node == .alpha ? ("Primary", "Secondary") : ("Secondary", "Primary")
        let other = node == .alpha ? "beta" : "alpha"
        guard self.layout.volumes.count > 1 else {
            return """
                r0 role:\(own)
                  disk:UpToDate
                  \(other) role:\(peer)
                    peer-disk:UpToDate


                """
        }
        let volumes = self.layout.volumes.indices
        return "r0 role:\(own)\n"
            + volumes.map { "  volume:\($0) disk:UpToDate\n" }.joined()
            + "  \(other) role:\(peer)\n"
            + volumes.map { "    volume:\($0) peer-disk:UpToDate\n" }.joined() + "\n"
    }

    /// Whether an engine that has ended left a socket.
    func areLeftBehind() throws -> Bool {
        try Node.allCases.contains { node in
            try FileManager.default.contentsOfDirectory(atPath: self.runDirectory(node)).contains {
                $0.hasSuffix(".sock")
            }
        }
    }

    /// Whether a volume's backing files are equal, up to the size that applications see.
    func areEqual(_ volume: Int = 0) throws -> Bool {
        let json = try self.run("bsrsetup", .alpha, "status r0 --json --statistics")
        let resources = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [[String: Any]]
        let devices = resources?.first?["devices"] as? [[String: Any]]
        guard let kibibytes = devices?[volume]["size"] as? Int else {
            throw SiteFailure(description: "no size in \(json)")
        }
        let contents = try Node.allCases.map {
            try Data(contentsOf: URL(fileURLWithPath: self.disk($0, volume))).prefix(
                kibibytes * 1024
            )
        }
        return contents[0] == contents[1]
    }
}

extension TwoSites {
    private func writeConfiguration() throws {
        var text = """
            global { usage-count no; disable-ip-verification; }
            resource r0 {
            \(self.layout.lines)

            """
        for volume in self.layout.volumes.indices {
            text += "volume \(volume) { device minor \(volume + 1); meta-disk internal; }\n"
        }
        for (id, node) in Node.allCases.enumerated() {
            text += "on \(node) { node-id \(id); address 127.0.0.1:\(try freePort());\n"
            for volume in self.layout.volumes.indices {
                text += "volume \(volume) { disk \(self.disk(node, volume)); }\n"
            }
            if self.layout.hasRelays {
                let (outside, reached) = (try freePort(), try freePort())
                self.linkPorts += [(reached, outside)]
                text += """
                    proxy on \(node) { inside 127.0.0.1:\(try freePort());
                    outside 127.0.0.1:\(outside); public-outside 127.0.0.1:\(reached); }

                    """
            }
            text += "}\n"
        }
        text += "}\n"
        try text.write(toFile: self.configuration, atomically: true, encoding: .utf8)
    }

    /// Starts the relay of a site.
    func startRelay(_ node: Node) throws {
        let relay =
            self.relays[node] ?? DaemonProcess(name: "drxd-\(node)", folder: self.folder.path)
        self.relays[node] = relay
        let arguments = ["--node", "\(node)", "--run-dir", self.runDirectory(node)]
        try relay.start(Program.own("drxd"), arguments, endsWithInput: false) {
            (try? self.tool("drxctl", node, "status"))?.exitCode == 0
        }
    }

    /// Kills the relay of a site.
    func killRelay(_ node: Node) throws { try self.relays[node]?.kill() }

    private func startLink() throws {
        let link = DaemonProcess(name: "drxsim", folder: self.folder.path)
        self.link = link
        var arguments = ["link", "--rtt", "10", "--rate", "1G"]
        for (reached, outside) in self.linkPorts {
            arguments += ["--listen", "127.0.0.1:\(reached)", "--to", "127.0.0.1:\(outside)"]
        }
        try link.start(Program.own("drxsim"), arguments, endsWithInput: false) {
            link.log.components(separatedBy: "\nlistening").count > self.linkPorts.count
        }
    }
}

/// What a test of whole sites found wrong.
struct SiteFailure: Error, CustomStringConvertible {
    let description: String
}
