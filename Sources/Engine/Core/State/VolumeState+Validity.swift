// SPDX-License-Identifier: Apache-2.0

package import Wire

extension VolumeState {
    /// Whether the state may be requested; the first rule that it breaks gives the code.
    ///
    /// For ``VolumeState``s that went through ``sanitized(from:in:)``. What has simply happened (a
    /// lost connection, a failed disk) is not asked.
    package func validity(in context: StateContext) -> StateChangeCode {
        self.roleFault(in: context) ?? self.replicationFault(in: context) ?? .success
    }

    private func roleFault(in context: StateContext) -> StateChangeCode? {
        if self.role == .primary, !context.allowTwoPrimaries {
            if self.peerRole == .primary { return .twoPrimaries }
            if context.peerIsPrimaryElsewhere { return .otherVolumePrimaryAtPeer }
        }
        if self.role == .secondary, context.deviceInUse { return .deviceInUse }
        guard self.role == .primary else { return nil }
        if self.connection < .connected {
            if self.disk < .upToDate { return .noUpToDateDisk }
            if context.fencing != .dontCare, self.peerDisk >= .unknown {
                return .primaryNeedsFencing
            }
        }
        if self.disk <= .inconsistent, self.peerDisk <= .inconsistent { return .noUpToDateDisk }
        return nil
    }

    private func replicationFault(in context: StateContext) -> StateChangeCode? {
        if self.connection > .connected {
            if self.disk < .inconsistent { return .noLocalDisk }
            if self.peerDisk < .inconsistent { return .noRemoteDisk }
            if self.disk < .upToDate, self.peerDisk < .upToDate { return .noUpToDateDisk }
        }
        if self.disk == .outdated, self.connection.needsCurrentDisk { return .connectedOutdates }
        if self.connection == .verifyS || self.connection == .verifyT {
            if !context.hasVerifyAlgorithm { return .noVerifyAlgorithm }
            if context.agreedVersion < 88 { return .notSupported }
        }
        if self.role == .primary, self.disk < .upToDate, self.peerDisk < .upToDate {
            return .noUpToDateDisk
        }
        if self.peerDisk == .unknown {
            if self.connection == .startingSyncS || self.connection == .startingSyncT {
                return .needConnection
            }
            if self.connection >= .connected { return .connectedOutdates }
        }
        return nil
    }
}

extension ConnectionCode {
    /// Whether a node in this state may not call its own disk Outdated.
    var needsCurrentDisk: Bool {
        switch self {
        case .connected, .wfBitMapS, .syncSource, .pausedSyncS: true
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams, .startingSyncS,
            .startingSyncT, .wfBitMapT, .wfSyncUUID, .syncTarget, .verifyS, .verifyT, .pausedSyncT,
            .ahead, .behind:
            false
        }
    }
}
