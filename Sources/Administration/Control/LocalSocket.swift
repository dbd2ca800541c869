// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A point in time on the monotonic clock after which nobody waits any longer.
package typealias Deadline = ContinuousClock.Instant

extension Deadline {
    /// The deadline that is `duration` away.
    package static func after(_ duration: Duration) -> Self { ContinuousClock.now + duration }

    /// What is left in milliseconds, rounded up, as `poll` takes it.
    fileprivate var millisecondsLeft: Int32 {
        let left = (self - ContinuousClock.now).components
        guard left.seconds >= 0, left.attoseconds >= 0 else { return 0 }
        guard left.seconds < 1_000_000 else { return Int32.max }
        let fraction = (left.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return Int32(left.seconds * 1000 + fraction)
    }
}

/// One end of a unix stream socket: a non-blocking descriptor with waits that have deadlines.
///
/// Does not own the descriptor.
struct LocalSocket: Sendable {
    let descriptor: Int32

    /// A new unconnected socket.
    static func make() throws(ControlError) -> Self {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else {
            throw .system(operation: "socket", object: "control socket", errno: errno)
        }
        return Self(descriptor: descriptor)
    }

    /// The address of `path`.
    static func address(of path: String) throws(ControlError) -> sockaddr_un {
        let bytes = Array(path.utf8)
        guard bytes.count < AdministrationLimits.socketPathBytes, !bytes.contains(0) else {
            throw .pathTooLong(path: path)
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }

    /// Connects to `path`; the result is 0 or an errno.
    func connect(to address: sockaddr_un) -> Int32 {
        var address = address
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(
                    self.descriptor,
                    $0,
                    socklen_t(MemoryLayout<sockaddr_un>.size)
                )
            }
        }
        return result == 0 ? 0 : errno
    }

    /// Makes calls return instead of waiting, which the waits of this type need, and keeps the
    /// descriptor from child processes.
    func makeNonBlocking() {
        _ = fcntl(self.descriptor, F_SETFD, FD_CLOEXEC)
        _ = fcntl(self.descriptor, F_SETFL, fcntl(self.descriptor, F_GETFL) | O_NONBLOCK)
    }

    /// Waits for `events`; false if the deadline passed first.
    ///
    /// A nil deadline waits for ever.
    func wait(for events: Int32, until deadline: Deadline?) -> Bool {
        var entry = pollfd(fd: self.descriptor, events: Int16(events), revents: 0)
        while true {
            let ready = poll(&entry, 1, deadline?.millisecondsLeft ?? -1)
            if ready > 0 { return true }
            if ready == 0 || errno != EINTR { return false }
        }
    }

    /// Whether the other side is still there.
    var isPeerThere: Bool {
        let readHangUp: Int32 = 0x2000  // POLLRDHUP, which Glibc's module does not show.
        let hangUp = Int32(POLLHUP) | readHangUp | Int32(POLLERR)
        var entry = pollfd(fd: self.descriptor, events: Int16(readHangUp), revents: 0)
        return poll(&entry, 1, 0) >= 0 && Int32(entry.revents) & hangUp == 0
    }

    /// What was received; empty at the end of the stream; nil if the deadline passed first.
    func receive(until deadline: Deadline?) throws(ControlError) -> [UInt8]? {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            guard self.wait(for: Int32(POLLIN), until: deadline) else { return nil }
            let count = recv(self.descriptor, &chunk, chunk.count, 0)
            if count >= 0 { return Array(chunk[..<count]) }
            switch errno {
            case EINTR, EAGAIN: continue
            case ECONNRESET: return []
            default:
                throw .system(operation: "recv", object: "control socket", errno: errno)
            }
        }
    }

    /// Sends all of `bytes`.
    func send(_ bytes: [UInt8], until deadline: Deadline) throws(ControlError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Foundation.send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                guard self.wait(for: Int32(POLLOUT), until: deadline) else {
                    throw .timedOut(what: "the other side of the control socket does not read")
                }
            case EPIPE, ECONNRESET: throw .closed
            default:
                throw .system(operation: "send", object: "control socket", errno: errno)
            }
        }
    }

    /// The user id of the process at the other side.
    var peerUserID: UInt32? {
        // struct ucred { pid_t pid; uid_t uid; gid_t gid; }
        var credentials: (pid: Int32, uid: UInt32, gid: UInt32) = (0, 0, 0)
        var size = socklen_t(MemoryLayout.size(ofValue: credentials))
        let result = getsockopt(self.descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size)
        return result == 0 ? credentials.uid : nil
    }
}
