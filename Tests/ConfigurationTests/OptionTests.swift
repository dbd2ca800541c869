// SPDX-License-Identifier: Apache-2.0
import Configuration
import Primitives
import Testing

struct OptionTests {
    @Test(arguments: [
        ("10", OptionUnit.one, UInt64(10)), ("10k", .one, 10240), ("2K", .one, 2048),
        ("3M", .one, 3 << 20), ("1g", .one, 1 << 30), ("4s", .one, 2048), ("10", .kibibytes, 10),
        ("10M", .kibibytes, 10240), ("1s", .kibibytes, 1), ("1025", .kibibytes, 1025),
        ("3s", .kibibytes, 2), ("10G", .sectors, 20_971_520), ("7", .sectors, 7),
        ("1k", .sectors, 2), ("8s", .sectors, 8), ("0", .sectors, 0),
    ])
    func `scales numbers to the option's unit, rounding up`(
        text: String,
        unit: OptionUnit,
        expected: UInt64
    ) {
        #expect(ScaledNumber(text)?.count(of: unit) == expected)
    }

    @Test(arguments: ["", "k", "-1", "1kk", "1x", "0x10", " 1", "1 ", "1.5", "ten", "１"])
    func `refuses what is not a number`(text: String) { #expect(ScaledNumber(text) == nil) }

    @Test
    func `a number beyond 64 bits is too big, not a trap`() throws {
        let rate = try #require(OptionTable.find("c-max-rate", in: .peerDevice))
        for text in ["99999999999999999999999", "18446744073709551615G", "18446744073709551615"] {
            #expect(throws: OptionError.self) { try rate.value(of: text) }
        }
    }

    @Test(arguments: [
        ("99999999999999999T", true), ("5000t", true), ("16E", true), ("1T", false),
        ("1x", false), ("T", false), ("99999999999999999999999999", true),
    ])
    func `a size with a larger suffix than the grammar has is too big only if it is`(
        text: String,
        isTooBig: Bool
    ) throws {
        let size = try #require(OptionTable.find("size", in: .disk))
        let error = #expect(throws: OptionError.self) { try size.value(of: text) }
        #expect(
            error?.reason == (isTooBig ? .tooBig(maximum: 2_199_023_255_552) : .notANumber)
        )
    }

    @Test
    func `every default is a value that its option accepts`() throws {
        #expect(OptionTable.entries.count > 100)
        for entry in OptionTable.entries where !entry.defaultText.isEmpty {
            #expect(throws: Never.self, "\(entry.name)") { try entry.value(of: entry.defaultText) }
        }
    }

    @Test
    func `no option stands twice in a section`() {
        let keys = OptionTable.entries.map { "\($0.section) \($0.name)" }
        #expect(Set(keys).count == keys.count)
    }

    @Test
    func `range limits are accepted and their neighbours refused`() throws {
        for entry in OptionTable.entries {
            guard case .number(let range, _) = entry.type else { continue }
            #expect(try entry.value(of: "\(range.lowerBound)") == .number(range.lowerBound))
            #expect(try entry.value(of: "\(range.upperBound)") == .number(range.upperBound))
            #expect(throws: OptionError.self, "\(entry.name)") {
                try entry.value(of: "\(range.upperBound + 1)")
            }
            if range.lowerBound > 0 {
                #expect(throws: OptionError.self, "\(entry.name)") {
                    try entry.value(of: "\(range.lowerBound - 1)")
                }
            }
        }
    }

    @Test
    func `messages are those of the field's tools`() throws {
        let secret = try #require(OptionTable.find("shared-secret", in: .net))
        let text = String(repeating: "a", count: 65)
        let tooLong = #expect(throws: OptionError.self) { try secret.value(of: text) }
        #expect(
            tooLong?.description
                == "while parsing value ('aaaaaaaaaaaaaaaaaaaa...')\n"
                + "for shared-secret. Value is too long.\nmax len: 64"
        )
        let policy = try #require(OptionTable.find("on-congestion", in: .net))
        let notValid = #expect(throws: OptionError.self) { try policy.value(of: "Block") }
        #expect(
            notValid?.description
                == "while parsing value ('Block')\nfor on-congestion. Value is not valid.\n"
                + "Allowed values are: block | pull-ahead | disconnect"
        )
    }

    @Test
    func `al-extents is moved into its range`() throws {
        #expect(try DiskOptions([("al-extents", "1")]).activityLogExtents == 67)
        #expect(try DiskOptions([("al-extents", "99999999")]).activityLogExtents == 65534)
    }

    @Test
    func `the congestion options have bsr's defaults`() throws {
        let net = try NetOptions([])
        #expect(net.onCongestion == .block)
        #expect(net.congestionFill == ByteCount(0))
        #expect(net.congestionExtents == 6001)
        #expect(net.congestionRequests == 20000)
    }

    @Test
    func `net options convert texts to the engine's units`() throws {
        let net = try NetOptions([
            ("protocol", "a"), ("timeout", "60"), ("connect-int", "5"), ("ping-timeout", "7"),
            ("max-buffers", "8k"), ("sndbuf-size", "512k"), ("congestion-fill", "1800M"),
            ("_name", "beta"), ("tcp-cork", "no"), ("after-sb-0pri", "discard-zero-changes"),
        ])
        #expect(net.replicationProtocol == .a)
        #expect(net.timeout == .seconds(6))
        #expect(net.connectInterval == .seconds(5))
        #expect(net.pingTimeout == .milliseconds(700))
        #expect(net.receivePagesMaximum == 8192)
        #expect(net.sendBufferSize == .kibibytes(512))
        #expect(net.congestionFill == .mebibytes(1800))
        #expect(net.peerName == "beta")
        #expect(!net.corksTCP)
        #expect(net.afterSplitBrain0 == .discardZeroChanges)
        #expect(net.knockOutCount == 5)
        #expect(net.sharedSecret == nil)
    }

    @Test
    func `the other sections convert too`() throws {
        let disk = try DiskOptions([
            ("size", "10G"), ("io-mode", "direct"), ("resync-after", "4"),
        ])
        #expect(disk.sizeSectors == 20_971_520)
        #expect(disk.inputOutputMode == .direct)
        #expect(disk.resyncAfterMinor == 4)
        #expect(disk.flushesData)
        #expect(disk.onInputOutputError == .passThrough)
        let peer = try PeerDeviceOptions([("resync-ratio", "3:1"), ("c-max-rate", "100M")])
        #expect(peer.ratio == .init(replication: 3, resync: 1))
        #expect(peer.rateMaximum == .mebibytes(100))
        #expect(peer.rateMinimum == .kibibytes(250))
        #expect(peer.planAhead == .seconds(2))
        let resource = try ResourceOptions([
            ("quorum", "2"), ("quorum-minimum-redundancy", "majority"),
            ("nbd-listen", "[::1]:10809"),
        ])
        #expect(resource.quorum == .nodes(2))
        #expect(resource.quorumMinimumRedundancy == .majority)
        #expect(resource.nbdListen?.endpoint == "[::1]:10809")
        #expect(
            try OptionSet(.node, [("target-only", "yes")]).value("target-only") == .boolean(true)
        )
    }

    @Test
    func `an unknown option is refused with its section`() {
        let error = #expect(throws: OptionError.self) { try NetOptions([("al-extents", "1000")]) }
        #expect(error?.reason == .unknown(section: .net))
    }

    @Test(arguments: [
        ("compressor zstd level 1", ProxyPlugin.compressor(.zstd, level: 1)),
        ("zstd level 1", .compressor(.zstd, level: 1)), ("lz4", .compressor(.lz4, level: nil)),
        ("compressor iqa", .compressor(.iqa, level: nil)),
        ("lzma contexts 2 level 9", .compressor(.lzma, level: 9)),
        ("crypto openssl", .encryption("openssl")),
    ])
    func `reads plugin lines in bsr's form and LINBIT's`(line: String, expected: ProxyPlugin)
        throws
    {
        let words = line.split(separator: " ").map(String.init)
        #expect(try ProxyOptions([], plugins: [words]).plugins == [expected])
    }

    @Test(arguments: [
        "compressor", "brotli", "compressor gzip", "zstd level", "zstd level x", "zstd level 99",
        "crypto", "crypto a b", "zstd fast 1", "lzma contexts 0",
    ])
    func `refuses plugin lines that it cannot do`(line: String) {
        let words = line.split(separator: " ").map(String.init)
        #expect(throws: OptionError.self) { try ProxyOptions([], plugins: [words]) }
    }

    @Test
    func `rx-memlimit counts in both places`() throws {
        let inPlugin = try ProxyOptions([], plugins: [["rx-memlimit", "32M"]])
        #expect(inPlugin.receiveMemoryLimit == .mebibytes(32))
        let outside = try ProxyOptions([("rx-memlimit", "16M"), ("bwlimit", "0")])
        #expect(outside.receiveMemoryLimit == .mebibytes(16))
        #expect(outside.bandwidthLimit == nil)
        #expect(outside.memoryLimit == .mebibytes(256))
    }

    @Test(arguments: ["1.2.3.4", "255.255.255.255", "0.0.0.0"])
    func `knows IPv4 addresses`(text: String) { #expect(SocketAddress.isIPv4(text)) }

    @Test(arguments: ["1.2.3", "1.2.3.256", "1.2.3.4.5", "a.b.c.d", "1..2.3", "1.2.3.0004", ""])
    func `refuses other dotted texts`(text: String) { #expect(!SocketAddress.isIPv4(text)) }

    @Test(arguments: ["::", "::1", "fe80::1%eth0", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::8"])
    func `knows IPv6 addresses`(text: String) { #expect(SocketAddress.isIPv6(text)) }

    @Test(arguments: [
        "", ":", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "::1%",
        "1:2:3:4:5:6:7:8::", ":::", "1.2.3.4::", "::1.2.3.256",
    ])
    func `refuses other texts with colons`(text: String) {
        #expect(!SocketAddress.isIPv6(text))
    }
}
