// SPDX-License-Identifier: Apache-2.0

/// The one-word answers of `role`, `cstate` and `dstate`.
package enum StateQuery {
    /// The own role.
    package static func role(_ resource: ResourceStatus) -> String { resource.role.text }

    /// The state of the connection to a peer; nil if there is none.
    package static func connectionState(_ resource: ResourceStatus, peerNodeID: Int) -> String? {
        resource.connections.first { $0.peerNodeID == peerNodeID }?.state.rawValue
    }

    /// The own disk state and then every peer's, joined by slashes; nil if nobody has `minor`.
    package static func diskStates(_ resources: [ResourceStatus], minor: Int) -> String? {
        for resource in resources {
            guard let device = resource.devices.first(where: { $0.minor == minor }) else {
                continue
            }
            let peers = resource.connections.compactMap { connection in
                connection.peerDevices.first { $0.volume == device.volume }?.disk.text
            }
            return ([device.disk.text] + peers).joined(separator: "/")
        }
        return nil
    }
}
