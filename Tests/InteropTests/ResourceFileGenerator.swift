// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Makes valid resource files that DRBD and bsr understand alike.
struct ResourceFileGenerator {
    private var random: SeededRandom
    private var port = 7000
    private var minor = 0

    init(seed: UInt64) { self.random = SeededRandom(seed: seed) }

    /// A whole file.
    mutating func file() -> String {
        var text = "global { disable-ip-verification; "
        if self.chance(3) { text += "usage-count \(self.pick(["yes", "no", "ask"])); " }
        if self.chance(3) { text += "minor-count \(1 + self.random.below(255)); " }
        if self.chance(4) { text += "dialog-refresh \(self.random.below(600)); " }
        text += "}\n"
        let hasCommon = !self.chance(3)
        if hasCommon {
            text += "common {\n\(self.sections(Self.commonNet, Self.disk + Self.rates))}\n"
        }
        for index in 0...self.random.below(3) { text += self.resource("r\(index)") }
        return text
    }

    /// One of the verbs that run over all resources.
    mutating func verb() -> String {
        self.pick([
            "connect", "disconnect", "new-peer", "new-path", "new-minor", "new-resource",
            "net-options", "resource-options", "peer-device-options", "create-md", "wait-connect",
            "invalidate-remote", "verify", "cstate", "down", "status", "del-path", "sh-ip",
        ])
    }

    private mutating func chance(_ times: UInt64) -> Bool { self.random.chance(1, in: times) }

    private mutating func pick<Element>(_ list: [Element]) -> Element {
        list[Int(self.random.below(UInt64(list.count)))]
    }

    private mutating func resource(_ name: String) -> String {
        let hosts = Array(
            ["alpha", "beta", "gamma", "delta"].prefix(2 + Int(self.random.below(3)))
        )
        let hasProxies = hosts.count == 2 && self.chance(3)
        var parts = [self.sections(Self.net, Self.disk + Self.rates)]
        if self.chance(2) { parts[0] += self.startup() }
        if hasProxies { parts[0] += "proxy { \(self.options(Self.proxy)) \(self.plugins()) }\n" }
        let isImplicit = self.chance(2)
        let volumes =
            isImplicit ? [0] : Array([0, 1, 5, 9].shuffled(using: &self.random).prefix(2))
        var shared = ""
        for volume in volumes { shared += self.volume(volume, isImplicit) }
        parts.append(shared)
        self.port += 20
        let ids = [0, 1, 7, 31].shuffled(using: &self.random)
        for (index, host) in hosts.enumerated() {
            parts.append(self.host(host, index, ids[index], volumes, isImplicit, hasProxies))
        }
        if hosts.count > 2 || self.chance(3), !hasProxies { parts.append(self.connections(hosts)) }
        return "resource \(name) {\n"
            + parts.shuffled(using: &self.random).joined() + "}\n"
    }

    // MARK: Options

    private typealias Choice = (name: String, values: [String])

    private static let commonNet: [Choice] = [
        ("protocol", ["A", "B", "C", "c"]), ("timeout", ["50", "61", "600"]),
        ("max-buffers", ["8k", "8000", "32"]), ("verify-alg", ["sha1", "\"crc32c\""]),
        ("shared-secret", ["\"two words\"", "plain", "\"q\\\"\\\\\""]),
    ]
    private static let net: [Choice] =
        commonNet + [
            ("ping-int", ["11", "12"]), ("sndbuf-size", ["512k", "1M"]),
            ("use-rle", ["no", "yes"]),
            ("after-sb-0pri", ["discard-zero-changes", "discard-least-changes"]),
            ("rr-conflict", ["violently", "retry-connect"]), ("ko-count", ["0", "200"]),
            ("fencing", ["resource-only", "resource-and-stonith"]), ("cram-hmac-alg", ["sha256"]),
        ]
    private static let linkNet: [Choice] = [
        ("ping-timeout", ["7", "300"]), ("max-epoch-size", ["1000", "10k"]),
        ("on-congestion", ["pull-ahead"]), ("congestion-extents", ["500"]),
        ("connect-int", ["20"]), ("csums-alg", ["md5"]),
    ]
    private static let disk: [Choice] = [
        ("on-io-error", ["detach", "pass_on"]), ("al-extents", ["67", "6007", "1k"]),
        ("md-flushes", ["no", "yes"]), ("disk-timeout", ["0", "6000"]),
        ("read-balancing", ["32K-striping", "round-robin"]), ("al-updates", ["no"]),
        ("rs-discard-granularity", ["64k", "1M"]),
    ]
    private static let rates: [Choice] = [
        ("resync-rate", ["10M", "4000", "1G"]), ("c-plan-ahead", ["0", "30"]),
        ("c-fill-target", ["1M", "24k"]),
    ]
    /// Apart from `disk` and `rates`: drbdadm refuses a volume that overrides its resource.
    private static let volumeDisk: [Choice] = [
        ("disk-drain", ["no"]), ("disk-barrier", ["yes"]), ("disable-write-same", ["yes", "no"]),
        ("discard-zeroes-if-aligned", ["no"]), ("c-delay-target", ["20", "100"]),
        ("disk-flushes", ["no"]),
    ]
    private static let linkRates: [Choice] = [
        ("c-max-rate", ["10M", "3g"]), ("c-min-rate", ["0", "4M"]),
    ]
    private static let resource: [Choice] = [
        ("quorum", ["majority", "off", "3"]), ("on-no-quorum", ["io-error", "suspend-io"]),
        ("auto-promote", ["no", "yes"]), ("peer-ack-window", ["2M"]), ("cpu-mask", ["3f"]),
        ("twopc-timeout", ["600"]), ("on-no-data-accessible", ["suspend-io"]),
    ]
    private static let startup: [Choice] = [
        ("wfc-timeout", ["0", "30"]), ("degr-wfc-timeout", ["60"]), ("wait-after-sb", ["yes"]),
    ]
    private static let handlers: [Choice] = [
        ("split-brain", ["\"/a b \\\"c\\\"\""]), ("fence-peer", ["/usr/bin/x"]),
        ("out-of-sync", ["\"\(String(repeating: "long", count: 24))\""]),
    ]
    private static let proxy: [Choice] = [
        ("memlimit", ["100M", "2G"]), ("read-loops", ["4"]), ("bwlimit", ["1M"]),
    ]

    /// Some of `choices`, each once, in any order.
    private mutating func options(_ choices: [Choice]) -> String {
        var text = ""
        for choice in choices.shuffled(using: &self.random) where self.chance(2) {
            let value = self.pick(choice.values)
            text += "\(choice.name) \(value); "
        }
        return text
    }

    private mutating func sections(_ net: [Choice], _ disk: [Choice]) -> String {
        var list: [String] = []
        if !self.chance(3) { list.append("net { \(self.options(net)) }\n") }
        if !self.chance(3) { list.append("disk { \(self.options(disk)) }\n") }
        if self.chance(2) { list.append("options { \(self.options(Self.resource)) }\n") }
        if self.chance(4) { list.append("handlers { \(self.options(Self.handlers)) }\n") }
        return list.shuffled(using: &self.random).joined()
    }

    private mutating func startup() -> String { "startup { \(self.options(Self.startup)) }\n" }

    private mutating func plugins() -> String {
        if self.chance(2) { return "" }
        let lines = ["zlib level 9;", "lz4;", "lzma contexts 2 level 9;"]
        return "plugin { \(lines.shuffled(using: &self.random).prefix(2).joined(separator: " ")) }"
    }

    // MARK: Volumes and hosts

    private mutating func volume(_ number: Int, _ isImplicit: Bool) -> String {
        self.minor += 1
        let device = self.pick([
            "device /dev/drbd\(self.minor);", "device minor \(self.minor);",
            "device /dev/drbd_\(self.minor) minor \(self.minor);",
            "device drbd\(self.minor) minor \(self.minor);",
        ])
        let meta = self.pick([
            "", "meta-disk internal;", "meta-disk /dev/md\(self.minor);",
            "flexible-meta-disk /dev/md\(self.minor);", "meta-disk /dev/shared[\(self.minor)];",
        ])
        var parts = [device, "disk /dev/vg/\(self.minor);", meta]
        if !isImplicit, self.chance(2) {
            let size = self.chance(2) ? "size 10G; " : ""
            parts.append("disk { \(size)\(self.options(Self.volumeDisk)) }")
        }
        let text = parts.shuffled(using: &self.random).joined(separator: " ") + "\n"
        return isImplicit ? text : "volume \(number) { \(text) }\n"
    }

    private mutating func host(
        _ name: String,
        _ index: Int,
        _ id: Int,
        _ volumes: [Int],
        _ isImplicit: Bool,
        _ hasProxy: Bool
    ) -> String {
        let octet = index + 1
        var parts = ["node-id \(id);"]
        if hasProxy {
            parts.append("address 127.0.0.1:\(self.port);")
            parts.append(
                "proxy on \(name) { inside 127.0.0.1:\(self.port + 1); outside 10.0.0.\(octet):"
                    + "\(self.port + 2); options { \(self.options([Self.proxy[0]])) "
                    + "\(self.plugins()) } }"
            )
        } else {
            parts.append(
                self.pick([
                    "address 10.0.0.\(octet):\(self.port);",
                    "address ipv4 10.0.0.\(octet):\(self.port);",
                    "address ipv6 [fd00::\(octet)]:\(self.port);",
                ])
            )
        }
        if index > 0, self.chance(3), let volume = volumes.first {
            let part = self.pick(["disk /dev/other\(index)\(self.minor);", "disk none;"])
            parts.append(isImplicit ? part : "volume \(volume) { \(part) }")
        }
        if self.chance(5) { parts.append("options { quorum all; }") }
        return "on \(name) {\n" + parts.shuffled(using: &self.random).joined(separator: "\n")
            + "\n}\n"
    }

    // MARK: Connections

    private mutating func connections(_ hosts: [String]) -> String {
        if self.chance(2) {
            let net = self.chance(2) ? "net { \(self.options(Self.linkNet)) }" : ""
            return "connection-mesh { hosts \(hosts.joined(separator: " ")); \(net) }\n"
        }
        var text = ""
        for (index, first) in hosts.enumerated() {
            for (offset, second) in hosts[(index + 1)...].enumerated() {
                text += self.connection(first, second, index, index + 1 + offset)
            }
        }
        return text
    }

    private mutating func connection(
        _ first: String,
        _ second: String,
        _ one: Int,
        _ other: Int
    ) -> String {
        var parts: [String] = []
        switch self.random.below(3) {
        case 0: parts.append("host \(first); host \(second);")
        case 1:
            parts.append("host \(first) port \(self.port + 10 + other); host \(second);")
        default:
            let port = self.port + 11 + one * 2
            for net in 1...(1 + Int(self.random.below(2))) {
                parts.append(
                    "path { host \(first) address 10.\(net).\(other).1:\(port); "
                        + "host \(second) address 10.\(net).\(other).2:\(port); }"
                )
            }
        }
        if self.chance(2) { parts.append("net { \(self.options(Self.linkNet)) }") }
        if self.chance(3) { parts.append("disk { \(self.options(Self.linkRates)) }") }
        return "connection {\n\(parts.joined(separator: "\n"))\n}\n"
    }
}
