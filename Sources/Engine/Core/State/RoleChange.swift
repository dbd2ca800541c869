// SPDX-License-Identifier: Apache-2.0

package import Wire

/// The attempts at a promotion: which change to try next after what came of the last one.
package struct Promotion: Hashable, Sendable, BitwiseCopyable {
    package enum Step: Hashable, Sendable, BitwiseCopyable {
        /// Try this change.
        case attempt(StateChange)
        /// Wait for `ping-timeout` + 0.1 s, then try this change: the peer may just be going.
        case attemptAfterPause(StateChange)
        /// Run the fence-peer handler, then call ``fenced(_:)``.
        case fencePeer
        /// This node is Primary. `forced`: its disk was declared UpToDate.
        case done(forced: Bool)
        /// The promotion failed.
        case failed(StateChangeCode)
    }

    /// What the fence-peer handler found out about the peer.
    package enum FencingResult: Hashable, Sendable, BitwiseCopyable {
        /// The peer's data is at best this from now on.
        case peerDisk(DiskState)
        /// The peer is Primary: our own data is the outdated one.
        case peerIsPrimary
        /// The handler failed, or there is none.
        case failed
    }

    /// How often a change is tried.
    ///
    /// Attempts that fail at once count, too.
    package static let attemptMaximum = 4

    private let force: Bool
    private var change = StateChange(role: .primary)
    private var attempts = 0
    private var hasPaused = false
    private var awaitedFencing: StateChangeCode?

    /// Starts a promotion.
    ///
    /// - Parameter force: whether data that is not UpToDate is to be declared so.
    package init(force: Bool) { self.force = force }

    /// The first attempt.
    package mutating func start() -> Step { self.attempt() }

    /// What to do after the last attempt ended with `code` in `state`.
    package mutating func attempted(_ code: StateChangeCode, in state: VolumeState) -> Step {
        switch code {
        case .success, .clusterWideSuccess, .clusterWideNotNeeded, .nothingToDo:
            return .done(forced: self.change.disk == .upToDate && self.force)
        case .noUpToDateDisk:
            return self.withoutData(in: state)
        case .primaryNeedsFencing where self.change.peerDisk == nil:
            self.awaitedFencing = code
            return .fencePeer
        case .failedByPeer where self.change.peerDisk != nil:
            // The peer is back, so that we need not decide about its disk.
            self.change.peerDisk = nil
            return self.attempt()
        case .twoPrimaries where !self.hasPaused:
            self.hasPaused = true
            return self.attempt(afterPause: true)
        case .unknownError, .twoPrimaries, .noLocalDisk, .noRemoteDisk, .connectedOutdates,
            .primaryNeedsFencing, .resyncRunning, .alreadyStandAlone, .failedByPeer, .isDiskless,
            .deviceInUse, .noNetConfiguration, .noVerifyAlgorithm, .needConnection,
            .lowerThanOutdated, .notSupported, .inTransientState, .concurrentStateChange,
            .otherVolumePrimaryAtPeer, .outdateWithoutConnection:
            return .failed(code)
        }
    }

    /// What to do after the fence-peer handler has ended.
    package mutating func fenced(_ result: FencingResult) -> Step {
        guard let code = self.awaitedFencing else { return .failed(.unknownError) }
        self.awaitedFencing = nil
        switch result {
        case .peerDisk(let disk) where disk <= .outdated:
            self.change.peerDisk = disk
            if code == .noUpToDateDisk { self.change.disk = .upToDate }
            return self.attempt()
        case .peerDisk, .failed:
            guard code == .primaryNeedsFencing, self.force else { return .failed(code) }
            self.change.peerDisk = .outdated
            return self.attempt()
        case .peerIsPrimary:
            return .failed(code)
        }
    }

    private mutating func withoutData(in state: VolumeState) -> Step {
        guard self.change.disk == nil else { return .failed(.noUpToDateDisk) }
        if self.force, state.disk >= .inconsistent, state.disk <= .consistent {
            self.change.disk = .upToDate
            return self.attempt()
        }
        if state.disk == .consistent {
            self.awaitedFencing = .noUpToDateDisk
            return .fencePeer
        }
        return .failed(.noUpToDateDisk)
    }

    private mutating func attempt(afterPause: Bool = false) -> Step {
        guard self.attempts < Self.attemptMaximum else { return .failed(.unknownError) }
        self.attempts += 1
        return afterPause ? .attemptAfterPause(self.change) : .attempt(self.change)
    }
}

/// The attempts at ending an established connection in agreement with the peer.
///
/// Only for connections of version 100 and above. A forced disconnect, or one of a connection that
/// is not established, just closes the sockets.
package struct Disconnection: Hashable, Sendable, BitwiseCopyable {
    package enum Step: Hashable, Sendable, BitwiseCopyable {
        /// Ask the peer by P_CONN_ST_CHG_REQ.
        case request(StateChange)
        /// Go to Disconnecting and close the sockets.
        case close
        /// The connection stays.
        case failed(StateChangeCode)
    }

    private enum Attempt {
        case plain
        case outdatingPeer
        case outdatingOwn
    }

    private var attempt = Attempt.plain

    /// Starts a disconnection.
    package init() {}

    /// The first request.
    package var first: Step { .request(StateChange(connection: .disconnecting)) }

    /// What to do after the last request was answered with `code`.
    package mutating func answered(_ code: StateChangeCode, role: Role) -> Step {
        if code.isSuccess || code == .alreadyStandAlone { return .close }
        switch (self.attempt, code) {
        case (.plain, .primaryNeedsFencing):
            self.attempt = .outdatingPeer
            return .request(StateChange(connection: .disconnecting, peerDisk: .outdated))
        case (.plain, .failedByPeer) where role != .primary,
            (.outdatingPeer, .failedByPeer) where role != .primary:
            self.attempt = .outdatingOwn
            return .request(StateChange(connection: .disconnecting, disk: .outdated))
        case (.plain, _), (.outdatingPeer, _), (.outdatingOwn, _):
            return .failed(code)
        }
    }
}
