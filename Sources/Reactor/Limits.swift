// SPDX-License-Identifier: Apache-2.0

/// The bounds of one reactor.
///
/// All memory but a connection's send queue is found at its creation.
package struct ReactorLimits: Hashable, Sendable {
    /// Open connections.
    ///
    /// A full table stops accepting until one closes.
    package var connections = 256
    /// Listening sockets.
    package var listeners = 32
    /// Open files and devices.
    package var files = 256
    /// File operations under way, those of all files together: what all clients of a resource may
    /// have in flight, and their peers.
    ///
    /// A full table refuses an operation.
    package var fileOperations = 8192
    /// Threads for buffered writes: enough to keep a disk's queue busy without owning the machine.
    package var writerThreads = 3
    /// Sizes and counts of the payload buffers; none if empty.
    package var buffers: [BufferClass] = []
    /// Whether the payload buffers are to be registered with the ring.
    ///
    /// That pins them.
    package var registersBuffers = true

    /// Creates the default limits.
    package init() {}

    /// Entries of the submission queue: one batch; a full queue is handed to the kernel early.
    static let submissionEntries: UInt32 = 1024
    /// Entries of the completion queue; the kernel keeps what exceeds it.
    static let completionEntries: UInt32 = 16384
    /// Completions taken from the ring at a time.
    static let harvest = 256
    /// Segments of one sendmsg (the kernel's UIO_MAXIOV).
    static let segmentsPerCall = 1024
    /// How long accepting rests after the system ran out of descriptors or memory.
    static let acceptPauseMilliseconds: UInt64 = 100
    /// Zeroes written at a time where a file system cannot zero a range itself.
    static let zeroChunkByteCount = 262_144
}
