// SPDX-License-Identifier: Apache-2.0

/// One lexical element of a configuration file.
struct Token: Equatable {
    enum Kind: Equatable {
        /// Letters, digits and `/ . _ -`, unquoted, other than the kinds below.
        case word
        /// Up to eight digits with an optional suffix `M`, `K`, `G` or `s`.
        case integer
        /// A dotted quad.
        case address
        /// Text in double quotes, escapes resolved.
        case quoted
        /// `{`, `}`, `;`, `[`, `]` or `:`.
        case mark(Character)
        /// A byte that starts no element.
        case stray
        /// A word or string above its limit.
        case tooLong
        /// The end of the file.
        case end
    }

    var kind: Kind
    var text: String
    var line: Int

    /// True for what can stand as an option's value.
    var isValue: Bool {
        switch self.kind {
        case .word, .integer, .address, .quoted: true
        case .mark, .stray, .tooLong, .end: false
        }
    }

    /// True for an unquoted word that the grammar reserves.
    var isKeyword: Bool { self.kind == .word && Self.keywords.contains(self.text) }

    func isMark(_ mark: Character) -> Bool { self.kind == .mark(mark) }

    func isWord(_ word: String) -> Bool { self.kind == .word && self.text == word }

    private static let keywords: Set<String> = [
        "global", "common", "resource", "skip", "include", "template-file", "options", "net",
        "disk", "startup", "handlers", "proxy", "syncer", "protocol", "device", "minor",
        "meta-disk", "flexible-meta-disk", "volume", "on", "on-linux", "on-windows", "floating",
        "stacked-on-top-of", "connection", "connection-mesh", "hosts", "host", "address", "port",
        "via", "inside", "outside", "public-address", "public-inside", "public-outside", "plugin",
        "path", "node-id", "node-name", "group", "ipv4", "ipv6", "ssocks", "sdp", "sci",
    ]
}
