// SPDX-License-Identifier: Apache-2.0

/// What names a connection on both relays.
package struct ConnectionName: Hashable, Sendable {
    package var resource: String
    /// The nodes of the other site; several share an address that moves between them.
    package var peerNodes: [String]
    /// The nodes of this site.
    package var ownNodes: [String]

    /// Creates a name.
    package init(resource: String, peerNodes: [String], ownNodes: [String]) {
        self.resource = resource
        self.peerNodes = peerNodes
        self.ownNodes = ownNodes
    }

    /// The name as status and commands have it: resource, peers, own nodes.
    package var text: String {
        let peers = self.peerNodes.joined(separator: "_")
        let own = self.ownNodes.joined(separator: "_")
        return "\(self.resource)-\(peers)-\(own)"
    }
}
