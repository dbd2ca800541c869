// SPDX-License-Identifier: Apache-2.0

/// A function, initialiser, subscript or computed property with a body.
struct FunctionExtent: Equatable {
    let firstLine: Int
    let lineCount: Int
}

extension SwiftFile {
    /// Every function of the file, nested ones too.
    var functions: [FunctionExtent] {
        ["func", "init", "deinit", "subscript", "var"]
            .flatMap { word in self.places(of: word).map { (word, $0) } }
            .compactMap { word, place in
                guard place == 0 || self.code[place - 1] != UInt8(ascii: "."),
                    let body = self.body(
                        behind: place + word.utf8.count,
                        isProperty: word == "var"
                    ),
                    let end = self.closingBrace(from: body)
                else { return nil }
                let firstLine = self.line(of: place)
                return FunctionExtent(
                    firstLine: firstLine,
                    lineCount: self.line(of: end) - firstLine + 1
                )
            }
    }

    /// The opening brace of the declaration whose keyword ends before `start`, nil without a body.
    private func body(behind start: Int, isProperty: Bool) -> Int? {
        var depth = 0
        for place in start..<self.code.count {
            switch self.code[place] {
            case UInt8(ascii: "("), UInt8(ascii: "["):
                depth += 1
            case UInt8(ascii: ")"), UInt8(ascii: "]"):
                depth -= 1
                if depth < 0 { return nil }
            case UInt8(ascii: "{") where depth == 0:
                return place
            case UInt8(ascii: "}") where depth == 0:
                return nil
            case UInt8(ascii: "=") where depth == 0 && isProperty:
                return nil
            case newline where depth == 0:
                if !self.signatureContinues(over: place) { return nil }
            default:
                continue
            }
        }
        return nil
    }

    /// Whether the declaration goes on in the line behind the line end at `place`.
    private func signatureContinues(over place: Int) -> Bool {
        let before = self.code[..<place].reversed().prefix { $0 != newline }
            .drop { $0 == UInt8(ascii: " ") }.prefix(2)
        let isOpenEnded = before.first.map { [UInt8](",:&=".utf8).contains($0) } ?? false
        if isOpenEnded || before.reversed().elementsEqual("->".utf8) { return true }
        let next = self.code[place...].drop { $0 == newline || $0 == UInt8(ascii: " ") }
        return ["{", "->", "where ", "throws", "async", "rethrows"]
            .contains { next.starts(with: $0.utf8) }
    }

    private func closingBrace(from opening: Int) -> Int? {
        var depth = 0
        for place in opening..<self.code.count {
            if self.code[place] == UInt8(ascii: "{") { depth += 1 }
            if self.code[place] == UInt8(ascii: "}") { depth -= 1 }
            if depth == 0 { return place }
        }
        return nil
    }
}
