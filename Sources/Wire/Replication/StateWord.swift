// SPDX-License-Identifier: Apache-2.0

/// The one-bit fields of the state word; raw values are its bits.
package struct StateFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue & Self.all }

    /// I/O suspended by the administrator (`susp`).
    package static let suspended = Self(rawValue: 0x0002_0000)
    /// Resync paused because another must come first (`aftr_isp`).
    package static let syncPausedByDependency = Self(rawValue: 0x0004_0000)
    /// Resync paused by the peer (`peer_isp`).
    package static let syncPausedByPeer = Self(rawValue: 0x0008_0000)
    /// Resync paused by the administrator (`user_isp`).
    package static let syncPausedByUser = Self(rawValue: 0x0010_0000)
    /// I/O suspended because no up-to-date data is reachable (`susp_nod`).
    package static let suspendedNoData = Self(rawValue: 0x0020_0000)
    /// I/O suspended until the peer is fenced (`susp_fen`).
    package static let suspendedFencing = Self(rawValue: 0x0040_0000)
    /// The node has quorum; DRBD 9 only, 0 from 8.4.
    package static let quorum = Self(rawValue: 0x0080_0000)

    static let all: UInt32 = 0x00fe_0000
}

/// The state of one volume as its sender sees it: P_STATE, and the operand of state changes
/// (§11.1).
package struct StateWord: Hashable, Sendable, BitwiseCopyable {
    /// The sender's role.
    package var role: Role
    /// The role of the sender's peer.
    package var peer: Role
    package var connection: ConnectionCode
    /// The sender's disk.
    package var disk: DiskState
    /// The disk of the sender's peer.
    package var peerDisk: DiskState
    package var flags: StateFlags

    /// Creates a state.
    package init(
        role: Role,
        peer: Role,
        connection: ConnectionCode,
        disk: DiskState,
        peerDisk: DiskState,
        flags: StateFlags = []
    ) {
        self.role = role
        self.peer = peer
        self.connection = connection
        self.disk = disk
        self.peerDisk = peerDisk
        self.flags = flags
    }

    /// Decodes the word of a P_STATE.
    ///
    /// The eight high bits are ignored.
    ///
    /// - Throws: ``WireError/field(_:_:value:)`` with the whole word for a value outside a field's
    /// enumeration.
    package init(rawValue: UInt32) throws(WireError) {
        guard let role = Role(rawValue: StateField.role.value(in: rawValue)),
            let peer = Role(rawValue: StateField.peer.value(in: rawValue))
        else { throw .field(.state, .stateRole, value: UInt64(rawValue)) }
        guard let connection = ConnectionCode(rawValue: StateField.connection.value(in: rawValue))
        else { throw .field(.state, .stateConnection, value: UInt64(rawValue)) }
        guard let disk = DiskState(rawValue: StateField.disk.value(in: rawValue)),
            let peerDisk = DiskState(rawValue: StateField.peerDisk.value(in: rawValue))
        else { throw .field(.state, .stateDisk, value: UInt64(rawValue)) }
        self.init(
            role: role,
            peer: peer,
            connection: connection,
            disk: disk,
            peerDisk: peerDisk,
            flags: StateFlags(rawValue: rawValue)
        )
    }

    /// The word on the wire.
    package var rawValue: UInt32 {
        StateField.role.word(self.role.rawValue) | StateField.peer.word(self.peer.rawValue)
            | StateField.connection.word(self.connection.rawValue)
            | StateField.disk.word(self.disk.rawValue)
            | StateField.peerDisk.word(self.peerDisk.rawValue) | self.flags.rawValue
    }
}

/// The place of a field of several bits in the state word.
enum StateField {
    case role
    case peer
    case connection
    case disk
    case peerDisk

    private var shift: UInt32 {
        switch self {
        case .role: 0
        case .peer: 2
        case .connection: 4
        case .disk: 9
        case .peerDisk: 13
        }
    }

    /// The field's bits.
    var mask: UInt32 {
        switch self {
        case .role, .peer: 3 << self.shift
        case .connection: 31 << self.shift
        case .disk, .peerDisk: 15 << self.shift
        }
    }

    func value(in word: UInt32) -> UInt8 { UInt8((word & self.mask) >> self.shift) }

    func word(_ value: UInt8) -> UInt32 { UInt32(value) << self.shift }
}
