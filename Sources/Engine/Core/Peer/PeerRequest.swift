// SPDX-License-Identifier: Apache-2.0

import Primitives

/// A write or a read that the peer has asked for, while the core works on it.
struct PeerRequest: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable {
        /// P_DATA.
        case write
        /// P_TRIM.
        case trim
        /// P_ZEROES.
        case writeZeroes
        /// P_RS_DATA_REPLY: a block of the resync that runs towards this node.
        case resyncWrite
        /// P_RS_DEALLOCATED: a block of that resync that is all zero.
        case resyncZeroes
        /// P_DATA_REQUEST: the peer's application reads.
        case read
        /// P_RS_DATA_REQUEST: the resync that runs towards the peer reads.
        case resyncRead
    }

    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16

        /// Submitted to the disk.
        static var submitted: Self { Self(rawValue: 1 << 0) }
        /// Protocol C: answer P_WRITE_ACK or P_RS_WRITE_ACK.
        static var acknowledge: Self { Self(rawValue: 1 << 1) }
        /// The bits of the range may be cleared when it is on stable storage.
        static var maySetInSync: Self { Self(rawValue: 1 << 2) }
        static var forcedUnitAccess: Self { Self(rawValue: 1 << 3) }
        static var mayUnmap: Self { Self(rawValue: 1 << 4) }
        /// The disk has failed to do it.
        static var failed: Self { Self(rawValue: 1 << 5) }
        /// Belongs to a connection that is gone: nobody waits for an answer.
        static var orphaned: Self { Self(rawValue: 1 << 6) }
        /// Protocol B: answer P_RECV_ACK.
        static var acknowledgeReceipt: Self { Self(rawValue: 1 << 7) }
        /// Its bits are not durable yet, and no other node can tell what it changes.
        static var awaitsMarks: Self { Self(rawValue: 1 << 8) }
    }

    var kind: Kind
    var flags: Flags = []
    var volume: UInt16
    var range: SectorRange
    var buffer: BufferHandle
    /// Echoed in every answer.
    var blockID: UInt64
    /// For writes of the application: the epoch, counted over the connection.
    var epoch: UInt64 = 0
    /// The resync that ran when it arrived.
    var resyncRound: UInt32 = 0
    /// The resync request that a resync write answers.
    var resyncRequest: ResyncWalk.RequestID?
    /// Its place in the table of ranges in flight.
    var interval: UInt32 = .max

    /// Whether it is one of the writes that P_BARRIER_ACK counts.
    var countsInEpoch: Bool {
        switch self.kind {
        case .write, .trim, .writeZeroes: true
        case .resyncWrite, .resyncZeroes, .read, .resyncRead: false
        }
    }

    /// Whether it is a block of the resync that runs towards this node.
    var isResync: Bool {
        switch self.kind {
        case .resyncWrite, .resyncZeroes: true
        case .write, .trim, .writeZeroes, .read, .resyncRead: false
        }
    }
}
