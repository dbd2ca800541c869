// SPDX-License-Identifier: Apache-2.0

import Foundation
package import Primitives

/// A socket of loopback or a unix socket, whose calls wait, half a minute at most.
///
/// The end of a ring interrupts what its thread does later, so calls are tried again.
package final class BlockingSocket: Sendable {
    private let descriptor: Int32

    /// What a read comes to.
    package enum Received: Equatable {
        case bytes([UInt8])
        case endOfStream
        case reset
        case nothing
    }

    private init(_ descriptor: Int32) throws {
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        self.descriptor = descriptor
        self.setTime(.seconds(30), SO_RCVTIMEO)
        self.setTime(.seconds(30), SO_SNDTIMEO)
    }

    deinit { Glibc.close(self.descriptor) }

    /// Not for the programs that a test starts.
    private static let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)

    /// Listens on `port`; 0 takes a free one.
    package static func listening(on port: UInt16 = 0) throws -> BlockingSocket {
        let made = try BlockingSocket(socket(AF_INET, Self.type, 0))
        var one: Int32 = 1
        setsockopt(made.descriptor, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        try made.check(made.withLoopback(port) { bind(made.descriptor, $0, $1) })
        try made.check(listen(made.descriptor, 16))
        return made
    }

    /// Connects to `port`, from `source` of the loopback's addresses if it is given.
    package static func connected(to port: UInt16, from source: String? = nil) throws
        -> BlockingSocket
    {
        let made = try BlockingSocket(socket(AF_INET, Self.type, 0))
        if let source { try made.check(made.bindAddress(source)) }
        try made.check(made.withLoopback(port) { connect(made.descriptor, $0, $1) })
        return made
    }

    /// Connects to the unix socket at `path`.
    package static func connected(toSocket path: String) throws -> BlockingSocket {
        let made = try BlockingSocket(socket(AF_UNIX, Self.type, 0))
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(made.descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try made.check(result)
        return made
    }

    private func bindAddress(_ host: String) -> Int32 {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = inet_addr(host)
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(self.descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// The port of this end.
    package var port: UInt16 {
        var name = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(self.descriptor, $0, &length)
            }
        }
        return UInt16(bigEndian: name.sin_port)
    }

    /// Waits for the next connection.
    package func accepted() throws -> BlockingSocket {
        var descriptor = accept(self.descriptor, nil, nil)
        while descriptor < 0, errno == EINTR { descriptor = accept(self.descriptor, nil, nil) }
        let made = try BlockingSocket(descriptor)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return made
    }

    /// Sends all of `bytes`.
    package func send(_ bytes: some Collection<UInt8>) throws {
        let bytes = Array(bytes)
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    self.descriptor,
                    $0.baseAddress?.advanced(by: sent),
                    $0.count - sent,
                    Int32(MSG_NOSIGNAL)
                )
            }
            if count < 0, errno == EINTR { continue }
            try self.check(Int32(clamping: count))
            sent += count
        }
    }

    /// Waits for the next bytes, at most for `time`.
    package func receive(_ maximum: Int = 65_536, within time: TimeSpan = .seconds(30)) -> Received
    {
        self.setTime(time, SO_RCVTIMEO)
        var bytes = [UInt8](repeating: 0, count: maximum)
        var count = recv(self.descriptor, &bytes, maximum, 0)
        while count < 0, errno == EINTR { count = recv(self.descriptor, &bytes, maximum, 0) }
        if count > 0 { return .bytes(Array(bytes[..<count])) }
        if count == 0 { return .endOfStream }
        return errno == ECONNRESET ? .reset : .nothing
    }

    /// Waits for so many bytes, or fewer if the stream ends or breaks.
    package func receive(exactly total: Int) -> [UInt8] {
        var all: [UInt8] = []
        while all.count < total, case .bytes(let bytes) = self.receive(total - all.count) {
            all += bytes
        }
        return all
    }

    /// Ends our stream.
    package func finish() { shutdown(self.descriptor, Int32(SHUT_WR)) }

    /// Closes the listening end, so that later connections are refused.
    package func close() { shutdown(self.descriptor, Int32(SHUT_RDWR)) }

    /// Closes so that the other end sees a reset.
    package func reset() {
        var unconnected = sockaddr()
        unconnected.sa_family = sa_family_t(AF_UNSPEC)
        _ = connect(self.descriptor, &unconnected, socklen_t(MemoryLayout<sockaddr>.size))
    }

    private func setTime(_ time: TimeSpan, _ option: Int32) {
        var value = timeval(
            tv_sec: Int(time.milliseconds / 1000),
            tv_usec: Int(time.milliseconds % 1000 * 1000)
        )
        let length = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(self.descriptor, SOL_SOCKET, option, &value, length)
    }

    private func check(_ result: Int32) throws {
        guard result >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    }

    private func withLoopback(
        _ port: UInt16,
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_port = port.bigEndian
        name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
