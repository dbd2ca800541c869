// SPDX-License-Identifier: Apache-2.0

import Wire

/// The colour of a state on a terminal: good green, bad red, Primary cyan; the own state bold.
enum Highlight: String {
    case ownPrimary = "1;36"
    case peerPrimary = "36"
    case ownGood = "1;32"
    case peerGood = "32"
    case ownBad = "1;31"
    case peerBad = "31"

    /// `text` between the colour and a reset.
    func around(_ text: String) -> String { "\u{1B}[\(self.rawValue)m\(text)\u{1B}[0m" }

    static func role(_ role: Role, isOwn: Bool) -> Self? {
        guard role == .primary else { return nil }
        return isOwn ? .ownPrimary : .peerPrimary
    }

    static func disk(_ disk: DiskState, client: ClientState, isOwn: Bool) -> Self? {
        switch disk {
        case .upToDate: isOwn ? .ownGood : .peerGood
        case .diskless where client == .yes: isOwn ? .ownGood : .peerGood
        case .diskless, .inconsistent, .outdated: isOwn ? .ownBad : .peerBad
        case .attaching, .failed, .negotiating, .unknown, .consistent: nil
        }
    }

    static func connection(_ state: ConnectionState) -> Self? {
        state == .standAlone || state == .connecting ? .peerBad : nil
    }

    static func replication(_ state: ReplicationState) -> Self? {
        switch state {
        case .syncSource, .syncTarget, .pausedSyncT: .peerBad
        case .off, .established, .startingSyncS, .startingSyncT, .wfBitMapS, .wfBitMapT,
            .wfSyncUUID, .verifyS, .verifyT, .pausedSyncS, .ahead, .behind:
            nil
        }
    }
}
