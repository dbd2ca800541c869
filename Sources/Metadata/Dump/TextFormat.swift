// SPDX-License-Identifier: Apache-2.0

extension UInt64 {
    /// 16 uppercase hexadecimal digits.
    package var hex16: String { Self.hex(self, digits: 16) }

    fileprivate static func hex(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: Swift.max(0, digits - text.count)) + text
    }

    /// A number of KiB in the largest unit that leaves four digits, as `4096 KB` or `24 MB`.
    package static func readable(kibibytes: UInt64) -> String {
        var value = kibibytes
        for unit in ["KB", "MB", "GB", "TB", "PB"] {
            if value < 10000 { return "\(value) \(unit)" }
            value = value / 1024 + (value % 1024 >= 512 ? 1 : 0)
        }
        return "\(value) EB"
    }
}

extension UInt32 {
    /// 8 uppercase hexadecimal digits.
    package var hex8: String { UInt64.hex(UInt64(self), digits: 8) }
}

extension String {
    /// The text, preceded by blanks until it is `width` characters wide.
    package func padded(to width: Int) -> String {
        String(repeating: " ", count: Swift.max(0, width - self.utf8.count)) + self
    }
}
