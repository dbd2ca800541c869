// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A non-blocking TCP socket, closed by hand.
struct TCPSocket: Sendable {
    let descriptor: Int32

    /// What a call that may have to wait comes to.
    enum Outcome {
        case done(Int)
        case wouldBlock
        case failed(Int32)
    }

    /// A socket that listens at `address`.
    static func listening(at address: LinkAddress) throws(LinkError) -> TCPSocket {
        let socket = try Self.make(address.family)
        socket.set(SOL_SOCKET, SO_REUSEADDR, 1)
        let isBound = address.withPointer { bind(socket.descriptor, $0, $1) } == 0
        guard isBound, Glibc.listen(socket.descriptor, LinkLimits.backlog) == 0 else {
            let reason = errno
            socket.close()
            throw .system(operation: "listen at", object: "\(address)", errno: reason)
        }
        return socket
    }

    /// A socket that can connect to `address`.
    static func made(for address: LinkAddress) throws(LinkError) -> TCPSocket {
        try Self.make(address.family)
    }

    /// Begins or continues to connect.
    func connect(to address: LinkAddress) -> Outcome {
        let outcome = Self.outcome {
            address.withPointer { Int(Glibc.connect(self.descriptor, $0, $1)) }
        }
        if case .failed(EISCONN) = outcome { return .done(0) }
        if case .failed(EINPROGRESS) = outcome { return .wouldBlock }
        if case .failed(EALREADY) = outcome { return .wouldBlock }
        return outcome
    }

    private static func make(_ family: Int32) throws(LinkError) -> TCPSocket {
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else {
            throw .system(operation: "make", object: "a socket", errno: errno)
        }
        let made = TCPSocket(descriptor: descriptor)
        made.set(SOL_SOCKET, SO_RCVBUF, LinkLimits.receiveBufferBytes)
        made.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return made
    }

    /// The next connection of a listening socket; nil if there is none, or none that can be had.
    func accepted() -> TCPSocket? {
        let descriptor = accept(self.descriptor, nil, nil)
        guard descriptor >= 0 else { return nil }
        let made = TCPSocket(descriptor: descriptor)
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        made.set(Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return made
    }

    /// Reads into `memory`; 0 bytes are the end of the stream.
    func read(into memory: UnsafeMutableRawBufferPointer) -> Outcome {
        Self.outcome { recv(self.descriptor, memory.baseAddress, memory.count, 0) }
    }

    func write(_ memory: UnsafeRawBufferPointer) -> Outcome {
        Self.outcome {
            send(self.descriptor, memory.baseAddress, memory.count, Int32(MSG_NOSIGNAL))
        }
    }

    /// Ends the stream to the peer.
    func finishWriting() { _ = shutdown(self.descriptor, Int32(SHUT_WR)) }

    func close() { _ = Glibc.close(self.descriptor) }

    /// Closes with a reset, whatever is still buffered.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        let length = socklen_t(MemoryLayout<linger>.size)
        _ = setsockopt(self.descriptor, SOL_SOCKET, SO_LINGER, &option, length)
        self.close()
    }

    private func set(_ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        let length = socklen_t(MemoryLayout<Int32>.size)
        _ = setsockopt(self.descriptor, level, option, &value, length)
    }

    private static func outcome(_ call: () -> Int) -> Outcome {
        while true {
            let count = call()
            if count >= 0 { return .done(count) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            default: return .failed(errno)
            }
        }
    }
}
