// SPDX-License-Identifier: Apache-2.0

/// A rule of these tests.
enum Rule {
    case fileLength
    case functionLength
    case lineLength
    case trap
    case forceUnwrap
    case output
    case sleep
    case unchecked
}

/// An exception from a rule, with its reason.
struct Allowance {
    let rule: Rule
    /// A file, or a folder if it ends in `/`.
    let path: String
    let reason: String

    func covers(_ finding: Finding) -> Bool {
        self.path.hasSuffix("/") ? finding.path.hasPrefix(self.path) : finding.path == self.path
    }
}

/// Every exception.
let allowances: [Allowance] = [
    Allowance(
        rule: .trap,
        path: "Sources/Primitives/Invariant.swift",
        reason: "invariant(…) is the one place that traps, for our own bugs only"
    )
]

/// What is left of `findings` when the exceptions are taken out, and an own finding for every
/// exception that excuses nothing.
func unexcused(
    _ findings: [Finding],
    by rule: Rule,
    _ exceptions: [Allowance] = allowances
) -> [Finding] {
    let exceptions = exceptions.filter { $0.rule == rule }
    let left = findings.filter { finding in !exceptions.contains { $0.covers(finding) } }
    let needless = exceptions.filter { exception in !findings.contains(where: exception.covers) }
    return left
        + needless.map {
            Finding(
                path: "Tests/TidyTests/Allowances.swift",
                line: 0,
                message: "the \(rule) exception of \($0.path) is not needed any more, remove it"
            )
        }
}
