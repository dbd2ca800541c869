// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Testing
import Wire

@Suite struct SanitizeTests {
    private static var contexts: [StateContext] {
        var attached = StateContext()
        attached.attachedDisks = .init(disk: .consistent, peerDisk: .outdated)
        attached.fencing = .resourceAndStonith
        attached.suspendWithoutData = true
        return [StateContext(), attached]
    }

    @Test func `every state has a fixed point, reached in one step`() {
        for context in Self.contexts {
            var wrong = 0
            forEachVolumeState { state in
                let once = state.sanitized(from: state, in: context)
                if once.sanitized(from: once, in: context) != once { wrong += 1 }
            }
            #expect(wrong == 0)
        }
    }

    @Test func `a state that is clean and valid stays so`() {
        for context in Self.contexts {
            var valid = 0
            var wrong = 0
            forEachVolumeState { state in
                let clean = state.sanitized(from: state, in: context)
                guard clean.validity(in: context).isSuccess else { return }
                valid += 1
                let again = clean.sanitized(from: clean, in: context)
                if !again.validity(in: context).isSuccess { wrong += 1 }
            }
            #expect(valid > 10_000)
            #expect(wrong == 0)
        }
    }

    @Test func `the disks end inside the window of the connection`() {
        var wrong = 0
        forEachVolumeState { state in
            let clean = state.sanitized(from: state, in: StateContext())
            let limits = VolumeState.diskLimits(in: clean.connection)
            if !limits.disk.contains(clean.disk) { wrong += 1 }
            if !limits.peerDisk.contains(clean.peerDisk) { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test func `without a connection nothing is known of the peer`() {
        let lost = VolumeState(
            role: .primary,
            peerRole: .secondary,
            connection: .networkFailure,
            disk: .upToDate,
            peerDisk: .upToDate,
            resyncPause: [.peer, .user]
        )
        let clean = lost.sanitized(from: lost, in: StateContext())
        #expect(clean.peerRole == .unknown)
        #expect(clean.peerDisk == .unknown)
        #expect(clean.resyncPause == [.user])
        var outdated = lost
        outdated.peerDisk = .outdated
        #expect(outdated.sanitized(from: lost, in: StateContext()).peerDisk == .outdated)
    }

    @Test("REPL-02 a lost disk ends the resync and leaves the connection Established")
    func lostDiskEndsResync() {
        for connection in ConnectionCode.allCases where connection >= .syncSource {
            let own = VolumeState(connection: connection, disk: .failed, peerDisk: .upToDate)
            #expect(own.sanitized(from: own, in: StateContext()).connection == .connected)
            let peer = VolumeState(connection: connection, disk: .upToDate, peerDisk: .diskless)
            #expect(peer.sanitized(from: peer, in: StateContext()).connection == .connected)
        }
    }

    @Test
    func `a disk lost between the decision for a resync and its beginning ends the connection`() {
        // Connected would make the target's disk UpToDate, and it is known to be older.
        for connection in ConnectionCode.allCases
        where connection > .connected && connection < .syncSource {
            let own = VolumeState(connection: connection, disk: .failed, peerDisk: .consistent)
            let source = own.sanitized(from: own, in: StateContext())
            #expect(source.connection == .networkFailure && source.peerDisk == .unknown)
            let peer = VolumeState(connection: connection, disk: .outdated, peerDisk: .failed)
            let target = peer.sanitized(from: peer, in: StateContext())
            #expect(target.connection == .networkFailure && target.disk == .outdated)
        }
    }

    @Test func `an Outdated disk stays so when the peer has no data to compare`() {
        var state = VolumeState(connection: .connected, disk: .outdated, peerDisk: .diskless)
        state.peerRole = .secondary
        #expect(state.sanitized(from: state, in: StateContext()).disk == .outdated)
        state.peerDisk = .upToDate
        #expect(state.sanitized(from: state, in: StateContext()).disk == .upToDate)
    }

    @Test("REPL-12 REPL-13 any reason pauses a resync, and none lets it go on")
    func pauses() {
        let running: [(ConnectionCode, ConnectionCode)] = [
            (.syncSource, .pausedSyncS), (.syncTarget, .pausedSyncT),
        ]
        for (active, paused) in running {
            for bits in UInt8(0)..<8 {
                for start in [active, paused] {
                    var state = VolumeState(
                        connection: start,
                        disk: active == .syncSource ? .upToDate : .inconsistent,
                        peerDisk: active == .syncSource ? .inconsistent : .upToDate
                    )
                    state.resyncPause = ResyncPause(rawValue: bits)
                    let clean = state.sanitized(from: state, in: StateContext())
                    #expect(clean.connection == (bits == 0 ? active : paused))
                }
            }
        }
    }

    @Test("REPL-15 a node Behind is at best Outdated")
    func behindIsOutdated() {
        let state = VolumeState(connection: .behind, disk: .upToDate, peerDisk: .upToDate)
        #expect(state.sanitized(from: state, in: StateContext()).disk == .outdated)
    }

    @Test func `a disk that was negotiating falls back to its metadata or is dropped`() {
        let state = VolumeState(connection: .brokenPipe, disk: .negotiating)
        var context = StateContext()
        #expect(state.sanitized(from: state, in: context).disk == .diskless)
        context.attachedDisks = .init(disk: .outdated, peerDisk: .unknown)
        #expect(state.sanitized(from: state, in: context).disk == .outdated)
    }

    @Test func `a lone Primary is suspended once when it has to be`() {
        var context = StateContext()
        context.fencing = .resourceAndStonith
        context.suspendWithoutData = true
        let connected = VolumeState(
            role: .primary,
            peerRole: .secondary,
            connection: .connected,
            disk: .upToDate,
            peerDisk: .upToDate
        )
        var lost = connected
        lost.connection = .timeout
        let alone = lost.sanitized(from: connected, in: context)
        #expect(alone.suspension == [.fencing])
        var resumed = alone
        resumed.suspension = []
        #expect(resumed.sanitized(from: alone, in: context).suspension == [])
        var diskless = connected
        diskless.disk = .diskless
        diskless.peerDisk = .outdated
        diskless.connection = .ahead
        #expect(diskless.sanitized(from: connected, in: context).suspension == [])
        diskless.connection = .wfConnection
        #expect(diskless.sanitized(from: connected, in: context).suspension == [.noData])
    }
}
