// SPDX-License-Identifier: Apache-2.0

import Primitives

/// Which transitions there are, each with the section of the product reference that says so.
///
/// One row a line, `#` begins a comment:
///
///     machine  from -> to  §section  [unreachable: the rule that forbids it | later: the lack]
package struct TransitionTable: Sendable {
    /// A row of the table.
    package struct Row: Sendable {
        package let transition: Transition
        /// Of the product reference, such as `§7.2`.
        package let section: String
        package let reach: Reach
        package let line: Int
    }

    /// Whether a world may take the transition.
    package enum Reach: Hashable, Sendable {
        case reachable
        /// A rule forbids it.
        case unreachable(String)
        /// Nothing that would take it is built.
        case later(String)
    }

    /// What is wrong with a line of the table.
    package struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        package let line: Int
        package let text: String

        package var description: String { "transitions.txt:\(self.line): \(self.text)" }
    }

    package let rows: [Row]
    /// By number: where the row is; -1 if there is none.
    private let places: [Int16]

    /// The table that the reports are made with.
    package static let standard: TransitionTable = {
        do throws(Fault) {
            let text = PackageResources.transitions_txt
            return try TransitionTable(text: String(decoding: text, as: UTF8.self))
        } catch { invariantBroken("the table of transitions can be read") }
    }()

    /// Reads a table.
    package init(text: String) throws(Fault) {
        var rows: [Row] = []
        var places = [Int16](repeating: -1, count: TransitionNumbers.standard.count)
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            guard let row = try Self.row(line, index + 1) else { continue }
            let number = row.transition.number
            if places[number] >= 0 {
                throw Fault(
                    line: row.line,
                    text: "\(row.transition) is already in line \(rows[Int(places[number])].line)"
                )
            }
            places[number] = Int16(rows.count)
            rows.append(row)
        }
        self.rows = rows
        self.places = places
    }

    /// The row of a transition's number; nil if there is none.
    func row(_ number: Int) -> Row? {
        let place = self.places[number]
        return place < 0 ? nil : self.rows[Int(place)]
    }

    // MARK: Lines

    private static func row(_ line: Substring, _ number: Int) throws(Fault) -> Row? {
        let line = line.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)[0]
        let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
        guard !words.isEmpty else { return nil }
        guard words.count >= 5, words[2] == "->" else {
            throw Fault(
                line: number,
                text:
                    "expected 'machine from -> to §section', got '\(words.joined(separator: " "))'"
            )
        }
        let transition = try Self.transition(words[0], words[1], words[3], number)
        guard words[4].first == "§", words[4].dropFirst().first?.isNumber == true else {
            throw Fault(
                line: number,
                text: "expected a section such as §7.1 behind \(transition), got '\(words[4])'"
            )
        }
        let reach = try Self.reach(words.dropFirst(5), number)
        return Row(transition: transition, section: words[4], reach: reach, line: number)
    }

    private static func transition(
        _ machine: String,
        _ origin: String,
        _ destination: String,
        _ line: Int
    ) throws(Fault) -> Transition {
        guard let machine = Machine(rawValue: machine) else {
            let known = Machine.allCases.map(\.rawValue).joined(separator: ", ")
            throw Fault(line: line, text: "no machine is called '\(machine)'; there are \(known)")
        }
        guard machine.origins.contains(origin) else {
            throw Fault(
                line: line,
                text: "'\(origin)' is no state that \(machine.rawValue) leaves; there are "
                    + machine.origins.joined(separator: ", ")
            )
        }
        guard let transition = Transition(machine, from: origin, to: destination) else {
            throw Fault(
                line: line,
                text: "'\(destination)' is no state that \(machine.rawValue) enters; there are "
                    + machine.destinations.joined(separator: ", ")
            )
        }
        guard origin != destination else {
            throw Fault(line: line, text: "\(transition) goes nowhere")
        }
        return transition
    }

    private static func reach(_ words: ArraySlice<String>, _ line: Int) throws(Fault) -> Reach {
        guard let word = words.first else { return .reachable }
        let text = words.dropFirst().joined(separator: " ")
        guard word == "unreachable:" || word == "later:" else {
            throw Fault(line: line, text: "expected 'unreachable:' or 'later:', got '\(word)'")
        }
        guard !text.isEmpty else { throw Fault(line: line, text: "\(word) says no reason") }
        return word == "later:" ? .later(text) : .unreachable(text)
    }
}
