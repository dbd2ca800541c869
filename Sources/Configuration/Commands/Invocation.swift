// SPDX-License-Identifier: Apache-2.0

/// A parsed command line of `bsradm`.
///
/// `bsradm [OPTION...] VERB [OPTION...] TARGET... [-- BACKEND-OPTION...]`. Backend options stand
/// behind the verb, or anywhere behind `--`, also in front of the verb:
/// `bsradm -- --force create-md r0`.
package struct Invocation: Sendable {
    /// What is asked for.
    package enum Request: Hashable, Sendable {
        /// Help about all, or about one verb.
        case help(verb: String?)
        /// The version.
        case version
        /// The configuration in normal form.
        case dump
        /// A verb about resources.
        case verb(Verb)
    }

    /// What is asked for.
    package var request: Request
    /// The words that name resources.
    package var targets: [String] = []
    /// The options for the backend.
    package var options: [BackendOption] = []
    /// `-d`: print, do not run.
    package var isDryRun = false
    /// `-v`: print what is run; with `dump`, everything inherited.
    package var isVerbose = false
    /// `--service`: leave out resources that a service is not to bring up or take down.
    package var isByService = false
    /// The configuration file.
    package var configurationFile: String
    /// The name of this node, if given.
    package var node: String?
    /// Where the engine's sockets are.
    package var runDirectory: String
    /// The engine tool, if given.
    package var setupPath: String?
    /// The metadata tool, if given.
    package var metaDataPath: String?

    /// Parses `arguments`, program name excluded.
    ///
    /// - Throws: `UsageError`.
    package init(_ arguments: [String], environment: [String: String]) throws(UsageError) {
        var scan = ArgumentScan(arguments)
        try scan.run()
        self.configurationFile =
            scan.settings["config-file"] ?? environment["BSR_CONFIG"] ?? "/etc/bsr.conf"
        self.node = scan.settings["node"] ?? environment["BSR_NODE"]
        self.runDirectory = scan.settings["run-dir"] ?? environment["BSR_RUN_DIR"] ?? "/run/bsr"
        self.setupPath = scan.settings["bsrsetup"]
        self.metaDataPath = scan.settings["bsrmeta"]
        self.isDryRun = scan.flags.contains("dry-run")
        self.isVerbose = scan.flags.contains("verbose")
        self.targets = scan.targets
        if scan.flags.contains("version") {
            self.request = .version
        } else if scan.flags.contains("help") || scan.word == "help" || scan.word == nil {
            if scan.word == nil, !scan.flags.contains("help") {
                throw UsageError("a command is missing; try 'bsradm --help'")
            }
            self.request = .help(verb: scan.word == "help" ? scan.targets.first : scan.word)
        } else if scan.word == "dump" {
            self.request = .dump
        } else if let verb = scan.verb {
            self.request = .verb(verb)
            self.isByService = scan.flags.contains("service")
            guard !self.isByService || verb == .up || verb == .down else {
                throw UsageError("--service goes with up and down, not with \(verb.rawValue)")
            }
            self.options = try scan.backendOptions(for: verb)
        } else if let word = scan.word, Verb.unsupported.contains(word) {
            throw UsageError("'\(word)' is not supported yet")
        } else {
            throw UsageError("Unknown command '\(scan.word ?? "")'; try 'bsradm --help'")
        }
    }
}

/// The walk over the words of a command line.
private struct ArgumentScan {
    /// Values of the general options that have one, by long name.
    var settings: [String: String] = [:]
    /// General options without a value.
    var flags: Set<String> = []
    /// The verb as written.
    var word: String?
    var targets: [String] = []

    private var arguments: ArraySlice<String>
    private var isBehindDashes = false
    private var pending: [(word: String, isChecked: Bool)] = []

    private static let flagNames: [String: String] = [
        "-d": "dry-run", "--dry-run": "dry-run", "-v": "verbose", "--verbose": "verbose",
        "-V": "version", "--version": "version", "-h": "help", "--help": "help",
        "--service": "service",
    ]
    private static let settingNames: [String: String] = [
        "-c": "config-file", "--config-file": "config-file", "--config": "config-file",
        "--node": "node", "--run-dir": "run-dir", "-s": "bsrsetup", "--bsrsetup": "bsrsetup",
        "-m": "bsrmeta", "--bsrmeta": "bsrmeta", "-W": "setup-option",
        "--setup-option": "setup-option",
    ]

    init(_ arguments: [String]) { self.arguments = arguments[...] }

    var verb: Verb? { self.word.flatMap(Verb.init(rawValue:)) }

    mutating func run() throws(UsageError) {
        while let argument = self.arguments.popFirst() {
            if argument == "--", !self.isBehindDashes {
                self.isBehindDashes = true
            } else if argument.hasPrefix("-"), argument.utf8.count > 1 {
                try self.takeOption(argument)
            } else {
                self.takeWord(argument)
            }
        }
    }

    private mutating func takeWord(_ word: String) {
        if self.word != nil {
            self.targets.append(word)
        } else if self.isBehindDashes, Verb(rawValue: word) == nil, let last = self.pending.last,
            !last.word.contains("=")
        {
            self.pending[self.pending.count - 1].word = last.word + "=" + word
        } else {
            self.word = word
        }
    }

    private mutating func takeOption(_ argument: String) throws(UsageError) {
        let name = argument.prefix { $0 != "=" }
        let belongsToVerb = self.verb?.takesValue(for: String(name.dropFirst(2))) != nil
        if self.isBehindDashes || (argument.hasPrefix("--") && belongsToVerb) {
            return self.takeBackendOption(argument)
        }
        if let flag = Self.flagNames[argument] {
            self.flags.insert(flag)
        } else if let setting = Self.settingNames[String(name)] {
            if name.count < argument.count {
                try self.set(setting, String(argument.dropFirst(name.count + 1)))
            } else if let value = self.arguments.popFirst() {
                try self.set(setting, value)
            } else {
                throw UsageError("option '\(argument)' needs a value")
            }
        } else if !argument.hasPrefix("--"), let setting = Self.settingNames[argument.short] {
            try self.set(setting, String(argument.dropFirst(2)))
        } else if argument.hasPrefix("--") {
            self.pending.append((argument, true))
        } else {
            throw UsageError("unrecognized option '\(argument)'; try 'bsradm --help'")
        }
    }

    private mutating func set(_ name: String, _ value: String) throws(UsageError) {
        if name != "setup-option" {
            self.settings[name] = value
        } else if BackendOption(word: value) != nil {
            self.pending.append((value, false))
        } else {
            throw UsageError("'\(value)' is no option for the backend; it begins with --")
        }
    }

    /// Takes an option for the backend, with the next word if it must have a value.
    private mutating func takeBackendOption(_ argument: String) {
        var word = argument
        let needsValue = self.verb?.takesValue(for: String(argument.dropFirst(2))) ?? false
        if needsValue, !argument.contains("="), let value = self.arguments.popFirst() {
            word += "=" + value
        }
        self.pending.append((word, !self.isBehindDashes))
    }

    /// The collected options; those in front of `--` must be options of `verb`.
    func backendOptions(for verb: Verb) throws(UsageError) -> [BackendOption] {
        var options: [BackendOption] = []
        for (word, isChecked) in self.pending {
            guard let option = BackendOption(word: word) else {
                throw UsageError("'\(word)' is no option for the backend; it begins with --")
            }
            guard !verb.unsupportedOptions.contains(option.name) else {
                throw UsageError(
                    "option '--\(option.name)' of \(verb.rawValue) is not supported yet"
                )
            }
            switch verb.takesValue(for: option.name) {
            case nil where isChecked:
                throw UsageError(
                    "unrecognized option '\(word)' of \(verb.rawValue); "
                        + "try 'bsradm help \(verb.rawValue)'"
                )
            case true? where option.value == nil:
                throw UsageError("option '\(word)' needs a value")
            case true?, false?, nil: options.append(option)
            }
        }
        return options
    }
}

extension String {
    /// The first two characters, the `-x` of `-xVALUE`.
    fileprivate var short: String { String(self.prefix(2)) }
}
