// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Testing
import Wire

@Suite struct StateChangeTests {
    private static let connected = VolumeState(
        peerRole: .secondary,
        connection: .connected,
        disk: .upToDate,
        peerDisk: .upToDate
    )
    private static let alone = VolumeState(connection: .wfConnection, disk: .upToDate)

    private func request(
        _ change: StateChange,
        from state: VolumeState,
        _ adjust: (inout StateContext) -> Void = { _ in }
    ) -> StateChangeOutcome {
        var context = StateContext()
        adjust(&context)
        return state.evaluate(change, .requested, in: context)
    }

    @Test("ROLE-04 ROLE-05 promotion and demotion by request")
    func promotionAndDemotion() {
        for state in [Self.connected, Self.alone] {
            let promoted = self.request(StateChange(role: .primary), from: state)
            #expect(promoted.code == .success)
            #expect(promoted.state.role == .primary)
            let demoted = self.request(StateChange(role: .secondary), from: promoted.state)
            #expect(demoted.code == .success)
            #expect(demoted.state == state)
        }
    }

    @Test("ROLE-06 a second Primary is refused")
    func secondPrimary() {
        var state = Self.connected
        state.peerRole = .primary
        #expect(self.request(StateChange(role: .primary), from: state).code == .twoPrimaries)
        let elsewhere = self.request(StateChange(role: .primary), from: Self.connected) {
            $0.peerIsPrimaryElsewhere = true
        }
        #expect(elsewhere.code == .otherVolumePrimaryAtPeer)
        #expect(elsewhere.state == Self.connected)
    }

    @Test("ROLE-09 demotion of a device in use is refused")
    func demotionInUse() {
        var state = Self.connected
        state.role = .primary
        let outcome = self.request(StateChange(role: .secondary), from: state) {
            $0.deviceInUse = true
        }
        #expect(outcome.code == .deviceInUse)
    }

    @Test(
        "ROLE-14 promotion without UpToDate data is refused",
        arguments: [DiskState.diskless, .inconsistent, .outdated, .consistent]
    )
    func promotionWithoutData(disk: DiskState) {
        var state = Self.alone
        state.disk = disk
        #expect(self.request(StateChange(role: .primary), from: state).code == .noUpToDateDisk)
        var both = Self.connected
        both.disk = .inconsistent
        both.peerDisk = .inconsistent
        #expect(self.request(StateChange(role: .primary), from: both).code == .noUpToDateDisk)
    }

    @Test("ROLE-15 declaring the disk UpToDate with the promotion forces it")
    func forcedPromotion() {
        for disk in [DiskState.inconsistent, .outdated, .consistent] {
            var state = Self.alone
            state.disk = disk
            let change = StateChange(role: .primary, disk: .upToDate)
            #expect(self.request(change, from: state).code == .success)
        }
    }

    @Test func `fencing keeps a lone node from becoming Primary`() {
        let outcome = self.request(StateChange(role: .primary), from: Self.alone) {
            $0.fencing = .resourceOnly
        }
        #expect(outcome.code == .primaryNeedsFencing)
        let change = StateChange(role: .primary, peerDisk: .outdated)
        let fenced = self.request(change, from: Self.alone) { $0.fencing = .resourceOnly }
        #expect(fenced.code == .success)
    }

    @Test func `outdating is refused while connected and for worse disks`() {
        let change = StateChange(disk: .outdated)
        #expect(self.request(change, from: Self.connected).code == .connectedOutdates)
        #expect(self.request(change, from: Self.alone).code == .success)
        var worse = Self.alone
        worse.disk = .inconsistent
        #expect(self.request(change, from: worse).code == .lowerThanOutdated)
        worse.disk = .diskless
        #expect(self.request(change, from: worse).code == .isDiskless)
    }

    @Test func `resync and verify need a connection, both disks and no other resync`() {
        #expect(
            self.request(StateChange(connection: .startingSyncS), from: Self.alone).code
                == .needConnection
        )
        var running = Self.connected
        running.connection = .syncSource
        running.peerDisk = .inconsistent
        #expect(
            self.request(StateChange(connection: .startingSyncT), from: running).code
                == .resyncRunning
        )
        let verify = StateChange(connection: .verifyS)
        #expect(self.request(verify, from: Self.connected).code == .noVerifyAlgorithm)
        let allowed = self.request(verify, from: Self.connected) { $0.hasVerifyAlgorithm = true }
        #expect(allowed.code == .success)
        let old = self.request(verify, from: Self.connected) {
            $0.hasVerifyAlgorithm = true
            $0.agreedVersion = 87
        }
        #expect(old.code == .notSupported)
    }

    @Test func `while the handshake runs only its own steps are allowed`() {
        var state = Self.alone
        state.connection = .wfReportParams
        let handshake: (inout StateContext) -> Void = { $0.handshakeRunning = true }
        #expect(
            self.request(StateChange(role: .primary), from: state, handshake).code
                == .inTransientState
        )
        let ends = StateChange(peerRole: .secondary, connection: .connected, peerDisk: .upToDate)
        #expect(self.request(ends, from: state, handshake).code == .success)
    }

    @Test("CONN-05 disconnecting: refused when StandAlone, else it leads there")
    func disconnecting() {
        let standAlone = VolumeState(disk: .upToDate)
        let change = StateChange(connection: .disconnecting)
        #expect(self.request(change, from: standAlone).code == .alreadyStandAlone)
        let leaving = self.request(change, from: Self.connected)
        #expect(leaving.code == .success)
        let back = self.request(StateChange(connection: .unconnected), from: leaving.state)
        #expect(back.code == .inTransientState)
        let done = self.request(StateChange(connection: .standAlone), from: leaving.state)
        #expect(done.code == .success)
        var outdating = change
        outdating.peerDisk = .outdated
        #expect(self.request(outdating, from: Self.alone).code == .outdateWithoutConnection)
    }

    @Test("CONN-06 StandAlone, Unconnected, Connecting, Connected in this order only")
    func connectionOrder() {
        var state = VolumeState(disk: .upToDate)
        let path: [ConnectionCode] = [.unconnected, .wfConnection, .wfReportParams, .connected]
        for (index, next) in path.enumerated() {
            for skipped in path[(index + 1)...] where skipped != .wfReportParams {
                let jump = StateChange(connection: skipped)
                let outcome = state.evaluate(jump, .happened, in: StateContext())
                let allowed = state.connection == .unconnected && skipped == .wfConnection
                #expect(outcome.code.isSuccess == allowed)
            }
            let step = state.evaluate(StateChange(connection: next), .happened, in: StateContext())
            #expect(step.code == .success)
            state = step.state
        }
        #expect(state.connection == .connected)
    }

    @Test func `a failure leads to Unconnected or Disconnecting and nowhere else`() {
        let failures: [ConnectionCode] = [
            .timeout, .brokenPipe, .networkFailure, .protocolError, .tearDown,
        ]
        for failure in failures {
            let state = VolumeState(connection: failure, disk: .upToDate)
            for next in ConnectionCode.allCases where next != failure {
                let change = StateChange(connection: next)
                let outcome = state.evaluate(change, .happened, in: StateContext())
                let allowed = next == .unconnected || next == .disconnecting
                #expect(outcome.code == (allowed ? .success : .inTransientState))
            }
        }
    }

    @Test func `facts are not judged by what may be requested`() {
        var state = Self.connected
        state.role = .primary
        let change = StateChange(disk: .failed, peerDisk: .diskless)
        #expect(self.request(change, from: state).code == .noUpToDateDisk)
        let outcome = state.evaluate(change, .happened, in: StateContext())
        #expect(outcome.code == .success)
        let again = outcome.state.applying(StateChange(disk: .diskless))
        #expect(
            again.evaluate(StateChange(disk: .failed), .happened, in: StateContext()).code
                == .isDiskless
        )
    }

    @Test func `a request never changes the state when it is refused`() {
        let changes = [
            StateChange(role: .primary), StateChange(connection: .startingSyncT),
            StateChange(disk: .failed), StateChange(disk: .outdated),
            StateChange(connection: .disconnecting),
        ]
        var wrong = 0
        var refused = 0
        for change in changes {
            forEachVolumeState { state in
                guard state.resyncPause.isEmpty else { return }
                let clean = state.sanitized(from: state, in: StateContext())
                let outcome = clean.evaluate(change, .requested, in: StateContext())
                if outcome.code.isSuccess { return }
                refused += 1
                if outcome.state != clean { wrong += 1 }
            }
        }
        #expect(refused > 1_000)
        #expect(wrong == 0)
    }

    @Test func `from a valid state a request that succeeds leads to a valid state`() {
        let changes = [
            StateChange(role: .primary), StateChange(role: .secondary),
            StateChange(connection: .startingSyncT), StateChange(connection: .startingSyncS),
            StateChange(disk: .failed), StateChange(disk: .outdated),
            StateChange(connection: .disconnecting),
        ]
        var wrong = 0
        for change in changes {
            forEachVolumeState { state in
                guard state.resyncPause.isEmpty else { return }
                let clean = state.sanitized(from: state, in: StateContext())
                guard clean.validity(in: StateContext()).isSuccess else { return }
                let outcome = clean.evaluate(change, .requested, in: StateContext())
                if !outcome.state.validity(in: StateContext()).isSuccess { wrong += 1 }
            }
        }
        #expect(wrong == 0)
    }

    @Test func `codes have drbdsetup's numbers and texts`() {
        #expect(StateChangeCode.twoPrimaries.rawValue == -1)
        #expect(
            StateChangeCode(rawValue: -12)?.text.description == "Device is held open by someone"
        )
        #expect(StateChangeCode(rawValue: -3) == nil)
        for code in StateChangeCode.allCases {
            #expect(code.isSuccess == (code.rawValue >= 1))
        }
    }
}

@Suite struct ApplicationIOTests {
    @Test("ROLE-01 ROLE-02 only a Primary serves clients")
    func onlyPrimary() {
        forEachVolumeState { state in
            let admission = state.admission(agreedVersion: 101)
            if (admission == .refused) != (state.role != .primary) {
                Issue.record("\(state)")
            }
        }
    }

    @Test func `requests wait in the states where they cannot be placed`() {
        for connection in ConnectionCode.allCases {
            let state = VolumeState(role: .primary, connection: connection, disk: .upToDate)
            let waits = [.startingSyncS, .wfBitMapT, .wfSyncUUID].contains(connection)
            #expect((state.admission(agreedVersion: 96) == .held) == waits)
            let old = waits || connection == .wfBitMapS
            #expect((state.admission(agreedVersion: 95) == .held) == old)
        }
        var state = VolumeState(role: .primary, connection: .connected, disk: .attaching)
        #expect(state.admission(agreedVersion: 101) == .held)
        state.disk = .diskless
        #expect(state.admission(agreedVersion: 101) == .accepted)
        state.suspension = [.user]
        #expect(state.admission(agreedVersion: 101) == .held)
    }

    @Test("REPL-14 what the peer learns of a write", arguments: ConnectionCode.allCases)
    func replication(connection: ConnectionCode) {
        for peerDisk in DiskState.allCases {
            let raw = VolumeState(connection: connection, disk: .upToDate, peerDisk: peerDisk)
            let state = raw.sanitized(from: raw, in: StateContext())
            let expected: WriteReplication =
                switch state.connection {
                case .connected: state.peerDisk == .upToDate ? .data : .none
                case .syncSource, .syncTarget, .pausedSyncS, .pausedSyncT, .verifyS, .verifyT,
                    .wfBitMapT, .wfSyncUUID, .startingSyncT, .behind:
                    .data
                case .ahead, .wfBitMapS: .outOfSyncNotice
                case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe,
                    .networkFailure, .protocolError, .tearDown, .wfConnection, .wfReportParams,
                    .startingSyncS:
                    .none
                }
            #expect(state.replication(agreedVersion: 101) == expected)
        }
    }
}
