// SPDX-License-Identifier: Apache-2.0

package import Wire

/// Whether two relays are configured alike; decided before any stream.
package struct BridgeAgreement: Hashable, Sendable {
    package var name: ConnectionName
    /// The plugins in the order of the configuration.
    package var plugins: [Plugin]
    /// The random number that this relay has drawn at its start.
    package var incarnation: UInt64

    /// Creates the rules of one connection.
    package init(name: ConnectionName, plugins: [Plugin], incarnation: UInt64) {
        self.name = name
        self.plugins = plugins
        self.incarnation = incarnation
    }

    /// What a connector says first.
    package func hello(lane: LaneID) -> BridgeHello {
        BridgeHello(
            lane: lane.index,
            incarnation: self.incarnation,
            resource: self.name.resource,
            fromNode: self.name.ownNodes.joined(separator: "_"),
            toNode: self.name.peerNodes.joined(separator: "_"),
            plugins: self.plugins
        )
    }

    /// Whether `hello` is for this connection; several may share an address.
    package func isMeant(by hello: BridgeHello) -> Bool {
        hello.resource == self.name.resource
            && hello.fromNode == self.name.peerNodes.joined(separator: "_")
            && hello.toNode == self.name.ownNodes.joined(separator: "_")
    }

    /// What an acceptor answers to a hello that is meant for this connection.
    package func answer(_ hello: BridgeHello) -> Result<BridgeWelcome, BridgeRefusal> {
        let ours = BridgeLimits.versions
        let theirs = hello.versions
        guard hello.incarnation != self.incarnation else {
            return .failure(Self.dialledItself(self.name))
        }
        guard ours.overlaps(theirs) else {
            return .failure(
                BridgeRefusal(
                    code: .version,
                    text: "connection \(self.name.text): relay \(hello.fromNode) speaks bridge"
                        + " protocol \(theirs.lowerBound) to \(theirs.upperBound), relay"
                        + " \(hello.toNode) \(ours.lowerBound) to \(ours.upperBound); update the"
                        + " older one"
                )
            )
        }
        guard hello.plugins == self.plugins else {
            return .failure(
                BridgeRefusal(
                    code: .plugins,
                    text: "connection \(self.name.text): the plugin lists differ, they must be"
                        + " identical: on \(hello.fromNode) \(hello.plugins.text), on"
                        + " \(hello.toNode) \(self.plugins.text)"
                )
            )
        }
        let version = min(ours.upperBound, theirs.upperBound)
        return .success(BridgeWelcome(version: version, incarnation: self.incarnation))
    }

    /// Whether a connector can work with the answer; nil if it can.
    package func objection(to welcome: BridgeWelcome) -> BridgeRefusal? {
        if welcome.incarnation == self.incarnation { return Self.dialledItself(self.name) }
        if BridgeLimits.versions.contains(welcome.version) { return nil }
        return BridgeRefusal(
            code: .version,
            text: "connection \(self.name.text): the remote relay chose bridge protocol"
                + " \(welcome.version), which was not offered: this is likely a bug in it"
        )
    }

    /// What a relay answers to a hello for which it has no connection.
    package static func unknown(_ hello: BridgeHello) -> BridgeRefusal {
        BridgeRefusal(
            code: .unknownConnection,
            text: "relay \(hello.toNode) has no connection of resource \(hello.resource) with"
                + " \(hello.fromNode); is it up there, and do both sides use the same names?"
        )
    }

    private static func dialledItself(_ name: ConnectionName) -> BridgeRefusal {
        BridgeRefusal(
            code: .ownRelay,
            text: "connection \(name.text): a relay dialled itself; the remote outside address"
                + " must be that of the other site"
        )
    }
}

extension BridgeRefusal: Error {}
