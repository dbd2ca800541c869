// SPDX-License-Identifier: Apache-2.0

package import Wire

extension Role {
    /// The name in status output.
    package var text: String { "\(self.name)" }
}

extension DiskState {
    /// The name in status output.
    package var text: String { "\(self.name)" }
}

// Between daemon and tool, states travel by their names in status output.

extension Role: Codable {
    /// Reads the name.
    package init(from decoder: any Decoder) throws {
        self = try decoder.state { $0.text }
    }

    /// Writes the name.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.text)
    }
}

extension DiskState: Codable {
    /// Reads the name.
    package init(from decoder: any Decoder) throws {
        self = try decoder.state { $0.text }
    }

    /// Writes the name.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.text)
    }
}

extension Decoder {
    /// The state whose name stands here.
    fileprivate func state<State: CaseIterable>(name: (State) -> String) throws -> State {
        let container = try self.singleValueContainer()
        let text = try container.decode(String.self)
        guard let state = State.allCases.first(where: { name($0) == text }) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "'\(text)' is no \(State.self)"
            )
        }
        return state
    }
}

/// The state of a connection as status output knows it, from none to established.
package enum ConnectionState: String, Codable, Sendable, Hashable, CaseIterable {
    case standAlone = "StandAlone"
    case disconnecting = "Disconnecting"
    case unconnected = "Unconnected"
    case timeout = "Timeout"
    case brokenPipe = "BrokenPipe"
    case networkFailure = "NetworkFailure"
    case protocolError = "ProtocolError"
    case tearDown = "TearDown"
    case connecting = "Connecting"
    case connected = "Connected"

    /// The connection part of the state word's field.
    package init(_ code: ConnectionCode) {
        self = Self.allCases.first { $0.rawValue == "\(code.connectionName)" } ?? .connected
    }
}

/// The state of a volume's replication as status output knows it.
package enum ReplicationState: String, Codable, Sendable, Hashable, CaseIterable {
    case off = "Off"
    case established = "Established"
    case startingSyncS = "StartingSyncS"
    case startingSyncT = "StartingSyncT"
    case wfBitMapS = "WFBitMapS"
    case wfBitMapT = "WFBitMapT"
    case wfSyncUUID = "WFSyncUUID"
    case syncSource = "SyncSource"
    case syncTarget = "SyncTarget"
    case verifyS = "VerifyS"
    case verifyT = "VerifyT"
    case pausedSyncS = "PausedSyncS"
    case pausedSyncT = "PausedSyncT"
    case ahead = "Ahead"
    case behind = "Behind"

    /// The replication part of the state word's field.
    package init(_ code: ConnectionCode) {
        self = Self.allCases.first { $0.rawValue == "\(code.replicationName)" } ?? .off
    }

    /// Whether something is going on or wrong beyond plain mirroring.
    package var isAboveEstablished: Bool { self != .off && self != .established }

    /// Whether a progress in per cent belongs to the state.
    package var hasProgress: Bool {
        switch self {
        case .syncSource, .syncTarget, .verifyS, .verifyT, .pausedSyncS, .pausedSyncT: true
        case .off, .established, .startingSyncS, .startingSyncT, .wfBitMapS, .wfBitMapT,
            .wfSyncUUID, .ahead, .behind:
            false
        }
    }

    /// Whether the state is that of an online verify.
    package var isVerify: Bool { self == .verifyS || self == .verifyT }
}

/// Whether a node without a disk is meant to have none.
package enum ClientState: String, Codable, Sendable, Hashable, CaseIterable {
    case no
    case yes
    case unknown
}

/// How the order of writes is kept on a disk.
package enum WriteOrdering: String, Codable, Sendable, Hashable, CaseIterable {
    case none
    case drain
    case flush
    case barrier
}

/// Why a connection stands alone (bsr's `error:`).
package enum ConnectionProblem: String, Codable, Sendable, Hashable, CaseIterable {
    case splitBrain = "split-brain"
    case syncTargetPrimary = "sync-target-primary"
    case incorrectDiscardMyData = "Incorrect-discard-my-data"
}
