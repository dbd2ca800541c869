// SPDX-License-Identifier: Apache-2.0

import Primitives

/// The limits of a simulated link.
package enum LinkLimits {
    /// Bits a second: below, one packet takes seconds; above, no loopback device keeps up.
    package static let rates: ClosedRange<UInt64> = 8_000...100_000_000_000
    /// The longest delay and the longest jitter.
    static let delay = TimeSpan.seconds(60)
    /// Connections at a time; more wait in the backlog of their listener.
    package static let connections = 1_000
    /// Pairs of addresses that share one link.
    package static let routes = 64
    /// Bytes of one piece: what is read, paced and delivered at a time.
    package static let pieceBytes: ClosedRange<UInt64> = 1_448...65_536
    /// What a piece may take to be sent where the rate decides its size.
    static let pieceTime = TimeSpan.milliseconds(2)
    /// What may wait in front of the line, as in a router with a short queue.
    static let queueTime = TimeSpan.milliseconds(10)
    /// Bytes on their way in one direction of one connection; above the product of rate and delay.
    package static let flowBytes: ClosedRange<UInt64> = (1 << 20)...(256 << 20)
    /// The same where no rate is set.
    package static let flowBytesWithoutRate: UInt64 = 64 << 20
    /// The receive buffer of each socket: what a sender can hand over before it is read.
    static let receiveBufferBytes: Int32 = 256 << 10
    /// Connections that wait to be accepted.
    static let backlog: Int32 = 128
}
