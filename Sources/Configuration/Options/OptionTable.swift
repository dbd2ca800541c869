// SPDX-License-Identifier: Apache-2.0

/// Every option that a resource file may contain.
///
/// Ranges are the union of DRBD 9.22's and bsr 1.7's; defaults are bsr's. One deviation:
/// `disk-flushes` is on, because the engine promises that acknowledged means safe.
package enum OptionTable {
    /// The option called `name` in `section`.
    package static func find(_ name: String, in section: OptionSection) -> OptionDescription? {
        Self.index[section]?[name]
    }

    /// The options of `section`, in the order of the table.
    package static func all(in section: OptionSection) -> [OptionDescription] {
        Self.entries.filter { $0.section == section }
    }

    /// The whole table.
    package static let entries: [OptionDescription] =
        Self.resource + Self.node + Self.disk + Self.peerDevice + Self.net + Self.startup
        + Self.handlers + Self.proxy

    private static let index: [OptionSection: [String: OptionDescription]] =
        Dictionary(grouping: Self.entries, by: \.section).mapValues { entries in
            Dictionary(entries.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        }

    private static let tebibyte: UInt64 = 1 << 40
    private static let everything: ClosedRange<UInt64> = 0...(tebibyte - 1)

    private static func words<Words: CaseIterable & RawRepresentable>(_ type: Words.Type)
        -> OptionType where Words.RawValue == String
    {
        .choice(type.allCases.map(\.rawValue))
    }

    private static func plain(_ range: ClosedRange<UInt64>) -> OptionType {
        .number(range, unit: .one)
    }

    private static let resource: [OptionDescription] = [
        .init("cpu-mask", .resource, .text(maximum: 255), default: ""),
        .init("on-no-data-accessible", .resource, words(OnNoData.self), default: "io-error"),
        .init("auto-promote", .resource, .boolean, default: "no"),
        .init("persist-role", .resource, .boolean, default: "no"),
        .init(
            "peer-ack-window",
            .resource,
            .number(2048...204_800, unit: .sectors),
            default: "4096"
        ),
        .init("peer-ack-delay", .resource, plain(1...10_000), default: "100"),
        .init("twopc-timeout", .resource, plain(50...600), default: "50"),
        .init("twopc-retry-timeout", .resource, plain(1...50), default: "1"),
        .init("auto-promote-timeout", .resource, plain(0...600), default: "20"),
        .init("max-io-depth", .resource, plain(4...4_294_967_295), default: "1000"),
        .init("max-req-write-count", .resource, plain(10_000...1_000_000), default: "100000"),
        .init(
            "on-req-write-congestion",
            .resource,
            words(OnWriteCongestion.self),
            default: "disconnect"
        ),
        .init("accelbuf-size", .resource, plain(0...2_147_483_648), default: "10M"),
        .init("max-accelbuf-blk-size", .resource, plain(512...1_048_576), default: "4k"),
        .init("quorum", .resource, .numberOrChoice(1...32, Quorum.words), default: "off"),
        .init("on-no-quorum", .resource, words(OnNoData.self), default: "suspend-io"),
        .init(
            "quorum-minimum-redundancy",
            .resource,
            .numberOrChoice(1...32, Quorum.words),
            default: "off"
        ),
        .init(
            "on-suspended-primary-outdated",
            .resource,
            words(OnSuspendedPrimaryOutdated.self),
            default: "disconnect"
        ),
        .init("nbd-listen", .resource, .socketAddress, default: "", isOurs: true),
    ]

    private static let node: [OptionDescription] = [
        .init("svc-auto-up", .node, .boolean, default: "yes"),
        .init("svc-auto-down", .node, .boolean, default: "yes"),
        .init("target-only", .node, .boolean, default: "no"),
    ]

    private static let disk: [OptionDescription] = [
        .init("size", .disk, .number(0...2_199_023_255_552, unit: .sectors), default: "0"),
        .init("on-io-error", .disk, words(OnInputOutputError.self), default: "passthrough"),
        .init("max-passthrough-count", .disk, plain(0...100_000), default: "100"),
        .init("disk-barrier", .disk, .boolean, default: "no"),
        .init("disk-flushes", .disk, .boolean, default: "yes"),
        .init("disk-drain", .disk, .boolean, default: "yes"),
        .init("md-flushes", .disk, .boolean, default: "yes"),
        .init("resync-after", .disk, .volumeReference, default: "-1"),
        .init("al-extents", .disk, .clamped(67...65_534), default: "6001"),
        .init("al-updates", .disk, .boolean, default: "yes"),
        .init("discard-zeroes-if-aligned", .disk, .boolean, default: "yes"),
        .init("disable-write-same", .disk, .boolean, default: "yes"),
        .init("disk-timeout", .disk, plain(0...6000), default: "0"),
        .init("read-balancing", .disk, words(ReadBalancing.self), default: "prefer-local"),
        .init("rs-discard-granularity", .disk, plain(0...1_048_576), default: "0"),
        .init("unplug-watermark", .disk, plain(1...131_072), default: "1000"),
        .init("io-mode", .disk, words(InputOutputMode.self), default: "auto", isOurs: true),
    ]

    private static let peerDevice: [OptionDescription] = [
        .init("resync-rate", .peerDevice, .number(1...8_388_608, unit: .kibibytes), default: "250"),
        .init("c-plan-ahead", .peerDevice, plain(0...300), default: "20"),
        .init("c-delay-target", .peerDevice, plain(1...100), default: "10"),
        .init("c-fill-target", .peerDevice, .number(0...1_048_576, unit: .sectors), default: "100"),
        .init("c-max-rate", .peerDevice, .number(0...4_194_304, unit: .kibibytes), default: "5120"),
        .init("c-min-rate", .peerDevice, .number(0...4_194_304, unit: .kibibytes), default: "250"),
        .init("bitmap", .peerDevice, .boolean, default: "yes"),
        .init("resync-ratio", .peerDevice, .ratio(1...10_000), default: ""),
        .init("ov-req-num", .peerDevice, plain(1...256), default: "10"),
        .init("ov-req-interval", .peerDevice, plain(1...5000), default: "100"),
    ]

    private static let net: [OptionDescription] = [
        .init("transport", .net, .text(maximum: 63), default: "tcp"),
        .init(
            "protocol",
            .net,
            .caselessChoice(ReplicationProtocol.allCases.map(\.rawValue)),
            default: "C"
        ),
        .init("timeout", .net, plain(1...600), default: "60"),
        .init("max-epoch-size", .net, plain(1...20_000), default: "16000"),
        .init("connect-int", .net, plain(1...120), default: "3"),
        .init("ping-int", .net, plain(1...120), default: "3"),
        .init("sndbuf-size", .net, plain(everything), default: "0"),
        .init("rcvbuf-size", .net, plain(0...134_217_728), default: "0"),
        .init("ko-count", .net, plain(0...200), default: "5"),
        .init("allow-two-primaries", .net, .boolean, default: "no"),
        .init("cram-hmac-alg", .net, .text(maximum: 63), default: ""),
        .init("shared-secret", .net, .text(maximum: 64), default: ""),
        .init("data-integrity-alg", .net, .text(maximum: 63), default: ""),
        .init("csums-alg", .net, .text(maximum: 63), default: ""),
        .init("verify-alg", .net, .text(maximum: 63), default: ""),
        .init("after-sb-0pri", .net, words(AfterSplitBrain0.self), default: "disconnect"),
        .init("after-sb-1pri", .net, words(AfterSplitBrain1.self), default: "disconnect"),
        .init("after-sb-2pri", .net, words(AfterSplitBrain2.self), default: "disconnect"),
        .init("always-asbp", .net, .boolean, default: "no"),
        .init("rr-conflict", .net, words(RoleResyncConflict.self), default: "disconnect"),
        .init("ping-timeout", .net, plain(1...300), default: "30"),
        .init("tcp-cork", .net, .boolean, default: "yes"),
        .init("tcp_ack_timeout", .net, plain(0...300), default: "5"),
        .init("on-congestion", .net, words(OnCongestion.self), default: "block"),
        .init("congestion-fill", .net, plain(everything), default: "0"),
        .init("congestion-extents", .net, plain(67...65_534), default: "6001"),
        .init("congestion-highwater", .net, plain(0...1_000_000), default: "20000"),
        .init("csums-after-crash-only", .net, .boolean, default: "no"),
        .init("use-rle", .net, .boolean, default: "yes"),
        .init("socket-check-timeout", .net, plain(0...300), default: "5"),
        .init("fencing", .net, words(FencingPolicy.self), default: "dont-care"),
        .init("max-buffers", .net, plain(32...131_072), default: "16000"),
        .init("allow-remote-read", .net, .boolean, default: "yes"),
        .init("_name", .net, .text(maximum: 63), default: ""),
    ]

    private static let startup: [OptionDescription] = [
        .init("wfc-timeout", .startup, plain(0...300_000), default: "0"),
        .init("degr-wfc-timeout", .startup, plain(0...300_000), default: "0"),
        .init("outdated-wfc-timeout", .startup, plain(0...300_000), default: "0"),
        .init("wait-after-sb", .startup, .boolean, default: "no"),
    ]

    private static let handlers: [OptionDescription] = [
        "pri-on-incon-degr", "pri-lost-after-sb", "pri-lost", "initial-split-brain", "split-brain",
        "outdate-peer", "fence-peer", "unfence-peer", "local-io-error", "before-resync-target",
        "after-resync-target", "before-resync-source", "out-of-sync", "quorum-lost",
        "disconnected", "before-promote", "after-promote", "before-demote", "after-demote",
    ].map { .init($0, .handlers, .text(maximum: Limits.quotedBytes), default: "") }

    private static let proxy: [OptionDescription] = [
        .init("memlimit", .proxy, plain(everything), default: "256M"),
        .init("rx-memlimit", .proxy, plain(everything), default: "64M"),
        .init("bwlimit", .proxy, plain(everything), default: "0"),
        .init("read-loops", .proxy, plain(everything), default: "1"),
        .init("compression", .proxy, plain(everything), default: "0"),
        .init("sndbuf-size", .proxy, plain(everything), default: "0"),
        .init("rcvbuf-size", .proxy, plain(everything), default: "0"),
        .init("ping-timeout", .proxy, plain(1...300), default: "120"),
    ]
}
