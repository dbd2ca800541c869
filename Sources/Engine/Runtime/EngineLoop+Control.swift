// SPDX-License-Identifier: Apache-2.0

package import EngineCore
import Primitives
import Reactor
package import Wire

/// What the control path asks of the loop; everything here runs on the loop's thread.
extension EngineLoop {
    /// Adds a resource without volumes; nil if the name is taken or there are too many.
    package func addResource(
        name: String,
        nodeIdentifier: UInt8,
        parameters: ResourceParameters
    ) -> Int? {
        guard self.resourceIndex(name) == nil, !self.state.pointee.resources.isFull else {
            return nil
        }
        let core = Resource(
            parameters: parameters,
            seed: UInt64.random(in: 0 ... .max)
        )
        return self.state.pointee.resources.add(
            ResourceDriver(
                name: name,
                nodeIdentifier: nodeIdentifier,
                core: core,
                readCapacity: parameters.peerRequestMaximum
            )
        )
    }

    /// Removes a resource that is Secondary, StandAlone and has no volumes.
    ///
    /// False if it is not.
    package func removeResource(_ index: Int) -> Bool {
        let resource = self.resource(index)
        guard resource.pointee.core.volumeIndices.isEmpty,
            resource.pointee.core.link == .standAlone,
            resource.pointee.attaching.isEmpty
        else { return false }
        self.closeTransport(index, peerHasEnded: true)
        self.state.pointee.resources.remove(index)
        self.refreshDirectory()
        return true
    }

    /// The place of the resource `name`; nil if there is none.
    package func resourceIndex(_ name: String) -> Int? {
        (0..<self.state.pointee.resources.end).first {
            self.state.pointee.resources.contains($0) && self.resource($0).pointee.name == name
        }
    }

    /// Adds a Diskless volume; nil if the number is in use.
    package func addVolume(
        _ index: Int,
        number: UInt16,
        minor: UInt32,
        parameters: DiskParameters
    ) -> UInt16? {
        let resource = self.resource(index)
        let volume = resource.pointee.core.addVolume(
            number: number,
            minor: minor,
            parameters: parameters,
            into: &resource.pointee.actions
        )
        self.applyActions(of: index)
        self.refreshDirectory()
        return volume
    }

    /// Removes a Diskless, Secondary volume.
    ///
    /// False if it has a disk, is Primary or is in use, or if anything that has begun is about it.
    package func removeVolume(_ index: Int, _ volume: UInt16) -> Bool {
        let isRemoved = self.resource(index).pointee.core.removeVolume(volume)
        self.refreshDirectory()
        return isRemoved
    }

    /// Options of a Diskless volume's disk, used at the next attach.
    package func setDiskParameters(_ index: Int, _ volume: UInt16, _ parameters: DiskParameters) {
        self.resource(index).pointee.core.setDiskParameters(volume, parameters)
    }

    /// Says where the peer is; used at the next connect.
    package func setPeer(_ index: Int, _ peer: PeerConfiguration?) {
        self.resource(index).pointee.peer = peer
    }

    /// The peer that is configured.
    package func peer(_ index: Int) -> PeerConfiguration? { self.resource(index).pointee.peer }

    /// Options of the connection, used at the next connect.
    package func setNetworkParameters(_ index: Int, _ parameters: NetworkParameters) {
        self.resource(index).pointee.core.setNetworkParameters(parameters)
    }

    /// Carries out a command of the administrator; `reply` is called on the loop's thread.
    package func command(
        _ index: Int,
        _ command: ResourceCommand,
        reply: @escaping @Sendable (StateChangeCode) -> Void
    ) {
        let resource = self.resource(index)
        resource.pointee.lastCommand &+= 1
        let identifier = resource.pointee.lastCommand
        resource.pointee.replies[identifier] = reply
        self.deliver(.command(identifier, command), to: index)
    }

    /// Lets go of all commands, so that nobody waits for a loop that has ended.
    func endCommands() {
        self.mailbox.close()
        let failure = AttachFailure(code: 0, text: "the engine is stopping; nothing was attached")
        for index in 0..<self.state.pointee.resources.end
        where self.state.pointee.resources.contains(index) {
            let resource = self.resource(index)
            resource.pointee.replies = [:]
            resource.pointee.attachReplies = [:]
            for progress in resource.pointee.attaching.values { progress.reply(failure) }
        }
    }

    /// What is known of a resource now.
    package func snapshot(_ index: Int) -> ResourceSnapshot {
        let resource = self.resource(index)
        return ResourceSnapshot(
            name: resource.pointee.name,
            nodeIdentifier: resource.pointee.nodeIdentifier,
            role: resource.pointee.core.role,
            link: resource.pointee.core.link,
            lastLoss: resource.pointee.core.lastLoss,
            lastHandshakeFailure: resource.pointee.core.lastHandshakeFailure,
            parameters: resource.pointee.core.parameters,
            volumes: resource.pointee.core.volumeIndices.map { volume in
                VolumeReport(
                    index: volume,
                    snapshot: resource.pointee.core.volumeSnapshot(volume),
                    dataPath: resource.pointee.volumes[volume]?.dataPath,
                    metadataPath: resource.pointee.volumes[volume]?.metadataPath
                )
            },
            peer: resource.pointee.peer,
            requestCount: resource.pointee.core.requestCount,
            unconfirmedWrites: resource.pointee.core.unconfirmedWrites
        )
    }
}

/// A resource, for status.
package struct ResourceSnapshot: Sendable {
    package var name: String
    package var nodeIdentifier: UInt8
    package var role: Role
    package var link: Link
    package var lastLoss: ConnectionLoss?
    package var lastHandshakeFailure: Handshake.Reason?
    package var parameters: ResourceParameters
    package var volumes: [VolumeReport]
    package var peer: PeerConfiguration?
    package var requestCount: Int
    package var unconfirmedWrites: Int
}

/// A volume, for status.
package struct VolumeReport: Sendable {
    package var index: UInt16
    package var snapshot: VolumeSnapshot
    package var dataPath: String?
    package var metadataPath: String?
}
