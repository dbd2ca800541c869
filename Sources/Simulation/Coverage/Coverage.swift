// SPDX-License-Identifier: Apache-2.0

package import EngineCore
package import Primitives
package import Wire

/// What a client asks for, as it is counted.
package enum RequestKind: String, CaseIterable, Sendable {
    case read
    case write
    case forcedWrite = "write with force unit access"
    case trim
    case writeZeroes = "write zeroes"
    case flush

    init(_ kind: ClientRequest.Kind, isForcedUnitAccess: Bool) {
        self =
            switch kind {
            case .read: .read
            case .write: isForcedUnitAccess ? .forcedWrite : .write
            case .trim: .trim
            case .writeZeroes: .writeZeroes
            case .flush: .flush
            }
    }
}

/// What has happened in worlds: a sum that grows world by world.
package struct Coverage: Sendable {
    /// How often something happened, and in how many worlds it could have.
    package struct Use: Codable, Equatable, Sendable {
        package var worlds: UInt64 = 0
        package var times: UInt64 = 0

        static func += (left: inout Use, right: Use) {
            left.worlds += right.worlds
            left.times += right.times
        }
    }

    package internal(set) var worlds: UInt64 = 0
    package internal(set) var virtualTime = TimeSpan.zero
    /// By the number of the transition.
    private var taken: [UInt64]
    package private(set) var requests: [RequestKind: UInt64] = [:]
    package private(set) var faults: [Fault: Use] = [:]
    package private(set) var chores: [Chore: Use] = [:]

    package init() {
        self.taken = Array(repeating: 0, count: TransitionNumbers.standard.count)
    }

    /// How often a transition was taken.
    package func count(of transition: Transition) -> UInt64 { self.taken[transition.number] }

    /// The transitions that were taken, without a look at the table.
    package var transitions: [Transition] {
        self.taken.indices.filter { self.taken[$0] > 0 }.map { Transition(number: $0) }
    }

    // MARK: Counting

    /// Counts what a change of a volume's state is made of; returns what the table does not allow.
    package mutating func moved(from old: VolumeState, to new: VolumeState) -> [String] {
        var faults: [String] = []
        TransitionNumbers.standard.numbers(from: old, to: new) { number in
            if let fault = self.took(number) { faults.append(fault) }
        }
        return faults
    }

    /// Counts a transition of a relay's channel; returns what is wrong with it.
    package mutating func moved(
        _ channel: Machine,
        from old: ChannelState,
        to new: ChannelState
    ) -> String? {
        guard let transition = Transition(channel, from: old.name, to: new.name) else {
            invariantBroken("only the machines of channels have the states of channels")
        }
        return self.took(transition.number)
    }

    mutating func sent(_ packet: PacketCommand) -> String? {
        self.took(TransitionNumbers.standard.number(packet, isSent: true))
    }

    mutating func received(_ packet: PacketCommand) -> String? {
        self.took(TransitionNumbers.standard.number(packet, isSent: false))
    }

    mutating func answered(_ code: StateChangeCode) -> String? {
        guard !code.isSuccess, let number = TransitionNumbers.standard.number(code) else {
            return nil
        }
        return self.took(number)
    }

    private mutating func took(_ number: Int) -> String? {
        self.taken[number] += 1
        guard let row = TransitionTable.standard.row(number) else {
            return "\(Transition(number: number)) is not in the table of transitions"
        }
        switch row.reach {
        case .reachable: return nil
        case .unreachable(let rule):
            return "\(row.transition) was taken, which must not be: \(rule)"
        case .later(let reason):
            return "\(row.transition) was taken, but the table says 'later: \(reason)'"
        }
    }

    mutating func requested(_ kind: RequestKind) { self.requests[kind, default: 0] += 1 }

    mutating func happened(_ fault: Fault) { self.faults[fault, default: Use()].times += 1 }

    mutating func happened(_ chore: Chore) { self.chores[chore, default: Use()].times += 1 }

    /// Counts the kinds of faults and chores that a world may have.
    mutating func begin(_ plan: WorldPlan) {
        self.worlds += 1
        for fault in Set(plan.faults) { self.faults[fault, default: Use()].worlds += 1 }
        for chore in Set(plan.chores) { self.chores[chore, default: Use()].worlds += 1 }
    }

    /// Adds what happened in other worlds.
    package mutating func add(_ other: Coverage) {
        self.worlds += other.worlds
        self.virtualTime = self.virtualTime + other.virtualTime
        for number in self.taken.indices { self.taken[number] += other.taken[number] }
        self.requests.merge(other.requests) { $0 + $1 }
        for (fault, use) in other.faults { self.faults[fault, default: Use()] += use }
        for (chore, use) in other.chores { self.chores[chore, default: Use()] += use }
    }
}

extension Coverage: Equatable {}

extension Coverage: Codable {
    private enum Key: String, CodingKey {
        case worlds, virtualNanoseconds, transitions, requests, faults, chores
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(self.worlds, forKey: .worlds)
        try container.encode(self.virtualTime.nanoseconds, forKey: .virtualNanoseconds)
        let transitions = self.transitions.map { ($0.description, self.count(of: $0)) }
        try container.encode(
            Dictionary(uniqueKeysWithValues: transitions),
            forKey: .transitions
        )
        try container.encode(Self.named(self.requests), forKey: .requests)
        try container.encode(Self.named(self.faults), forKey: .faults)
        try container.encode(Self.named(self.chores), forKey: .chores)
    }

    package init(from decoder: any Decoder) throws {
        self.init()
        let container = try decoder.container(keyedBy: Key.self)
        self.worlds = try container.decode(UInt64.self, forKey: .worlds)
        let nanoseconds = try container.decode(UInt64.self, forKey: .virtualNanoseconds)
        self.virtualTime = TimeSpan(nanoseconds: nanoseconds)
        let transitions = try container.decode([String: UInt64].self, forKey: .transitions)
        for (name, count) in transitions {
            guard let transition = Transition(name) else {
                throw DecodingError.dataCorruptedError(
                    forKey: .transitions,
                    in: container,
                    debugDescription: "there is no transition '\(name)'"
                )
            }
            self.taken[transition.number] = count
        }
        self.requests = try Self.keyed(container, .requests)
        self.faults = try Self.keyed(container, .faults)
        self.chores = try Self.keyed(container, .chores)
    }

    private static func named<Kind: RawRepresentable<String>, Value>(
        _ values: [Kind: Value]
    ) -> [String: Value] {
        Dictionary(uniqueKeysWithValues: values.map { ($0.key.rawValue, $0.value) })
    }

    private static func keyed<Kind: RawRepresentable<String> & Hashable, Value: Decodable>(
        _ container: KeyedDecodingContainer<Key>,
        _ key: Key
    ) throws -> [Kind: Value] {
        var result: [Kind: Value] = [:]
        for (name, value) in try container.decode([String: Value].self, forKey: key) {
            guard let kind = Kind(rawValue: name) else {
                throw DecodingError.dataCorruptedError(
                    forKey: key,
                    in: container,
                    debugDescription: "this build has none called '\(name)'"
                )
            }
            result[kind] = value
        }
        return result
    }
}
