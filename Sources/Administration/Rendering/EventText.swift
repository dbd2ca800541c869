// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The text of `events2`: one line for each event.
package struct EventText: Sendable {
    /// `--timestamps`.
    package var showsTimestamps = false
    /// `--diff`: old values too.
    package var showsOldValues = false
    /// Whether to use colours.
    package var isColored = false

    /// Creates the writer of plain `events2`.
    package init() {}

    /// The line of `record` without its end.
    package func line(_ record: EventRecord) -> String {
        var words = [record.action.rawValue, record.object.rawValue]
        if self.showsTimestamps { words.insert(Self.timestamp(record.time), at: 0) }
        words += record.identity.map { "\($0.key):\($0.value)" }
        words += record.attributes.map { self.word($0, of: record.object) }
        return words.joined(separator: " ")
    }

    /// The line that tells that events were lost.
    package func line(skipped count: Int, at time: EventTime) -> String {
        (self.showsTimestamps ? Self.timestamp(time) + " " : "") + "- skipped \(count)"
    }

    private func word(_ field: EventField, of object: EventRecord.Object) -> String {
        let value = self.isColored ? field.highlight?.around(field.value) : nil
        guard self.showsOldValues, object != .helper else {
            return "\(field.key):\(value ?? field.value)"
        }
        let unknown = Double(field.value) != nil ? "0" : "UNKNOWN"
        return "\(field.key):\(field.old ?? unknown)->\(value ?? field.value)"
    }

    /// `YYYY-MM-DDTHH:MM:SS.uuuuuu+HH:MM` in local time.
    private static func timestamp(_ time: EventTime) -> String {
        var (seconds, fraction) = time.microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        if fraction < 0 {
            seconds -= 1
            fraction += 1_000_000
        }
        var clock = time_t(seconds)
        var local = tm()
        localtime_r(&clock, &local)
        let minutes = abs(local.tm_gmtoff) / 60
        return String(
            format: "%04d-%02d-%02dT%02d:%02d:%02d.%06d%@%02d:%02d",
            Int(local.tm_year) + 1900,
            local.tm_mon + 1,
            local.tm_mday,
            local.tm_hour,
            local.tm_min,
            local.tm_sec,
            Int(fraction),
            local.tm_gmtoff < 0 ? "-" : "+",
            minutes / 60,
            minutes % 60
        )
    }
}
