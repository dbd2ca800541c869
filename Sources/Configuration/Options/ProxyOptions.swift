// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// One processing step of a relay.
package enum ProxyPlugin: Hashable, Sendable {
    /// A compressor and its level; nil leaves the level to the relay.
    case compressor(Compressor, level: Int?)
    /// An encryption by name.
    case encryption(String)

    /// The compressors that configuration files know.
    package enum Compressor: String, CaseIterable, Sendable {
        case zstd
        case lz4
        case zlib
        case lzma
        case iqa

        /// The levels that the compressor has.
        package var levels: ClosedRange<Int> {
            switch self {
            case .zstd: 1...22
            case .lz4, .zlib, .lzma, .iqa: 0...12
            }
        }
    }
}

/// The options of a relay, plugin lines parsed.
package struct ProxyOptions: Sendable, Hashable {
    /// The transmit buffer of one connection.
    package var memoryLimit: ByteCount
    /// The receive buffer of one connection.
    package var receiveMemoryLimit: ByteCount
    /// Bytes per second on the WAN; nil is no limit.
    package var bandwidthLimit: ByteCount?
    /// Send buffer of the WAN sockets; zero leaves it to the relay.
    package var sendBufferSize: ByteCount
    /// Receive buffer of the WAN sockets; zero leaves it to the relay.
    package var receiveBufferSize: ByteCount
    /// Threads that read from the engine.
    package var readLoops: Int
    /// LINBIT's old way to ask for compression.
    package var compresses: Bool
    /// How long the other relay's keep-alive may be late.
    package var pingTimeout: TimeSpan
    /// The processing steps in order.
    package var plugins: [ProxyPlugin]

    /// Checks `options` and plugin lines in bsr's form (`compressor zstd level 1`, `crypto NAME`,
    /// `rx-memlimit SIZE`) and in LINBIT's (`zstd level 1`).
    ///
    /// - Throws: `OptionError` for the first unknown option, refused value or plugin line.
    package init(
        _ options: [(name: String, value: String)],
        plugins lines: [[String]] = []
    ) throws(OptionError) {
        var options = options
        self.plugins = []
        for words in lines {
            if words.count == 2, words[0] == "rx-memlimit" {
                options.append((name: words[0], value: words[1]))
            } else {
                self.plugins.append(try Self.plugin(words))
            }
        }
        let set = try OptionSet(.proxy, options)
        self.memoryLimit = set.bytes("memlimit")
        self.receiveMemoryLimit = set.bytes("rx-memlimit")
        let rate = set.bytes("bwlimit")
        self.bandwidthLimit = rate.bytes == 0 ? nil : rate
        self.sendBufferSize = set.bytes("sndbuf-size")
        self.receiveBufferSize = set.bytes("rcvbuf-size")
        self.readLoops = set.count("read-loops")
        self.compresses = set.number("compression") != 0
        self.pingTimeout = set.deciseconds("ping-timeout")
    }

    private static func plugin(_ words: [String]) throws(OptionError) -> ProxyPlugin {
        let refusal = OptionError(
            name: "plugin",
            value: words.joined(separator: " "),
            reason: .notValid(allowed: [
                "compressor zstd|lz4|zlib|lzma|iqa [level N]", "crypto NAME", "rx-memlimit SIZE",
                "zstd|lz4|zlib|lzma [level N] [contexts N]",
            ])
        )
        var words = words[...]
        if words.first == "crypto" {
            guard words.count == 2, let name = words.last else { throw refusal }
            return .encryption(name)
        }
        if words.first == "compressor" { words.removeFirst() }
        guard let name = words.popFirst(), let compressor = ProxyPlugin.Compressor(rawValue: name)
        else { throw refusal }
        var level: Int?
        while let key = words.popFirst() {
            guard let text = words.popFirst(), let number = Int(text) else { throw refusal }
            switch key {
            case "level":
                guard compressor.levels.contains(number) else { throw refusal }
                level = number
            case "contexts":
                guard number >= 1 else { throw refusal }
            default: throw refusal
            }
        }
        return .compressor(compressor, level: level)
    }
}
