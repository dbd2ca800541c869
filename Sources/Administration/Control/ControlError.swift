// SPDX-License-Identifier: Apache-2.0

import Foundation

/// What can go wrong between a tool and a daemon.
package enum ControlError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Nobody listens at `path`.
    case unreachable(daemon: String, path: String, errno: Int32)
    /// A daemon answers at `path` already.
    case alreadyRunning(daemon: String, path: String)
    /// What is at `path` is not a socket, so it is not removed.
    case notASocket(path: String)
    /// `path` does not fit into a socket address.
    case pathTooLong(path: String)
    /// A system call failed.
    case system(operation: String, object: String, errno: Int32)
    /// A line exceeds its limit.
    case lineTooLong(maximum: Int)
    /// A line is not what it should be.
    case malformed(String)
    /// The other side closed the connection in the middle of something.
    case closed
    /// The other side did not act in time.
    case timedOut(what: String)

    package var description: String {
        switch self {
        case .unreachable(let daemon, let path, let errno):
            "cannot reach \(daemon) at \(path): \(Self.text(errno)); is it running?"
        case .alreadyRunning(let daemon, let path):
            "\(path): another \(daemon) is running and owns this control socket; "
                + "stop it or use another --run-dir"
        case .notASocket(let path):
            "\(path): exists and is not a socket; remove it or use another --run-dir"
        case .pathTooLong(let path):
            "\(path): longer than the \(AdministrationLimits.socketPathBytes - 1) bytes that a "
                + "socket's path may have; use a shorter --run-dir"
        case .system(let operation, let object, let errno):
            "\(object): \(operation) failed: \(Self.text(errno))"
        case .lineTooLong(let maximum):
            "a line on the control socket exceeds \(maximum) bytes"
        case .malformed(let reason): "malformed line on the control socket: \(reason)"
        case .closed:
            "the control connection was closed before the answer was complete: the daemon has "
                + "ended, or is stopping; part of what was asked for may be done"
        case .timedOut(let what): "timeout: \(what)"
        }
    }

    private static func text(_ errno: Int32) -> String { String(cString: strerror(errno)) }
}
