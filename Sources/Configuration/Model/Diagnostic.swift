// SPDX-License-Identifier: Apache-2.0

import Primitives

/// A line of a configuration file.
package struct SourcePosition: Hashable, Sendable, CustomStringConvertible {
    /// The file's name.
    package var file: String
    /// The line, counted from 1; 0 for the file as a whole.
    package var line: Int

    /// Creates a position.
    package init(file: String, line: Int) {
        self.file = file
        self.line = line
    }

    /// `FILE:LINE`.
    package var description: String { "\(self.file):\(self.line)" }
}

/// One fault of a configuration and where it is.
package struct Diagnostic: Error, Hashable, Sendable, CustomStringConvertible {
    /// Where the fault is.
    package var position: SourcePosition
    /// What is wrong and what the rule is; may have several lines.
    package var message: String

    /// Creates a diagnostic.
    package init(_ position: SourcePosition, _ message: String) {
        self.position = position
        self.message = message
    }

    /// `FILE:LINE: MESSAGE`; the message alone if the file could not be read.
    package var description: String {
        self.position.line == 0 ? self.message : "\(self.position): \(self.message)"
    }
}

/// Why a configuration is refused: everything that was found, in order.
package struct ConfigurationError: Error, Sendable, CustomStringConvertible {
    /// The faults; never empty.
    package let diagnostics: [Diagnostic]
    /// True if the main file could not be read at all.
    package let isUnreadable: Bool

    /// Wraps `diagnostics`.
    ///
    /// Traps if there is none.
    package init(_ diagnostics: [Diagnostic], isUnreadable: Bool = false) {
        invariant(!diagnostics.isEmpty, "a refusal has a reason")
        self.diagnostics = diagnostics
        self.isUnreadable = isUnreadable
    }

    /// All faults, one below the other.
    package var description: String {
        self.diagnostics.map(\.description).joined(separator: "\n")
    }
}
