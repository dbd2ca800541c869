// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Simulation
import Testing
import Wire

/// The table of what a world may do.
@Suite struct TransitionTableTests {
    @Test func `every state of every machine has a row`() {
        let rows = TransitionTable.standard.rows
        for machine in Machine.allCases {
            let own = rows.filter { $0.transition.machine == machine }
            let named = Set(own.flatMap { [$0.transition.origin, $0.transition.destination] })
            let known = Set(machine.origins + machine.destinations)
            #expect(known.subtracting(named).isEmpty, "\(machine)")
            #expect(known.count > 1)
        }
    }

    @Test func `machines have the states of the core's enums`() {
        #expect(Machine.disk.origins.count == DiskState.allCases.count)
        #expect(Machine.role.origins.count == Role.allCases.count)
        #expect(Machine.connection.origins.first == "StandAlone")
        #expect(Machine.connection.origins.last == "Connected")
        #expect(Machine.replication.origins.first == "Off")
        // All codes from `connected` on, and Off.
        let codes = ConnectionCode.allCases.filter { $0 >= .connected }
        #expect(Machine.replication.origins.count == codes.count + 1)
        #expect(Machine.packet.origins.count == PacketCommand.allCases.count)
        #expect(Machine.acceptor.origins.contains("close_pending"))
    }

    @Test func `every packet has a row for each direction`() {
        let rows = TransitionTable.standard.rows.map(\.transition)
        for command in PacketCommand.allCases {
            let own = rows.filter { $0.machine == .packet && $0.origin == "\(command)" }
            #expect(own.map(\.destination) == ["sent", "received"], "\(command)")
        }
    }

    @Test(arguments: [
        ("disk Diskless -> Attaching", 1, "expected 'machine from -> to §section'"),
        ("\n\ndisc Diskless -> Attaching §4", 3, "no machine is called 'disc'; there are role"),
        ("disk Detaching -> Diskless §4", 1, "'Detaching' is no state that disk leaves"),
        ("disk Diskless -> Detaching §4", 1, "'Detaching' is no state that disk enters"),
        ("packet sent -> data §11", 1, "'sent' is no state that packet leaves"),
        ("disk Failed -> Failed §4", 1, "goes nowhere"),
        ("disk Failed -> Diskless 4", 1, "expected a section such as §7.1"),
        ("disk Failed -> Diskless §x", 1, "expected a section such as §7.1"),
        ("disk Failed -> Diskless §4 never", 1, "expected 'unreachable:' or 'later:', got"),
        ("disk Failed -> Diskless §4 later:", 1, "later: says no reason"),
        ("disk Failed -> Diskless §4\n# a\ndisk Failed -> Diskless §4", 3, "already in line 1"),
    ])
    func `a wrong line is named`(_ text: String, _ line: Int, _ words: String) {
        do throws(TransitionTable.Fault) {
            _ = try TransitionTable(text: text)
            Issue.record("no fault in \(text)")
        } catch {
            #expect(error.line == line)
            #expect(error.text.contains(words), "\(error)")
            #expect("\(error)".hasPrefix("transitions.txt:\(line): "))
        }
    }

    @Test func `a row has a section and may have a reason`() throws {
        let table = try TransitionTable(
            text: """
                # comment
                disk Diskless -> Attaching §4   # another one
                packet data -> sent §11 later: a feature
                role Unknown -> Primary §3 unreachable: rule 5
                """
        )
        #expect(table.rows.map(\.line) == [2, 3, 4])
        #expect(table.rows.map(\.section) == ["§4", "§11", "§3"])
        #expect(
            table.rows.map(\.reach) == [.reachable, .later("a feature"), .unreachable("rule 5")]
        )
        #expect(table.rows.map(\.transition.description).first == "disk Diskless -> Attaching")
    }

    @Test func `a transition is read as it is printed`() throws {
        for row in TransitionTable.standard.rows {
            let transition = try #require(Transition("\(row.transition)"))
            #expect(transition == row.transition)
        }
        #expect(Transition("disk Diskless -> sent") == nil)
        #expect(Transition("disk Diskless Attaching") == nil)
    }
}
