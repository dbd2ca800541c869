// SPDX-License-Identifier: Apache-2.0

/// The command line of `bsrsetup`: global options, a verb, its arguments and options.
///
/// Options may stand anywhere after the verb, as `--name`, `--name=value` or, for those that this
/// tool knows to have a value, `--name value`. What an option of the daemon means is the daemon's
/// business.
package struct SetupCommandLine: Sendable {
    /// What is to be done.
    package enum Action: Sendable {
        case help(SetupVerb?)
        case version
        case verb(SetupInvocation)
    }

    /// What is to be done.
    package private(set) var action: Action
    /// The directory of the control sockets.
    package private(set) var runDirectory: String

    /// Reads the words after the program's name.
    ///
    /// - Throws: ``UsageFailure`` with the sentence for the user.
    package init(_ words: [String], environment: [String: String]) throws(UsageFailure) {
        self.action = .help(nil)
        self.runDirectory = environment["BSR_RUN_DIR"] ?? "/run/bsr"
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("-") else {
                self.action = try Self.action(word, Array(rest))
                return
            }
            switch word {
            case "--help", "-h": return
            case "--version", "-V":
                self.action = .version
                return
            default: try self.takeGlobal(word, &rest)
            }
        }
        throw UsageFailure("no verb given; 'bsrsetup help' lists them")
    }

    private mutating func takeGlobal(_ word: String, _ rest: inout ArraySlice<String>)
        throws(UsageFailure)
    {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard ["-c", "--config-file", "--config", "--node", "--run-dir"].contains(name) else {
            throw UsageFailure("unknown option '\(word)' before the verb")
        }
        guard let value = parts.count > 1 ? String(parts[1]) : rest.popFirst() else {
            throw UsageFailure("option '\(name)' needs a value")
        }
        // The configuration file and the node's name are accepted for the sake of scripts that give
        // every tool the same options; nothing here depends on them.
        if name == "--run-dir" { self.runDirectory = value }
    }

    private static func action(_ word: String, _ rest: [String]) throws(UsageFailure) -> Action {
        if word == "help" {
            guard let name = rest.first else { return .help(nil) }
            return .help(try Self.verb(name))
        }
        let verb = try Self.verb(word)
        if rest.contains("--help") || rest.contains("-h") { return .help(verb) }
        return .verb(try SetupInvocation(verb, rest))
    }

    private static func verb(_ name: String) throws(UsageFailure) -> SetupVerb {
        guard let verb = SetupVerb(rawValue: name) else {
            throw UsageFailure("'\(name)' is not a verb; 'bsrsetup help' lists them")
        }
        return verb
    }
}

/// A command line that cannot be understood.
package struct UsageFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    /// Creates a failure with a sentence for the user.
    package init(_ description: String) { self.description = description }
}

/// A verb with the words after it, checked as far as the tool can.
package struct SetupInvocation: Sendable {
    /// The verb.
    package let verb: SetupVerb
    /// The arguments as written, as many as the verb takes.
    package let words: [String]
    /// The options in their order.
    package let options: [OptionText]

    /// Reads the words after the verb.
    package init(_ verb: SetupVerb, _ words: [String]) throws(UsageFailure) {
        var arguments: [String] = []
        var options: [OptionText] = []
        var onlyArguments = false
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                onlyArguments = true
            } else if onlyArguments || !word.hasPrefix("-") || word == "-" {
                arguments.append(word)
            } else if word.hasPrefix("--") {
                options.append(try Self.longOption(word, of: verb, &rest))
            } else {
                options += try Self.shortOptions(word, of: verb, &rest)
            }
        }
        // drbdadm names the resource too when it has a volume outdated.
        if verb == .outdate, arguments.count == 2 { arguments.removeFirst() }
        if verb.arguments == [.resourceOrAll], arguments.isEmpty, verb != .down {
            arguments = ["all"]
        }
        guard arguments.count == verb.arguments.count else {
            let kind = arguments.count < verb.arguments.count ? "missing" : "too many"
            throw UsageFailure("\(kind) arguments; usage: \(verb.usage)")
        }
        self.verb = verb
        self.words = arguments
        self.options = options
        for option in options { try Self.check(option) }
        for (argument, word) in zip(verb.arguments, arguments) where argument.isNumber {
            guard Int(word).map({ argument.range.contains($0) }) == true else {
                let range = argument.range
                throw UsageFailure(
                    "'\(word)' is no \(argument.rawValue): "
                        + "a number from \(range.lowerBound) to \(range.upperBound) is expected"
                )
            }
        }
    }

    /// What messages call the object: what the first arguments name.
    package var objectName: String {
        switch self.verb.arguments {
        case [.resource, .peerNodeID, .volume]: self.words.joined(separator: " ")
        case [.resource, .peerNodeID]: self.words.joined(separator: " ")
        default: self.words.first ?? "all"
        }
    }

    /// The resource's name; nil for all of them.
    package var resource: String? { self.words.first == "all" ? nil : self.words.first }

    /// The number at `index` of the arguments.
    package func number(_ index: Int) -> Int {
        self.words.indices.contains(index) ? Int(self.words[index]) ?? -1 : -1
    }

    /// Whether a switch is on: written alone or as `=yes`.
    package func isSet(_ name: String) -> Bool {
        self.options.last { $0.name == name }.map { $0.value != "no" } ?? false
    }

    /// The value of an option.
    package func value(_ name: String) -> String? { self.options.last { $0.name == name }?.value }

    /// How often an option was given.
    package func count(_ name: String) -> Int { self.options.count { $0.name == name } }

    private static let shortNames: [Character: String] = [
        "v": "verbose", "s": "statistics", "c": "color", "j": "json", "t": "wfc-timeout",
        "d": "degr-wfc-timeout", "o": "outdated-wfc-timeout", "w": "wait-after-sb",
        "T": "timestamps", "n": "now", "p": "poll", "f": "full", "i": "diff",
        "D": "show-defaults",
    ]

    /// The options in `word`, which may have several letters.
    ///
    /// What follows a letter whose option needs a value is that value, or else the next word is.
    private static func shortOptions(
        _ word: String,
        of verb: SetupVerb,
        _ rest: inout ArraySlice<String>
    ) throws(UsageFailure) -> [OptionText] {
        var options: [OptionText] = []
        var letters = word.dropFirst()
        while let letter = letters.popFirst() {
            guard let name = Self.shortNames[letter], case .known(let names) = verb.options,
                names.contains(name)
            else { throw UsageFailure("unknown option '\(word)'; usage: \(verb.usage)") }
            guard SetupVerb.needsValue(name) else {
                options.append(OptionText(name))
                continue
            }
            let value = letters.isEmpty ? rest.popFirst() : String(letters)
            guard let value else { throw UsageFailure("option '-\(letter)' needs a value") }
            options.append(OptionText(name, value))
            break
        }
        return options
    }

    private static func longOption(
        _ word: String,
        of verb: SetupVerb,
        _ rest: inout ArraySlice<String>
    ) throws(UsageFailure) -> OptionText {
        let parts = word.dropFirst(2)
            .split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts.first ?? "")
        if case .known(let names) = verb.options, !names.contains(name) {
            throw UsageFailure("unknown option '\(word)'; usage: \(verb.usage)")
        }
        guard !name.isEmpty else { throw UsageFailure("'\(word)' is no option") }
        if parts.count > 1 { return OptionText(name, String(parts[1])) }
        guard case .known = verb.options, SetupVerb.needsValue(name) else {
            return OptionText(name)
        }
        guard let value = rest.popFirst() else {
            throw UsageFailure("option '\(word)' needs a value")
        }
        return OptionText(name, value)
    }

    private static func check(_ option: OptionText) throws(UsageFailure) {
        guard SetupVerb.timeouts.contains(option.name) else { return }
        guard let seconds = Int(option.value), (0...300_000).contains(seconds) else {
            throw UsageFailure(
                "'\(option.value)' is no value of --\(option.name): "
                    + "seconds from 0, which is for ever, to 300000 are expected"
            )
        }
    }
}

extension SetupVerb {
    /// The verb with its arguments and options, for messages and help.
    package var usage: String {
        var words = ["bsrsetup", self.rawValue] + self.arguments.map { "{\($0.rawValue)}" }
        switch self.options {
        case .known(let names):
            words += names.map { Self.needsValue($0) ? "[--\($0)=...]" : "[--\($0)]" }
        case .daemon(let kind):
            if self.takesSetDefaults { words.append("[--set-defaults]") }
            words.append("[--OPTION=VALUE ...] (\(kind) options)")
        }
        return words.joined(separator: " ")
    }

    /// The options of waiting that are seconds.
    static let timeouts = ["wfc-timeout", "degr-wfc-timeout", "outdated-wfc-timeout"]

    /// Whether a value has to follow the option `name` of this tool.
    static func needsValue(_ name: String) -> Bool {
        Self.timeouts.contains(name) || name == "sync-from-peer-node-id"
    }

    /// Whether `--set-defaults` belongs to it.
    var takesSetDefaults: Bool {
        [.diskOptions, .netOptions, .resourceOptions, .peerDeviceOptions].contains(self)
    }
}

extension SetupVerb.Argument {
    /// Whether the word has to be a number.
    var isNumber: Bool {
        switch self {
        case .nodeID, .peerNodeID, .minor, .volume: true
        case .resource, .resourceOrAll, .lowerDevice, .metaDevice, .metaIndex, .localAddress,
            .remoteAddress:
            false
        }
    }

    /// The numbers that make sense.
    var range: ClosedRange<Int> {
        switch self {
        case .nodeID, .peerNodeID: 0...31
        case .volume: 0...65_535
        case .minor: 0...1_048_575
        case .resource, .resourceOrAll, .lowerDevice, .metaDevice, .metaIndex, .localAddress,
            .remoteAddress:
            0...0
        }
    }
}
