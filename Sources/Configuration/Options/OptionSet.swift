// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Checked values of one section's options; those not given hold their defaults.
///
/// The typed option structs are built from it. It knows nothing of files: `bsrd` uses it for the
/// texts that `bsrsetup` sends.
package struct OptionSet: Sendable {
    private let section: OptionSection
    private var values: [String: OptionValue] = [:]

    /// Checks `options` against the table of `section`.
    ///
    /// A later option replaces an earlier one.
    ///
    /// - Throws: `OptionError` for the first unknown option or refused value.
    package init(_ section: OptionSection, _ options: [(name: String, value: String)])
        throws(OptionError)
    {
        self.section = section
        for option in options {
            guard let entry = OptionTable.find(option.name, in: section) else {
                throw OptionError(
                    name: option.name,
                    value: option.value,
                    reason: .unknown(section: section)
                )
            }
            self.values[option.name] = try entry.value(of: option.value)
        }
    }

    /// The value of `name`, or its default.
    ///
    /// Traps if the section has no such option.
    package func value(_ name: String) -> OptionValue {
        if let value = self.values[name] { return value }
        let entry = OptionTable.find(name, in: self.section)
        invariant(entry != nil, "an option that its section has")
        return entry?.defaultValue ?? .unset
    }

    func number(_ name: String) -> UInt64 {
        guard case .number(let number) = self.value(name) else { return 0 }
        return number
    }

    func count(_ name: String) -> Int { Int(clamping: self.number(name)) }

    func isOn(_ name: String) -> Bool { self.value(name) == .boolean(true) }

    func text(_ name: String) -> String? {
        guard case .word(let word) = self.value(name) else { return nil }
        return word
    }

    func bytes(_ name: String, of unit: OptionUnit = .one) -> ByteCount {
        ByteCount(self.number(name) * unit.bytes)
    }

    func deciseconds(_ name: String) -> TimeSpan { .deciseconds(self.number(name)) }

    func word<Word: RawRepresentable>(_ name: String, else fallback: Word) -> Word
    where Word.RawValue == String {
        self.text(name).flatMap(Word.init(rawValue:)) ?? fallback
    }

    func quorum(_ name: String) -> Quorum {
        switch self.value(name) {
        case .number(let nodes): .nodes(Int(clamping: nodes))
        case .word("majority"): .majority
        case .word("all"): .all
        case .word, .boolean, .ratio, .minor, .unset: .off
        }
    }
}
