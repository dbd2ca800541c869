// SPDX-License-Identifier: Apache-2.0

/// Reads the drbd.conf grammar of DRBD 9.22, with bsr's statements and ours, into a
/// `Configuration`.
///
/// Guarantees: it ends for every input, nests to a fixed depth, and every refusal names file and
/// line. A refused option value does not stop it, so that one run shows all of them; any other
/// fault does. The result is what is written; `ConfigurationCheck` and `Resource.expanded` look at
/// what it means together.
package struct Parser {
    /// The result so far.
    var configuration: Configuration
    /// Faults after which parsing went on.
    var diagnostics: [Diagnostic] = []

    private let files: any ConfigurationFiles
    private var lexer: Lexer
    /// The token that is looked at.
    private(set) var token: Token
    private var readFiles: Set<String> = []
    private var depth = 0
    private var commonPosition: SourcePosition?

    /// Parses the file at `path` and what it includes, and checks the result.
    ///
    /// - Throws: `ConfigurationError` with everything that is wrong.
    package static func parse(_ path: String, from files: any ConfigurationFiles)
        throws(ConfigurationError) -> Configuration
    {
        var parser = Parser(path: path, files: files)
        let bytes: [UInt8]
        do throws(FileFailure) {
            bytes = try files.read(path)
        } catch {
            let fault = Diagnostic(
                SourcePosition(file: path, line: 0),
                "Can not open '\(path)': \(error.reason)."
            )
            throw ConfigurationError([fault], isUnreadable: true)
        }
        do throws(Diagnostic) {
            try parser.parseMainFile(bytes)
        } catch {
            throw ConfigurationError(parser.diagnostics + [error])
        }
        if !parser.diagnostics.isEmpty { throw ConfigurationError(parser.diagnostics) }
        let faults = ConfigurationCheck.faults(in: parser.configuration)
        if !faults.isEmpty { throw ConfigurationError(faults) }
        return parser.configuration
    }

    private init(path: String, files: any ConfigurationFiles) {
        self.configuration = Configuration(file: files.absolutePath(of: path))
        self.files = files
        self.lexer = Lexer(file: path, bytes: [])
        self.token = Token(kind: .end, text: "", line: 1)
    }

    private mutating func parseMainFile(_ bytes: [UInt8]) throws(Diagnostic) {
        self.readFiles.insert(self.configuration.file)
        try self.enter(self.configuration.file, bytes)
        try self.parseStatements()
    }

    // MARK: Files

    /// Makes `bytes` the input.
    private mutating func enter(_ file: String, _ bytes: [UInt8]) throws(Diagnostic) {
        if bytes.count > Limits.fileBytes {
            let position = SourcePosition(file: file, line: 1)
            throw Diagnostic(
                position,
                "the file has \(bytes.count) bytes; a configuration file has at most "
                    + "\(Limits.fileBytes)"
            )
        }
        self.lexer = Lexer(file: file, bytes: bytes)
        self.token = self.lexer.next()
    }

    private mutating func parseStatements() throws(Diagnostic) {
        while self.token.kind != .end {
            let start = self.position
            if self.token.isWord("global") {
                try self.parseGlobal()
            } else if self.token.isWord("common") {
                let sections = try self.parseCommon()
                try self.claimCommon(sections, at: start)
            } else if self.token.isWord("resource") {
                try self.parseResource()
            } else if self.token.isWord("skip") {
                try self.parseSkip()
            } else if self.token.isWord("include") {
                try self.parseInclude()
            } else if self.token.kind == .word, self.token.text.hasPrefix(Self.versionKeyword) {
                try self.parseVersionRequirement()
            } else {
                throw self.expected(
                    "global | common | resource | skip | include |\n\t\(Self.versionKeyword)"
                        + "{eq,ne,gt,ge,lt,le}"
                )
            }
        }
    }

    private static let versionKeyword = "require-drbd-module-version-"

    private mutating func claimCommon(_ sections: Sections, at start: SourcePosition)
        throws(Diagnostic)
    {
        if let first = self.commonPosition {
            throw Self.conflict(start, "resource section 'common'", first)
        }
        self.commonPosition = start
        self.configuration.common = sections
    }

    private mutating func parseInclude() throws(Diagnostic) {
        let start = self.position
        self.advance()
        guard self.token.kind == .word || self.token.kind == .quoted else {
            throw self.expected("a file name")
        }
        let pattern = self.beside(self.advance().text)
        try self.expect(";")
        let isPattern = pattern.contains { "*?[".contains($0) }
        let paths = isPattern ? self.files.matches(of: pattern) : [pattern]
        for path in paths {
            let absolute = self.files.absolutePath(of: path)
            if !self.readFiles.insert(absolute).inserted { continue }
            if self.readFiles.count > Limits.files {
                throw Diagnostic(start, "more than \(Limits.files) files are included")
            }
            if self.depth >= Limits.includeDepth {
                throw Diagnostic(
                    start,
                    "files include each other more than \(Limits.includeDepth) deep"
                )
            }
            let bytes: [UInt8]
            do throws(FileFailure) {
                bytes = try self.files.read(path)
            } catch {
                throw Diagnostic(start, "Failed to open include file '\(path)': \(error.reason).")
            }
            try self.nested(absolute, bytes) { (parser) throws(Diagnostic) in
                try parser.parseStatements()
            }
        }
    }

    /// Reads `common {}` from a template file.
    mutating func parseTemplate(_ name: String, at start: SourcePosition) throws(Diagnostic)
        -> (path: String, sections: Sections)
    {
        let path = self.files.absolutePath(of: self.beside(name))
        let bytes: [UInt8]
        do throws(FileFailure) {
            bytes = try self.files.read(path)
        } catch {
            throw Diagnostic(start, "Failed to open template file '\(name)': \(error.reason).")
        }
        var sections = Sections()
        try self.nested(path, bytes) { (parser) throws(Diagnostic) in
            if parser.token.isWord("common") { sections = try parser.parseCommon() }
            if parser.token.kind != .end { throw parser.expected("end of the template file") }
        }
        return (path, sections)
    }

    private mutating func nested(
        _ file: String,
        _ bytes: [UInt8],
        _ body: (inout Parser) throws(Diagnostic) -> Void
    ) throws(Diagnostic) {
        let outer = (self.lexer, self.token)
        self.depth += 1
        try self.enter(file, bytes)
        try body(&self)
        self.depth -= 1
        (self.lexer, self.token) = outer
    }

    /// `name` as seen from the folder of the current file.
    private func beside(_ name: String) -> String {
        if name.hasPrefix("/") { return name }
        guard let slash = self.lexer.file.lastIndex(of: "/") else { return name }
        return self.lexer.file[...slash] + name
    }

    // MARK: Tokens

    /// The place of the current token.
    var position: SourcePosition {
        SourcePosition(file: self.lexer.file, line: self.token.line)
    }

    /// Takes the current token and looks at the next.
    @discardableResult
    mutating func advance() -> Token {
        let taken = self.token
        self.token = self.lexer.next()
        return taken
    }

    /// Takes `mark` or refuses.
    mutating func expect(_ mark: Character) throws(Diagnostic) {
        guard self.token.isMark(mark) else { throw self.expected(String(mark)) }
        self.advance()
    }

    /// Takes `word` if it is next.
    mutating func accept(_ word: String) -> Bool {
        guard self.token.isWord(word) else { return false }
        self.advance()
        return true
    }

    /// Takes `mark` if it is next.
    mutating func accept(mark: Character) -> Bool {
        guard self.token.isMark(mark) else { return false }
        self.advance()
        return true
    }

    /// Takes a name: a word that is no keyword, or a quoted string.
    mutating func name(_ what: String) throws(Diagnostic) -> String {
        let isName =
            self.token.kind == .quoted && !self.token.text.isEmpty
            || self.token.kind == .word && !self.token.isKeyword
        guard isName else { throw self.expected(what) }
        return self.advance().text
    }

    /// Takes a plain number within `range`.
    mutating func integer(_ what: String, in range: ClosedRange<Int>) throws(Diagnostic) -> Int {
        guard self.token.kind == .integer, let number = Int(self.token.text) else {
            throw self.expected("a number for \(what)")
        }
        guard range.contains(number) else {
            throw Diagnostic(
                self.position,
                "\(what) \(self.token.text) => \(number) out of range "
                    + "[\(range.lowerBound)..\(range.upperBound)]."
            )
        }
        self.advance()
        return number
    }

    /// The text between brackets; the opening one is the current token.
    mutating func bracketedAddress() throws(Diagnostic) -> String {
        guard self.token.isMark("["), let text = self.lexer.bracketed() else {
            throw self.expected("an IPv6 address in brackets")
        }
        self.advance()
        return text
    }

    /// The refusal of the current token.
    func expected(_ what: String) -> Diagnostic {
        let got =
            switch self.token.kind {
            case .end: "the end of the file"
            case .tooLong: "'\(self.token.text.prefix(20))...', which is too long"
            case .word where self.token.isKeyword:
                "'\(self.token.text)' (a keyword; in quotes it is a name)"
            case .word, .integer, .address, .quoted, .mark, .stray: "'\(self.token.text)'"
            }
        return Diagnostic(self.position, "Parse error: '\(what)' expected,\n\tbut got \(got)")
    }

    /// The refusal of a second use.
    static func conflict(_ position: SourcePosition, _ what: String, _ first: SourcePosition)
        -> Diagnostic
    {
        Diagnostic(position, "conflicting use of \(what) ...\n\(first): \(what) first used here.")
    }

    /// Skips `skip ANYTHING { … }`.
    mutating func parseSkip() throws(Diagnostic) {
        let start = self.position
        self.advance()
        while !self.token.isMark("{") {
            guard self.token.isValue || self.token.isMark(":") else { throw self.expected("{") }
            self.advance()
        }
        var depth = 0
        repeat {
            switch self.token.kind {
            case .mark("{"): depth += 1
            case .mark("}"): depth -= 1
            case .end: throw self.expected("} for the skip of line \(start.line)")
            case .word, .integer, .address, .quoted, .mark, .stray, .tooLong: break
            }
            if depth > Limits.skipDepth {
                throw Diagnostic(
                    self.position,
                    "a skipped section nests deeper than \(Limits.skipDepth)"
                )
            }
            self.advance()
        } while depth > 0
    }

    private mutating func parseVersionRequirement() throws(Diagnostic) {
        let comparison = self.token.text.dropFirst(Self.versionKeyword.count)
        guard ["eq", "ne", "gt", "ge", "lt", "le"].contains(String(comparison)) else {
            throw self.expected("\(Self.versionKeyword){eq,ne,gt,ge,lt,le}")
        }
        self.advance()
        guard self.token.isValue else { throw self.expected("a version number") }
        self.advance()
        try self.expect(";")
    }
}
