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
        .init("cpu-mask", .resource, .text(maximum: 255), default: "", .withoutEffect),
        .init(
            "on-no-data-accessible",
            .resource,
            words(OnNoData.self),
            default: "io-error",
            .refused()
        ),
        .init("auto-promote", .resource, .boolean, default: "no", .refused()),
        .init("persist-role", .resource, .boolean, default: "no", .refused()),
        .init(
            "peer-ack-window",
            .resource,
            .number(2048...204_800, unit: .sectors),
            default: "4096",
            .withoutEffect
        ),
        .init("peer-ack-delay", .resource, plain(1...10_000), default: "100", .withoutEffect),
        .init("twopc-timeout", .resource, plain(50...600), default: "50", .withoutEffect),
        .init("twopc-retry-timeout", .resource, plain(1...50), default: "1", .withoutEffect),
        .init("auto-promote-timeout", .resource, plain(0...600), default: "20", .withoutEffect),
        .init("max-io-depth", .resource, plain(4...4_294_967_295), default: "1000", .withoutEffect),
        .init(
            "max-req-write-count",
            .resource,
            plain(10_000...1_000_000),
            default: "100000",
            .withoutEffect
        ),
        .init(
            "on-req-write-congestion",
            .resource,
            words(OnWriteCongestion.self),
            default: "disconnect",
            .withoutEffect
        ),
        .init("accelbuf-size", .resource, plain(0...2_147_483_648), default: "10M", .withoutEffect),
        .init(
            "max-accelbuf-blk-size",
            .resource,
            plain(512...1_048_576),
            default: "4k",
            .withoutEffect
        ),
        .init(
            "quorum",
            .resource,
            .numberOrChoice(1...32, Quorum.words),
            default: "off",
            .refused()
        ),
        .init(
            "on-no-quorum",
            .resource,
            words(OnNoData.self),
            default: "suspend-io",
            .withoutEffect
        ),
        .init(
            "quorum-minimum-redundancy",
            .resource,
            .numberOrChoice(1...32, Quorum.words),
            default: "off",
            .refused()
        ),
        .init(
            "on-suspended-primary-outdated",
            .resource,
            words(OnSuspendedPrimaryOutdated.self),
            default: "disconnect",
            .withoutEffect
        ),
        .init("nbd-listen", .resource, .socketAddress, default: "", .honoured, isOurs: true),
    ]

    private static let node: [OptionDescription] = [
        .init("svc-auto-up", .node, .boolean, default: "yes", .honoured),
        .init("svc-auto-down", .node, .boolean, default: "yes", .honoured),
        .init("target-only", .node, .boolean, default: "no", .refused()),
    ]

    private static let disk: [OptionDescription] = [
        .init(
            "size",
            .disk,
            .number(0...2_199_023_255_552, unit: .sectors),
            default: "0",
            .honoured
        ),
        .init(
            "on-io-error",
            .disk,
            words(OnInputOutputError.self),
            default: "passthrough",
            .refused(except: ["detach"], ignored: ["passthrough"])
        ),
        .init("max-passthrough-count", .disk, plain(0...100_000), default: "100", .withoutEffect),
        .init("disk-barrier", .disk, .boolean, default: "no", .withoutEffect),
        .init("disk-flushes", .disk, .boolean, default: "yes", .honoured),
        .init("disk-drain", .disk, .boolean, default: "yes", .withoutEffect),
        .init("md-flushes", .disk, .boolean, default: "yes", .honoured),
        .init("resync-after", .disk, .volumeReference, default: "-1", .refused()),
        .init("al-extents", .disk, .clamped(67...65_534), default: "6001", .honoured),
        .init("al-updates", .disk, .boolean, default: "yes", .refused()),
        .init("discard-zeroes-if-aligned", .disk, .boolean, default: "yes", .withoutEffect),
        .init("disable-write-same", .disk, .boolean, default: "yes", .withoutEffect),
        .init("disk-timeout", .disk, plain(0...6000), default: "0", .refused()),
        .init(
            "read-balancing",
            .disk,
            words(ReadBalancing.self),
            default: "prefer-local",
            .withoutEffect
        ),
        .init("rs-discard-granularity", .disk, plain(0...1_048_576), default: "0", .withoutEffect),
        .init("unplug-watermark", .disk, plain(1...131_072), default: "1000", .withoutEffect),
        .init(
            "io-mode",
            .disk,
            words(InputOutputMode.self),
            default: "auto",
            .honoured,
            isOurs: true
        ),
    ]

    private static let peerDevice: [OptionDescription] = [
        .init(
            "resync-rate",
            .peerDevice,
            .number(1...8_388_608, unit: .kibibytes),
            default: "250",
            .withoutEffect
        ),
        .init("c-plan-ahead", .peerDevice, plain(0...300), default: "20", .withoutEffect),
        .init("c-delay-target", .peerDevice, plain(1...100), default: "10", .withoutEffect),
        .init(
            "c-fill-target",
            .peerDevice,
            .number(0...1_048_576, unit: .sectors),
            default: "100",
            .withoutEffect
        ),
        .init(
            "c-max-rate",
            .peerDevice,
            .number(0...4_194_304, unit: .kibibytes),
            default: "5120",
            .withoutEffect
        ),
        .init(
            "c-min-rate",
            .peerDevice,
            .number(0...4_194_304, unit: .kibibytes),
            default: "250",
            .withoutEffect
        ),
        .init("bitmap", .peerDevice, .boolean, default: "yes", .withoutEffect),
        .init("resync-ratio", .peerDevice, .ratio(1...10_000), default: "", .withoutEffect),
        .init("ov-req-num", .peerDevice, plain(1...256), default: "10", .withoutEffect),
        .init("ov-req-interval", .peerDevice, plain(1...5000), default: "100", .withoutEffect),
    ]

    private static let net: [OptionDescription] = [
        .init("transport", .net, .text(maximum: 63), default: "tcp", .refused(except: [""])),
        .init(
            "protocol",
            .net,
            .caselessChoice(ReplicationProtocol.allCases.map(\.rawValue)),
            default: "C",
            .honoured
        ),
        .init("timeout", .net, plain(1...600), default: "60", .honoured),
        .init("max-epoch-size", .net, plain(1...20_000), default: "16000", .honoured),
        .init("connect-int", .net, plain(1...120), default: "3", .honoured),
        .init("ping-int", .net, plain(1...120), default: "3", .honoured),
        .init("sndbuf-size", .net, plain(everything), default: "0", .honoured),
        .init("rcvbuf-size", .net, plain(0...134_217_728), default: "0", .honoured),
        .init("ko-count", .net, plain(0...200), default: "5", .honoured),
        .init("allow-two-primaries", .net, .boolean, default: "no", .refused()),
        .init("cram-hmac-alg", .net, .text(maximum: 63), default: "", .honoured),
        .init("shared-secret", .net, .text(maximum: 64), default: "", .honoured),
        .init("data-integrity-alg", .net, .text(maximum: 63), default: "", .refused()),
        .init("csums-alg", .net, .text(maximum: 63), default: "", .refused()),
        .init("verify-alg", .net, .text(maximum: 63), default: "", .refused()),
        .init(
            "after-sb-0pri",
            .net,
            words(AfterSplitBrain0.self),
            default: "disconnect",
            .refused()
        ),
        .init(
            "after-sb-1pri",
            .net,
            words(AfterSplitBrain1.self),
            default: "disconnect",
            .refused()
        ),
        .init(
            "after-sb-2pri",
            .net,
            words(AfterSplitBrain2.self),
            default: "disconnect",
            .refused()
        ),
        .init("always-asbp", .net, .boolean, default: "no", .withoutEffect),
        .init(
            "rr-conflict",
            .net,
            words(RoleResyncConflict.self),
            default: "disconnect",
            .refused()
        ),
        .init("ping-timeout", .net, plain(1...300), default: "30", .honoured),
        .init("tcp-cork", .net, .boolean, default: "yes", .withoutEffect),
        .init("tcp_ack_timeout", .net, plain(0...300), default: "5", .honoured),
        .init("on-congestion", .net, words(OnCongestion.self), default: "block", .refused()),
        .init("congestion-fill", .net, plain(everything), default: "0", .withoutEffect),
        .init("congestion-extents", .net, plain(67...65_534), default: "6001", .withoutEffect),
        .init("congestion-highwater", .net, plain(0...1_000_000), default: "20000", .withoutEffect),
        .init("csums-after-crash-only", .net, .boolean, default: "no", .withoutEffect),
        .init("use-rle", .net, .boolean, default: "yes", .honoured),
        .init("socket-check-timeout", .net, plain(0...300), default: "5", .honoured),
        .init("fencing", .net, words(FencingPolicy.self), default: "dont-care", .refused()),
        .init("max-buffers", .net, plain(32...131_072), default: "16000", .withoutEffect),
        .init("allow-remote-read", .net, .boolean, default: "yes", .withoutEffect),
        .init("_name", .net, .text(maximum: 63), default: "", .honoured),
    ]

    private static let startup: [OptionDescription] = [
        .init("wfc-timeout", .startup, plain(0...300_000), default: "0", .honoured),
        .init("degr-wfc-timeout", .startup, plain(0...300_000), default: "0", .withoutEffect),
        .init("outdated-wfc-timeout", .startup, plain(0...300_000), default: "0", .withoutEffect),
        .init("wait-after-sb", .startup, .boolean, default: "no", .honoured),
    ]

    private static let handlers: [OptionDescription] = [
        "pri-on-incon-degr", "pri-lost-after-sb", "pri-lost", "initial-split-brain", "split-brain",
        "outdate-peer", "fence-peer", "unfence-peer", "local-io-error", "before-resync-target",
        "after-resync-target", "before-resync-source", "out-of-sync", "quorum-lost",
        "disconnected", "before-promote", "after-promote", "before-demote", "after-demote",
    ].map { .init($0, .handlers, .text(maximum: Limits.quotedBytes), default: "", .withoutEffect) }

    private static let proxy: [OptionDescription] = [
        .init("memlimit", .proxy, plain(everything), default: "256M", .honoured),
        .init("rx-memlimit", .proxy, plain(everything), default: "64M", .honoured),
        .init("bwlimit", .proxy, plain(everything), default: "0", .refused()),
        .init("read-loops", .proxy, plain(everything), default: "1", .refused()),
        .init("compression", .proxy, plain(everything), default: "0", .refused()),
        .init("sndbuf-size", .proxy, plain(everything), default: "0", .honoured),
        .init("rcvbuf-size", .proxy, plain(everything), default: "0", .honoured),
        .init("ping-timeout", .proxy, plain(1...300), default: "120", .honoured),
    ]
}
