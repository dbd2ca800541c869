// SPDX-License-Identifier: Apache-2.0

/// The outcome of a requested state change, by its number on the wire (§12.1).
///
/// Numbers of 1 and above are success.
package enum StateChangeResult: Int32, Error, Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case clusterWideNotNeeded = 4
    case clusterWideSuccess = 3
    case nothingToDo = 2
    case success = 1
    case unknownError = 0
    case twoPrimaries = -1
    case noUpToDateDisk = -2
    case noLocalDisk = -4
    case noRemoteDisk = -5
    case connectedOutdates = -6
    case primaryNop = -7
    case resyncRunning = -8
    case alreadyStandAlone = -9
    case failedByPeer = -10
    case isDiskless = -11
    case deviceInUse = -12
    case noNetConfig = -13
    case noVerifyAlgorithm = -14
    case needConnection = -15
    case lowerThanOutdated = -16
    case notSupported = -17
    case inTransientState = -18
    case concurrentStateChange = -19
    case otherVolumePeerPrimary = -20
    case outdateWithoutConnection = -21
    case primaryReader = -22
    case timeout = -23
    case weaklyConnected = -24
    case noQuorum = -25
    case attachWithoutBitmap = -26
    case handshakeDisconnect = -27
    case handshakeRetry = -28

    /// Whether the change takes place.
    package var isSuccess: Bool { self.rawValue >= 1 }

    /// What it means, for a person.
    package var text: StaticString {
        switch self {
        case .clusterWideNotNeeded: "the peer need not agree to this change"
        case .clusterWideSuccess: "the peer agrees to the change"
        case .nothingToDo: "the state is already as requested"
        case .success: "done"
        case .unknownError: "the change failed for an unknown reason; try again"
        case .twoPrimaries: "both nodes would be Primary, and allow-two-primaries is not set"
        case .noUpToDateDisk: "no UpToDate disk would be reachable"
        case .noLocalDisk: "the change needs a local disk"
        case .noRemoteDisk: "the change needs the peer's disk"
        case .connectedOutdates: "a connected peer's disk would count as Outdated"
        case .primaryNop: "the peer is Primary and must fence this node first"
        case .resyncRunning: "a resync is running"
        case .alreadyStandAlone: "the connection is already StandAlone"
        case .failedByPeer: "the peer refused the change"
        case .isDiskless: "the volume is Diskless"
        case .deviceInUse: "the volume is in use"
        case .noNetConfig: "the connection has no network configuration"
        case .noVerifyAlgorithm: "no verify-alg is configured"
        case .needConnection: "the change needs an established connection"
        case .lowerThanOutdated: "the disk is already worse than Outdated"
        case .notSupported: "the peer's protocol version does not support the change"
        case .inTransientState: "a handshake or another change is under way; try again"
        case .concurrentStateChange: "both nodes asked for a change at once; try again"
        case .otherVolumePeerPrimary: "the peer is Primary for another volume of the resource"
        case .outdateWithoutConnection: "the disk cannot be outdated without a connection"
        case .primaryReader: "a reader keeps the peer's volume open"
        case .timeout: "the peer did not decide in time"
        case .weaklyConnected: "the node is only weakly connected"
        case .noQuorum: "the partition has no quorum"
        case .attachWithoutBitmap: "the disk has no bitmap for this peer"
        case .handshakeDisconnect: "the handshake ended the connection"
        case .handshakeRetry: "the handshake must be repeated"
        }
    }
}

/// The answer to a ``StateRequest``: P_STATE_CHG_REPLY and P_CONN_ST_CHG_REPLY.
package struct StateReply: Hashable, Sendable, BitwiseCopyable {
    /// The number as it came; any number is possible.
    package var code: Int32

    /// Creates the answer `result`.
    package init(_ result: StateChangeResult) { self.code = result.rawValue }

    init(code: Int32) { self.code = code }

    /// Whether the peer agrees.
    package var isSuccess: Bool { self.code >= 1 }

    /// The number's meaning; nil if no known version has it.
    package var result: StateChangeResult? { StateChangeResult(rawValue: self.code) }
}
