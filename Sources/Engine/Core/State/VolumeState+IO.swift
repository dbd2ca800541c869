// SPDX-License-Identifier: Apache-2.0

import Wire

/// Whether a client's request may start.
package enum Admission: Hashable, Sendable, BitwiseCopyable {
    /// It starts now.
    case accepted
    /// It waits until the state changes.
    case held
    /// It is answered with an error: this node is not Primary.
    case refused
}

/// What the peer learns of a client's write.
package enum WriteReplication: Hashable, Sendable, BitwiseCopyable {
    /// The data.
    case data
    /// That the blocks differ now (P_OUT_OF_SYNC); our bits are set.
    case outOfSyncNotice
    /// Nothing; our bits are set.
    case none
}

extension VolumeState {
    /// Whether a client's request may start in this state.
    package func admission(agreedVersion: UInt32) -> Admission {
        guard self.role == .primary else { return .refused }
        guard self.suspension.isEmpty else { return .held }
        switch self.disk {
        case .attaching, .negotiating: return .held
        case .diskless, .failed, .inconsistent, .outdated, .unknown, .consistent, .upToDate: break
        }
        switch self.connection {
        // Starting: the full resync has a name already that stands for the data as it was.
        case .startingSyncS, .wfBitMapT, .wfSyncUUID: return .held
        case .wfBitMapS: return agreedVersion < 96 ? .held : .accepted
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams, .connected, .startingSyncT,
            .syncSource, .syncTarget, .verifyS, .verifyT, .pausedSyncS,
            .pausedSyncT, .ahead, .behind:
            return .accepted
        }
    }

    /// What the peer is told of a write that starts in this state.
    package func replication(agreedVersion: UInt32) -> WriteReplication {
        if self.peerDisk == .upToDate { return .data }
        if self.peerDisk >= .inconsistent, self.connection >= .wfBitMapT, self.connection < .ahead {
            return .data
        }
        if self.connection == .ahead { return .outOfSyncNotice }
        if self.connection == .wfBitMapS, agreedVersion >= 96 { return .outOfSyncNotice }
        return .none
    }

    /// Whether acknowledged blocks of a write that is sent in this state may leave the bitmaps
    /// (DP_MAY_SET_IN_SYNC).
    package var writeMaySetInSync: Bool { self.connection.isResyncing }
}
