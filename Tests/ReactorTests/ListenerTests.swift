// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives
import Reactor
import TestSupport
import Testing

@Suite struct ListenerTests {
    @Test func `a unix socket has mode 0600, tells its peer, and goes away`() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("control")
        let pair = try LoopPair()
        let (near, far, listener) = try pair.connect(.unix(path))
        var status = stat()
        #expect(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        let credentials = try #require(pair.reactor.credentials(of: far))
        #expect(credentials.process == getpid())
        #expect(credentials.user == getuid())
        #expect(credentials.group == getgid())
        #expect(pair.reactor.peerAddress(of: near)?.path == path)
        #expect(pair.reactor.congestionControl(of: near) == nil)
        pair.reactor.close(listener)
        #expect(stat(path, &status) != 0)
    }

    @Test func `replaces a stale unix socket, and leaves a live one alone`() throws {
        let folder = try TemporaryFolder()
        let address = try SocketAddress.unix(folder.file("socket"))
        // What a killed daemon leaves behind: a bound path whose socket is closed.
        let stale = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) {
            $0.copyBytes(from: folder.file("socket").utf8)
        }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let result = withUnsafePointer(to: &name) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(stale, $0, size) }
        }
        #expect(result == 0)
        close(stale)

        let pair = try LoopPair()
        _ = try pair.connect(address)
        #expect(throws: ReactorError.systemCall("bind", object: "\(address)", Errno(EADDRINUSE))) {
            try pair.reactor.listen(on: address)
        }
    }

    @Test func `reports the port it got, and applies options to accepted connections`() throws {
        let pair = try LoopPair()
        var options = ConnectionOptions()
        options.sendBufferByteCount = 100_000
        options.userTimeout = .seconds(42)
        options.congestionControl = "reno"
        options.keepAlive = .init(idle: .seconds(5), interval: .seconds(2), probes: 3)
        let (near, far, listener) = try pair.connect(
            .ip("127.0.0.1", port: 0),
            client: options,
            server: options
        )
        let port = try #require(pair.reactor.address(of: listener)?.port)
        #expect(port > 0)
        #expect(pair.reactor.peerAddress(of: near)?.port == port)
        #expect(pair.reactor.localAddress(of: far)?.port == port)
        #expect("\(try #require(pair.reactor.peerAddress(of: near)))" == "127.0.0.1:\(port)")
        for id in [near, far] {
            // The kernel doubles the size for its own needs.
            #expect(pair.reactor.kernelBuffers(of: id)?.send == 200_000)
            #expect(pair.reactor.congestionControl(of: id) == "reno")
            #expect(pair.reactor.credentials(of: id) == nil)
        }
    }

    @Test func `keeps the kernel's congestion control where the wanted one does not exist`() throws
    {
        let pair = try LoopPair()
        var options = ConnectionOptions()
        options.congestionControl = "no-such-algorithm"
        let (near, far, _) = try pair.connect(.ip("127.0.0.1", port: 0), client: options)
        let name = try #require(pair.reactor.congestionControl(of: near))
        #expect(name == pair.reactor.congestionControl(of: far))
        #expect(!name.isEmpty && name != "no-such-algorithm")
    }

    @Test func `a full table makes clients wait until a connection is free`() throws {
        var limits = ReactorLimits()
        limits.connections = 3
        let pair = try LoopPair(limits)
        let (near, far, listener) = try pair.connect(.ip("127.0.0.1", port: 0))
        let address = try #require(pair.reactor.address(of: listener))
        let deadline = pair.reactor.now + .seconds(5)
        let waiting = try pair.reactor.connect(to: address, deadline: deadline)
        try pair.expect(.connected(waiting))
        #expect(throws: ReactorError.limitReached("connections", limit: 3)) {
            try pair.reactor.connect(to: address, deadline: deadline)
        }
        pair.run(for: .milliseconds(5))
        #expect(pair.leftover() == [])

        pair.reactor.abort(near)
        try pair.expect(.closed(near))
        let accepted = try pair.await { event in
            if case .accepted(let id, listener) = event { id } else { nil }
        }
        #expect(withBytes("late") { pair.reactor.send(copying: $0, on: accepted) })
        let memory = TestMemory(4)
        #expect(pair.reactor.receive(on: waiting, into: memory.bytes, atLeast: 4, token: 1))
        try pair.expect(.received(waiting, token: 1, byteCount: 4))
        _ = far
    }

    @Test func `adopts one end of a socket pair`() throws {
        var ends: [Int32] = [0, 0]
        #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let pair = try LoopPair()
        let id = try pair.reactor.adopt(ends[0])
        #expect(write(ends[1], "abc", 3) == 3)
        let memory = TestMemory(3)
        #expect(pair.reactor.receive(on: id, into: memory.bytes, atLeast: 3, token: 1))
        try pair.expect(.received(id, token: 1, byteCount: 3))
        close(ends[1])
    }

    @Test(arguments: ["", "localhost", "1.2.3", "::1::", "127.0.0.1 "])
    func `refuses what is not a numeric host`(_ host: String) {
        #expect(throws: ReactorError.self) { try SocketAddress.ip(host, port: 1) }
    }

    @Test func `refuses a path that is too long for a socket`() {
        #expect(throws: ReactorError.self) {
            try SocketAddress.unix(String(repeating: "x", count: 108))
        }
        #expect(throws: Never.self) { try SocketAddress.unix(String(repeating: "x", count: 107)) }
    }

    @Test func `prints addresses as one writes them`() throws {
        #expect("\(try SocketAddress.ip("::1", port: 7788))" == "[::1]:7788")
        #expect("\(try SocketAddress.ip("10.1.2.3", port: 0))" == "10.1.2.3:0")
        #expect("\(try SocketAddress.unix("/run/bsr/nbd.sock"))" == "unix:/run/bsr/nbd.sock")
    }
}
