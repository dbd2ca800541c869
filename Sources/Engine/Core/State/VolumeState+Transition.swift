// SPDX-License-Identifier: Apache-2.0

package import Wire

extension VolumeState {
    /// Whether `new` may follow at all, even as a fact.
    package func hardTransition(to new: VolumeState) -> StateChangeCode {
        if new == self { return .nothingToDo }
        let order = self.connection.order(to: new.connection)
        guard order.isSuccess else { return order }
        if self.disk == .diskless, new.disk == .failed { return .isDiskless }
        return .success
    }

    /// Whether `new` may follow on request; asked after ``hardTransition(to:)``.
    package func softTransition(
        to new: VolumeState,
        in context: StateContext
    ) -> StateChangeCode {
        self.connectionFault(to: new)
            ?? self.diskFault(to: new)
            ?? self.transientFault(to: new, in: context)
            ?? self.resyncFault(to: new)
            ?? .success
    }

    private func connectionFault(to new: VolumeState) -> StateChangeCode? {
        let from = self.connection
        let into = new.connection
        if into.isStartingSync, from > .connected { return .resyncRunning }
        // The window of the new state would raise the source's disk to UpToDate.
        if from == .connected {
            if into == .startingSyncS, self.disk < .upToDate { return .noUpToDateDisk }
            if into == .startingSyncT, self.peerDisk < .upToDate { return .noUpToDateDisk }
        }
        if into == .disconnecting, from == .standAlone { return .alreadyStandAlone }
        if into == .wfConnection, from < .unconnected { return .noNetConfiguration }
        if into == .disconnecting, from == .unconnected { return .inTransientState }
        return nil
    }

    private func diskFault(to new: VolumeState) -> StateChangeCode? {
        if self.disk == .diskless, new.disk > .attaching { return .isDiskless }
        // A disk that is being attached may turn out to be Inconsistent.
        if new.disk == .outdated, self.disk < .outdated { return .lowerThanOutdated }
        return nil
    }

    private func transientFault(
        to new: VolumeState,
        in context: StateContext
    ) -> StateChangeCode? {
        if context.handshakeRunning, !self.continuesHandshake(to: new) { return .inTransientState }
        let connectionIsSettling =
            new.connection <= .wfSyncUUID || new.connection != self.connection
        if self.role != .primary, new.role == .primary, new.peerDisk == .upToDate,
            new.disk != .upToDate, new.disk != .diskless, connectionIsSettling
        {
            return .inTransientState
        }
        return nil
    }

    private func resyncFault(to new: VolumeState) -> StateChangeCode? {
        let from = self.connection
        let into = new.connection
        if into == .verifyS || into == .verifyT {
            if from < .connected { return .needConnection }
            if from > .connected, from != into { return .resyncRunning }
        }
        if into.isStartingSync, from < .connected { return .needConnection }
        if into == .syncSource || into == .syncTarget, from < .wfReportParams {
            return .needConnection
        }
        if into == .disconnecting, new.peerDisk == .outdated, from < .connected,
            self.peerDisk > .outdated
        {
            return .outdateWithoutConnection
        }
        return nil
    }

    private func continuesHandshake(to new: VolumeState) -> Bool {
        switch self.connection {
        case .wfConnection: new.connection == .wfReportParams
        case .wfReportParams: new.connection >= .connected
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .connected, .startingSyncS, .startingSyncT, .wfBitMapS,
            .wfBitMapT, .wfSyncUUID, .syncSource, .syncTarget, .verifyS, .verifyT, .pausedSyncS,
            .pausedSyncT, .ahead, .behind:
            false
        }
    }
}

extension ConnectionCode {
    /// Whether `new` may follow, looking at nothing but the connection.
    func order(to new: ConnectionCode) -> StateChangeCode {
        if new == self { return .success }
        switch self {
        case .standAlone:
            if new == .disconnecting { return .alreadyStandAlone }
            return new == .unconnected ? .success : .needConnection
        case .disconnecting:
            return new == .standAlone ? .success : .inTransientState
        case .timeout, .brokenPipe, .networkFailure, .protocolError, .tearDown:
            return new == .unconnected || new == .disconnecting ? .success : .inTransientState
        case .unconnected, .wfConnection:
            return new >= .connected ? .needConnection : .success
        case .wfReportParams, .connected, .startingSyncS, .startingSyncT, .wfBitMapS, .wfBitMapT,
            .wfSyncUUID, .syncSource, .syncTarget, .verifyS, .verifyT, .pausedSyncS, .pausedSyncT,
            .ahead, .behind:
            return .success
        }
    }

    /// Whether a full resync was just requested.
    var isStartingSync: Bool { self == .startingSyncS || self == .startingSyncT }

    /// Whether a resync is running or paused, verify included.
    package var isResyncing: Bool { self >= .syncSource && self <= .pausedSyncT }
}
