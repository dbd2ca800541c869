// SPDX-License-Identifier: Apache-2.0

import Primitives

/// One request of the application while the core works on it.
///
/// A write lives here from its admission until the peer has confirmed its epoch (P_BARRIER_ACK) or
/// the connection is lost: until then its range counts as different from the peer, and its
/// activity-log extents stay hot.
struct Request: BitwiseCopyable {
    struct Flags: OptionSet, BitwiseCopyable {
        let rawValue: UInt16

        /// Submitted to the local disk, not yet completed.
        static var localPending: Self { Self(rawValue: 1 << 0) }
        /// The local disk has completed it with success.
        static var localDone: Self { Self(rawValue: 1 << 1) }
        /// The local disk failed, or there was none.
        static var localFailed: Self { Self(rawValue: 1 << 2) }
        /// Sent to the peer and not yet covered by a barrier acknowledgement.
        static var inTransferLog: Self { Self(rawValue: 1 << 3) }
        /// The client may not be told before the peer's answer that the protocol asks for.
        static var awaitsPeer: Self { Self(rawValue: 1 << 4) }
        /// The peer has said that its copy failed.
        static var peerFailed: Self { Self(rawValue: 1 << 5) }
        /// The peer has answered P_WRITE_ACK or better.
        static var peerDone: Self { Self(rawValue: 1 << 6) }
        /// The client has been told.
        static var completed: Self { Self(rawValue: 1 << 7) }
        /// References in the activity log are held.
        static var holdsExtents: Self { Self(rawValue: 1 << 8) }
        /// The range is in the table of writes in flight.
        static var inFlight: Self { Self(rawValue: 1 << 9) }
        /// The connection was lost while it waited for the peer.
        static var peerLost: Self { Self(rawValue: 1 << 10) }
        /// This node's disk does not count as a copy: it is no UpToDate one, or there is none.
        static var peerIsOnlyCopy: Self { Self(rawValue: 1 << 11) }
        /// A read that the peer serves.
        static var remoteRead: Self { Self(rawValue: 1 << 12) }
        /// A write that has not started: its range is in the table of waiting writes.
        static var waits: Self { Self(rawValue: 1 << 13) }
        /// More than one older waiting write may overlap it.
        static var mayWaitAgain: Self { Self(rawValue: 1 << 14) }
    }

    var client: ClientRequest
    var flags: Flags = []
    /// The epoch in which it was sent; for a flush the last epoch whose acknowledgement it awaits.
    var epoch: UInt32 = 0
    /// What the peer echoes; unique among writes that are not yet confirmed.
    var blockID: UInt64 = 0
    /// Protocol A: the number of its packet on the data socket, counted from 1 for each connection.
    var packetNumber: UInt64 = 0
    /// Its place in the table of waiting writes, then in that of writes in flight.
    var interval: UInt32 = .max
    /// The resync that ran when it was sent.
    var resyncRound: UInt32 = 0
    /// The next younger request of the same list.
    var next: UInt32 = Request.none
    /// Younger writes that look again whether they may start when this one is no longer in flight.
    var waiters = RequestList()
    var submittedAt: Instant

    static var none: UInt32 { .max }

    var range: SectorRange { self.client.range }
}
