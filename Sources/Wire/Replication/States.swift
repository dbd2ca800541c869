// SPDX-License-Identifier: Apache-2.0

/// The role of a node for one resource.
///
/// Raw values are those of the state word.
public enum Role: UInt8, Sendable, Hashable, CaseIterable, BitwiseCopyable {
    case unknown = 0
    case primary = 1
    case secondary = 2

    /// The name in status output.
    package var name: StaticString {
        switch self {
        case .unknown: "Unknown"
        case .primary: "Primary"
        case .secondary: "Secondary"
        }
    }
}

/// The state of a backing disk, worst to best.
///
/// Raw values are those of DRBD 8.4's state word (protocol below 110), which has no Detaching.
public enum DiskState: UInt8, Sendable, Hashable, Comparable, CaseIterable, BitwiseCopyable {
    case diskless = 0
    case attaching = 1
    case failed = 2
    case negotiating = 3
    case inconsistent = 4
    case outdated = 5
    case unknown = 6
    case consistent = 7
    case upToDate = 8

    /// The name in status output.
    package var name: StaticString {
        switch self {
        case .diskless: "Diskless"
        case .attaching: "Attaching"
        case .failed: "Failed"
        case .negotiating: "Negotiating"
        case .inconsistent: "Inconsistent"
        case .outdated: "Outdated"
        case .unknown: "DUnknown"
        case .consistent: "Consistent"
        case .upToDate: "UpToDate"
        }
    }

    /// Compares the raw values.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// The `conn` field of the state word: connection states up to `connected` of the connection (here
/// ``wfReportParams``), replication states above.
///
/// Raw values are those on the wire; their order matters to the rules of the protocol.
public enum ConnectionCode: UInt8, Sendable, Hashable, Comparable, CaseIterable, BitwiseCopyable {
    case standAlone = 0
    case disconnecting = 1
    case unconnected = 2
    case timeout = 3
    case brokenPipe = 4
    case networkFailure = 5
    case protocolError = 6
    case tearDown = 7
    case wfConnection = 8
    case wfReportParams = 9
    case connected = 10
    case startingSyncS = 11
    case startingSyncT = 12
    case wfBitMapS = 13
    case wfBitMapT = 14
    case wfSyncUUID = 15
    case syncSource = 16
    case syncTarget = 17
    case verifyS = 18
    case verifyT = 19
    case pausedSyncS = 20
    case pausedSyncT = 21
    case ahead = 22
    case behind = 23

    /// Compares the raw values.
    public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

    /// The connection state that status output shows for it (DRBD 9's names).
    package var connectionName: StaticString {
        switch self {
        case .standAlone: "StandAlone"
        case .disconnecting: "Disconnecting"
        case .unconnected: "Unconnected"
        case .timeout: "Timeout"
        case .brokenPipe: "BrokenPipe"
        case .networkFailure: "NetworkFailure"
        case .protocolError: "ProtocolError"
        case .tearDown: "TearDown"
        case .wfConnection: "Connecting"
        case .wfReportParams, .connected, .startingSyncS, .startingSyncT, .wfBitMapS, .wfBitMapT,
            .wfSyncUUID, .syncSource, .syncTarget, .verifyS, .verifyT, .pausedSyncS, .pausedSyncT,
            .ahead, .behind:
            "Connected"
        }
    }

    /// The replication state that status output shows for it; Off below `connected`.
    package var replicationName: StaticString {
        switch self {
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams:
            "Off"
        case .connected: "Established"
        case .startingSyncS: "StartingSyncS"
        case .startingSyncT: "StartingSyncT"
        case .wfBitMapS: "WFBitMapS"
        case .wfBitMapT: "WFBitMapT"
        case .wfSyncUUID: "WFSyncUUID"
        case .syncSource: "SyncSource"
        case .syncTarget: "SyncTarget"
        case .verifyS: "VerifyS"
        case .verifyT: "VerifyT"
        case .pausedSyncS: "PausedSyncS"
        case .pausedSyncT: "PausedSyncT"
        case .ahead: "Ahead"
        case .behind: "Behind"
        }
    }
}
