// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Testing
import Wire

@Suite struct ClusterWideTests {
    private static let connected = VolumeState(
        peerRole: .secondary,
        connection: .connected,
        disk: .upToDate,
        peerDisk: .upToDate
    )

    private func kind(_ change: StateChange, version: UInt32 = 101) -> ClusterWideChange? {
        let old = Self.connected
        return ClusterWideChange(from: old, to: old.applying(change), version: version)
    }

    @Test func `knows which changes need the peer`() {
        #expect(self.kind(StateChange(role: .primary)) == .promote)
        #expect(self.kind(StateChange(connection: .startingSyncT)) == .invalidate)
        #expect(self.kind(StateChange(connection: .startingSyncS)) == .invalidateRemote)
        #expect(self.kind(StateChange(disk: .failed)) == .detach)
        #expect(self.kind(StateChange(connection: .verifyS)) == .verify)
        #expect(self.kind(StateChange(connection: .wfReportParams)) == .leaveVolume)
        #expect(self.kind(StateChange(connection: .disconnecting)) == nil)
        #expect(self.kind(StateChange(connection: .disconnecting), version: 99) == .disconnect)
        #expect(self.kind(StateChange(role: .secondary)) == nil)
        #expect(self.kind(StateChange(disk: .outdated)) == nil)
        var alone = Self.connected
        alone.connection = .wfConnection
        let promoted = alone.applying(StateChange(role: .primary))
        #expect(ClusterWideChange(from: alone, to: promoted, version: 101) == nil)
    }

    /// The requests that occur in the recordings, answered 1 there, and what they lead to here.
    @Test func `grants what recorded kernels grant`() throws {
        func answer(_ request: StateRequest, _ state: VolumeState) -> ClusterWideAnswer {
            var context = StateContext()
            context.hasVerifyAlgorithm = true
            return ClusterWideAnswer(
                to: request,
                state: state,
                context: context,
                ownChangePending: false,
                resolveConflicts: true
            )
        }
        let promotion = answer(StateRequest(role: .primary), Self.connected)
        #expect(promotion.code == .success)
        #expect(promotion.state.peerRole == .primary)
        var fresh = Self.connected
        fresh.disk = .inconsistent
        fresh.peerDisk = .inconsistent
        let forced = answer(StateRequest(role: .primary, disk: .upToDate), fresh)
        #expect(forced.code == .success)
        #expect(forced.state.peerDisk == .upToDate)
        let detach = answer(StateRequest(disk: .failed), Self.connected)
        #expect(detach.code == .success)
        #expect(detach.state.peerDisk == .failed)
        let verify = answer(StateRequest(connection: .verifyS), Self.connected)
        #expect(verify.code == .success)
        #expect(verify.state.connection == .verifyT)
        let leave = answer(StateRequest(connection: .disconnecting), Self.connected)
        #expect(leave.code == .success)
        #expect(leave.state.connection == .tearDown)
    }

    @Test func `refuses by its own rules`() {
        var primary = Self.connected
        primary.role = .primary
        func answer(
            _ request: StateRequest,
            _ state: VolumeState,
            pending: Bool = false,
            flag: Bool = true
        ) -> StateChangeCode {
            ClusterWideAnswer(
                to: request,
                state: state,
                context: StateContext(),
                ownChangePending: pending,
                resolveConflicts: flag
            ).code
        }
        #expect(answer(StateRequest(role: .primary), primary) == .twoPrimaries)
        var degraded = primary
        degraded.disk = .diskless
        #expect(answer(StateRequest(disk: .failed), degraded) == .noUpToDateDisk)
        #expect(answer(StateRequest(connection: .verifyS), Self.connected) == .noVerifyAlgorithm)
        // Only the node with the flag refuses while it waits itself.
        let request = StateRequest(role: .primary)
        #expect(answer(request, Self.connected, pending: true) == .concurrentStateChange)
        #expect(answer(request, Self.connected, pending: true, flag: false) == .success)
    }

    @Test func `a disconnect outdates only disks that are better than that`() {
        let request = StateRequest(connection: .disconnecting, peerDisk: .outdated)
        func answer(_ state: VolumeState) -> ClusterWideAnswer {
            ClusterWideAnswer(
                toDisconnect: request,
                state: state,
                context: StateContext(),
                ownChangePending: false,
                resolveConflicts: false
            )
        }
        let good = answer(Self.connected)
        #expect(good.code == .success)
        #expect(good.state.disk == .outdated)
        var worse = Self.connected
        worse.disk = .inconsistent
        let kept = answer(worse)
        #expect(kept.code == .success)
        #expect(kept.state.disk == .inconsistent)
    }

    @Test func `requests and changes are two forms of one thing`() {
        var change = StateChange(role: .primary, connection: .connected, disk: .upToDate)
        change.pausedByUser = true
        change.suspendedByUser = false
        #expect(StateChange(StateRequest(change)) == change)
        let state = VolumeState(
            role: .primary,
            peerRole: .secondary,
            connection: .pausedSyncS,
            disk: .upToDate,
            peerDisk: .inconsistent,
            suspension: [.fencing],
            resyncPause: [.dependency]
        )
        let word = StateWord(state)
        #expect(word.rawValue == 0x0044_9149)
        #expect(word.pausesResync)
    }
}

@Suite struct PromotionTests {
    private let alone = VolumeState(connection: .wfConnection, disk: .consistent)

    @Test func `the usual promotion takes one attempt`() {
        var promotion = Promotion(force: false)
        #expect(promotion.start() == .attempt(StateChange(role: .primary)))
        #expect(promotion.attempted(.success, in: self.alone) == .done(forced: false))
    }

    @Test("ROLE-15 force declares the disk UpToDate")
    func forced() {
        var promotion = Promotion(force: true)
        _ = promotion.start()
        let forced = StateChange(role: .primary, disk: .upToDate)
        #expect(promotion.attempted(.noUpToDateDisk, in: self.alone) == .attempt(forced))
        #expect(promotion.attempted(.clusterWideSuccess, in: self.alone) == .done(forced: true))
        var refused = Promotion(force: true)
        _ = refused.start()
        _ = refused.attempted(.noUpToDateDisk, in: self.alone)
        #expect(
            refused.attempted(.noUpToDateDisk, in: self.alone) == .failed(.noUpToDateDisk)
        )
        var diskless = Promotion(force: true)
        _ = diskless.start()
        let nothing = VolumeState(connection: .wfConnection, disk: .diskless)
        #expect(diskless.attempted(.noUpToDateDisk, in: nothing) == .failed(.noUpToDateDisk))
    }

    @Test func `without force only a Consistent disk asks whether the peer is fenced`() {
        var promotion = Promotion(force: false)
        _ = promotion.start()
        #expect(promotion.attempted(.noUpToDateDisk, in: self.alone) == .fencePeer)
        let change = StateChange(role: .primary, disk: .upToDate, peerDisk: .outdated)
        #expect(promotion.fenced(.peerDisk(.outdated)) == .attempt(change))
        #expect(promotion.attempted(.success, in: self.alone) == .done(forced: false))
        for result in [Promotion.FencingResult.failed, .peerIsPrimary, .peerDisk(.unknown)] {
            var other = Promotion(force: false)
            _ = other.start()
            _ = other.attempted(.noUpToDateDisk, in: self.alone)
            #expect(other.fenced(result) == .failed(.noUpToDateDisk))
        }
        var outdated = Promotion(force: false)
        _ = outdated.start()
        let old = VolumeState(connection: .wfConnection, disk: .outdated)
        #expect(outdated.attempted(.noUpToDateDisk, in: old) == .failed(.noUpToDateDisk))
    }

    @Test func `a peer that must be fenced: handler, then force`() {
        var promotion = Promotion(force: true)
        _ = promotion.start()
        #expect(promotion.attempted(.primaryNeedsFencing, in: self.alone) == .fencePeer)
        let change = StateChange(role: .primary, peerDisk: .outdated)
        #expect(promotion.fenced(.failed) == .attempt(change))
        // The peer came back meanwhile: it decides about its disk itself.
        #expect(
            promotion.attempted(.failedByPeer, in: self.alone)
                == .attempt(StateChange(role: .primary))
        )
        #expect(promotion.attempted(.failedByPeer, in: self.alone) == .failed(.failedByPeer))
    }

    @Test func `another Primary is given one pause to go`() {
        var promotion = Promotion(force: false)
        _ = promotion.start()
        let change = StateChange(role: .primary)
        #expect(promotion.attempted(.twoPrimaries, in: self.alone) == .attemptAfterPause(change))
        #expect(promotion.attempted(.twoPrimaries, in: self.alone) == .failed(.twoPrimaries))
    }

    @Test func `never tries more than four times, whatever the answers`() {
        let codes = StateChangeCode.allCases
        for first in codes {
            for second in codes {
                for third in codes {
                    var promotion = Promotion(force: true)
                    var step = promotion.start()
                    var attempts = 0
                    for index in 0..<20 {
                        switch step {
                        case .attempt, .attemptAfterPause:
                            attempts += 1
                            let code = [first, second, third][index % 3]
                            step = promotion.attempted(code, in: self.alone)
                        case .fencePeer:
                            step = promotion.fenced(.peerDisk(.outdated))
                        case .done, .failed:
                            break
                        }
                    }
                    if attempts > Promotion.attemptMaximum { Issue.record("\(first) \(second)") }
                }
            }
        }
    }

    @Test func `disconnecting outdates the peer, or itself, if it is asked to`() {
        let plain = StateChange(connection: .disconnecting)
        let outdatingPeer = StateChange(connection: .disconnecting, peerDisk: .outdated)
        let outdatingOwn = StateChange(connection: .disconnecting, disk: .outdated)
        var primary = Disconnection()
        #expect(primary.first == .request(plain))
        #expect(
            primary.answered(.primaryNeedsFencing, role: .primary) == .request(outdatingPeer)
        )
        #expect(primary.answered(.success, role: .primary) == .close)
        var secondary = Disconnection()
        #expect(secondary.answered(.failedByPeer, role: .secondary) == .request(outdatingOwn))
        #expect(secondary.answered(.failedByPeer, role: .secondary) == .failed(.failedByPeer))
        var refused = Disconnection()
        #expect(refused.answered(.failedByPeer, role: .primary) == .failed(.failedByPeer))
    }
}
