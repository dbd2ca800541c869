// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives

/// Two ``SocketPairing`` machines and a network between them that delays, refuses and breaks.
///
/// A node whose pair breaks starts again after a second, as a connection does. Everything follows
/// from the seed.
struct PairingWorld: ~Copyable {
    struct Established: Equatable {
        var data: UInt32
        var meta: UInt32
        var resolveConflicts: Bool
    }

    private enum Delivery {
        case event(SocketPairing.Event)
        case arrival(of: UInt32, dialler: UInt32)
        case restart
    }

    private struct Message {
        var due: Instant
        var order: Int
        var node: Int
        /// Messages of an attempt that was given up are dropped.
        var attempt: Int?
        var delivery: Delivery
    }

    private(set) var now = Instant(nanoseconds: 1)
    private(set) var established: [Established?] = [nil, nil]
    private let timing: SocketPairing.Timing
    private let delay: TimeSpan
    /// Until then the network misbehaves.
    private let healsAt: Instant
    private var random: SeededRandom
    private var first: SocketPairing
    private var second: SocketPairing
    private var actions = SocketPairing.Actions()
    private var queue: [Message] = []
    private var order = 0
    private var attempts = [0, 0]
    private var dialNumber = [0, 0]
    private var nextSocket: UInt32 = 1
    /// The other end of each open socket, and its owner.
    private var remote: [UInt32: UInt32] = [:]
    private var owner: [UInt32: Int] = [:]

    init(seed: UInt64) {
        self.random = SeededRandom(seed: seed)
        self.timing = SocketPairing.Timing(
            connectInterval: .seconds(self.random.below(8) + 2),
            pingTimeout: .milliseconds(500)
        )
        self.delay = .milliseconds(self.random.below(120))
        self.healsAt = Instant.zero + .seconds(self.random.below(20))
        let late =
            self.random.chance(1, in: 2) ? TimeSpan.zero : .milliseconds(self.random.below(9_000))
        self.first = SocketPairing(timing: self.timing, start: self.now)
        self.second = SocketPairing(timing: self.timing, start: self.now + late)
    }

    /// Whether both ends of two sockets are each other's.
    func agrees() -> Bool {
        guard let one = self.established[0], let two = self.established[1] else { return false }
        return self.remote[one.data] == two.data && self.remote[one.meta] == two.meta
            && self.remote[two.data] == one.data && self.remote[two.meta] == one.meta
            && one.resolveConflicts != two.resolveConflicts
    }

    /// Runs until `end`; returns since when both nodes agree on a pair, nil if they do not.
    mutating func run(until end: Instant) -> Instant? {
        var since: Instant?
        while self.now < end, self.step(limit: end) {
            if self.agrees() {
                since = since ?? self.now
            } else {
                since = nil
            }
        }
        return since
    }

    private mutating func step(limit: Instant) -> Bool {
        let deadlines = [self.first.nextDeadline, self.second.nextDeadline]
        let timer = deadlines[0] <= deadlines[1] ? 0 : 1
        let next = self.queue.indices.min { self.isBefore(self.queue[$0], self.queue[$1]) }
        if let next, self.queue[next].due <= deadlines[timer] {
            let message = self.queue.remove(at: next)
            guard message.due < limit else { return false }
            self.now = max(self.now, message.due)
            self.deliver(message)
        } else {
            guard deadlines[timer] < limit else { return false }
            self.now = max(self.now, deadlines[timer])
            self.feed(.deadline, to: timer)
        }
        self.misbehave()
        return true
    }

    private func isBefore(_ left: Message, _ right: Message) -> Bool {
        left.due != right.due ? left.due < right.due : left.order < right.order
    }

    private mutating func deliver(_ message: Message) {
        if let attempt = message.attempt, attempt != self.attempts[message.node] { return }
        switch message.delivery {
        case .restart:
            self.attempts[message.node] += 1
            let machine = SocketPairing(timing: self.timing, start: self.now)
            if message.node == 0 { self.first = machine } else { self.second = machine }
        case .arrival(let socket, let dialler):
            // The listener exists only while the node looks for its peer.
            guard self.established[message.node] == nil, self.owner[dialler] != nil else {
                self.drop(socket)
                return
            }
            self.feed(.accepted(socket), to: message.node)
        case .event(let event):
            if case .closed(let socket) = event { self.notice(socket, by: message.node) }
            self.feed(event, to: message.node)
        }
    }

    /// An established connection ends with either of its sockets and is tried again.
    private mutating func notice(_ socket: UInt32, by node: Int) {
        guard let pair = self.established[node], pair.data == socket || pair.meta == socket else {
            return
        }
        self.established[node] = nil
        self.drop(pair.data)
        self.drop(pair.meta)
        self.send(.restart, to: node, after: .seconds(1), attempt: nil)
    }

    private mutating func feed(_ event: SocketPairing.Event, to node: Int) {
        var event = event
        while true {
            let random = self.random.next()
            if node == 0 {
                self.first.receive(event, random: random, at: self.now, into: &self.actions)
            } else {
                self.second.receive(event, random: random, at: self.now, into: &self.actions)
            }
            var probe: SocketPairing.Event?
            while let action = self.actions.popFirst() {
                if case .probe(let data, let meta) = action {
                    probe = .probed(
                        dataIsAlive: self.remote[data] != nil,
                        metaIsAlive: self.remote[meta] != nil
                    )
                } else {
                    self.apply(action, of: node)
                }
            }
            guard let answer = probe else { return }
            event = answer
        }
    }

    private mutating func apply(_ action: SocketPairing.Action, of node: Int) {
        switch action {
        case .dial: self.dial(from: node)
        case .cancelDial: self.dialNumber[node] += 1
        case .sendFirstPacket(let socket, let kind):
            guard let remote = self.remote[socket] else { return }
            self.send(.event(.firstPacket(remote, kind)), to: 1 - node, after: self.delay)
        case .readFirstPacket, .probe: break
        case .close(let socket): self.drop(socket)
        case .established(let data, let meta, let resolveConflicts):
            self.established[node] = Established(
                data: data,
                meta: meta,
                resolveConflicts: resolveConflicts
            )
        }
    }

    private mutating func dial(from node: Int) {
        self.dialNumber[node] += 1
        let fails = self.now < self.healsAt && self.random.chance(1, in: 3)
        if fails || self.established[1 - node] != nil {
            self.send(.event(.dialFailed), to: node, after: self.delay)
            return
        }
        let own = self.nextSocket
        let other = own + 1
        self.nextSocket += 2
        self.remote[own] = other
        self.remote[other] = own
        self.owner[own] = node
        self.owner[other] = 1 - node
        self.send(.arrival(of: other, dialler: own), to: 1 - node, after: self.delay, attempt: nil)
        self.send(.event(.dialled(own)), to: node, after: self.delay)
    }

    /// Closes `socket` at its owner's side; the other end learns of it later.
    private mutating func drop(_ socket: UInt32) {
        self.owner[socket] = nil
        guard let remote = self.remote.removeValue(forKey: socket) else { return }
        self.remote[remote] = nil
        if let node = self.owner[remote] {
            self.send(.event(.closed(remote)), to: node, after: self.delay)
        }
    }

    /// Breaks a socket now and then.
    private mutating func misbehave() {
        guard self.now < self.healsAt, self.random.chance(1, in: 12) else { return }
        guard let socket = self.remote.keys.sorted().randomElement(using: &self.random) else {
            return
        }
        let other = self.remote[socket]
        self.remote[socket] = nil
        for end in [socket, other] {
            guard let end else { continue }
            self.remote[end] = nil
            if let node = self.owner[end] {
                self.send(.event(.closed(end)), to: node, after: self.delay)
            }
        }
    }

    private mutating func send(_ delivery: Delivery, to node: Int, after delay: TimeSpan) {
        self.send(delivery, to: node, after: delay, attempt: self.attempts[node])
    }

    private mutating func send(
        _ delivery: Delivery,
        to node: Int,
        after delay: TimeSpan,
        attempt: Int?
    ) {
        self.order += 1
        self.queue.append(
            Message(
                due: self.now + delay,
                order: self.order,
                node: node,
                attempt: attempt,
                delivery: delivery
            )
        )
    }
}
