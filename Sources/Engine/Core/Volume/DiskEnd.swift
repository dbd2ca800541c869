// SPDX-License-Identifier: Apache-2.0

package import Primitives
import Wire

/// Why a disk was given up.
package enum DiskEnd: Hashable, Sendable, BitwiseCopyable {
    /// An operation failed; `range` is nil for metadata and flushes.
    case operation(IOToken.Purpose, SectorRange?, errno: Int32)
    /// The administrator detached it.
    case detached
    /// Its data does not fit the peer's.
    case refused(SyncRefusal)
    /// The application has seen newer data than the disk has.
    case outOfDate
}

extension Resource {
    /// The sectors of the data that an operation is about; nil for metadata and flushes.
    package func sectors(of token: IOToken) -> SectorRange? {
        switch token.purpose {
        case .requestRead, .requestWrite:
            self.requests.contains(token.slot) ? self.requests[token.slot].range : nil
        case .peerRead, .peerWrite:
            self.peerRequests.contains(token.slot) ? self.peerRequests[token.slot].range : nil
        case .dataFlush, .attachFlush, .detachFlush, .activityLogWrite, .activityLogFlush,
            .bitmapPage, .bitmapFlush, .superblockWrite, .superblockFlush:
            nil
        }
    }

    /// Remembers the first error of a disk, before anybody draws conclusions from it.
    mutating func noteFailure(_ index: UInt16, _ token: IOToken, _ errno: Int32) {
        guard self.volumes[index].diskEnd == nil else { return }
        self.volumes[index].diskEnd = .operation(
            token.purpose,
            self.sectors(of: token),
            errno: errno
        )
    }

    /// An error that has not cost the disk, such as that of a read, is no reason for its end.
    mutating func forgetHarmlessFailure(_ index: UInt16) {
        guard self.volumes.contains(index), self.volumes[index].state.disk > .failed else { return }
        self.volumes[index].diskEnd = nil
    }
}
