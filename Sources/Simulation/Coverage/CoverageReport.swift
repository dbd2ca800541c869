// SPDX-License-Identifier: Apache-2.0

import Primitives

/// What a run has covered, as text and as JSON.
package struct CoverageReport: Encodable, Sendable {
    /// From this many worlds on every kind of fault and chore has to have happened.
    package static let worldsForEveryFault: UInt64 = 200

    /// A row of the table, and how often it was taken.
    package struct Row: Encodable, Sendable {
        package let machine: String
        package let from: String
        package let to: String
        package let section: String
        package let count: UInt64
        package let unreachable: String?
        package let later: String?

        fileprivate var isReachable: Bool { self.unreachable == nil && self.later == nil }
    }

    /// How many of the rows that can be taken were.
    package struct Share: Encodable, Sendable {
        package let machine: String
        package let taken: Int
        package let reachable: Int
    }

    /// What happened of one kind.
    package struct Sum: Encodable, Sendable {
        package let kind: String
        package let count: UInt64
        /// The worlds in which it could; nil if that is all of them.
        package let worlds: UInt64?
    }

    package let worlds: UInt64
    package let virtualHours: Double
    package let rows: [Row]
    /// Of each machine.
    package let shares: [Share]
    package let taken: Int
    package let reachable: Int
    /// Transitions that were taken and that the table does not list, or not as reachable.
    package let unexpected: [String]
    package let requests: [Sum]
    package let faults: [Sum]
    package let chores: [Sum]
    /// Kinds of faults and chores that never happened, if there were enough worlds to say so.
    package let unused: [String]

    /// Compares `coverage` with the table.
    package init(_ coverage: Coverage, _ table: TransitionTable = .standard) {
        let rows = table.rows.map { Row($0, coverage) }
        self.rows = rows
        self.worlds = coverage.worlds
        self.virtualHours = Double(coverage.virtualTime.nanoseconds) / 3_600_000_000_000
        self.shares = Machine.allCases.map { machine in
            let own = rows.filter { $0.machine == machine.rawValue && $0.isReachable }
            return Share(
                machine: machine.rawValue,
                taken: own.count { $0.count > 0 },
                reachable: own.count
            )
        }
        self.taken = self.shares.reduce(0) { $0 + $1.taken }
        self.reachable = self.shares.reduce(0) { $0 + $1.reachable }
        self.unexpected = coverage.transitions.filter { transition in
            table.row(transition.number)?.reach != .reachable
        }.map { "\($0) (\(coverage.count(of: $0)) times)" }
        self.requests = RequestKind.allCases.map {
            Sum(kind: $0.rawValue, count: coverage.requests[$0] ?? 0, worlds: nil)
        }
        self.faults = Fault.allCases.map { Sum($0.rawValue, coverage.faults[$0]) }
        self.chores = Chore.allCases.map { Sum($0.rawValue, coverage.chores[$0]) }
        self.unused =
            coverage.worlds < Self.worldsForEveryFault
            ? [] : (self.faults + self.chores).filter { $0.count == 0 }.map(\.kind)
    }

    /// Whether the run fails for what it did or did not take.
    package var isFailure: Bool { !self.unexpected.isEmpty || !self.unused.isEmpty }

    // MARK: Text

    /// What is wrong with the run, a line each.
    package var faultLines: [String] {
        self.unexpected.map { "unexpected: \($0)" }
            + self.unused.map { "never happened in \(self.worlds) worlds: \($0)" }
    }

    /// One line: what happened in all.
    package var summary: String {
        let requests = self.requests.reduce(0) { $0 + $1.count }
        let chores = self.chores.reduce(0) { $0 + $1.count }
        let faults = self.faults.map { "\($0.kind) \($0.count)" }
        return "\(requests) requests, \(chores) chores, \(Self.decimal(self.virtualHours)) virtual "
            + "hours; " + faults.joined(separator: ", ")
    }

    /// Every row with its count, the shares and the sums.
    package var text: String {
        var lines = ["transitions:"]
        lines += self.rows.map(\.text)
        lines += ["", "never taken:"]
        lines += self.rows.filter { $0.isReachable && $0.count == 0 }.map(\.text)
        lines += ["", "taken of those reachable:"]
        lines += self.shares.map {
            Self.line(
                $0.machine,
                "\($0.taken) of \($0.reachable)",
                Self.share($0.taken, $0.reachable)
            )
        }
        lines.append(
            Self.line(
                "all",
                "\(self.taken) of \(self.reachable)",
                Self.share(self.taken, self.reachable)
            )
        )
        lines += ["", "requests:"] + self.requests.map(\.text)
        lines +=
            ["", "faults, and in how many worlds they could happen:"] + self.faults.map(\.text)
        lines +=
            ["", "chores, and in how many worlds they could happen:"] + self.chores.map(\.text)
        lines += ["", "\(self.worlds) worlds, \(Self.decimal(self.virtualHours)) virtual hours"]
        return lines.joined(separator: "\n")
    }

    private static func line(_ words: String...) -> String {
        "  " + words.joined(separator: "  ")
    }

    private static func share(_ taken: Int, _ reachable: Int) -> String {
        reachable == 0 ? "-" : "\(self.decimal(Double(100 * taken) / Double(reachable))) %"
    }

    /// With one digit behind the point.
    private static func decimal(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

extension CoverageReport.Row {
    fileprivate init(_ row: TransitionTable.Row, _ coverage: Coverage) {
        self.machine = row.transition.machine.rawValue
        self.from = row.transition.origin
        self.to = row.transition.destination
        self.section = row.section
        self.count = coverage.count(of: row.transition)
        switch row.reach {
        case .reachable: (self.unreachable, self.later) = (nil, nil)
        case .unreachable(let rule): (self.unreachable, self.later) = (rule, nil)
        case .later(let reason): (self.unreachable, self.later) = (nil, reason)
        }
    }

    fileprivate var text: String {
        let count = String(self.count)
        var text = String(repeating: " ", count: max(0, 12 - count.count)) + count
        text += "  \(self.machine) \(self.from) -> \(self.to) \(self.section)"
        if let rule = self.unreachable { text += " unreachable: \(rule)" }
        if let reason = self.later { text += " later: \(reason)" }
        return text
    }
}

extension CoverageReport.Sum {
    fileprivate init(_ kind: String, _ use: Coverage.Use?) {
        self.init(kind: kind, count: use?.times ?? 0, worlds: use?.worlds ?? 0)
    }

    fileprivate var text: String {
        let count = String(self.count)
        let text =
            String(repeating: " ", count: max(0, 12 - count.count)) + "\(count)  \(self.kind)"
        return self.worlds.map { "\(text) (\($0) worlds)" } ?? text
    }
}
