// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The address of a TCP socket.
package struct LinkAddress: Sendable, CustomStringConvertible {
    private var storage = sockaddr_storage()
    private var length = socklen_t(MemoryLayout<sockaddr_storage>.size)

    /// The address `HOST:PORT`; an IPv6 host stands in brackets, a name is looked up.
    ///
    /// - Throws: ``LinkError/badAddress(_:reason:)``.
    package init(_ text: String) throws(LinkError) {
        guard let colon = text.lastIndex(of: ":"),
            let port = UInt16(text[text.index(after: colon)...])
        else {
            throw .badAddress(text, reason: "expected ADDRESS:PORT, for instance 127.0.0.1:7789")
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else {
            throw .badAddress(text, reason: "the part before the port is missing")
        }
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let result = getaddrinfo(String(host), "\(port)", &hints, &found)
        guard result == 0, let entry = found else {
            throw .badAddress(text, reason: String(cString: gai_strerror(result)))
        }
        defer { freeaddrinfo(entry) }
        self.length = entry.pointee.ai_addrlen
        memcpy(&self.storage, entry.pointee.ai_addr, Int(self.length))
    }

    /// The address that a socket is bound to.
    init?(boundTo descriptor: Int32) {
        var length = self.length
        let result = withUnsafeMutablePointer(to: &self.storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length)
            }
        }
        guard result == 0 else { return nil }
        self.length = length
    }

    /// Calls `body` with the address as the system wants it.
    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: self.storage) { storage in
            storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, self.length) }
        }
    }

    var family: Int32 { Int32(self.storage.ss_family) }

    /// `host:port` or `[host]:port`.
    package var description: String {
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let flags = NI_NUMERICHOST | NI_NUMERICSERV
        let result = self.withPointer {
            getnameinfo(
                $0,
                $1,
                &host,
                socklen_t(host.count),
                &port,
                socklen_t(port.count),
                flags
            )
        }
        guard result == 0 else { return "unknown address" }
        let (name, number) = (Self.text(host), Self.text(port))
        return self.family == AF_INET6 ? "[\(name)]:\(number)" : "\(name):\(number)"
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// Where a link listens and whom it then connects to.
package struct LinkRoute: Sendable {
    package var listen: LinkAddress
    package var target: LinkAddress

    /// Creates a route; a port 0 in `listen` stands for a free one.
    package init(listen: LinkAddress, target: LinkAddress) {
        self.listen = listen
        self.target = target
    }
}
