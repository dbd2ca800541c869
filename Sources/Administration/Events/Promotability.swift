// SPDX-License-Identifier: Apache-2.0

import Wire

/// Whether and how well a node can become Primary, as cluster managers look for in events.
///
/// Source: `reference/drbd-metadata.md` §9.3.
package struct Promotability: Sendable, Hashable {
    /// Whether nobody is Primary and UpToDate data can be reached for every volume.
    package let mayPromote: Bool
    /// 10000 if every volume has a disk, 100 for each own UpToDate disk, 1 for each replica.
    package let score: Int

    /// The promotability of this node for `resource`.
    package init(_ resource: ResourceStatus) {
        let replicas = resource.devices.map { Self.upToDateReplicas(of: $0, in: resource) }
        guard let fewest = replicas.min(), fewest > 0,
            resource.devices.allSatisfy(\.hasQuorum)
        else {
            self.mayPromote = false
            self.score = 0
            return
        }
        let hasDisks = resource.devices.allSatisfy {
            switch $0.disk {
            case .upToDate, .consistent, .inconsistent: true
            case .diskless, .attaching, .failed, .negotiating, .outdated, .unknown: false
            }
        }
        let ownUpToDate = resource.devices.count { $0.disk == .upToDate }
        self.score = (hasDisks ? 10_000 : 0) + 100 * min(99, ownUpToDate) + min(99, fewest)
        let hasPrimary =
            resource.role == .primary || resource.connections.contains { $0.peerRole == .primary }
        self.mayPromote =
            !hasPrimary
            && resource.devices.allSatisfy {
                $0.disk == .upToDate || Self.hasStablePeer($0, in: resource)
            }
    }

    private static func upToDateReplicas(of device: DeviceStatus, in resource: ResourceStatus)
        -> Int
    {
        let peers = resource.connections.count { connection in
            connection.peerDevices.contains {
                $0.volume == device.volume && $0.disk == .upToDate
            }
        }
        return peers + (device.disk == .upToDate ? 1 : 0)
    }

    /// Whether a peer with UpToDate data is connected and takes part in replication.
    private static func hasStablePeer(_ device: DeviceStatus, in resource: ResourceStatus) -> Bool {
        resource.connections.contains { connection in
            connection.state == .connected
                && connection.peerDevices.contains {
                    $0.volume == device.volume && $0.disk == .upToDate && $0.replication != .off
                }
        }
    }
}
