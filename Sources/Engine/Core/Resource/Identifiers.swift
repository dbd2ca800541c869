// SPDX-License-Identifier: Apache-2.0

/// What a disk operation is for: it comes back with the completion, unchanged.
public struct IOToken: Hashable, Sendable, BitwiseCopyable {
    /// The part of the core that asked.
    public enum Purpose: UInt8, Sendable, Hashable, BitwiseCopyable {
        /// `slot` is a request of the application.
        case requestRead, requestWrite
        /// `slot` is a write that the peer sent.
        case peerWrite
        /// `slot` is a read that the peer asked for.
        case peerRead
        /// A data flush for whoever waits for one.
        case dataFlush
        /// The activity log's transaction block, then the flush behind it.
        case activityLogWrite, activityLogFlush
        /// `slot` is the page of the bitmap; then the flush behind all of them.
        case bitmapPage, bitmapFlush
        /// The superblock, then the flush behind it.
        case superblockWrite, superblockFlush
    }

    package var purpose: Purpose
    package var slot: UInt32

    package init(_ purpose: Purpose, slot: UInt32 = 0) {
        self.purpose = purpose
        self.slot = slot
    }
}

/// How a disk operation ended.
public enum IOResult: Hashable, Sendable, BitwiseCopyable {
    case success
    /// The kernel's error number.
    case failure(errno: Int32)

    package var isSuccess: Bool { self == .success }
}
