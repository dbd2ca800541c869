// SPDX-License-Identifier: Apache-2.0

import Foundation
import LinkSimulation
import Primitives
import Testing

/// A link that runs on its own thread, and a listener behind it.
final class LinkHarness {
    let link: Link
    private let target: BlockingSocket
    private let running = DispatchGroup()

    init(_ settings: LinkSettings = LinkSettings()) throws {
        self.target = try BlockingSocket.listening()
        let route = LinkRoute(
            listen: try LinkAddress("127.0.0.1:0"),
            target: try LinkAddress("127.0.0.1:\(self.target.port)")
        )
        let link = try Link([route], settings)
        self.link = link
        let running = self.running
        running.enter()
        Thread {
            link.run()
            running.leave()
        }
        .start()
    }

    deinit {
        self.link.stop()
        self.running.wait()
    }

    /// A new connection through the link: who connected, and who was connected to.
    func connect() throws -> (near: BlockingSocket, far: BlockingSocket) {
        (try self.connectNear(), try self.target.accepted())
    }

    func connectNear() throws -> BlockingSocket {
        let text = "\(self.link.routes[0].listen)"
        let port = try #require(text.split(separator: ":").last.flatMap { UInt16($0) })
        return try BlockingSocket.connected(to: port)
    }

    /// Stops listening behind the link.
    func closeTarget() { self.target.close() }

    @discardableResult
    func perform(_ request: LinkRequest) throws -> LinkReport {
        guard case .done(let report) = self.link.perform(request) else {
            throw POSIXError(.EINVAL)
        }
        return report
    }
}

/// A loopback socket whose calls wait, half a minute at most.
final class BlockingSocket: Sendable {
    private let descriptor: Int32

    /// What a read comes to.
    enum Received: Equatable {
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

    static func listening() throws -> BlockingSocket {
        let made = try BlockingSocket(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        try made.check(made.withLoopback(0) { bind(made.descriptor, $0, $1) })
        try made.check(listen(made.descriptor, 16))
        return made
    }

    static func connected(to port: UInt16) throws -> BlockingSocket {
        let made = try BlockingSocket(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0))
        try made.check(made.withLoopback(port) { connect(made.descriptor, $0, $1) })
        return made
    }

    var port: UInt16 {
        var name = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(self.descriptor, $0, &length)
            }
        }
        return UInt16(bigEndian: name.sin_port)
    }

    func accepted() throws -> BlockingSocket {
        try BlockingSocket(accept(self.descriptor, nil, nil))
    }

    func send(_ bytes: some Collection<UInt8>) throws {
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
            try self.check(Int32(clamping: count))
            sent += count
        }
    }

    /// Waits for the next bytes, at most for `time`.
    func receive(_ maximum: Int = 65_536, within time: TimeSpan = .seconds(30)) -> Received {
        self.setTime(time, SO_RCVTIMEO)
        var bytes = [UInt8](repeating: 0, count: maximum)
        let count = recv(self.descriptor, &bytes, maximum, 0)
        if count > 0 { return .bytes(Array(bytes[..<count])) }
        if count == 0 { return .endOfStream }
        return errno == ECONNRESET ? .reset : .nothing
    }

    /// Waits for so many bytes, or fewer if the stream ends or breaks.
    func receive(exactly total: Int) -> [UInt8] {
        var all: [UInt8] = []
        while all.count < total, case .bytes(let bytes) = self.receive(total - all.count) {
            all += bytes
        }
        return all
    }

    func finish() { shutdown(self.descriptor, Int32(SHUT_WR)) }

    /// Closes the listening end, so that later connections are refused.
    func close() { shutdown(self.descriptor, Int32(SHUT_RDWR)) }

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
