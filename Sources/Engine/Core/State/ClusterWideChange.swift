// SPDX-License-Identifier: Apache-2.0

package import Wire

/// A change that the peer has to agree to before it takes place, at protocol versions below 110.
package enum ClusterWideChange: Hashable, Sendable, CaseIterable, BitwiseCopyable {
    case promote
    /// The own data is to be replaced by the peer's.
    case invalidate
    /// The peer's data is to be replaced by ours.
    case invalidateRemote
    /// The administrator takes the disk away.
    case detach
    /// Of one volume, below version 100; later versions ask for the connection as a whole.
    case disconnect
    case verify
    /// A probe before a volume is removed or the network options change.
    case leaveVolume

    /// What kind of change leads from `old` to `new` on request; nil if the peer need not be asked.
    ///
    /// A failed disk is a fact, not a request: the peer learns of it afterwards.
    package init?(from old: VolumeState, to new: VolumeState, version: UInt32) {
        guard old.connection >= .connected else { return nil }
        if old.role != .primary, new.role == .primary {
            self = .promote
        } else if old.connection != .startingSyncT, new.connection == .startingSyncT {
            self = .invalidate
        } else if old.connection != .startingSyncS, new.connection == .startingSyncS {
            self = .invalidateRemote
        } else if old.disk != .failed, new.disk == .failed {
            self = .detach
        } else if new.connection == .disconnecting, version < 100 {
            self = .disconnect
        } else if old.connection == .connected, new.connection == .verifyS {
            self = .verify
        } else if old.connection == .connected, new.connection == .wfReportParams {
            self = .leaveVolume
        } else {
            return nil
        }
    }
}

/// How a node answers the peer's request for a cluster-wide change.
package struct ClusterWideAnswer: Hashable, Sendable, BitwiseCopyable {
    /// The state afterwards; the old one if the request is refused.
    package let state: VolumeState
    /// What to send as P_STATE_CHG_REPLY.
    package let code: StateChangeCode

    /// Answers `request`, which is in the peer's words.
    ///
    /// - Parameters:
    ///   - ownChangePending: whether this node itself waits for the peer to agree to something.
    ///     Then the one with the *resolve-conflicts* flag refuses, the other one gives in.
    package init(
        to request: StateRequest,
        state: VolumeState,
        context: StateContext,
        ownChangePending: Bool,
        resolveConflicts: Bool
    ) {
        if ownChangePending, resolveConflicts {
            self.state = state
            self.code = .concurrentStateChange
            return
        }
        let change = StateChange(request.asSeenByPeer())
        let outcome = state.evaluate(change, .requested, in: context)
        self.state = outcome.state
        self.code = outcome.code
    }

    /// Answers `request` to end the connection, for one of its volumes.
    ///
    /// A disk below Outdated is not outdated; it is worse already.
    package init(
        toDisconnect request: StateRequest,
        state: VolumeState,
        context: StateContext,
        ownChangePending: Bool,
        resolveConflicts: Bool
    ) {
        var request = request
        if request.peerDisk == .outdated, state.disk < .outdated { request.peerDisk = nil }
        if request.disk == .outdated, state.peerDisk < .outdated { request.disk = nil }
        self.init(
            to: request,
            state: state,
            context: context,
            ownChangePending: ownChangePending,
            resolveConflicts: resolveConflicts
        )
    }
}
