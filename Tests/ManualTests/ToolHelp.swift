// SPDX-License-Identifier: Apache-2.0

import TestSupport

/// What a program says of itself.
struct ToolHelp {
    let text: String

    /// Runs `name` with `arguments` that ask for help.
    init(_ name: String, _ arguments: String...) throws {
        let output = try Program.run(Program.own(name), arguments)
        guard output.exitCode == 0, !output.text.isEmpty else {
            throw HelpFailure(description: "\(name) \(arguments): \(output.everything)")
        }
        self.text = output.text
    }

    /// Every long option in it, without dashes.
    var options: Set<String> {
        Set(self.text.matches(of: /--([a-z][A-Za-z0-9_\-]*)/).map { String($0.output.1) })
    }

    /// The verbs that it lists, each at the beginning of a line with blanks in front.
    var verbs: Set<String> {
        let pattern =
            /\ {2,4}([a-z][a-z0-9\-]*(?:, [a-z][a-z0-9\-]*)*)(?: [A-Za-z_|\[\]]+)?(?: {2,}\S.*)?/
        return Set(
            self.text.split(separator: "\n").compactMap { $0.wholeMatch(of: pattern) }
                .flatMap { $0.output.1.split(separator: ", ").map(String.init) }
        )
    }

    /// The values of an argument or option, as ArgumentParser lists them.
    var values: Set<String> {
        let line = self.text.split { $0 == "\n" || $0 == " " }.joined(separator: " ")
        let lists = line.matches(of: /\(values: ([^)]*)\)/).map(\.output.1)
        return Set(lists.flatMap { $0.split(separator: ", ").map(String.init) })
    }
}

/// A program that tells no help.
struct HelpFailure: Error, CustomStringConvertible {
    let description: String
}
