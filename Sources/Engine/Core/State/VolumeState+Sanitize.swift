// SPDX-License-Identifier: Apache-2.0

package import Wire

extension VolumeState {
    /// The state with everything added that it implies, after a change from `old`.
    ///
    /// The steps stand in the order in which the protocol's peers apply them. The result is a fixed
    /// point: to clean it again changes nothing.
    package func sanitized(from old: VolumeState, in context: StateContext) -> VolumeState {
        var new = self
        new.forgetPeerIfNotConnected()
        if new.connection > .connected, new.disk <= .failed || new.peerDisk <= .failed {
            new.connection = new.connection.withoutDisk
            new.forgetPeerIfNotConnected()
        }
        new.endNegotiation(in: context)
        // DRBD does this second; it is here because a negotiation may have ended in Diskless.
        if new.connection == .standAlone, new.disk == .diskless, new.role == .secondary {
            new.resyncPause.remove(.dependency)
        }
        new.recoverDisksWhenConnected()
        new.limitDisks()
        new.suspendIfAlone(from: old, in: context)
        new.followResyncPause()
        // Leaving a pause narrows what the disks may be: a fixed point needs the limits once more.
        new.limitDisks()
        return new
    }

    /// The window of disk states that `connection` allows.
    package static func diskLimits(
        in connection: ConnectionCode
    ) -> (disk: ClosedRange<DiskState>, peerDisk: ClosedRange<DiskState>) {
        switch connection {
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams:
            (.diskless ... .upToDate, .inconsistent ... .unknown)
        case .connected:
            (.diskless ... .upToDate, .diskless ... .upToDate)
        case .wfBitMapT, .pausedSyncT, .startingSyncT, .wfSyncUUID, .behind:
            (.inconsistent ... .outdated, .upToDate ... .upToDate)
        case .verifyS, .verifyT:
            (.upToDate ... .upToDate, .upToDate ... .upToDate)
        case .wfBitMapS, .pausedSyncS, .startingSyncS, .ahead:
            (.upToDate ... .upToDate, .inconsistent ... .consistent)
        case .syncTarget:
            (.inconsistent ... .inconsistent, .upToDate ... .upToDate)
        case .syncSource:
            (.upToDate ... .upToDate, .inconsistent ... .inconsistent)
        }
    }

    private mutating func forgetPeerIfNotConnected() {
        guard self.connection < .connected else { return }
        self.resyncPause.remove(.peer)
        self.peerRole = .unknown
        if self.peerDisk > .unknown || self.peerDisk < .inconsistent { self.peerDisk = .unknown }
    }

    private mutating func endNegotiation(in context: StateContext) {
        guard self.connection < .connected, self.disk == .negotiating else { return }
        self.disk = context.attachedDisks?.disk ?? .diskless
        self.peerDisk = context.attachedDisks?.peerDisk ?? .unknown
    }

    private mutating func recoverDisksWhenConnected() {
        guard self.connection >= .connected, self.connection < .ahead else { return }
        // A peer without data cannot say that ours is current. (DRBD 8.4 takes its word all
        // the same.)
        let isConfirmed = self.peerDisk >= .inconsistent
        if self.disk == .consistent || self.disk == .outdated && isConfirmed {
            self.disk = .upToDate
        }
        if self.peerDisk == .consistent || self.peerDisk == .outdated { self.peerDisk = .upToDate }
    }

    private mutating func limitDisks() {
        let limits = Self.diskLimits(in: self.connection)
        self.disk = min(max(self.disk, limits.disk.lowerBound), limits.disk.upperBound)
        self.peerDisk = min(
            max(self.peerDisk, limits.peerDisk.lowerBound),
            limits.peerDisk.upperBound
        )
    }

    private mutating func suspendIfAlone(from old: VolumeState, in context: StateContext) {
        if context.fencing == .resourceAndStonith, self.isAloneAndUnfenced, !old.isAloneAndUnfenced
        {
            self.suspension.insert(.fencing)
        }
        if context.suspendWithoutData, self.isWithoutData, !old.isWithoutData {
            self.suspension.insert(.noData)
        }
    }

    private mutating func followResyncPause() {
        if self.resyncPause.isEmpty {
            if self.connection == .pausedSyncS { self.connection = .syncSource }
            if self.connection == .pausedSyncT { self.connection = .syncTarget }
        } else {
            if self.connection == .syncSource { self.connection = .pausedSyncS }
            if self.connection == .syncTarget { self.connection = .pausedSyncT }
        }
    }

    private var isAloneAndUnfenced: Bool {
        self.role == .primary && self.connection < .connected && self.peerDisk > .outdated
    }

    private var isWithoutData: Bool {
        self.role == .primary && self.disk < .upToDate && self.peerDisk < .upToDate
    }
}

extension ConnectionCode {
    /// What the connection becomes when one of the disks is gone.
    ///
    /// Between the decision for a resync and its beginning the target's disk is not yet marked
    /// Inconsistent, and to be Connected would make it UpToDate. DRBD 8.4 does that; here the
    /// connection ends.
    fileprivate var withoutDisk: ConnectionCode {
        switch self {
        case .startingSyncS, .startingSyncT, .wfBitMapS, .wfBitMapT, .wfSyncUUID: .networkFailure
        case .syncSource, .syncTarget, .verifyS, .verifyT, .pausedSyncS, .pausedSyncT, .ahead,
            .behind:
            .connected
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams, .connected:
            self
        }
    }
}
