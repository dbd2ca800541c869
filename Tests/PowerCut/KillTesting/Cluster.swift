// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import LinkSimulation
import Primitives
import TestSupport
import Wire

/// How the two nodes of a test are connected.
package enum Wiring: String, CaseIterable, Sendable {
    /// Engine, link, engine.
    case direct
    /// Engine, link, relay, slow link, relay, engine.
    case relayed
}

/// Two nodes with everything between them.
///
///     relayed: alpha ── meter ── relay ══ wide-area link ══ relay ── beta
///     direct:  alpha ── meter ── beta
///
/// The meter is a link without delay that counts the packets of the replication: behind a relay
/// they are compressed, and no link can see what they are.
final class Cluster {
    let engines: [EngineProcess]
    /// None if the nodes are wired directly.
    let relays: [RelayProcess]
    let meter: LinkThread
    /// Nil if the nodes are wired directly.
    let wideAreaLink: LinkThread?

    /// Lays out both sites below `folder`; nothing runs yet but the links.
    init(_ programs: Programs, _ wiring: Wiring, folder: String) throws {
        let ports = try (0...1).map { _ in try freePort() }
        let peerPorts: [UInt16]
        switch wiring {
        case .direct:
            self.meter = try LinkThread(towards: ports)
            self.wideAreaLink = nil
            self.relays = []
            peerPorts = [self.meter.ports[1], self.meter.ports[0]]
        case .relayed:
            let inside = try (0...1).map { _ in try freePort() }
            let outside = try (0...1).map { _ in try freePort() }
            let meter = try LinkThread(towards: [ports[0], inside[0]])
            let wideAreaLink = try LinkThread(towards: outside, Self.wideArea)
            self.meter = meter
            self.wideAreaLink = wideAreaLink
            self.relays = try (0...1).map { site in
                try RelayProcess(
                    programs,
                    site: EngineProcess.names[site],
                    folder: folder,
                    Self.arguments(
                        site: site,
                        inside: inside[site],
                        outside: outside[site],
                        peerOutside: wideAreaLink.ports[1 - site],
                        engine: site == 0 ? meter.ports[0] : ports[1]
                    )
                )
            }
            peerPorts = [meter.ports[1], inside[1]]
        }
        self.engines = try (0...1).map { site in
            try EngineProcess(
                programs,
                nodeID: site,
                folder: folder,
                port: ports[site],
                peerPort: peerPorts[site]
            )
        }
    }

    /// Between the sites: fast enough not to be what the load waits for.
    private static var wideArea: LinkSettings {
        LinkSettings(
            delay: .milliseconds(2),
            jitter: .milliseconds(1),
            rate: 400_000_000
        )
    }

    private static func arguments(
        site: Int,
        inside: UInt16,
        outside: UInt16,
        peerOutside: UInt16,
        engine: UInt16
    ) -> RelayArguments {
        let (own, peer) = (EngineProcess.names[site], EngineProcess.names[1 - site])
        let address = { RelayArguments.Address(host: "127.0.0.1", port: $0) }
        var arguments = RelayArguments(
            name: "r0-\(peer)-\(own)",
            resource: "r0",
            peerNodes: [peer],
            ownNodes: [own],
            inside: address(inside),
            outside: address(outside),
            peerOutside: address(peerOutside),
            engine: address(engine),
            memoryLimit: 64 << 20
        )
        arguments.steps = [RelayArguments.Step(algorithm: "zstd", level: 1)]
        return arguments
    }

    /// Kills whatever runs.
    func killAll() {
        for engine in self.engines { try? engine.kill() }
        for relay in self.relays { try? relay.kill() }
    }

    /// The 4 KiB blocks in which the data files differ; no engine may run.
    func difference() throws -> BlockSet {
        try DataFiles.difference(
            self.engines[0].dataPath,
            self.engines[1].dataPath,
            byteCount: TaggedArea.byteCount
        )
    }

    /// Whether both disks are UpToDate and replicate.
    func areUpToDate() throws -> Bool {
        try self.engines.allSatisfy { engine in
            let state = try engine.state()
            return state.disk == .upToDate && state.peerDisk == .upToDate
                && state.replication == .established
        }
    }
}
