// SPDX-License-Identifier: Apache-2.0

/// The limits of the control sockets.
package enum AdministrationLimits {
    /// Bytes of one request line: more than any command line can hold (Linux: 128 KiB a word).
    package static let requestLineBytes = 1 << 20
    /// Bytes of one reply line: the status of some ten thousand volumes.
    package static let replyLineBytes = 16 << 20
    /// Clients at a time, each of which has a thread; more is somebody's loop gone wild.
    package static let clients = 64
    /// Time for a client to hand over a whole request line, then the connection is closed.
    package static let requestTime = Duration.seconds(10)
    /// Time for a client to take one reply line.
    package static let replyTime = Duration.seconds(10)
    /// Time in which a daemon has to accept a client.
    package static let connectTime = Duration.seconds(5)
    /// Time in which a daemon has to answer a question; a change takes the time that it takes.
    package static let answerTime = Duration.seconds(120)
    /// Time in which running handlers may end their answers when a server is stopped.
    package static let lastAnswerTime = Duration.seconds(2)
    /// Time in which running handlers have to end when a server is stopped, the above included.
    package static let stopTime = Duration.seconds(10)
    /// Bytes of a socket's path, the terminating zero included (`sun_path`).
    package static let socketPathBytes = 108
}
