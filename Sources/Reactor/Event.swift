// SPDX-License-Identifier: Apache-2.0

/// What has happened, in the order in which the loop found it.
///
/// Each piece of memory that a driver lends to the reactor comes back by exactly one event that
/// carries its token. A connection's last event is ``closed(_:)``: by then everything lent
/// to it has come back.
package enum Event: Hashable, Sendable, BitwiseCopyable {
    /// A client has connected; receiving has not begun.
    case accepted(ConnectionID, by: ListenerID)
    /// A connection that we began is established.
    case connected(ConnectionID)
    /// A receive has filled `byteCount` bytes, at least the minimum that it was given.
    case received(ConnectionID, token: UInt64, byteCount: Int)
    /// The peer has ended its stream `byteCount` bytes into a receive, before its minimum.
    case endOfStream(ConnectionID, token: UInt64, byteCount: Int)
    /// The memory of a receive is free: the connection is going away.
    case receiveAbandoned(ConnectionID, token: UInt64)
    /// The kernel has taken the last byte of a segment.
    case sent(ConnectionID, token: UInt64)
    /// The memory of a segment is free: the connection went away before it was sent completely.
    case sendAbandoned(ConnectionID, token: UInt64)
    /// After a refused send: the queue has room again.
    case sendReady(ConnectionID)
    /// The connection, or the attempt to connect, has failed; it is being closed.
    case failed(ConnectionID, Errno)
    /// The connection is gone, and with it its handle.
    case closed(ConnectionID)
    /// Accepting failed for want of descriptors or memory; it goes on after a pause.
    case acceptFailed(ListenerID, Errno)
    /// A file operation is complete: all its bytes, or for a read those before the end of the file.
    case fileCompleted(FileID, token: UInt64, byteCount: Int)
    /// A file operation has failed; a write may have reached the file in part.
    case fileFailed(FileID, token: UInt64, Errno)
    /// The last operation of a file that was closed is through, and the file with it.
    case fileClosed(FileID)
    /// At least one mailbox may hold messages.
    case messages
    /// Another thread asks the loop to stop.
    case stopRequested
    /// The process has received a watched signal.
    case signal(Int32)
}
