// SPDX-License-Identifier: Apache-2.0

import Metadata

/// A command line, understood.
///
/// ```
/// bsrmeta [OPTION]... DEVICE v09|v08 META-DEVICE INDEX COMMAND [ARGUMENT]...
/// ```
///
/// Options may stand anywhere, as with drbdmeta.
struct Invocation {
    var options: Options
    var minor: Int?
    var version: FormatVersion
    var metaDevice: String
    var placement: Placement
    var command: Command
    /// What follows the command.
    var arguments: [String]

    /// What comes with two dashes.
    struct Options {
        var force = false
        var ignoresSanityChecks = false
        var isDryRun = false
        var verbosity = 0
        var nodeID: UInt8?
        var stripes: UInt32?
        var stripeKibibytes: UInt32?
        var peerMaximumRequestBytes: UInt32?
        var bitmapInitialisation = BitmapInitialisation.automatic
        var stateFolder: String?
        var runFolder: String?
    }

    /// How the bitmap is cleared.
    enum BitmapInitialisation: String {
        case automatic, zeroout, pwrite, skip
    }

    /// What to do; the raw value is the word on the command line.
    enum Command: String, CaseIterable {
        case createMetadata = "create-md"
        case restoreMetadata = "restore-md"
        case dumpMetadata = "dump-md"
        case verifyDump = "verify-dump"
        case applyActivityLog = "apply-al"
        case getGenerations = "get-gi"
        case showGenerations = "show-gi"
        case setGenerations = "set-gi"
        case wipeMetadata = "wipe-md"
        case outdate
        case invalidate
        case diskState = "dstate"
        case readDeviceUUID = "read-dev-uuid"
        case writeDeviceUUID = "write-dev-uuid"
        case checkResize = "check-resize"
        case forgetPeer = "forget-peer"

        /// Whether the command only looks; then it works while the engine has the device, too.
        var isReading: Bool {
            switch self {
            case .dumpMetadata, .verifyDump, .getGenerations, .showGenerations, .diskState,
                .readDeviceUUID:
                true
            case .createMetadata, .restoreMetadata, .applyActivityLog, .setGenerations,
                .wipeMetadata, .outdate, .invalidate, .writeDeviceUUID, .checkResize, .forgetPeer:
                false
            }
        }

        /// Whether the command speaks of one peer.
        var needsNodeID: Bool {
            switch self {
            case .getGenerations, .showGenerations, .setGenerations, .forgetPeer: true
            case .createMetadata, .restoreMetadata, .dumpMetadata, .verifyDump, .applyActivityLog,
                .wipeMetadata, .outdate, .invalidate, .diskState, .readDeviceUUID,
                .writeDeviceUUID, .checkResize:
                false
            }
        }

        /// The name of the one argument the command takes; nil if it takes none.
        var argumentName: String? {
            switch self {
            case .createMetadata: "MAX_PEERS"
            case .restoreMetadata, .verifyDump: "FILE"
            case .setGenerations: "GENERATIONS"
            case .writeDeviceUUID: "UUID"
            case .dumpMetadata, .applyActivityLog, .getGenerations, .showGenerations,
                .wipeMetadata, .outdate, .invalidate, .diskState, .readDeviceUUID, .checkResize,
                .forgetPeer:
                nil
            }
        }
    }

    /// Understands `arguments`, without the program's name.
    init(_ arguments: [String]) throws(Failure) {
        var reader = OptionReader(arguments)
        self.options = try reader.read()
        let words = reader.words
        guard words.count >= 5 else { throw .usage("bsrmeta: DEVICE, format or command missing") }
        self.minor = try Self.minor(words[0])
        guard let version = FormatVersion(rawValue: words[1]) else {
            throw .usage("Unknown format '\(words[1])'.")
        }
        self.version = version
        self.metaDevice = words[2]
        guard let placement = Placement(word: words[3]) else {
            throw .usage("'\(words[3])' is not a valid index number.")
        }
        self.placement = placement
        guard let command = Command(rawValue: words[4]) else {
            throw .usage("Unknown command '\(words[4])'.")
        }
        self.command = command
        self.arguments = Array(words[5...])
        try self.checkArguments()
        guard command.needsNodeID, self.options.nodeID == nil else { return }
        if version == .v08 {
            Console.error("Not v09, implicitly set --node-id = 0")
            self.options.nodeID = 0
        } else {
            throw Failure(10, "The \(command.rawValue) command requires the --node-id option")
        }
    }

    private func checkArguments() throws(Failure) {
        let isCreatingLegacy = self.command == .createMetadata && self.version == .v08
        let name = isCreatingLegacy ? nil : self.command.argumentName
        if let name, self.arguments.isEmpty {
            throw .usage(
                "USAGE: bsrmeta DEVICE \(self.version) ... \(self.command.rawValue) \(name)\n\n"
                    + "  \(name) argument missing"
            )
        }
        guard self.arguments.count <= (name == nil ? 0 : 1) else {
            throw .usage("\(self.command.rawValue): too many arguments")
        }
    }

    /// The minor number of `5`, `/dev/drbd5` or `/dev/bsr5`; nil for `-`.
    private static func minor(_ word: String) throws(Failure) -> Int? {
        if word == "-" { return nil }
        var digits = Substring(word)
        for prefix in ["/dev/drbd", "/dev/bsr", "minor-"] where word.hasPrefix(prefix) {
            digits = word.dropFirst(prefix.count)
        }
        guard let minor = UInt32(digits), minor < 1 << 20 else {
            throw .usage("'\(word)' is neither a minor number nor '-'.")
        }
        return Int(minor)
    }
}

/// Separates options from words.
private struct OptionReader {
    private(set) var words: [String] = []
    private var rest: ArraySlice<String>
    private var options = Invocation.Options()

    init(_ arguments: [String]) { self.rest = arguments[...] }

    mutating func read() throws(Failure) -> Invocation.Options {
        while let argument = self.rest.popFirst() {
            if argument == "--" {
                self.words += self.rest
                break
            } else if argument.hasPrefix("--") {
                try self.long(argument)
            } else if argument.hasPrefix("-") && argument.count > 1 {
                try self.short(argument)
            } else {
                self.words.append(argument)
            }
        }
        return self.options
    }

    private mutating func short(_ argument: String) throws(Failure) {
        if argument == "-c" { return _ = try self.value(of: "-c", nil) }
        for letter in argument.dropFirst() {
            switch letter {
            case "f": self.options.force = true
            case "v": self.options.verbosity += 1
            case "h": throw .help
            case "V": throw .version
            default: throw .usage("unknown option '\(argument)'")
            }
        }
    }

    private mutating func long(_ argument: String) throws(Failure) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        let attached = parts.count > 1 ? String(parts[1]) : nil
        switch name {
        case "--force": self.options.force = true
        case "--ignore-sanity-checks": self.options.ignoresSanityChecks = true
        case "--dry-run": self.options.isDryRun = true
        case "--verbose": self.options.verbosity += 1
        case "--help": throw .help
        case "--version": throw .version
        case "--node-id":
            self.options.nodeID = UInt8(try self.number(of: name, attached, in: 0...31))
        case "--al-stripes":
            self.options.stripes = try self.number(of: name, attached, in: 1...8192)
        case "--al-stripe-size-kB":
            self.options.stripeKibibytes = try self.number(of: name, attached, in: 4...32768)
        case "--peer-max-bio-size":
            self.options.peerMaximumRequestBytes = try self.number(
                of: name,
                attached,
                in: 0...1_048_576
            )
        case "--initialize-bitmap":
            let value = try self.value(of: name, attached)
            guard let mode = Invocation.BitmapInitialisation(rawValue: value) else {
                throw Failure(
                    10,
                    "--initialize-bitmap \(value): use automatic, zeroout, pwrite or skip"
                )
            }
            self.options.bitmapInitialisation = mode
        case "--state-dir": self.options.stateFolder = try self.value(of: name, attached)
        case "--run-dir": self.options.runFolder = try self.value(of: name, attached)
        // Every bsr tool takes these; metadata does not depend on them.
        case "--config-file", "--config", "--node": _ = try self.value(of: name, attached)
        default: throw .usage("unknown option '\(name)'")
        }
    }

    private mutating func value(of name: String, _ attached: String?) throws(Failure) -> String {
        guard let value = attached ?? self.rest.popFirst() else {
            throw .usage("option '\(name)' requires an argument")
        }
        return value
    }

    private mutating func number(
        of name: String,
        _ attached: String?,
        in range: ClosedRange<UInt32>
    ) throws(Failure) -> UInt32 {
        let text = try self.value(of: name, attached)
        guard let number = UInt32(text), range.contains(number) else {
            throw Failure(
                10,
                "\(name) '\(text)': a number from \(range.lowerBound) to \(range.upperBound)"
            )
        }
        return number
    }
}
