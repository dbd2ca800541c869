// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// Volumes of a connection that stands and that, as far as this node knows, the peer does not have.
///
/// The peer skips what it is told of a volume that it does not know, and says nothing. Such a
/// volume waits in WFConnection: its disk may be attached and it may be promoted as without a
/// connection. Whichever node gets the volume second tells the first one so; both then go through
/// the volume's part of the handshake.
extension Resource {
    /// Whether the connection stands and the peer has not spoken of the volume.
    private func isUnshared(_ index: UInt16) -> Bool {
        self.isEstablished && self.volumes[index].state.connection == .wfConnection
    }

    /// Sends what a peer that has the volume needs to know of it.
    mutating func tellOfVolume(_ index: UInt16) {
        let hasDisk = self.volumes[index].state.disk >= .negotiating
        self.sendSyncParameters(index)
        self.sendSizes(index)
        if hasDisk { self.sendGenerations(index) }
        self.sendState(index)
        self.volumes[index].toldOfDisk = hasDisk
    }

    /// The peer has had its time to speak of each volume that it has.
    mutating func volumesTimedOut(at now: Instant) {
        guard self.volumesDeadline <= now else { return }
        self.volumesDeadline = .distantFuture
        for index in self.volumes.indices
        where self.volumes[index].state.connection == .wfReportParams {
            self.volumes[index].handshakeRunning = false
            self.change(index, StateChange(connection: .wfConnection), at: now)
        }
    }

    /// The peer has a volume that it seemed not to have: begins the volume's handshake.
    ///
    /// A disk that was attached after the peer had been told that there is none is Negotiating, so
    /// that the peer compares the data once more. One that is in use cannot be: then both nodes
    /// compare in a new connection, and this returns false.
    mutating func joinIfUnshared(
        _ index: UInt16,
        _ report: PeerStateReport,
        at now: Instant
    ) -> Bool {
        guard self.isUnshared(index) else { return true }
        let state = self.volumes[index].state
        if state.disk > .negotiating, !self.volumes[index].toldOfDisk, report.disk >= .negotiating {
            guard state.role == .secondary else {
                self.closeConnection(
                    .networkFailure(.volumeAppeared(self.volumes[index].number)),
                    at: now
                )
                return false
            }
            self.joinNegotiating(index, at: now)
            return true
        }
        self.sendVolumeHandshake(index, at: now)
        return true
    }

    private mutating func joinNegotiating(_ index: UInt16, at now: Instant) {
        let state = self.volumes[index].state
        self.volumes[index].attachedDisks = StateContext.AttachedDisks(
            disk: state.disk,
            peerDisk: state.peerDisk
        )
        self.change(index, StateChange(connection: .wfReportParams), at: now)
        self.change(
            index,
            StateChange(connection: .connected, disk: .negotiating, peerDisk: .diskless),
            at: now
        )
        self.tellOfVolume(index)
    }
}

extension PeerStateReport {
    /// Whether the peer speaks of a volume that it has had no word of in this connection.
    var isOfUnsharedVolume: Bool { self.connection < .connected && self.disk < .negotiating }
}
