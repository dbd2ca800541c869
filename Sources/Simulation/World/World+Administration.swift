// SPDX-License-Identifier: Apache-2.0

package import EngineCore
package import Primitives
package import Wire

/// What an administrator does and sees.
extension World {
    /// Starts both nodes.
    package func start() {
        for node in self.nodes { node.start() }
        self.run(for: .milliseconds(100))
    }

    /// Has both nodes look for each other and waits until each volume is past the handshake.
    package func connect(discardingDataOf loser: Int? = nil) {
        for node in self.nodes {
            _ = self.carryOut(.connect(discardMyData: node.number == loser), on: node.number)
        }
        self.run("connected") { self.isConnected }
    }

    /// Gives a command and waits for its answer.
    @discardableResult
    package func carryOut(_ command: ResourceCommand, on node: Int) -> StateChangeCode {
        self.note("node \(node): \(command)")
        let identifier = self.nodes[node].command(command)
        self.run("answer to \(command) on node \(node)") {
            self.nodes[node].replies[identifier] != nil
        }
        self.note(
            "node \(node): \(command) -> "
                + (self.nodes[node].replies[identifier].map { "\($0)" } ?? "-")
        )
        return self.nodes[node].replies[identifier] ?? .unknownError
    }

    /// Whether every volume of both nodes is past the handshake.
    package var isConnected: Bool {
        self.nodes.allSatisfy { node in
            node.isUp && node.core.link == .established
                && node.core.volumeIndices.allSatisfy {
                    node.core.volumeSnapshot($0).state.connection >= .connected
                }
        }
    }

    /// Whether both nodes are connected, UpToDate, have nothing in flight and no bits set.
    package var isQuiet: Bool {
        self.nodes.allSatisfy { node in
            node.isUp && node.core.link == .established && node.core.requestCount == 0
                && node.completions.isEmpty
                && node.core.volumeIndices.allSatisfy {
                    let volume = node.core.volumeSnapshot($0)
                    return volume.state.connection == .connected && volume.state.disk == .upToDate
                        && volume.state.peerDisk == .upToDate && volume.outOfSyncBits == 0
                        && volume.operationsInFlight == 0
                }
        }
    }

    /// Waits until the nodes have nothing more to do, then compares their disks.
    package func settle(within limit: TimeSpan = .seconds(120)) {
        guard self.run("connected, UpToDate and idle", within: limit, until: { self.isQuiet })
        else {
            return
        }
        for volume in self.configuration.volumes.indices {
            let sectors = self.configuration.volumes[volume]
            self.nodes[0].disks[volume].data.current.forEachDifference(
                from: self.nodes[1].disks[volume].data.current,
                below: sectors
            ) { sector, one, two in
                self.violated(
                    "convergence: volume \(volume) sector \(sector) is \(one) and \(two)"
                )
                return false
            }
        }
    }

    /// Whether both nodes have an end of the same connection.
    var shareTransport: Bool {
        self.nodes[0].transport != nil && self.nodes[0].transport === self.nodes[1].transport
    }

    /// Whether completed writes of `node` are at its peer, too, as far as the protocol says.
    package func isReplicating(_ node: Int, _ volume: UInt16) -> Bool {
        guard self.nodes[node].isUp else { return false }
        return self.state(node, volume).peerDisk == .upToDate
            && self.state(node, volume).connection >= .connected
    }

    /// The state of a volume; that of a Diskless one while it is not configured.
    package func state(_ node: Int, _ volume: UInt16 = 0) -> VolumeState {
        guard self.nodes[node].core.volumeIndex(ofNumber: volume) != nil else {
            return VolumeState()
        }
        return self.nodes[node].core.volumeSnapshot(volume).state
    }
}
