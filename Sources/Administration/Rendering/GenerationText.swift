// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The text of `get-gi` and `show-gi`.
///
/// Source: `reference/drbd-metadata.md` §5.9.
package enum GenerationText {
    /// The identifiers and the flags in one line.
    package static func line(_ status: GenerationStatus) -> String {
        let history = (0..<2).map { status.history.indices.contains($0) ? status.history[$0] : 0 }
        let identifiers = [status.current, status.bitmap] + history
        let hexadecimal = identifiers.map { String(format: "%016llX", $0) }
        let flags = Self.flags(status).map { $0.isSet ? "1" : "0" }
        return (hexadecimal + flags).joined(separator: ":")
    }

    /// The line with what each of its parts means.
    package static func explained(_ status: GenerationStatus) -> String {
        var lines = [
            "current, bitmap and history identifiers of the data, then flags:",
            "", Self.line(status), "",
        ]
        lines += Self.flags(status).map { "  \($0.isSet ? 1 : 0)  \($0.meaning)" }
        return lines.joined(separator: "\n")
    }

    private static func flags(_ status: GenerationStatus) -> [(isSet: Bool, meaning: String)] {
        let disk = status.diskFlags
        let peer = status.peerFlags
        return [
            (disk.isConsistent, "the data is consistent"),
            (disk.wasUpToDate, "the data was UpToDate"),
            (disk.isPrimary, "this node is Primary"),
            (disk.isCrashedPrimary, "this node was Primary when it crashed"),
            (disk.isActivityLogClean, "the activity log has been applied"),
            (disk.isActivityLogDisabled, "the activity log is not used"),
            (disk.primaryLostQuorum, "this node lost quorum as Primary"),
            (peer.isConnected, "the peer is connected"),
            (peer.isOutdated, "the peer's data is Outdated"),
            (peer.isFencing, "the peer has to be fenced"),
            (peer.needsFullSync, "the peer needs a full sync"),
            (peer.deviceWasSeen, "the peer's disk was seen"),
        ]
    }
}
