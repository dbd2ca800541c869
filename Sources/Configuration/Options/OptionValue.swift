// SPDX-License-Identifier: Apache-2.0

/// A checked option value, numbers in the option's own unit.
package enum OptionValue: Hashable, Sendable {
    case number(UInt64)
    case boolean(Bool)
    case word(String)
    case ratio(UInt64, UInt64)
    /// A volume by minor number, for `resync-after`; nil for none.
    case minor(Int?)
    /// The option is not set and has no value by default.
    case unset
}

/// A refused option: which, with what value, and why.
package struct OptionError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Why an option is refused.
    package enum Reason: Hashable, Sendable {
        case unknown(section: OptionSection)
        case notValid(allowed: [String])
        case notBoolean
        case notANumber
        case tooSmall(minimum: UInt64)
        case tooBig(maximum: UInt64)
        case tooLong(maximum: Int)
    }

    /// The option's name as written.
    package let name: String
    /// The value as written.
    package let value: String
    /// The fault.
    package let reason: Reason

    /// The text that follows `Parse error: `, in drbdadm's words.
    package var description: String {
        if case .unknown(let section) = self.reason {
            return "unknown option '\(self.name)' of a \(section.rawValue) section"
        }
        let shown = self.value.count > 20 ? String(self.value.prefix(20)) + "..." : self.value
        return "while parsing value ('\(shown)')\nfor \(self.name). Value is \(self.fault)"
    }

    private var fault: String {
        switch self.reason {
        case .unknown: ""
        case .notValid(let allowed) where allowed.isEmpty: "not valid."
        case .notValid(let allowed):
            "not valid.\nAllowed values are: \(allowed.joined(separator: " | "))"
        case .notBoolean: "not 'yes' or 'no'."
        case .notANumber: "not a number."
        case .tooSmall(let minimum): "too small.\nmin: \(minimum)"
        case .tooBig(let maximum): "too big.\nmax: \(maximum)"
        case .tooLong(let maximum): "too long.\nmax len: \(maximum)"
        }
    }
}

extension OptionDescription {
    /// Checks `text` and converts it to the option's unit.
    ///
    /// - Throws: `OptionError` with the fault.
    package func value(of text: String) throws(OptionError) -> OptionValue {
        switch self.type {
        case .number(let range, let unit):
            return .number(try self.number(text, in: range, unit: unit))
        case .clamped(let range):
            let number = try self.number(text, in: 0...UInt64.max, unit: .one)
            return .number(min(max(number, range.lowerBound), range.upperBound))
        case .boolean:
            guard text == "yes" || text == "no" else { throw self.refusal(text, .notBoolean) }
            return .boolean(text == "yes")
        case .choice(let words):
            guard words.contains(text) else {
                throw self.refusal(text, .notValid(allowed: words))
            }
            return .word(text)
        case .caselessChoice(let words):
            guard let word = words.first(where: { $0.lowercased() == text.lowercased() }) else {
                throw self.refusal(text, .notValid(allowed: words))
            }
            return .word(word)
        case .numberOrChoice(let range, let words):
            if words.contains(text) { return .word(text) }
            return .number(try self.number(text, in: range, unit: .one))
        case .text(let maximum):
            if text.utf8.count > maximum { throw self.refusal(text, .tooLong(maximum: maximum)) }
            // No resource file and no `show` could say it.
            if text.contains(where: \.isNewline) {
                throw self.refusal(text, .notValid(allowed: ["text of one line"]))
            }
            return text.isEmpty ? .unset : .word(text)
        case .ratio(let range):
            return try self.ratio(text, range)
        case .volumeReference:
            return try self.volumeReference(text)
        case .socketAddress:
            if text.isEmpty { return .unset }
            guard SocketAddress(text) != nil else {
                throw self.refusal(text, .notValid(allowed: ["ADDRESS:PORT", "[ADDRESS]:PORT"]))
            }
            return .word(text)
        }
    }

    /// The value that holds when the option is not given.
    package var defaultValue: OptionValue {
        if self.defaultText.isEmpty { return .unset }
        do throws(OptionError) {
            return try self.value(of: self.defaultText)
        } catch {
            return .unset
        }
    }

    private func refusal(_ text: String, _ reason: OptionError.Reason) -> OptionError {
        OptionError(name: self.name, value: text, reason: reason)
    }

    private func number(
        _ text: String,
        in range: ClosedRange<UInt64>,
        unit: OptionUnit
    ) throws(OptionError) -> UInt64 {
        guard let parsed = ScaledNumber(text) else {
            let isTooBig = ScaledNumber.exceeds(range.upperBound, of: unit, text)
            throw self.refusal(text, isTooBig ? .tooBig(maximum: range.upperBound) : .notANumber)
        }
        guard let number = parsed.count(of: unit), number <= range.upperBound else {
            throw self.refusal(text, .tooBig(maximum: range.upperBound))
        }
        guard number >= range.lowerBound else {
            throw self.refusal(text, .tooSmall(minimum: range.lowerBound))
        }
        return number
    }

    private func ratio(_ text: String, _ range: ClosedRange<UInt64>) throws(OptionError)
        -> OptionValue
    {
        if text.isEmpty { return .unset }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw self.refusal(text, .notValid(allowed: ["R:S"])) }
        let first = try self.number(String(parts[0]), in: range, unit: .one)
        let second = try self.number(String(parts[1]), in: range, unit: .one)
        return .ratio(first, second)
    }

    private func volumeReference(_ text: String) throws(OptionError) -> OptionValue {
        if text == "-1" { return .minor(nil) }
        if let minor = Int(text) {
            guard (0...Limits.minorMaximum).contains(minor) else {
                throw self.refusal(text, .tooBig(maximum: UInt64(Limits.minorMaximum)))
            }
            return .minor(minor)
        }
        if text.isEmpty || text.utf8.count > Limits.wordBytes {
            throw self.refusal(text, .notValid(allowed: ["RESOURCE", "RESOURCE/VOLUME", "MINOR"]))
        }
        return .word(text)
    }
}

/// A number with an optional suffix: `10k`, `2M`, `1G`, `8s`.
///
/// k, m, g (either case) and s multiply by 2^10, 2^20, 2^30 and 512.
package struct ScaledNumber: Hashable, Sendable {
    private let digits: UInt64
    private let multiplier: UInt64?

    /// Parses `text`; nil unless it is decimal digits with at most one suffix.
    package init?(_ text: String) {
        var bytes = text.utf8[...]
        switch bytes.last.map({ Character(UnicodeScalar($0)) }) {
        case "k", "K": self.multiplier = 1 << 10
        case "m", "M": self.multiplier = 1 << 20
        case "g", "G": self.multiplier = 1 << 30
        case "s", "S": self.multiplier = 512
        default: self.multiplier = nil
        }
        if self.multiplier != nil { bytes.removeLast() }
        guard !bytes.isEmpty, bytes.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        var sum: UInt64 = 0
        for byte in bytes {
            let (product, overflow) = sum.multipliedReportingOverflow(by: 10)
            let (total, carry) = product.addingReportingOverflow(UInt64(byte - 0x30))
            sum = overflow || carry ? .max : total
            if sum == .max { break }
        }
        self.digits = sum
    }

    /// True if `text` is a number with a suffix that the grammar lacks (T, P, E) and above
    /// `maximum` of `unit`.
    static func exceeds(_ maximum: UInt64, of unit: OptionUnit, _ text: String) -> Bool {
        let powers: [Character: UInt64] = [
            "T": 1 << 10, "t": 1 << 10, "P": 1 << 20, "p": 1 << 20, "E": 1 << 30, "e": 1 << 30,
        ]
        guard let last = text.last, let power = powers[last],
            let gibibytes = Self(text.dropLast() + "G")
        else { return false }
        guard let number = gibibytes.count(of: unit) else { return true }
        let (product, overflow) = number.multipliedReportingOverflow(by: power)
        return overflow || product > maximum
    }

    /// The number in `unit`, rounded up; nil if it does not fit 64 bits.
    package func count(of unit: OptionUnit) -> UInt64? {
        guard let multiplier = self.multiplier else { return self.digits }
        let (bytes, overflow) = self.digits.multipliedReportingOverflow(by: multiplier)
        if overflow { return nil }
        let size = unit.bytes
        return bytes / size + (bytes % size == 0 ? 0 : 1)
    }
}
