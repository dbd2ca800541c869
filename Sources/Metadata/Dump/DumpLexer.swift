// SPDX-License-Identifier: Apache-2.0

/// Cuts the text of a dump into words.
struct DumpLexer {
    private let text: [UInt8]
    private var position = 0
    /// The line of the last token, counted from 1.
    private(set) var line = 1

    enum Token: Hashable {
        case word(String)
        case number(Int64)
        case hex32(UInt32)
        case hex64(UInt64)
        case string(String)
        case mark(UInt8)
        case end

        /// The token as a message shows it.
        var text: String {
            switch self {
            case .word(let word): word
            case .number(let number): String(number)
            case .hex32(let value): "0x" + value.hex8
            case .hex64(let value): "0x" + value.hex16
            case .string(let string): "\"\(string)\""
            case .mark(let byte): String(UnicodeScalar(byte))
            case .end: "end of file"
            }
        }
    }

    /// The longest part of a bad token that a message shows.
    private static let excerptLimit = 40

    init(_ text: [UInt8]) { self.text = text }

    /// The next token; `end` for ever at the end.
    mutating func next() throws(DumpFault) -> Token {
        self.skipBlanks()
        guard let byte = self.peek else { return .end }
        switch byte {
        case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: ";"), UInt8(ascii: "["),
            UInt8(ascii: "]"):
            self.position += 1
            return .mark(byte)
        case UInt8(ascii: "\""): return try self.string()
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): return try self.number()
        case UInt8(ascii: "a")...UInt8(ascii: "z"): return .word(self.take(while: Self.isWordByte))
        default: throw self.unknownToken(from: self.position)
        }
    }

    private var peek: UInt8? {
        self.position < self.text.count ? self.text[self.position] : nil
    }

    private mutating func skipBlanks() {
        while let byte = self.peek {
            switch byte {
            case UInt8(ascii: "\n"):
                self.line += 1
                self.position += 1
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): self.position += 1
            case UInt8(ascii: "#"):
                while let byte = self.peek, byte != UInt8(ascii: "\n") { self.position += 1 }
            default: return
            }
        }
    }

    private mutating func take(while condition: (UInt8) -> Bool) -> String {
        let start = self.position
        while let byte = self.peek, condition(byte) { self.position += 1 }
        return String(decoding: self.text[start..<self.position], as: UTF8.self)
    }

    /// 1 to 20 bytes in double quotes, on one line.
    private mutating func string() throws(DumpFault) -> Token {
        let start = self.position
        self.position += 1
        let content = self.take { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\n") }
        guard self.peek == UInt8(ascii: "\""), (1...20).contains(content.utf8.count) else {
            throw self.unknownToken(from: start)
        }
        self.position += 1
        return .string(content)
    }

    /// A decimal number of up to 19 digits, or `0x` and exactly 8 or 16 hexadecimal digits.
    private mutating func number() throws(DumpFault) -> Token {
        let start = self.position
        self.position += 1
        let digits = self.take(while: Self.isNumberByte)
        let token = String(UnicodeScalar(self.text[start])) + digits
        if token.utf8.starts(with: "0x".utf8) {
            let hex = token.dropFirst(2)
            switch hex.utf8.count {
            case 8: if let value = UInt32(hex, radix: 16) { return .hex32(value) }
            case 16: if let value = UInt64(hex, radix: 16) { return .hex64(value) }
            default: break
            }
        } else if token.utf8.count <= 20, let value = Int64(token) {
            return .number(value)
        }
        throw self.unknownToken(from: start)
    }

    private func unknownToken(from start: Int) -> DumpFault {
        var end = start
        while end < self.text.count, end - start < Self.excerptLimit,
            self.text[end] > UInt8(ascii: " ")
        { end += 1 }
        let excerpt = String(decoding: self.text[start..<end], as: UTF8.self)
        return .unknownToken(line: self.line, excerpt)
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || Self.isNumberByte(byte)
    }

    private static func isNumberByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: false
        }
    }
}

/// Why a text is not a dump that can be restored.
package enum DumpFault: Error, Hashable, Sendable, CustomStringConvertible {
    case unknownToken(line: Int, String)
    case unexpected(line: Int, expected: String, found: String)
    case version(found: String, requested: FormatVersion)
    case outOfBounds(line: Int, what: String, value: String, rule: String)

    package var description: String {
        switch self {
        case .unknownToken(let line, let token): "line \(line): unknown token: \(token) ..."
        case .unexpected(let line, let expected, let found):
            "Parse error in line \(line): \(expected) expected, not '\(found)'"
        case .version(let found, let requested):
            "dump is '\(found)' you requested '\(requested)'."
        case .outOfBounds(let line, let what, let value, let rule):
            "Parse error in line \(line): \(what) \(value) is out of bounds, \(rule)"
        }
    }
}
