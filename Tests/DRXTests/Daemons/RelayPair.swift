// SPDX-License-Identifier: Apache-2.0

import Administration
import DRXCore
import Foundation
import Glibc
import LinkSimulation
import Primitives
import TestSupport
import Testing
import Wire

/// Two real relays with a simulated link between them and a fake engine at each.
final class RelayPair {
    let alpha: RelaySite
    let beta: RelaySite
    private let link: Link
    private let running = DispatchGroup()

    /// Starts the relays; their connection is down.
    init(
        plugin: RelayArguments.Step? = nil,
        memoryLimit: UInt64 = 4 << 20,
        link settings: LinkSettings = LinkSettings(delay: .milliseconds(2), rate: 400_000_000),
        change: (inout RelayArguments) -> Void = { _ in }
    ) throws {
        self.alpha = try RelaySite("alpha", peer: "beta")
        self.beta = try RelaySite("beta", peer: "alpha")
        let routes = try [self.alpha, self.beta].map { site in
            LinkRoute(
                listen: try LinkAddress("127.0.0.1:0"),
                target: try LinkAddress("127.0.0.1:\(site.outside)")
            )
        }
        let link = try Link(routes, settings)
        self.link = link
        self.running.enter()
        Thread { [running] in
            link.run()
            running.leave()
        }
        .start()
        self.alpha.peerOutside = try Self.port(link.routes[1])
        self.beta.peerOutside = try Self.port(link.routes[0])
        for site in [self.alpha, self.beta] {
            var arguments = site.plainArguments(memoryLimit)
            arguments.steps = plugin.map { [$0] } ?? []
            arguments.receiveMemoryLimit = 256 << 10
            change(&arguments)
            site.arguments = arguments
            try site.relay.start()
        }
    }

    deinit {
        self.link.stop()
        self.running.wait()
    }

    private static func port(_ route: LinkRoute) throws -> UInt16 {
        try #require("\(route.listen)".split(separator: ":").last.flatMap { UInt16($0) })
    }

    /// Brings the connection up at both relays and waits until the bridges stand.
    func up() throws {
        for site in [self.alpha, self.beta] { try site.up() }
        for site in [self.alpha, self.beta] { try site.await(.waiting, .connecting) }
    }

    @discardableResult
    func perform(_ request: LinkRequest) throws -> LinkReport {
        guard case .done(let report) = self.link.perform(request) else {
            throw WaitError(description: "the link refused \(request)")
        }
        return report
    }

    /// The streams as engines make them: alpha dials data, beta dials meta.
    func connect() throws -> (data: EngineStream, meta: EngineStream) {
        let data = try self.alpha.dial(.data, to: self.beta)
        let meta = try self.beta.dial(.meta, to: self.alpha)
        for site in [self.alpha, self.beta] { try site.await(.established, .established) }
        return (data, meta)
    }
}

/// The two ends of a stream through both relays.
struct EngineStream {
    let near: BlockingSocket
    let far: BlockingSocket
}

/// A relay, the ports of its connection, and a fake engine that listens.
final class RelaySite {
    let relay: RelayDaemon
    let inside: UInt16
    let outside: UInt16
    var peerOutside: UInt16 = 0
    var arguments: RelayArguments?
    private let peer: String
    private var engine: BlockingSocket?
    private let enginePort: UInt16

    init(_ node: String, peer: String) throws {
        self.relay = try RelayDaemon(node: node)
        self.peer = peer
        self.inside = try freePort()
        self.outside = try freePort()
        self.enginePort = try freePort()
        self.engine = try .listening(on: self.enginePort)
    }

    func plainArguments(_ memoryLimit: UInt64) -> RelayArguments {
        RelayArguments(
            name: "r1-\(self.peer)-\(self.relay.node)",
            resource: "r1",
            peerNodes: [self.peer],
            ownNodes: [self.relay.node],
            inside: .init(host: "127.0.0.1", port: self.inside),
            outside: .init(host: "127.0.0.1", port: self.outside),
            peerOutside: .init(host: "127.0.0.1", port: self.peerOutside),
            engine: .init(host: "127.0.0.1", port: self.enginePort),
            memoryLimit: memoryLimit
        )
    }

    /// The same as text of a resource file, with `proxy` lines.
    func write(_ proxy: String, peer: RelaySite) throws {
        var text = "global { usage-count no; disable-ip-verification; }\nresource r1 {\n"
        text += "proxy { \(proxy) }\nvolume 0 { device minor 1; disk /d; meta-disk internal; }\n"
        for (number, site) in [self, peer].sorted(by: { $0.relay.node < $1.relay.node })
            .enumerated()
        {
            let node = site.relay.node
            text += "on \(node) { node-id \(number); address 127.0.0.1:\(site.enginePort); "
            text += "proxy on \(node) { inside 127.0.0.1:\(site.inside); "
            text += "outside 127.0.0.1:\(site.outside); } }\n"
        }
        try (text + "}\n").write(
            toFile: self.relay.configurationPath,
            atomically: true,
            encoding: .utf8
        )
    }

    func up() throws { try self.relay.command(.up(try #require(self.arguments))) }
    func down() throws {
        try self.relay.command(.down(name: try #require(self.arguments).name))
    }

    // MARK: States

    func states() throws -> ChannelStates? {
        guard let report = try self.relay.report(),
            let acceptor = ChannelState(rawValue: report.acceptor.state),
            let connector = ChannelState(rawValue: report.connector.state)
        else { return nil }
        return ChannelStates(acceptor: acceptor, connector: connector)
    }

    func await(_ acceptor: ChannelState, _ connector: ChannelState) throws {
        let wanted = ChannelStates(acceptor: acceptor, connector: connector)
        try waitFor("\(self.relay.node) \(wanted)\n\(self.relay.log)") {
            try self.states() == wanted
        }
    }

    func buffer() throws -> RelayReport.Buffer { try #require(try self.relay.report()).buffer }

    // MARK: The engine

    /// Connects as an engine does; the first packet goes out in one piece.
    func dial(_ type: ChannelType, to other: RelaySite) throws -> EngineStream {
        let near = try self.dialInside()
        try near.send(type.initialPacket)
        return EngineStream(near: near, far: try other.accept(type))
    }

    /// The relay listens while it has a place for a socket of its engine.
    func dialInside() throws -> BlockingSocket {
        var socket: BlockingSocket?
        try waitFor("\(self.relay.node) listens at inside") {
            socket = try? .connected(to: self.inside)
            return socket != nil
        }
        return try #require(socket)
    }

    /// Accepts the relay and reads the first packet.
    func accept(_ type: ChannelType) throws -> BlockingSocket {
        let socket = try #require(self.engine).accepted()
        #expect(socket.receive(exactly: 8) == type.initialPacket)
        return socket
    }

    func stopListening() {
        self.engine?.close()
        self.engine = nil
    }

    func listenAgain() throws { self.engine = try .listening(on: self.enginePort) }
}

extension ChannelType {
    /// P_INITIAL_DATA or P_INITIAL_META in DRBD's oldest header.
    var initialPacket: [UInt8] {
        [0x83, 0x74, 0x02, 0x67, 0xFF, self == .data ? 0xF2 : 0xF1, 0, 0]
    }
}
