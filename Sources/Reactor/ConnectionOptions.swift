// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
package import Primitives

/// How a stream connection is set up.
///
/// Options of TCP do nothing on a unix socket.
package struct ConnectionOptions: Hashable, Sendable {
    /// Probes that tell a dead peer from a silent one.
    package struct KeepAlive: Hashable, Sendable {
        /// Silence before the first probe.
        package var idle: TimeSpan
        /// The time between probes.
        package var interval: TimeSpan
        /// Unanswered probes after which the connection fails.
        package var probes: Int

        /// Creates a rule; times are rounded up to whole seconds.
        package init(idle: TimeSpan, interval: TimeSpan, probes: Int) {
            self.idle = idle
            self.interval = interval
            self.probes = probes
        }
    }

    /// TCP_NODELAY: the loop already sends once per batch.
    package var noDelay = true
    /// SO_SNDBUF; nil leaves the size to the kernel, which then grows it by need.
    package var sendBufferByteCount: Int?
    /// SO_RCVBUF; nil leaves the size to the kernel.
    package var receiveBufferByteCount: Int?
    /// TCP_USER_TIMEOUT: how long sent data may stay unacknowledged.
    package var userTimeout: TimeSpan?
    /// TCP_CONGESTION, for instance "bbr".
    ///
    /// Where the kernel does not have it or does not allow it, its default stays;
    /// ``Reactor/congestionControl(of:)`` tells which is in use.
    package var congestionControl: String?
    /// SO_KEEPALIVE.
    package var keepAlive: KeepAlive?
    /// Segments that may be queued for sending; a power of two.
    package var sendSegments = 1024
    /// Bytes that may be queued as copies; a power of two.
    package var sendCopyByteCount = 65536

    /// Creates the default options.
    package init() {}

    /// Sets what can be set.
    ///
    /// An option that the kernel refuses leaves its default: none of them is needed for a correct
    /// stream.
    func apply(to descriptor: Int32, isTCP: Bool) {
        if let bytes = self.sendBufferByteCount {
            Self.setBuffer(descriptor, SO_SNDBUFFORCE, SO_SNDBUF, bytes)
        }
        if let bytes = self.receiveBufferByteCount {
            Self.setBuffer(descriptor, SO_RCVBUFFORCE, SO_RCVBUF, bytes)
        }
        guard isTCP else { return }
        let tcp = Int32(IPPROTO_TCP)
        _ = Self.set(descriptor, tcp, TCP_NODELAY, self.noDelay ? 1 : 0)
        if let span = self.userTimeout {
            _ = Self.set(descriptor, tcp, TCP_USER_TIMEOUT, Int32(clamping: span.milliseconds))
        }
        if let rule = self.keepAlive {
            _ = Self.set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
            _ = Self.set(descriptor, tcp, TCP_KEEPIDLE, Self.seconds(rule.idle))
            _ = Self.set(descriptor, tcp, TCP_KEEPINTVL, Self.seconds(rule.interval))
            _ = Self.set(descriptor, tcp, TCP_KEEPCNT, Int32(clamping: rule.probes))
        }
        if let name = self.congestionControl {
            _ = setsockopt(descriptor, tcp, TCP_CONGESTION, name, socklen_t(name.utf8.count))
        }
    }

    private static func seconds(_ span: TimeSpan) -> Int32 {
        Int32(clamping: max(1, (span.milliseconds + 999) / 1000))
    }

    /// The forced form passes net.core.*mem_max, where the process has CAP_NET_ADMIN.
    private static func setBuffer(
        _ descriptor: Int32,
        _ forced: Int32,
        _ plain: Int32,
        _ bytes: Int
    ) {
        let bytes = Int32(clamping: bytes)
        if !Self.set(descriptor, SOL_SOCKET, forced, bytes) {
            _ = Self.set(descriptor, SOL_SOCKET, plain, bytes)
        }
    }

    static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) -> Bool {
        var value = value
        return setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
    }

    static func get(_ descriptor: Int32, _ level: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, level, name, &value, &length) == 0 ? value : nil
    }
}

/// Who is at the other end of a unix socket.
package struct PeerCredentials: Hashable, Sendable {
    /// The process that connected.
    package let process: Int32
    /// Its user.
    package let user: UInt32
    /// Its group.
    package let group: UInt32
}

extension Reactor {
    /// The congestion control in use, such as "cubic"; nil for a unix socket or a stale handle.
    package func congestionControl(of id: ConnectionID) -> String? {
        guard let connection = self.find(id), connection.pointee.isTCP else { return nil }
        var name = [UInt8](repeating: 0, count: 64)
        var length = socklen_t(name.count)
        let descriptor = connection.pointee.descriptor
        guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_CONGESTION, &name, &length) == 0 else {
            return nil
        }
        return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The sizes of the kernel's send and receive buffers in bytes; nil for a stale handle.
    package func kernelBuffers(of id: ConnectionID) -> (send: Int, receive: Int)? {
        guard let connection = self.find(id),
            let send = ConnectionOptions.get(connection.pointee.descriptor, SOL_SOCKET, SO_SNDBUF),
            let receive = ConnectionOptions.get(
                connection.pointee.descriptor,
                SOL_SOCKET,
                SO_RCVBUF
            )
        else { return nil }
        return (Int(send), Int(receive))
    }

    /// Changes the socket's options while it is open; what concerns the send queue stays as it is.
    package func apply(_ options: ConnectionOptions, to id: ConnectionID) {
        guard let connection = self.find(id) else { return }
        options.apply(to: connection.pointee.descriptor, isTCP: connection.pointee.isTCP)
    }

    /// The peer of a unix socket; nil for other sockets and stale handles.
    package func credentials(of id: ConnectionID) -> PeerCredentials? {
        guard let connection = self.find(id), !connection.pointee.isTCP else { return nil }
        var process: Int32 = 0
        var user: UInt32 = 0
        var group: UInt32 = 0
        let result = clinux_peer_credentials(
            connection.pointee.descriptor,
            &process,
            &user,
            &group
        )
        return result < 0 ? nil : PeerCredentials(process: process, user: user, group: group)
    }

    /// The address of our end; nil for a stale handle.
    package func localAddress(of id: ConnectionID) -> SocketAddress? {
        guard let connection = self.find(id) else { return nil }
        return .reading { getsockname(connection.pointee.descriptor, $0, $1) }
    }

    /// The address of the peer; nil for a stale handle or a broken connection.
    package func peerAddress(of id: ConnectionID) -> SocketAddress? {
        guard let connection = self.find(id) else { return nil }
        return .reading { getpeername(connection.pointee.descriptor, $0, $1) }
    }
}
