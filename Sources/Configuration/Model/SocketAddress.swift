// SPDX-License-Identifier: Apache-2.0

/// An address and port, with the family word that the grammar writes in front.
package struct SocketAddress: Hashable, Sendable {
    /// The family words of the grammar; all but `ipv6` hold IPv4 addresses.
    package enum Family: String, CaseIterable, Sendable {
        case ipv4
        case ipv6
        case ssocks
        case sdp
        case sci
    }

    /// The family.
    package let family: Family
    /// The address as written, an IPv6 one without brackets.
    package let address: String
    /// The port, 1 to 65535.
    package let port: Int

    /// Creates an address; nil if the address does not fit its family or the port is no port.
    package init?(family: Family, address: String, port: Int) {
        let fits = family == .ipv6 ? Self.isIPv6(address) : Self.isIPv4(address)
        guard fits, (1...65535).contains(port) else { return nil }
        self.family = family
        self.address = address
        self.port = port
    }

    /// Parses `A.B.C.D:PORT`, `[IPV6]:PORT` or either with its family in front, a colon or a blank
    /// between, as command lines and `show` have it.
    package init?(_ text: String) {
        var rest = text[...]
        var family: Family?
        for candidate in Family.allCases
        where rest.hasPrefix(candidate.rawValue + ":") || rest.hasPrefix(candidate.rawValue + " ") {
            family = candidate
            rest = rest.dropFirst(candidate.rawValue.count + 1)
            break
        }
        guard let colon = rest.lastIndex(of: ":") else { return nil }
        let digits = rest[rest.index(after: colon)...]
        guard digits.count <= 5, digits.utf8.allSatisfy(Self.isDigit), let port = Int(digits)
        else { return nil }
        var address = rest[..<colon]
        let isBracketed = address.first == "[" && address.last == "]" && address.count > 2
        if isBracketed { address = address.dropFirst().dropLast() }
        let actual = family ?? (isBracketed ? .ipv6 : .ipv4)
        guard isBracketed == (actual == .ipv6) else { return nil }
        self.init(family: actual, address: String(address), port: port)
    }

    /// `ADDRESS:PORT`, an IPv6 address in brackets.
    package var endpoint: String {
        self.family == .ipv6 ? "[\(self.address)]:\(self.port)" : "\(self.address):\(self.port)"
    }

    /// The same address with another port; nil if that is no port.
    package func with(port: Int) -> Self? {
        Self(family: self.family, address: self.address, port: port)
    }

    /// True for addresses that mean "this machine" on every machine.
    package var isLoopback: Bool {
        self.family == .ipv6 ? self.address == "::1" : self.address.hasPrefix("127.")
    }

    /// True for dotted-quad notation with four numbers up to 255.
    package static func isIPv4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.utf8.count) && part.utf8.allSatisfy(Self.isDigit)
                    && (Int(part) ?? 256) <= 255
            }
    }

    /// True for an IPv6 address, with an optional `%scope`.
    package static func isIPv6(_ text: String) -> Bool {
        let scoped = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
        if scoped.count == 2 {
            let scope = scoped[1].utf8
            guard (1...16).contains(scope.count), scope.allSatisfy(Self.isScopeByte) else {
                return false
            }
        }
        let halves = scoped[0].split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2, let last = halves.last else { return false }
        var groups = 0
        for half in halves where !half.isEmpty {
            let words = half.split(separator: ":", omittingEmptySubsequences: false)
            for (index, word) in words.enumerated() {
                let isEnd = half == last && index == words.count - 1
                if isEnd && word.contains(".") && Self.isIPv4(String(word)) {
                    groups += 2
                } else if (1...4).contains(word.utf8.count), word.utf8.allSatisfy(Self.isHexDigit) {
                    groups += 1
                } else {
                    return false
                }
            }
        }
        return halves.count == 2 ? groups <= 7 : groups == 8
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        self.isDigit(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
    }

    private static func isScopeByte(_ byte: UInt8) -> Bool {
        self.isDigit(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
            || byte == 0x2D || byte == 0x2E || byte == 0x5F
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `FAMILY ADDRESS:PORT`, the configuration's form.
    package var description: String { "\(self.family.rawValue) \(self.endpoint)" }

    /// `FAMILY:ADDRESS:PORT`, the command line's form.
    package var argument: String { "\(self.family.rawValue):\(self.endpoint)" }
}
