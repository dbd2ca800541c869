// SPDX-License-Identifier: Apache-2.0

/// One call of a backend tool.
package struct BackendCommand: Hashable, Sendable {
    /// The tools behind `bsradm`.
    package enum Tool: String, Sendable {
        /// Talks to the engine.
        case setup = "bsrsetup"
        /// Reads and writes metadata of a detached disk.
        case metaData = "bsrmeta"
    }

    /// When several resources change, all commands of a stage run before the next stage.
    package enum Stage: Int, Comparable, Sendable {
        case prerequisites = 1
        case resourceOptions
        case diskDown
        case newMinor
        case disconnect
        case netDown
        case netUp
        case newPath
        case netOptions
        case peerDeviceOptions
        case disk
        case connect

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }

        /// True if a failure makes the resource's further commands pointless.
        package var isEssential: Bool {
            switch self {
            case .prerequisites, .diskDown, .newMinor, .netDown, .netUp: true
            case .resourceOptions, .disconnect, .newPath, .netOptions, .peerDeviceOptions, .disk,
                .connect:
                false
            }
        }
    }

    /// How a command depends on the one in front of it.
    package enum Condition: Sendable {
        /// It does not.
        case always
        /// It runs only if the previous one succeeded.
        case afterSuccess
        /// It stands in for the previous one, if that failed because the engine does not have the
        /// object.
        case insteadOfFailure
    }

    /// The tool.
    package var tool: Tool
    /// The arguments, tool name excluded.
    package var arguments: [String]
    /// The resource that it concerns.
    package var resource: String
    /// Its stage; nil for commands that run in the order of the list.
    package var stage: Stage?
    /// Its dependence on the previous command.
    package var condition: Condition

    /// Creates a command.
    package init(
        tool: Tool,
        arguments: [String],
        resource: String,
        stage: Stage? = nil,
        condition: Condition = .always
    ) {
        self.tool = tool
        self.arguments = arguments
        self.resource = resource
        self.stage = stage
        self.condition = condition
    }

    /// The line that a dry run prints.
    package var line: String {
        ([self.tool.rawValue] + self.arguments).map(Self.escaped).joined(separator: " ")
    }

    /// `word` with a backslash in front of every byte that a shell might understand.
    package static func escaped(_ word: String) -> String {
        var bytes: [UInt8] = []
        for byte in word.utf8 {
            let isPlain =
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte)
                || (0x61...0x7A).contains(byte) || "%+-./:=@_".utf8.contains(byte)
            if !isPlain { bytes.append(0x5C) }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// An option for the backend, as given on the command line.
package struct BackendOption: Hashable, Sendable {
    /// The name without dashes.
    package var name: String
    /// The value; nil for a bare flag.
    package var value: String?

    /// Creates an option.
    package init(_ name: String, _ value: String? = nil) {
        self.name = name
        self.value = value
    }

    /// Parses `--name` or `--name=value`.
    package init?(word: String) {
        guard word.hasPrefix("--"), word.utf8.count > 2 else { return nil }
        let parts = word.dropFirst(2).split(
            separator: "=",
            maxSplits: 1,
            omittingEmptySubsequences: false
        )
        self.init(String(parts[0]), parts.count == 2 ? String(parts[1]) : nil)
    }

    /// The word of the command line.
    package var word: String { self.value.map { "--\(self.name)=\($0)" } ?? "--\(self.name)" }
}
