// SPDX-License-Identifier: Apache-2.0

/// What already lies on a device, judged by its first 68 KiB.
package enum ExistingData: Hashable, Sendable {
    /// Only zeroes.
    case nothing
    /// Something that has no name.
    case someData
    /// A file system or the like that uses `bytes` of the device; nil if that cannot be told.
    case recognised(name: String, bytes: UInt64?)

    /// The bytes that ``init(_:)`` wants to see.
    package static let probeBytes = 68 << 10

    /// Looks at the first bytes of a device; fewer than ``probeBytes`` are judged for what they
    /// are.
    package init(_ bytes: RawSpan) {
        let probe = Probe(bytes)
        self = probe.recognised ?? (probe.isZero ? .nothing : .someData)
    }
}

/// The first bytes of a device.
///
/// Offsets beyond read as zero.
private struct Probe {
    private let bytes: [UInt8]

    init(_ span: RawSpan) {
        self.bytes = (0..<min(span.byteCount, ExistingData.probeBytes)).map {
            span.unsafeLoadUnaligned(fromByteOffset: $0, as: UInt8.self)
        }
    }

    /// The first signature that is there, in the order in which the field's tools look.
    var recognised: ExistingData? {
        self.swapSpace ?? self.physicalVolume ?? self.ext ?? self.xfs ?? self.jfs ?? self.reiser
    }

    var isZero: Bool { self.bytes.allSatisfy { $0 == 0 } }

    /// The signature ends with the first page, of 4 KiB or 8 KiB.
    private var swapSpace: ExistingData? {
        let isSwap = [4096, 8192].contains { end in
            self.has("SWAP-SPACE", at: end - 10) || self.has("SWAPSPACE2", at: end - 10)
        }
        return isSwap ? .recognised(name: "swap space signature", bytes: nil) : nil
    }

    private var physicalVolume: ExistingData? {
        guard self.has("LVM2", at: 0x218) else { return nil }
        return .recognised(name: "LVM2 physical volume signature", bytes: nil)
    }

    /// ext2 to ext4.
    ///
    /// The superblock is at 1024; a journal makes the difference.
    private var ext: ExistingData? {
        guard self.little(2, at: 0x438) == 0xEF53 else { return nil }
        let hasJournal = self.little(1, at: 0x45C) & 4 != 0
        let blockBytes = UInt64(1024) << min(self.little(4, at: 0x418), 2)
        return .recognised(
            name: hasJournal ? "ext3 filesystem" : "ext2 filesystem",
            bytes: self.little(4, at: 0x404) * blockBytes
        )
    }

    private var xfs: ExistingData? {
        guard self.has("XFSB", at: 0) else { return nil }
        return Self.fileSystem("xfs", blocks: self.big(8, at: 8), blockBytes: self.big(4, at: 4))
    }

    private var jfs: ExistingData? {
        guard self.has("JFS1", at: 0x8000) else { return nil }
        return Self.fileSystem(
            "JFS",
            blocks: self.little(8, at: 0x8008),
            blockBytes: self.little(4, at: 0x8018)
        )
    }

    private var reiser: ExistingData? {
        guard self.has("ReIsErFs", at: 0x10034) || self.has("ReIsEr2Fs", at: 0x10034) else {
            return nil
        }
        return Self.fileSystem(
            "reiser",
            blocks: self.little(4, at: 0x10000),
            blockBytes: self.little(2, at: 0x1002C)
        )
    }

    /// A size that does not fit in 64 bits comes from a damaged header: it cannot be told.
    private static func fileSystem(
        _ name: String,
        blocks: UInt64,
        blockBytes: UInt64
    ) -> ExistingData {
        let (bytes, overflow) = blocks.multipliedReportingOverflow(by: blockBytes)
        return .recognised(name: "\(name) filesystem", bytes: overflow ? nil : bytes)
    }

    private func has(_ signature: String, at offset: Int) -> Bool {
        signature.utf8.enumerated().allSatisfy { self.byte(offset + $0.offset) == $0.element }
    }

    private func little(_ count: Int, at offset: Int) -> UInt64 {
        (0..<count).reversed().reduce(0) { $0 << 8 | UInt64(self.byte(offset + $1)) }
    }

    private func big(_ count: Int, at offset: Int) -> UInt64 {
        (0..<count).reduce(0) { $0 << 8 | UInt64(self.byte(offset + $1)) }
    }

    private func byte(_ offset: Int) -> UInt8 {
        offset < self.bytes.count ? self.bytes[offset] : 0
    }
}

/// What is to be done about existing data before metadata is written.
package struct ExistingDataVerdict: Hashable, Sendable {
    /// What to tell the user, on stdout.
    package let text: String
    package let decision: Decision

    package enum Decision: Hashable, Sendable, BitwiseCopyable {
        case proceed
        /// Ask whether to proceed.
        case ask
        case refuse
    }

    /// Judges `data` on a device that is to hold metadata as `layout` has it.
    ///
    /// - Parameter ignoresChecks: the user asked for it. A file system that would lose its end is
    ///   still refused.
    package init(_ data: ExistingData, layout: Layout, ignoresChecks: Bool) {
        switch data {
        case .nothing:
            self.init("", .proceed)
        case .someData:
            self.init(
                Self.found("some data", layout)
                    + "\n ==> This might destroy existing data! <==\n",
                .ask
            )
        case .recognised(let name, let bytes):
            let found = Self.found(name, layout)
            if !layout.placement.isInternal {
                let text = found + "\nThis would corrupt existing data.\n"
                self.init(refusing: text, unless: ignoresChecks)
            } else if let bytes {
                self.init(found, used: bytes, layout)
            } else {
                let text = found + Self.left(layout) + Self.truncation
                self.init(refusing: text, unless: ignoresChecks)
            }
        }
    }

    private init(_ text: String, _ decision: Decision) {
        self.text = text
        self.decision = decision
    }

    private init(refusing text: String, unless ignoresChecks: Bool) {
        if ignoresChecks {
            self.init(text + "\nIgnoring sanity check on user request.\n\n", .proceed)
        } else {
            self.init(text + Self.howToInsist + "Operation refused.\n\n", .refuse)
        }
    }

    /// A file system of known size on the device that holds data and metadata.
    private init(_ found: String, used bytes: UInt64, _ layout: Layout) {
        let usedKibibytes = bytes / 1024 + (bytes % 1024 == 0 ? 0 : 1)
        let used = String(usedKibibytes).padded(to: 12) + " kB data area apparently used\n"
        let text = found + used + Self.left(layout) + "\n"
        if usedKibibytes * 2 > layout.usableSectors {
            self.init(text + Self.truncation + Self.advice + "Operation refused.\n\n", .refuse)
        } else {
            self.init(text + Self.onlyAGuess, .ask)
        }
    }

    private static func found(_ name: String, _ layout: Layout) -> String {
        """
        md_offset \(layout.superblockPosition)
        al_offset \(layout.activityLogPosition)
        bm_offset \(layout.bitmapPosition)

        Found \(name)

        """
    }

    private static func left(_ layout: Layout) -> String {
        String(layout.usableSectors / 2).padded(to: 12)
            + " kB left usable by current configuration\n"
    }

    private static let truncation = """
        Device size would be truncated, which
        would corrupt data and result in
        'access beyond end of device' errors.

        """

    private static let advice = """
        You need to either
           * use external meta data (recommended)
           * shrink that filesystem first
           * zero out the device (destroy the filesystem)

        """

    private static let howToInsist = """
        To do this all the same, first zero out the first part of the device,
        which destroys its content.

        """

    private static let onlyAGuess = """
        The new meta data seems to go into unused space; you still need to
        confirm, as this is only a guess.

        """
}
