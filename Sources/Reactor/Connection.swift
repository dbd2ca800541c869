// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives

/// One stream connection, in its slot.
///
///     connecting ──established──▶ open ──close──▶ draining ──flushed, end of stream──▶ closing
///          └───────────failed, aborted, deadline──────┴──────────────────────────────▶ closing
///
/// `closing` waits for the kernel to give back the last operation, then the descriptor is closed
/// and `closed` is reported.
struct Connection: BitwiseCopyable {
    enum Phase: UInt8 {
        case connecting
        case open
        case draining
        case closing
        case closed
    }

    /// The one receive that may be under way.
    struct Receive: BitwiseCopyable {
        var memory: UnsafeMutableRawPointer?
        var capacity = 0
        var minimum = 0
        var filled = 0
        var token: UInt64 = 0
        /// Whether the memory is lent to us: from `receive` until its event.
        var isLent = false
        /// Whether the kernel works on a receive, the driver's or our own that discards.
        var isInKernel = false
    }

    let descriptor: Int32
    let isTCP: Bool
    /// The slot of the timer for connecting and for draining.
    let timer: UInt32
    var phase: Phase
    /// The driver has called `close` or `abort`: of the past it only wants its memory back.
    var isReleased = false
    /// The send side is to be shut once the queue is empty.
    var shutsSending = false
    var isSendingShut = false
    /// While draining: the peer's stream has ended.
    var hasPeerEnded = false
    var isConnectInKernel = false
    var isSendReadyInKernel = false
    var cancelsInKernel: UInt8 = 0
    /// The last receive left data in the socket: the next one need not wait for readiness first.
    var hasMoreToReceive = false
    var receive = Receive()
    var send: SendQueue

    /// Whether the kernel still works on anything of ours.
    var isInKernel: Bool {
        self.receive.isInKernel || self.isConnectInKernel || self.isSendReadyInKernel
            || self.cancelsInKernel > 0
    }
}
