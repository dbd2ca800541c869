// SPDX-License-Identifier: Apache-2.0

import Reactor

extension SocketAddress {
    /// The address of a path as bsradm writes it: `ipv4:10.0.0.1:7789` or `ipv6:[fd00::1]:7789`.
    static func parsing(_ text: String) throws(UnsupportedOption) -> Self {
        let body: Substring
        if text.hasPrefix("ipv4:") || text.hasPrefix("ipv6:") {
            body = text.dropFirst(5)
        } else {
            body = text[...]
        }
        guard let colon = body.lastIndex(of: ":"),
            let port = UInt16(body[body.index(after: colon)...])
        else { throw UnsupportedOption(description: "'\(text)' is no address with a port") }
        let host = body[..<colon].trimmingBrackets
        do throws(ReactorError) {
            return try .ip(host, port: port)
        } catch { throw UnsupportedOption(description: "'\(text)': \(error)") }
    }
}

extension Substring {
    /// The text without the brackets of an IPv6 address.
    fileprivate var trimmingBrackets: String {
        self.hasPrefix("[") && self.hasSuffix("]")
            ? String(self.dropFirst().dropLast()) : String(self)
    }
}
