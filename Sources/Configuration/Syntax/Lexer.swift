// SPDX-License-Identifier: Apache-2.0

/// Splits a file into tokens.
///
/// Total: every byte sequence gives tokens up to `.end`.
///
/// `#` begins a comment up to the end of the line. Inside quotes a backslash makes the next
/// character literal; a string may not contain a line break.
struct Lexer {
    let file: String
    private let bytes: [UInt8]
    private var index = 0
    private var line = 1

    init(file: String, bytes: [UInt8]) {
        self.file = file
        self.bytes = bytes
    }

    /// The next token; `.end` again and again behind the last one.
    mutating func next() -> Token {
        self.skipBlanks()
        guard self.index < self.bytes.count else { return self.token(.end, "") }
        let byte = self.bytes[self.index]
        if byte == 0x22 { return self.quoted() }
        if Self.isWordByte(byte) { return self.word() }
        self.index += 1
        let character = Character(UnicodeScalar(byte))
        return "{};[]:".contains(character)
            ? self.token(.mark(character), String(character))
            : self.token(.stray, byte < 0x80 && byte >= 0x20 ? String(character) : "byte \(byte)")
    }

    /// The text up to a `]` on the same line, for an IPv6 address, and consumes the bracket.
    ///
    /// Nil if there is none within 64 bytes.
    mutating func bracketed() -> String? {
        let end = min(self.bytes.count, self.index + 64)
        for position in self.index..<end {
            if self.bytes[position] == 0x0A { return nil }
            if self.bytes[position] == 0x5D {
                let text = String(decoding: self.bytes[self.index..<position], as: UTF8.self)
                self.index = position + 1
                return text.trimmingBlanks()
            }
        }
        return nil
    }

    private func token(_ kind: Token.Kind, _ text: String) -> Token {
        Token(kind: kind, text: text, line: self.line)
    }

    private mutating func skipBlanks() {
        var inComment = false
        while self.index < self.bytes.count {
            let byte = self.bytes[self.index]
            switch byte {
            case 0x0A:
                self.line += 1
                inComment = false
            case 0x23: inComment = true
            case 0x20, 0x09, 0x0D: break
            default: if !inComment { return }
            }
            self.index += 1
        }
    }

    private mutating func word() -> Token {
        let start = self.index
        while self.index < self.bytes.count, Self.isWordByte(self.bytes[self.index]) {
            self.index += 1
        }
        let text = String(decoding: self.bytes[start..<self.index], as: UTF8.self)
        if text.utf8.count > Limits.wordBytes { return self.token(.tooLong, text) }
        if Self.isInteger(text) { return self.token(.integer, text) }
        if Self.isDottedQuad(text) { return self.token(.address, text) }
        return self.token(.word, text)
    }

    private mutating func quoted() -> Token {
        let start = self.index
        self.index += 1
        var text: [UInt8] = []
        while self.index < self.bytes.count {
            let byte = self.bytes[self.index]
            self.index += 1
            switch byte {
            case 0x22:
                let string = String(decoding: text, as: UTF8.self)
                let isTooLong = text.count > Limits.quotedBytes
                return self.token(isTooLong ? .tooLong : .quoted, string)
            case 0x0A:
                self.index = start + 1
                return self.token(.stray, "\" without its end")
            case 0x5C where self.index < self.bytes.count && self.bytes[self.index] != 0x0A:
                text.append(self.bytes[self.index])
                self.index += 1
            default: text.append(byte)
            }
        }
        self.index = self.bytes.count
        return self.token(.stray, "\" without its end")
    }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x2F, 0x5F: true
        default: false
        }
    }

    private static func isInteger(_ text: String) -> Bool {
        var digits = text.utf8[...]
        if let last = digits.last, "MKGs".utf8.contains(last) { digits.removeLast() }
        return (1...8).contains(digits.count) && digits.allSatisfy { (0x30...0x39).contains($0) }
    }

    private static func isDottedQuad(_ text: String) -> Bool {
        let parts = text.utf8.split(separator: 0x2E, omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.count) && part.allSatisfy { (0x30...0x39).contains($0) }
            }
    }
}

extension String {
    /// The text without blanks and tabs at either end.
    func trimmingBlanks() -> String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        guard let first = self.firstIndex(where: { !isBlank($0) }),
            let last = self.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(self[first...last])
    }
}
