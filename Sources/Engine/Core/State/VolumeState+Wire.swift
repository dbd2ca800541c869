// SPDX-License-Identifier: Apache-2.0

package import Wire

extension StateWord {
    /// The word that tells the peer `state`.
    package init(_ state: VolumeState) {
        self.init(
            role: state.role,
            peer: state.peerRole,
            connection: state.connection,
            disk: state.disk,
            peerDisk: state.peerDisk,
            flags: StateFlags(state.suspension, state.resyncPause)
        )
    }

    /// Whether the sender has a reason of its own to pause a resync: our ``ResyncPause/peer``.
    package var pausesResync: Bool {
        !self.flags.isDisjoint(with: [.syncPausedByDependency, .syncPausedByUser])
    }
}

extension StateChange {
    /// The change that the peer asks for; `request` is in our words already.
    package init(_ request: StateRequest) {
        self.init(
            role: request.role,
            peerRole: request.peer,
            connection: request.connection,
            disk: request.disk,
            peerDisk: request.peerDisk
        )
        func flag(_ flag: StateFlags) -> Bool? {
            request.flagMask.contains(flag) ? request.flags.contains(flag) : nil
        }
        self.suspendedByUser = flag(.suspended)
        self.suspendedWithoutData = flag(.suspendedNoData)
        self.suspendedForFencing = flag(.suspendedFencing)
        self.pausedByDependency = flag(.syncPausedByDependency)
        self.pausedByPeer = flag(.syncPausedByPeer)
        self.pausedByUser = flag(.syncPausedByUser)
    }
}

extension StateRequest {
    /// The request that asks the peer for `change`, in our words, as it is sent.
    package init(_ change: StateChange) {
        var mask: StateFlags = []
        var flags: StateFlags = []
        func add(_ flag: StateFlags, _ value: Bool?) {
            guard let value else { return }
            mask.insert(flag)
            if value { flags.insert(flag) }
        }
        add(.suspended, change.suspendedByUser)
        add(.suspendedNoData, change.suspendedWithoutData)
        add(.suspendedFencing, change.suspendedForFencing)
        add(.syncPausedByDependency, change.pausedByDependency)
        add(.syncPausedByPeer, change.pausedByPeer)
        add(.syncPausedByUser, change.pausedByUser)
        self.init(
            role: change.role,
            peer: change.peerRole,
            connection: change.connection,
            disk: change.disk,
            peerDisk: change.peerDisk,
            flagMask: mask,
            flags: flags
        )
    }
}

extension StateFlags {
    fileprivate init(_ suspension: Suspension, _ pause: ResyncPause) {
        var flags: StateFlags = []
        if suspension.contains(.user) { flags.insert(.suspended) }
        if suspension.contains(.noData) { flags.insert(.suspendedNoData) }
        if suspension.contains(.fencing) { flags.insert(.suspendedFencing) }
        if pause.contains(.dependency) { flags.insert(.syncPausedByDependency) }
        if pause.contains(.peer) { flags.insert(.syncPausedByPeer) }
        if pause.contains(.user) { flags.insert(.syncPausedByUser) }
        self = flags
    }
}
