// SPDX-License-Identifier: Apache-2.0

package import Configuration

extension OptionDescription {
    /// Values that the option accepts, the ends of its range and awkward texts among them.
    package var samples: [String] {
        switch self.type {
        case .number(let range, _), .clamped(let range):
            ["\(range.lowerBound)", "\(range.upperBound)"]
        case .boolean: ["yes", "no"]
        case .choice(let words), .caselessChoice(let words): words
        case .numberOrChoice(let range, let words): ["\(range.lowerBound)"] + words
        case .text(let maximum):
            [
                "sha256", "hello world", "a\"b\\c", "127.0.0.1:1", "[::1]:1", "", " ", "#;{}", "é",
                String(repeating: "x", count: maximum), String(repeating: "\"", count: maximum),
            ]
        case .ratio: ["3:1", "1:10000"]
        case .volumeReference: ["-1", "7", "r0", "r0/1"]
        case .socketAddress: ["127.0.0.1:21498", "[::1]:21498"]
        }
    }
}
