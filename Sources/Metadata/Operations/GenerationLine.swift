// SPDX-License-Identifier: Apache-2.0

/// Generations and flags towards one peer on one line, as `get-gi` prints and `set-gi` reads them.
///
/// `current:bitmap:history:history` in 16 digits each, then one digit, 0 or 1, for each flag.
package struct GenerationLine: Hashable, Sendable {
    private var generations: [UInt64]
    private var bits: [Bool]
    private let version: FormatVersion

    /// Takes what `superblock` says towards node `node`; v08 knows one peer only.
    package init(_ superblock: AnySuperblock, node: UInt8) {
        self.version = superblock.version
        switch superblock {
        case .v09(let block):
            let peer = block[peer: node]
            self.generations = [
                block.currentGeneration, peer.bitmapGeneration, block.history[0], block.history[1],
            ]
            self.bits =
                Self.deviceBits.map { block.flags.contains($0.flag) }
                + Self.peerBits.map { peer.flags.contains($0.flag) }
        case .v08(let block):
            self.generations = [
                block.currentGeneration, block.bitmapGeneration, block.historyYounger,
                block.historyOlder,
            ]
            self.bits = Self.legacyBits.map { block.flags.contains($0.flag) }
        }
    }

    /// The line.
    package var text: String {
        self.generations.map(\.hex16).joined(separator: ":")
            + self.bits.map { $0 ? ":1" : ":0" }.joined()
    }

    /// Changes the fields that `text` gives; empty and missing ones stay, all do if one is wrong.
    package mutating func change(to text: String) throws(GenerationLineFault) {
        var changed = self
        let fields = text.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count <= self.generations.count + self.bits.count else {
            throw .tooManyFields(fields.count, maximum: self.generations.count + self.bits.count)
        }
        for (index, field) in fields.enumerated() where !field.isEmpty {
            if index < self.generations.count {
                guard field.utf8.count <= 18, let value = Self.hexadecimal(field) else {
                    throw .notAGeneration(String(field))
                }
                changed.generations[index] = value
            } else {
                guard field == "0" || field == "1" else { throw .notAFlag(String(field)) }
                changed.bits[index - self.generations.count] = field == "1"
            }
        }
        self = changed
    }

    /// Stores the line in `superblock`, of the version it was taken from.
    package func store(in superblock: inout AnySuperblock, node: UInt8) {
        switch superblock {
        case .v09(var block):
            block.currentGeneration = self.generations[0]
            block[peer: node].bitmapGeneration = self.generations[1]
            block[history: 0] = self.generations[2]
            block[history: 1] = self.generations[3]
            for (bit, isSet) in zip(Self.deviceBits, self.bits) {
                block.flags.set(bit.flag, isSet)
            }
            for (bit, isSet) in zip(Self.peerBits, self.bits.dropFirst(Self.deviceBits.count)) {
                block[peer: node].flags.set(bit.flag, isSet)
            }
            superblock = .v09(block)
        case .v08(var block):
            block.currentGeneration = self.generations[0]
            block.bitmapGeneration = self.generations[1]
            block.historyYounger = self.generations[2]
            block.historyOlder = self.generations[3]
            for (bit, isSet) in zip(Self.legacyBits, self.bits) {
                block.flags.set(bit.flag, isSet)
            }
            superblock = .v08(block)
        }
    }

    /// The line with a legend around it that names every field.
    package var legend: String {
        let labels = ["current generation", "bitmap's base", "younger history", "older history"]
        var text = "\n"
        for (index, label) in labels.enumerated() {
            let bars = (0..<index).map { "|".padded(to: $0 == 0 ? 8 : 17) }.joined()
            text += bars + "+".padded(to: index == 0 ? 8 : 17) + "--<  \(label)  >-\n"
        }
        text += (0..<4).map { "V".padded(to: $0 == 0 ? 8 : 17) }.joined() + "\n"
        text += self.text + "\n"
        let first = 4 * 17
        let names = self.bitNames
        text +=
            "".padded(to: first) + Array(repeating: "^", count: names.count).joined(separator: " ")
        text += "\n"
        for (index, name) in names.enumerated() {
            let row = "-<  \(name)  >--+".padded(to: first + index * 2 + 1)
            text += row + String(repeating: " |", count: names.count - index - 1) + "\n"
        }
        return text + "\n"
    }

    private var bitNames: [String] {
        switch self.version {
        case .v09: Self.deviceBits.map(\.name) + Self.peerBits.map(\.name)
        case .v08: Self.legacyBits.map(\.name)
        }
    }

    private static func hexadecimal(_ field: Substring) -> UInt64? {
        let digits = field.hasPrefix("0x") ? field.dropFirst(2) : field
        guard digits.first != "+", digits.first != "-" else { return nil }
        return UInt64(digits, radix: 16)
    }

    private static let deviceBits: [(flag: DeviceFlags, name: String)] = [
        (.consistent, "data is consistent"),
        (.wasUpToDate, "data was up to date"),
        (.primary, "a node is or was primary"),
        (.crashedPrimary, "crashed as primary, has not met its peers since"),
        (.activityLogClean, "activity log applied, may be attached"),
        (.activityLogDisabled, "activity log was off, everything counts as changed"),
        (.primaryLostQuorum, "was primary when quorum was lost"),
    ]

    private static let peerBits: [(flag: PeerFlags, name: String)] = [
        (.connected, "peer is or was connected"),
        (.outdated, "peer's disk was outdated or inconsistent"),
        (.fencing, "a fencing policy was in use"),
        (.fullSync, "was marking every block out of sync"),
        (.deviceSeen, "peer was seen with a disk"),
    ]

    private static let legacyBits: [(flag: DeviceFlags, name: String)] = [
        (.consistent, "data is consistent"),
        (.wasUpToDate, "data was up to date"),
        (.primary, "node is or was primary"),
        (.legacyConnected, "peer is or was connected"),
        (.legacyFullSync, "was marking every block out of sync"),
        (.legacyPeerOutdated, "peer's disk was outdated or inconsistent"),
        (.crashedPrimary, "crashed as primary, has not met its peer since"),
    ]
}

/// Why a line cannot be set.
package enum GenerationLineFault: Error, Hashable, Sendable, CustomStringConvertible {
    case tooManyFields(Int, maximum: Int)
    case notAGeneration(String)
    case notAFlag(String)

    package var description: String {
        switch self {
        case .tooManyFields(let count, let maximum):
            "the line has \(count) fields, at most \(maximum) are known"
        case .notAGeneration(let field): "'\(field)' is not a number of up to 16 hexadecimal digits"
        case .notAFlag(let field): "'\(field)' is not a flag, 0 or 1"
        }
    }
}

extension OptionSet {
    fileprivate mutating func set(_ member: Element, _ isSet: Bool) {
        if isSet { self.insert(member) } else { self.remove(member) }
    }
}
