// SPDX-License-Identifier: Apache-2.0

package import Wire

/// A requested or reported change: the fields that are set, the rest stays.
///
/// On the wire it is a pair of state words, mask and value.
package struct StateChange: Hashable, Sendable, BitwiseCopyable {
    package var role: Role?
    package var peerRole: Role?
    package var connection: ConnectionCode?
    package var disk: DiskState?
    package var peerDisk: DiskState?
    package var suspendedByUser: Bool?
    package var suspendedWithoutData: Bool?
    package var suspendedForFencing: Bool?
    package var pausedByDependency: Bool?
    package var pausedByPeer: Bool?
    package var pausedByUser: Bool?

    /// Creates a change of the fields that are given.
    package init(
        role: Role? = nil,
        peerRole: Role? = nil,
        connection: ConnectionCode? = nil,
        disk: DiskState? = nil,
        peerDisk: DiskState? = nil
    ) {
        self.role = role
        self.peerRole = peerRole
        self.connection = connection
        self.disk = disk
        self.peerDisk = peerDisk
    }
}

/// Whether a change is asked for or has already happened.
package enum StateChangeKind: Hashable, Sendable, BitwiseCopyable {
    /// Somebody asks; every rule is checked.
    case requested
    /// A fact, such as a lost connection; only the order of connection states is checked.
    case happened
}

/// What comes of a change.
package struct StateChangeOutcome: Hashable, Sendable, BitwiseCopyable {
    /// The state after it; the old one if the change was refused.
    package var state: VolumeState
    /// Success, or why not.
    package var code: StateChangeCode
}

extension VolumeState {
    /// The state with the fields of `change`, nothing else added.
    package func applying(_ change: StateChange) -> VolumeState {
        var new = self
        if let role = change.role { new.role = role }
        if let peerRole = change.peerRole { new.peerRole = peerRole }
        if let connection = change.connection { new.connection = connection }
        if let disk = change.disk { new.disk = disk }
        if let peerDisk = change.peerDisk { new.peerDisk = peerDisk }
        new.suspension.set(.user, to: change.suspendedByUser)
        new.suspension.set(.noData, to: change.suspendedWithoutData)
        new.suspension.set(.fencing, to: change.suspendedForFencing)
        new.resyncPause.set(.dependency, to: change.pausedByDependency)
        new.resyncPause.set(.peer, to: change.pausedByPeer)
        new.resyncPause.set(.user, to: change.pausedByUser)
        return new
    }

    /// Carries out `change` if the rules allow it.
    package func evaluate(
        _ change: StateChange,
        _ kind: StateChangeKind,
        in context: StateContext
    ) -> StateChangeOutcome {
        let new = self.applying(change).sanitized(from: self, in: context)
        let code = self.transitionCode(to: new, change, kind, in: context)
        return StateChangeOutcome(state: code.isSuccess ? new : self, code: code)
    }

    private func transitionCode(
        to new: VolumeState,
        _ change: StateChange,
        _ kind: StateChangeKind,
        in context: StateContext
    ) -> StateChangeCode {
        switch kind {
        case .happened:
            return self.hardTransition(to: new)
        case .requested:
            if let refusal = self.refusalToOutdate(change) { return refusal }
            if let refusal = self.refusalToSync(change) { return refusal }
            let hard = self.hardTransition(to: new)
            guard hard.isSuccess else { return hard }
            let validity = new.validity(in: context)
            // A state that was already invalid by the same rule may be left step by step.
            guard validity.isSuccess || self.validity(in: context) == validity else {
                return validity
            }
            let soft = self.softTransition(to: new, in: context)
            return soft.isSuccess ? hard : soft
        }
    }

    /// Answers a request to outdate the own disk that the implied changes would undo silently.
    private func refusalToOutdate(_ change: StateChange) -> StateChangeCode? {
        guard change.disk == .outdated, self.disk != .outdated else { return nil }
        let connection = change.connection ?? self.connection
        return connection.needsCurrentDisk ? .connectedOutdates : nil
    }
}

extension VolumeState {
    /// Answers a request for a full resync that has no disk to read or to write: else it would end
    /// the connection, as the loss of a disk just before a resync does.
    private func refusalToSync(_ change: StateChange) -> StateChangeCode? {
        guard let connection = change.connection, connection.isStartingSync,
            self.connection >= .connected
        else { return nil }
        if (change.disk ?? self.disk) < .inconsistent { return .noLocalDisk }
        return (change.peerDisk ?? self.peerDisk) < .inconsistent ? .noRemoteDisk : nil
    }
}

extension OptionSet where Element == Self {
    /// Inserts or removes `member`; leaves it alone if `value` is nil.
    mutating func set(_ member: Self, to value: Bool?) {
        switch value {
        case .some(true): self.insert(member)
        case .some(false): self.remove(member)
        case .none: break
        }
    }
}
