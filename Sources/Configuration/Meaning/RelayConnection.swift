// SPDX-License-Identifier: Apache-2.0

/// One connection as the relay of one side carries it.
package struct RelayConnection: Hashable, Sendable {
    /// `RESOURCE-PEERRELAY-OWNRELAY`, the same on both sides with the ends swapped.
    package var name: String
    /// The resource.
    package var resource: String
    /// The machines of the other relay, and of this one.
    package var peerHosts: [String]
    package var ownHosts: [String]
    /// Where the own engine's connections are accepted.
    package var inside: SocketAddress
    /// Where the other relay's connections are accepted.
    package var outside: SocketAddress
    /// Where the other relay is reached.
    package var peerOutside: SocketAddress
    /// Where the own engine is reached.
    package var engine: SocketAddress
    /// Options and plugins, inheritance done.
    package var settings: ProxySection
}

extension Configuration {
    /// The connections that the relay on the machine called `node` carries.
    ///
    /// - Throws: `Diagnostic` if a resource contradicts itself.
    package func relayConnections(on node: String) throws(Diagnostic) -> [RelayConnection] {
        var result: [RelayConnection] = []
        for resource in self.resources {
            for connection in try self.expanded(resource).connections {
                for path in connection.paths where path.endpoints.count == 2 {
                    let ends = path.endpoints
                    for (own, peer) in [(ends[0], ends[1]), (ends[1], ends[0])] {
                        guard let relay = own.proxy, let other = peer.proxy,
                            relay.hosts.contains(where: { HostName.matches($0, node) }),
                            let inside = relay.inside, let outside = relay.outside,
                            let peerOutside = other.publicOutside ?? other.outside,
                            let engine = own.address
                        else { continue }
                        let hosts = [other.hosts, relay.hosts].map { $0.joined(separator: "_") }
                        result.append(
                            RelayConnection(
                                name: ([resource.name] + hosts).joined(separator: "-"),
                                resource: resource.name,
                                peerHosts: other.hosts,
                                ownHosts: relay.hosts,
                                inside: inside,
                                outside: outside,
                                peerOutside: peerOutside,
                                engine: engine,
                                settings: relay.settings
                            )
                        )
                    }
                }
            }
        }
        return result
    }
}
