// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// A Linux error number.
package struct Errno: Hashable, Sendable, BitwiseCopyable, CustomStringConvertible {
    /// The number, above 0.
    package let number: Int32

    /// Creates the error `number`.
    package init(_ number: Int32) { self.number = number }

    /// The calling thread's last error.
    static var last: Errno { Errno(errno) }

    /// The system's words for the error and its number.
    package var description: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { text in
            guard let start = text.baseAddress else { return "error \(self.number)" }
            clinux_describe_error(self.number, start, text.count)
            return "\(String(cString: start)) (\(self.number))"
        }
    }

    /// The deadline has passed.
    package static var timedOut: Self { Self(ETIMEDOUT) }
    /// The peer has dropped the connection.
    package static var connectionReset: Self { Self(ECONNRESET) }
    /// The peer takes no more data.
    package static var brokenPipe: Self { Self(EPIPE) }
    /// The file or device cannot do what was asked.
    package static var notSupported: Self { Self(EOPNOTSUPP) }
    /// The device is full.
    package static var noSpace: Self { Self(ENOSPC) }
    /// The device has failed.
    package static var inputOutput: Self { Self(EIO) }
    /// The operation was called off.
    package static var cancelled: Self { Self(ECANCELED) }
}

/// Why the reactor could not set something up.
package enum ReactorError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kernel refuses io_uring or lacks a part of it that the loop needs.
    case ringUnavailable(missing: String, Errno)
    /// A system call on `object` has failed.
    case systemCall(String, object: String, Errno)
    /// Another process has locked the file or device.
    case inUse(path: String)
    /// The text is not an address that can be used.
    case badAddress(String, reason: String)
    /// Direct I/O was demanded for a file that cannot do it in 512-byte blocks.
    case directUnavailable(path: String, reason: String)
    /// The path names neither a regular file nor a block device.
    case notAVolume(path: String)
    /// A limit of ``ReactorLimits`` is reached.
    case limitReached(String, limit: Int)

    /// One sentence: what failed, on which object, and what to do.
    package var description: String {
        switch self {
        case .ringUnavailable(let missing, let code):
            "io_uring is not available: \(missing): \(code); Linux 6.1 or later is needed, "
                + "and the sysctl kernel.io_uring_disabled and the container's seccomp "
                + "profile must allow it"
        case .systemCall(let call, let object, let code):
            "\(call) failed on \(object): \(code)"
        case .inUse(let path):
            "\(path) is in use: it is mounted, or another process holds it or its lock"
        case .badAddress(let text, let reason):
            "address '\(text)' cannot be used: \(reason)"
        case .directUnavailable(let path, let reason):
            "direct I/O is not possible on \(path): \(reason); use io-mode auto or buffered"
        case .notAVolume(let path):
            "\(path) is neither a regular file nor a block device"
        case .limitReached(let what, let limit):
            "no more than \(limit) \(what) on one reactor"
        }
    }
}
