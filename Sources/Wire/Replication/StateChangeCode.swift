// SPDX-License-Identifier: Apache-2.0

/// How a state change ended, by its number on the wire (§12.1) and of drbdsetup.
///
/// Numbers of 1 and above are success.
package enum StateChangeCode: Int32, Error, Hashable, Sendable, CaseIterable, BitwiseCopyable {
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
    case primaryNeedsFencing = -7
    case resyncRunning = -8
    case alreadyStandAlone = -9
    case failedByPeer = -10
    case isDiskless = -11
    case deviceInUse = -12
    case noNetConfiguration = -13
    case noVerifyAlgorithm = -14
    case needConnection = -15
    case lowerThanOutdated = -16
    case notSupported = -17
    case inTransientState = -18
    case concurrentStateChange = -19
    case otherVolumePrimaryAtPeer = -20
    /// 8.4: the peer cannot be outdated without a connection. 9: the change was interrupted.
    case outdateWithoutConnection = -21
    // Numbers that only DRBD 9 sends.
    case primaryReader = -22
    case timeout = -23
    case weaklyConnected = -24
    case noQuorum = -25
    case attachWithoutBitmap = -26
    case handshakeDisconnect = -27
    case handshakeRetry = -28

    /// Whether the change took place, or needed not to.
    package var isSuccess: Bool { self.rawValue >= StateChangeCode.success.rawValue }

    /// The sentence that drbdsetup prints for it.
    package var text: StaticString {
        switch self {
        case .clusterWideNotNeeded: "Cluster wide state change not needed"
        case .clusterWideSuccess: "Cluster wide state change succeeded"
        case .nothingToDo: "State change not needed"
        case .success: "State change succeeded"
        case .unknownError: "Unknown state change error, retry"
        case .twoPrimaries: "Multiple primaries not allowed by config"
        case .noUpToDateDisk: "Need access to UpToDate data"
        case .noLocalDisk: "Can not resync without local disk"
        case .noRemoteDisk: "Can not resync without remote disk"
        case .connectedOutdates: "Refusing to be Outdated while Connected"
        case .primaryNeedsFencing: "Refusing to be Primary while peer is not outdated"
        case .resyncRunning: "Can not start OV/resync since it is already active"
        case .alreadyStandAlone: "Can not disconnect a StandAlone device"
        case .failedByPeer: "State change was refused by peer node"
        case .isDiskless: "Device is diskless, the requested operation requires a disk"
        case .deviceInUse: "Device is held open by someone"
        case .noNetConfiguration: "Have no net/connection configuration"
        case .noVerifyAlgorithm: "Need a verify algorithm to start online verify"
        case .needConnection: "Need a connection to start verify or resync"
        case .lowerThanOutdated: "Disk state is lower than outdated"
        case .notSupported: "Peer does not support protocol"
        case .inTransientState: "In transient state, retry after next state change"
        case .concurrentStateChange: "Concurrent state changes detected and aborted"
        case .otherVolumePrimaryAtPeer: "Other vol primary on peer not allowed by config"
        case .outdateWithoutConnection: "Interrupted state change"
        case .primaryReader: "A reader keeps the peer's device open"
        case .timeout: "The peer did not decide in time"
        case .weaklyConnected: "The node is only weakly connected"
        case .noQuorum: "No quorum"
        case .attachWithoutBitmap: "The disk has no bitmap for this peer"
        case .handshakeDisconnect: "The handshake ended the connection"
        case .handshakeRetry: "The handshake must be repeated"
        }
    }
}

/// The answer to a ``StateRequest``: P_STATE_CHG_REPLY and P_CONN_ST_CHG_REPLY.
package struct StateReply: Hashable, Sendable, BitwiseCopyable {
    /// The number as it came; any number is possible.
    package var code: Int32

    /// Creates the answer `code`.
    package init(_ code: StateChangeCode) { self.code = code.rawValue }

    init(code: Int32) { self.code = code }

    /// Whether the peer agrees.
    package var isSuccess: Bool { self.code >= 1 }

    /// The number's meaning; nil if no known version has it.
    package var result: StateChangeCode? { StateChangeCode(rawValue: self.code) }
}
