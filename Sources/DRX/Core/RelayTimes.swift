// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// How long a relay waits for what; nothing waits for ever.
package struct RelayTimes: Hashable, Sendable, BitwiseCopyable {
    /// TCP connection with the remote relay, and its answer to the greeting.
    package var bridgeDial = TimeSpan.seconds(6)
    /// First and longest pause between attempts to reach the remote relay.
    package var bridgeRetryFirst = TimeSpan.milliseconds(200)
    package var bridgeRetryMaximum = TimeSpan.seconds(4)
    /// TCP connection with the local engine.
    package var engineDial = TimeSpan.seconds(3)
    /// First and longest pause between attempts to reach the local engine.
    package var engineRetryFirst = TimeSpan.milliseconds(100)
    package var engineRetryMaximum = TimeSpan.seconds(1)
    /// The first packet on a socket that the engine has dialled; DRBD waits 2 s itself.
    package var initialPacket = TimeSpan.seconds(5)
    /// The remote relay reaches its engine; then our engine's socket is closed, and it dials anew.
    package var establish = TimeSpan.seconds(30)
    /// Delivery of what was accepted, when a stream ends.
    package var drain = TimeSpan.seconds(30)
    /// The remote relay's end of a stream: its own drain, and the way there and back.
    package var remoteEnd = TimeSpan.seconds(40)
    /// A keep-alive is sent this often on every bridge.
    package var keepAlive = TimeSpan.seconds(3)
    /// A bridge on which nothing arrives for so long is lost.
    package var silence = TimeSpan.seconds(15)

    /// The default times.
    package init() {}
}
