// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// What a link does to what passes; the same in both directions.
package struct LinkSettings: Hashable, Sendable {
    /// From one end to the other, one way.
    package var delay: TimeSpan
    /// What may be added to the delay, anew for every piece; nothing overtakes.
    package var jitter: TimeSpan
    /// Bits a second in each direction, shared by all connections; nil for no limit.
    package var rate: UInt64?

    /// Creates settings; as they are, the link passes everything at once.
    package init(delay: TimeSpan = .zero, jitter: TimeSpan = .zero, rate: UInt64? = nil) {
        self.delay = delay
        self.jitter = jitter
        self.rate = rate
    }

    /// Bytes that may be on their way in one direction of one connection.
    var flowBytes: UInt64 {
        guard let rate else { return LinkLimits.flowBytesWithoutRate }
        let milliseconds = (self.delay + self.jitter).milliseconds
        let product = rate / 8_000 * milliseconds
        return clamp(product + (product / 4), to: LinkLimits.flowBytes)
    }

    /// Bytes that are read and sent at a time.
    var pieceBytes: UInt64 {
        guard let rate else { return LinkLimits.pieceBytes.upperBound }
        return clamp(rate / 8_000 * LinkLimits.pieceTime.milliseconds, to: LinkLimits.pieceBytes)
    }
}

extension LinkSettings {
    /// A rate as people write it: `10M`, `1.5G`, `64k`, `unlimited`; bits a second, decimal units.
    ///
    /// - Throws: ``LinkError/badValue(what:value:rule:)``.
    package static func rate(_ text: String) throws(LinkError) -> UInt64? {
        if text == "unlimited" { return nil }
        let units: [Character: Double] = ["k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9]
        let unit = text.last.flatMap { units[$0] }
        let number = decimal(unit == nil ? text[...] : text.dropLast())
        guard let number, case let rate = number * (unit ?? 1),
            rate >= Double(LinkLimits.rates.lowerBound), rate <= Double(LinkLimits.rates.upperBound)
        else {
            throw .badValue(
                what: "rate",
                value: text,
                rule: "it must be 8k to 100G bits a second (for instance 100M), or 'unlimited'"
            )
        }
        return UInt64(rate)
    }

    /// A time in milliseconds, for instance `25` or `0.5`.
    ///
    /// - Throws: ``LinkError/badValue(what:value:rule:)``, which names the value `what`.
    package static func milliseconds(_ text: String, as what: String) throws(LinkError) -> TimeSpan
    {
        let maximum = LinkLimits.delay.milliseconds
        guard let number = decimal(text[...]), number <= Double(maximum) else {
            throw .badValue(
                what: what,
                value: text,
                rule: "it must be 0 to \(maximum) milliseconds, for instance 25 or 0.5"
            )
        }
        return TimeSpan(nanoseconds: UInt64(number * 1e6))
    }
}

extension LinkSettings: CustomStringConvertible {
    /// For instance `delay 25 ms, jitter 0 ms, rate 100 Mbit/s`.
    package var description: String {
        let rate = self.rate.map { "\(plain(Double($0) / 1e6)) Mbit/s" } ?? "unlimited"
        return "delay \(plain(Double(self.delay.nanoseconds) / 1e6)) ms, "
            + "jitter \(plain(Double(self.jitter.nanoseconds) / 1e6)) ms, rate \(rate)"
    }
}

/// The number of digits with at most one point; no sign, exponent or name of a number.
private func decimal(_ text: Substring) -> Double? {
    let isPlain = text.allSatisfy { $0.isASCII && $0.isNumber || $0 == "." }
    return isPlain ? Double(text) : nil
}

private func plain(_ value: Double) -> String {
    let whole = value.rounded()
    return whole == value ? "\(UInt64(whole))" : "\(value)"
}

private func clamp(_ value: UInt64, to range: ClosedRange<UInt64>) -> UInt64 {
    min(max(value, range.lowerBound), range.upperBound)
}
