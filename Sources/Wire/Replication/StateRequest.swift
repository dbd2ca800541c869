// SPDX-License-Identifier: Apache-2.0

/// A change of some fields of the state, asked of the peer: P_STATE_CHG_REQ and P_CONN_ST_CHG_REQ
/// (§10.2).
///
/// Fields that are nil, and flags outside the mask, stay as they are.
package struct StateRequest: Hashable, Sendable, BitwiseCopyable {
    package var role: Role?
    package var peer: Role?
    package var connection: ConnectionCode?
    package var disk: DiskState?
    package var peerDisk: DiskState?
    /// The flags that change.
    package var flagMask: StateFlags
    /// What they become.
    package var flags: StateFlags

    /// Creates a request for the fields that are given.
    package init(
        role: Role? = nil,
        peer: Role? = nil,
        connection: ConnectionCode? = nil,
        disk: DiskState? = nil,
        peerDisk: DiskState? = nil,
        flagMask: StateFlags = [],
        flags: StateFlags = []
    ) {
        self.role = role
        self.peer = peer
        self.connection = connection
        self.disk = disk
        self.peerDisk = peerDisk
        self.flagMask = flagMask
        self.flags = flags.intersection(flagMask)
    }

    /// Decodes the two words of `command`.
    ///
    /// Values outside the mask are ignored.
    ///
    /// DRBD 9 sends its own numbers of disk states here (§10.8): 9 is taken for UpToDate and 6,
    /// which is no target in 8.4, for Outdated.
    ///
    /// - Throws: ``WireError/field(_:_:value:)`` for a mask that cuts a field, or a value outside a
    /// field's enumeration.
    init(mask: UInt32, value: UInt32, of command: PacketCommand) throws(WireError) {
        func number(_ field: StateField) throws(WireError) -> UInt8? {
            let part = mask & field.mask
            guard part == 0 || part == field.mask else {
                throw .field(command, .stateMask, value: UInt64(mask))
            }
            return part == 0 ? nil : field.value(in: value)
        }
        func disk(_ field: StateField) throws(WireError) -> DiskState? {
            guard let number = try number(field) else { return nil }
            if number == 9 { return .upToDate }
            if number == 6 { return .outdated }
            guard let state = DiskState(rawValue: number) else {
                throw .field(command, .stateDisk, value: UInt64(value))
            }
            return state
        }
        func role(_ field: StateField) throws(WireError) -> Role? {
            guard let number = try number(field) else { return nil }
            guard let role = Role(rawValue: number) else {
                throw .field(command, .stateRole, value: UInt64(value))
            }
            return role
        }
        self.role = try role(.role)
        self.peer = try role(.peer)
        if let number = try number(.connection) {
            guard let connection = ConnectionCode(rawValue: number) else {
                throw .field(command, .stateConnection, value: UInt64(value))
            }
            self.connection = connection
        } else {
            self.connection = nil
        }
        self.disk = try disk(.disk)
        self.peerDisk = try disk(.peerDisk)
        self.flagMask = StateFlags(rawValue: mask)
        self.flags = StateFlags(rawValue: mask & value)
    }

    /// The first word: the bits of the fields that change.
    package var mask: UInt32 {
        (self.role == nil ? 0 : StateField.role.mask)
            | (self.peer == nil ? 0 : StateField.peer.mask)
            | (self.connection == nil ? 0 : StateField.connection.mask)
            | (self.disk == nil ? 0 : StateField.disk.mask)
            | (self.peerDisk == nil ? 0 : StateField.peerDisk.mask) | self.flagMask.rawValue
    }

    /// The second word: what they become.
    package var value: UInt32 {
        StateField.role.word(self.role?.rawValue ?? 0)
            | StateField.peer.word(self.peer?.rawValue ?? 0)
            | StateField.connection.word(self.connection?.rawValue ?? 0)
            | StateField.disk.word(self.disk?.rawValue ?? 0)
            | StateField.peerDisk.word(self.peerDisk?.rawValue ?? 0)
            | self.flags.intersection(self.flagMask).rawValue
    }

    /// The same change from the responder's point of view.
    ///
    /// A connection state that no node may ask of another becomes StandAlone, which no responder
    /// grants.
    package func asSeenByPeer() -> StateRequest {
        let pausing: StateFlags = [.syncPausedByDependency, .syncPausedByUser]
        var request = self
        request.role = self.peer
        request.peer = self.role
        request.disk = self.peerDisk
        request.peerDisk = self.disk
        request.connection = self.connection.map(Self.mirrored)
        request.flagMask.remove(.syncPausedByPeer)
        request.flags.remove(.syncPausedByPeer)
        if !self.flagMask.isDisjoint(with: pausing) { request.flagMask.insert(.syncPausedByPeer) }
        if !self.flags.isDisjoint(with: pausing) { request.flags.insert(.syncPausedByPeer) }
        return request
    }

    /// `state` with every field of the request put in.
    package func applied(to state: StateWord) -> StateWord {
        StateWord(
            role: self.role ?? state.role,
            peer: self.peer ?? state.peer,
            connection: self.connection ?? state.connection,
            disk: self.disk ?? state.disk,
            peerDisk: self.peerDisk ?? state.peerDisk,
            flags: state.flags.subtracting(self.flagMask)
                .union(self.flags.intersection(self.flagMask))
        )
    }

    private static func mirrored(_ connection: ConnectionCode) -> ConnectionCode {
        switch connection {
        case .wfReportParams: .wfReportParams
        case .connected: .connected
        case .startingSyncS: .startingSyncT
        case .startingSyncT: .startingSyncS
        case .disconnecting: .tearDown
        case .verifyS: .verifyT
        case .standAlone, .unconnected, .timeout, .brokenPipe, .networkFailure, .protocolError,
            .tearDown, .wfConnection, .wfBitMapS, .wfBitMapT, .wfSyncUUID, .syncSource, .syncTarget,
            .verifyT, .pausedSyncS, .pausedSyncT, .ahead, .behind:
            .standAlone
        }
    }
}
