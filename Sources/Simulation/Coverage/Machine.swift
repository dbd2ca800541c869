// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Wire

/// A machine whose transitions are counted.
package enum Machine: String, CaseIterable, Sendable {
    case role
    case peerRole = "peer-role"
    case disk
    case peerDisk = "peer-disk"
    /// The states of a connection, as status output names them.
    case connection
    /// The replication states, as status output names them.
    case replication
    /// The relay's channel that the local engine dials.
    case acceptor
    /// The relay's channel that dials the local engine.
    case connector
    /// Packets: from their names to `sent` and `received`.
    case packet
    /// Answers to commands: from `command` to why the command was refused.
    case refusal

    /// The states that a transition may leave.
    package var origins: [String] {
        switch self {
        case .role, .peerRole: Role.allCases.map { "\($0.name)" }
        case .disk, .peerDisk: DiskState.allCases.map { "\($0.name)" }
        case .connection: Self.distinct(ConnectionCode.allCases.map { "\($0.connectionName)" })
        case .replication: Self.distinct(ConnectionCode.allCases.map { "\($0.replicationName)" })
        case .acceptor, .connector: ChannelState.allCases.map(\.name)
        case .packet: PacketCommand.allCases.map { "\($0)" }
        case .refusal: ["command"]
        }
    }

    /// The states that a transition may lead to.
    package var destinations: [String] {
        switch self {
        case .role, .peerRole, .disk, .peerDisk, .connection, .replication, .acceptor, .connector:
            self.origins
        case .packet: ["sent", "received"]
        case .refusal: StateChangeCode.allCases.filter { !$0.isSuccess }.map { "\($0)" }
        }
    }

    private static func distinct(_ names: [String]) -> [String] {
        names.enumerated().filter { names.firstIndex(of: $0.element) == $0.offset }.map(\.element)
    }
}

/// A transition of a machine: from one of its states to another one.
package struct Transition: Hashable, Sendable {
    package let machine: Machine
    package let origin: String
    package let destination: String

    /// Creates a transition; nil if the machine knows no such states.
    package init?(_ machine: Machine, from origin: String, to destination: String) {
        let numbers = TransitionNumbers.standard
        guard numbers.number(machine, origin, destination) != nil else { return nil }
        (self.machine, self.origin, self.destination) = (machine, origin, destination)
    }

    init(number: Int) {
        let numbers = TransitionNumbers.standard
        let machine = Machine.allCases.last { numbers.start[$0, default: 0] <= number } ?? .role
        let place = number - numbers.start[machine, default: 0]
        let destinations = machine.destinations
        self.machine = machine
        self.origin = machine.origins[place / destinations.count]
        self.destination = destinations[place % destinations.count]
    }

    var number: Int {
        TransitionNumbers.standard.number(self.machine, self.origin, self.destination) ?? 0
    }
}

extension Transition: CustomStringConvertible {
    /// As in the table: `disk Diskless -> Attaching`.
    package var description: String {
        "\(self.machine.rawValue) \(self.origin) -> \(self.destination)"
    }

    /// Reads a ``description``.
    package init?(_ text: String) {
        let words = text.split(separator: " ")
        guard words.count == 4, words[2] == "->", let machine = Machine(rawValue: String(words[0]))
        else { return nil }
        self.init(machine, from: String(words[1]), to: String(words[3]))
    }
}

/// A number for each transition that the machines' states allow, so that counting is an addition.
struct TransitionNumbers: Sendable {
    static let standard = Self()

    private(set) var start: [Machine: Int] = [:]
    private(set) var count = 0
    private var places: [Machine: [String: (origin: Int?, destination: Int?)]] = [:]
    /// By the packets' numbers: the transition to `sent`; `received` is the next one.
    private var packets: [PacketCommand: Int] = [:]
    private let connections: [Int]
    private let replications: [Int]

    private init() {
        for machine in Machine.allCases {
            let origins = machine.origins
            let destinations = machine.destinations
            var places: [String: (origin: Int?, destination: Int?)] = [:]
            for name in origins + destinations {
                places[name] = (
                    origins.firstIndex(of: name), destinations.firstIndex(of: name)
                )
            }
            self.places[machine] = places
            self.start[machine] = self.count
            self.count += origins.count * destinations.count
        }
        let connection = Machine.connection.origins
        let replication = Machine.replication.origins
        self.connections = ConnectionCode.allCases.map {
            connection.firstIndex(of: "\($0.connectionName)") ?? 0
        }
        self.replications = ConnectionCode.allCases.map {
            replication.firstIndex(of: "\($0.replicationName)") ?? 0
        }
        for (place, command) in PacketCommand.allCases.enumerated() {
            self.packets[command] = self.start[.packet, default: 0] + 2 * place
        }
    }

    func number(_ machine: Machine, _ origin: String, _ destination: String) -> Int? {
        guard let start = self.start[machine], let places = self.places[machine],
            let from = places[origin]?.origin, let into = places[destination]?.destination
        else { return nil }
        return start + from * machine.destinations.count + into
    }

    func number(_ packet: PacketCommand, isSent: Bool) -> Int {
        self.packets[packet, default: 0] + (isSent ? 0 : 1)
    }

    func number(_ refusal: StateChangeCode) -> Int? {
        self.number(.refusal, "command", "\(refusal)")
    }

    /// The transitions of the machines that differ in two states of a volume.
    func numbers(from old: VolumeState, to new: VolumeState, _ body: (Int) -> Void) {
        func add(_ machine: Machine, _ old: Int, _ new: Int, of states: Int) {
            if old != new { body(self.start[machine, default: 0] + old * states + new) }
        }
        let (roles, disks) = (Role.allCases.count, DiskState.allCases.count)
        add(.role, Int(old.role.rawValue), Int(new.role.rawValue), of: roles)
        add(.peerRole, Int(old.peerRole.rawValue), Int(new.peerRole.rawValue), of: roles)
        add(.disk, Int(old.disk.rawValue), Int(new.disk.rawValue), of: disks)
        add(.peerDisk, Int(old.peerDisk.rawValue), Int(new.peerDisk.rawValue), of: disks)
        let (one, other) = (Int(old.connection.rawValue), Int(new.connection.rawValue))
        let connections = (self.connections.max() ?? 0) + 1
        add(.connection, self.connections[one], self.connections[other], of: connections)
        let replications = (self.replications.max() ?? 0) + 1
        add(.replication, self.replications[one], self.replications[other], of: replications)
    }
}
