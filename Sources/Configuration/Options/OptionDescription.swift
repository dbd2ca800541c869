// SPDX-License-Identifier: Apache-2.0

/// The kind of section in which an option may be written, and the object that carries it.
package enum OptionSection: String, Sendable, CaseIterable {
    /// `options {}` of a resource.
    case resource
    /// `options {}` of a host section: what concerns one node only.
    case node
    /// The part of `disk {}` that belongs to a backing device.
    case disk
    /// The part of `disk {}` that belongs to one volume as replicated to one peer.
    case peerDevice = "peer-device"
    /// `net {}` of a resource, mesh or connection.
    case net
    /// `startup {}`.
    case startup
    /// `handlers {}`: shell commands.
    case handlers
    /// `proxy {}` and the `options {}` of a relay.
    case proxy
}

/// What a bare number counts, and what the stored number counts.
package enum OptionUnit: Sendable {
    /// Whatever the option counts; a suffix multiplies.
    case one
    /// KiB (per second for rates).
    case kibibytes
    /// 512-byte sectors.
    case sectors

    /// The bytes of one unit; for a plain number 1.
    var bytes: UInt64 {
        switch self {
        case .one: 1
        case .kibibytes: 1024
        case .sectors: 512
        }
    }

    /// The letter that `show` prints behind a number of this unit.
    package var suffix: String {
        switch self {
        case .one: ""
        case .kibibytes: "k"
        case .sectors: "s"
        }
    }
}

/// The values that an option accepts.
package enum OptionType: Sendable {
    /// A number within `range` of `unit`.
    case number(ClosedRange<UInt64>, unit: OptionUnit)
    /// A number that is silently moved into `range`.
    case clamped(ClosedRange<UInt64>)
    /// `yes` or `no`.
    case boolean
    /// One of the words.
    case choice([String])
    /// One of the words, letter case ignored; the value is the listed spelling.
    case caselessChoice([String])
    /// A number within the range, or one of the words.
    case numberOrChoice(ClosedRange<UInt64>, [String])
    /// Any text of at most `maximum` bytes.
    case text(maximum: Int)
    /// Two numbers with a colon between, each within the range: `"3:1"`.
    case ratio(ClosedRange<UInt64>)
    /// `resource`, `resource/volume`, a minor number or -1 for none.
    case volumeReference
    /// `ADDRESS:PORT` or `[ADDRESS]:PORT`.
    case socketAddress
}

/// One option: its name, where it may stand, what it accepts, and what holds without it.
package struct OptionDescription: Sendable {
    /// The name as written.
    package let name: String
    /// Where it may stand.
    package let section: OptionSection
    /// What it accepts.
    package let type: OptionType
    /// The text that means the same as leaving the option out; empty means "not set".
    package let defaultText: String
    /// What comes of it.
    package let effect: OptionEffect
    /// True for options that only we have: neither DRBD's tools nor bsr's know them.
    package let isOurs: Bool

    init(
        _ name: String,
        _ section: OptionSection,
        _ type: OptionType,
        default defaultText: String,
        _ effect: OptionEffect,
        isOurs: Bool = false
    ) {
        self.name = name
        self.section = section
        self.type = type
        self.defaultText = defaultText
        self.effect = effect
        self.isOurs = isOurs
    }
}
