// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// The part of the handshake that belongs to a volume, and the peer's later reports of its state.
///
/// Each side decides about the data on its own when the other's P_STATE arrives; both come to
/// mirrored results, because they use the same inputs.
extension Resource {
    /// Sends what the peer needs to know of every volume.
    ///
    /// Neither side waits for the other.
    mutating func sendVolumeHandshakes(at now: Instant) {
        for index in self.volumes.indices { self.sendVolumeHandshake(index, at: now) }
    }

    mutating func sendVolumeHandshake(_ index: UInt16, at now: Instant) {
        self.tellOfVolume(index)
        self.volumes[index].handshakeRunning = true
        self.volumes[index].hasPeersMarks = false
        self.change(index, StateChange(connection: .wfReportParams), at: now)
    }

    mutating func receiveState(_ index: UInt16, _ report: PeerStateReport, at now: Instant) {
        guard self.volumes[index].state.connection > .tearDown,
            self.joinIfUnshared(index, report, at: now)
        else { return }
        let old = self.volumes[index].state
        let realDisk = self.realPeerDisk(index, report)
        if realDisk < .inconsistent, self.needsPeerToAttach(index) {
            self.diskIsOutOfDate(index, at: now)
            return self.receiveState(index, report, at: now)
        }
        guard self.mayServe(index, realDisk) else {
            return self.closeConnection(.refused(.data(.otherDataExposed)), at: now)
        }
        if self.isEndOfResync(index, report, realDisk) {
            return self.sourceSeesEndOfResync(index, report, at: now)
        }
        var new = StateChange(peerRole: report.role, peerDisk: realDisk)
        new.pausedByPeer = report.pausesResync
        if old.peerDisk == .upToDate, old.connection == .connected, realDisk == .inconsistent,
            report.connection > .syncSource
        {
            new.peerDisk = .upToDate
        }
        var connection = old.connection == .wfReportParams ? .connected : old.connection
        if old.connection == .syncSource || old.connection == .pausedSyncS,
            report.connection == .connected, realDisk == .inconsistent
        {
            // The target has given up some blocks.
            connection = .connected
        }
        if report.connection == .ahead { connection = .behind }
        var decidedResync = false
        if self.mustCompare(index, report, realDisk) {
            switch self.decide(index, report, realDisk, at: now) {
            case .proceed(let decided):
                connection = decided
                decidedResync = decided > .connected
            case .stop: return
            case .ignorePeerDisk: new.peerDisk = .diskless
            }
        }
        if old.disk == .negotiating, connection == .connected || connection == .wfBitMapS {
            new.disk = self.volumes[index].attachedDisks?.disk ?? .diskless
        }
        new.connection = connection
        self.applyReport(index, new, report, from: old, decidedResync: decidedResync, at: now)
    }

    private mutating func applyReport(
        _ index: UInt16,
        _ new: StateChange,
        _ report: PeerStateReport,
        from old: VolumeState,
        decidedResync: Bool,
        at now: Instant
    ) {
        let next = old.applying(new).sanitized(from: old, in: self.stateContext(index))
        let validity = next.validity(in: self.validityContext(index))
        guard validity.isSuccess || !self.endsConnection(validity, index) else {
            return self.closeConnection(.refused(.invalidState(validity)), at: now)
        }
        self.volumes[index].handshakeRunning = false
        if old.connection > .wfReportParams, decidedResync, report.connection <= .connected,
            report.disk != .negotiating
        {
            // So that the peer compares, too, and the same sets.
            self.sendGenerations(index, self.volumes[index].generationsBeforeRepair)
            self.sendState(index, as: next)
        } else if old.connection == .wfReportParams, next.connection >= .connected {
            self.sendState(index, as: next)
        } else if old.peerDisk <= .failed, report.disk == .negotiating {
            self.sendGenerations(index, self.volumes[index].generationsBeforeRepair)
            self.sendState(index, as: next)
        } else if old.connection >= .connected, report.isOfUnsharedVolume {
            self.sendSizes(index)
            if next.disk >= .negotiating { self.sendGenerations(index) }
            self.sendState(index, as: next)
        }
        self.change(index, new, at: now)
        self.volumes[index].generationsBeforeRepair = nil
        self.volumes[index].discardsData = false
    }

    /// A report is a fact, but two Primaries must not stay connected.
    private func endsConnection(_ code: StateChangeCode, _ index: UInt16) -> Bool {
        code == .twoPrimaries || code == .otherVolumePrimaryAtPeer
            || self.volumes[index].state.connection <= .wfReportParams
    }

    private func validityContext(_ index: UInt16) -> StateContext {
        var context = self.stateContext(index)
        context.deviceInUse = false
        return context
    }

    /// Whether the peer's disk, which may become UpToDate now, has what the application of this
    /// node saw when its own disk was lost.
    private func mayServe(_ index: UInt16, _ peerDisk: DiskState) -> Bool {
        let state = self.volumes[index].state
        guard state.role == .primary, state.disk < .consistent, peerDisk >= .consistent,
            state.peerDisk < .consistent, !self.volumes[index].exposedGeneration.isEmpty,
            let peer = self.volumes[index].peerGenerations
        else { return true }
        return self.volumes[index].exposedGeneration.names(peer.generations.current)
    }

    /// While the peer attaches, its word is Negotiating; its metadata says what that will be.
    private func realPeerDisk(_ index: UInt16, _ report: PeerStateReport) -> DiskState {
        guard report.disk == .negotiating else { return report.disk }
        return self.volumes[index].peerGenerations?.isInconsistent == true
            ? .inconsistent : .consistent
    }

    private func mustCompare(
        _ index: UInt16,
        _ report: PeerStateReport,
        _ realDisk: DiskState
    ) -> Bool {
        let state = self.volumes[index].state
        guard self.volumes[index].peerGenerations != nil, report.disk >= .negotiating,
            state.disk >= .negotiating
        else { return false }
        if state.connection < .connected { return true }
        guard state.connection == .connected else { return false }
        // Two attaches that cross each other: neither side has seen the other one Negotiating.
        if state.peerDisk <= .failed, report.disk >= .inconsistent { return true }
        return report.disk == .negotiating || state.disk == .negotiating
            || self.volumes[index].considersResync
            || report.connection >= .startingSyncS && report.connection <= .wfBitMapT
    }

    private enum Comparison {
        case proceed(ConnectionCode)
        case ignorePeerDisk
        case stop
    }

    private mutating func decide(
        _ index: UInt16,
        _ report: PeerStateReport,
        _ realDisk: DiskState,
        at now: Instant
    ) -> Comparison {
        guard let peer = self.volumes[index].peerGenerations else { return .proceed(.connected) }
        // Not by a report that was on its way before the promotion.
        if realDisk == .upToDate { self.volumes[index].considersResync = false }
        let plan = self.syncPlan(index, report, realDisk, peer)
        self.volumes[index].lastPlan = plan
        switch plan.comparison.repair {
        case .none: break
        case .own(let generations):
            self.volumes[index].generationsBeforeRepair = self.volumes[index].generations
            self.volumes[index].generations = generations
            self.persist(index)
        case .peer(let generations):
            self.volumes[index].peerGenerations?.generations = generations
        }
        switch plan.decision {
        case .none: return .proceed(.connected)
        case .source(let full):
            if full { self.setAllOutOfSync(index) }
            return .proceed(.wfBitMapS)
        case .target(let full):
            if full { self.setAllOutOfSync(index) }
            return .proceed(.wfBitMapT)
        case .fail(let refusal):
            return self.comparisonFailed(index, report, refusal, at: now)
        }
    }

    private func syncPlan(
        _ index: UInt16,
        _ report: PeerStateReport,
        _ realDisk: DiskState,
        _ peer: PeerGenerations
    ) -> SyncPlan {
        let state = self.volumes[index].state
        let ownDisk =
            state.disk == .negotiating
            ? self.volumes[index].attachedDisks?.disk ?? .inconsistent : state.disk
        // A node that detached while Primary and attaches again may become target.
        let ownRole = state.disk == .negotiating ? Role.secondary : state.role
        let terms = SyncTerms(
            resolveConflicts: self.resolvesConflicts,
            version: self.agreedVersion,
            writeSame: self.agreedWriteSame
        )
        return SyncPlan(
            own: SyncSide(
                comparison: ComparisonSide(
                    generations: self.volumes[index].generations,
                    crashedPrimary: self.volumes[index].crashedPrimary,
                    role: ownRole
                ),
                disk: ownDisk,
                discardsData: self.volumes[index].discardsData
            ),
            peer: SyncSide(
                comparison: ComparisonSide(
                    generations: peer.generations,
                    crashedPrimary: peer.crashedPrimary,
                    role: report.disk == .negotiating ? .secondary : report.role
                ),
                disk: realDisk,
                discardsData: peer.discardsData
            ),
            terms: terms
        )
    }

    private mutating func comparisonFailed(
        _ index: UInt16,
        _ report: PeerStateReport,
        _ refusal: SyncRefusal,
        at now: Instant
    ) -> Comparison {
        if self.volumes[index].state.disk == .negotiating {
            self.volumes[index].diskEnd = .refused(refusal)
            self.change(index, StateChange(disk: .failed), at: now)
            return .stop
        }
        if report.disk == .negotiating { return .ignorePeerDisk }
        self.closeConnection(.refused(.data(refusal)), at: now)
        return .stop
    }

    // MARK: End of a resync, seen by its source

    private func isEndOfResync(
        _ index: UInt16,
        _ report: PeerStateReport,
        _ realDisk: DiskState
    ) -> Bool {
        let state = self.volumes[index].state
        return state.peerDisk >= .inconsistent && state.peerDisk != .upToDate
            && realDisk == .upToDate && state.connection >= .syncSource
            && state.connection < .ahead && report.connection < .syncSource
            && state.disk == .upToDate && report.connection == .connected
    }
}
