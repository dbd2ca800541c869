// SPDX-License-Identifier: Apache-2.0

import CUring
import Glibc

/// The address of a socket: IPv4, IPv6 or a path.
///
/// Host names are not looked up: that would block the loop.
package struct SocketAddress: Sendable, CustomStringConvertible {
    var storage = sockaddr_storage()
    var length: socklen_t = 0

    init() {}

    /// The address of a numeric IPv4 or IPv6 host, with a zone if need be, and a port.
    /// - Throws: ``ReactorError/badAddress(_:reason:)``.
    package static func ip(_ host: String, port: UInt16) throws(ReactorError) -> Self {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(host, String(port), &hints, &found)
        guard result == 0, let entry = found else {
            throw .badAddress(host, reason: String(cString: gai_strerror(result)))
        }
        defer { freeaddrinfo(entry) }
        // The system also takes forms such as "1.2.3" and "0x7f.1", which are more likely typing
        // errors.
        var checked = in_addr()
        guard entry.pointee.ai_family != AF_INET || inet_pton(AF_INET, host, &checked) == 1 else {
            throw .badAddress(host, reason: "an IPv4 address is four decimal numbers")
        }
        var address = Self()
        address.length = entry.pointee.ai_addrlen
        withUnsafeMutableBytes(of: &address.storage) { storage in
            storage.copyMemory(
                from: UnsafeRawBufferPointer(
                    start: entry.pointee.ai_addr,
                    count: Int(entry.pointee.ai_addrlen)
                )
            )
        }
        return address
    }

    /// The address of a unix socket.
    /// - Throws: ``ReactorError/badAddress(_:reason:)`` for an empty path or one over 107 bytes.
    package static func unix(_ path: String) throws(ReactorError) -> Self {
        var name = sockaddr_un()
        let bytes = Array(path.utf8)
        let maximum = MemoryLayout.size(ofValue: name.sun_path) - 1
        guard !bytes.isEmpty, bytes.count <= maximum, !bytes.contains(0) else {
            throw .badAddress(path, reason: "the path of a unix socket has 1 to \(maximum) bytes")
        }
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
        var address = Self()
        address.length = socklen_t(MemoryLayout<sockaddr_un>.size)
        withUnsafeMutableBytes(of: &address.storage) { storage in
            withUnsafeBytes(of: &name) { storage.copyMemory(from: $0) }
        }
        return address
    }

    /// Fills an address by a call such as `getsockname`; nil if the call fails.
    static func reading(
        _ call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> Self? {
        var address = Self()
        address.length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var length = address.length
        let result = withUnsafeMutablePointer(to: &address.storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, &length) }
        }
        address.length = length
        return result == 0 ? address : nil
    }

    /// Calls `body` with the address as the system wants it.
    func withPointer<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        withUnsafePointer(to: self.storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, self.length) }
        }
    }

    var family: Int32 { Int32(self.storage.ss_family) }

    /// Whether it is a path.
    package var isUnix: Bool { self.family == AF_UNIX }

    /// The port; nil for a path.
    package var port: UInt16? {
        switch self.family {
        case AF_INET: UInt16(bigEndian: self.load(sockaddr_in.self).sin_port)
        case AF_INET6: UInt16(bigEndian: self.load(sockaddr_in6.self).sin6_port)
        default: nil
        }
    }

    /// The path of a unix socket; nil for other kinds and for a socket without a name.
    package var path: String? {
        guard self.isUnix, self.length > socklen_t(MemoryLayout<sa_family_t>.size) else {
            return nil
        }
        var name = self.load(sockaddr_un.self)
        let path = withUnsafeBytes(of: &name.sun_path) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        return path.isEmpty ? nil : path
    }

    /// The numeric host; nil for a path.
    package var host: String? {
        guard !self.isUnix else { return nil }
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let result = self.withPointer { address, length in
            getnameinfo(address, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST)
        }
        return result == 0 ? host.withUnsafeBufferPointer { Self.text($0) } : nil
    }

    /// `host:port`, `[host]:port` or `unix:path`.
    package var description: String {
        if self.isUnix { return "unix:\(self.path ?? "")" }
        guard let host = self.host, let port = self.port else { return "unknown address" }
        return self.family == AF_INET6 ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    private func load<T>(_ type: T.Type) -> T {
        withUnsafeBytes(of: self.storage) { $0.loadUnaligned(as: T.self) }
    }

    private static func text(_ characters: UnsafeBufferPointer<CChar>) -> String {
        String(
            decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
            as: UTF8.self
        )
    }
}
