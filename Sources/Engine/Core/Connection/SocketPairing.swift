// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Finds the two sockets of a connection: one for data, one for meta.
///
/// Both nodes listen and both dial. Whoever dialled says by its first packet what the socket is
/// for; the first one that a node dials is for data unless it has that already. So normally one
/// socket of each direction remains. When both dialled for the same purpose the dialled one gives
/// way to the accepted one on both sides, and a coin decides who dials again at once:
///
///     searching ──both sockets there──▶ settling ──still there──▶ established
///         ▲──────────a socket is lost──────┘
///
/// A pair counts only after it has lived for the settle time, because the peer may just be closing
/// one of the two. The node that accepted the meta socket has the *resolve-conflicts* flag, the
/// other one has not: it breaks every tie that follows.
///
/// The driver keeps sockets of a pair readable for their end only; bytes that arrive before
/// ``Action/established(data:meta:resolveConflicts:)`` belong to what follows. Source: DRBD 8.4's
/// way of connecting, with faster first retries.
package struct SocketPairing: ~Copyable {
    /// The driver's number of a socket.
    package typealias Socket = UInt32

    /// What a socket is for.
    package enum Kind: Hashable, Sendable, BitwiseCopyable {
        case data
        case meta
    }

    package enum Event: Hashable, Sendable, BitwiseCopyable {
        /// The dial that was asked for is connected.
        case dialled(Socket)
        /// It was refused, timed out or met another error.
        case dialFailed
        /// The peer's address has connected to the listener.
        case accepted(Socket)
        /// The first packet of an accepted socket, and nothing but that, was read.
        case firstPacket(Socket, Kind)
        /// The first packet of an accepted socket is none that starts a connection.
        case badFirstPacket(Socket)
        /// The peer has closed the socket, or it broke.
        case closed(Socket)
        /// The answer to ``Action/probe(data:meta:)``.
        case probed(dataIsAlive: Bool, metaIsAlive: Bool)
        /// ``nextDeadline`` is reached.
        case deadline
        /// The connection is not wanted any more.
        case stop
    }

    package enum Action: Hashable, Sendable, BitwiseCopyable {
        /// Connect to the peer; answer with ``Event/dialled(_:)`` or ``Event/dialFailed``.
        case dial
        /// Forget the dial; nothing must be heard of it again.
        case cancelDial
        /// Send the first packet that says what a dialled socket is for.
        case sendFirstPacket(Socket, Kind)
        /// Read one header from an accepted socket.
        case readFirstPacket(Socket)
        /// Close a socket; nothing must be heard of it again.
        case close(Socket)
        /// Look whether both are still connected; answer at once.
        case probe(data: Socket, meta: Socket)
        /// The pair is complete. The machine has ended; the listener may be closed.
        case established(data: Socket, meta: Socket, resolveConflicts: Bool)
    }

    /// Room for closing everything at once.
    package typealias Actions = ActionBuffer<16, Action>

    /// The time limits.
    package struct Timing: Hashable, Sendable, BitwiseCopyable {
        /// The longest pause between two dials, and the limit of one (`connect-int`).
        package var connectInterval: TimeSpan
        /// How long an accepted socket may take to say what it is for.
        package var firstPacketTimeout: TimeSpan
        /// How long a pair has to live before it counts.
        package var settleTime: TimeSpan

        /// Creates the limits of a `net` section.
        ///
        /// - Parameter socketCheckTimeout: `sock-check-timeo`; zero means `pingTimeout`.
        package init(
            connectInterval: TimeSpan,
            pingTimeout: TimeSpan,
            socketCheckTimeout: TimeSpan = .zero
        ) {
            self.connectInterval = connectInterval
            self.firstPacketTimeout = pingTimeout * 4
            self.settleTime = socketCheckTimeout == .zero ? pingTimeout : socketCheckTimeout
        }
    }

    private enum State {
        case searching
        case settling(until: Instant)
        case probing
        case ended
    }

    private enum Dial {
        case waiting(until: Instant)
        case running(until: Instant)
    }

    private struct Slot {
        var socket: Socket
        var wasDialled: Bool
    }

    private struct Undecided {
        var socket: Socket
        var deadline: Instant
    }

    private let timing: Timing
    private var state = State.searching
    private var dial: Dial
    private var failedDials: UInt64 = 0
    private var data: Slot?
    private var meta: Slot?
    private var undecided = InlineArray<8, Undecided?>(repeating: nil)

    /// Creates a machine that dials first at `start`; its first deadline is then.
    package init(timing: Timing, start: Instant) {
        self.timing = timing
        self.dial = .waiting(until: start)
    }

    /// When ``Event/deadline`` is due.
    package var nextDeadline: Instant {
        var next = Instant.distantFuture
        switch self.state {
        case .ended: return next
        case .settling(let until): next = until
        case .searching, .probing: break
        }
        switch self.dial {
        case .waiting(let until): if self.wantsSocket { next = min(next, until) }
        case .running(let until): next = min(next, until)
        }
        for index in self.undecided.indices {
            if let socket = self.undecided[index] { next = min(next, socket.deadline) }
        }
        return next
    }

    /// Takes one event and appends what the driver must do about it.
    ///
    /// - Parameter random: 64 random bits, for the coin and the jitter.
    package mutating func receive(
        _ event: Event,
        random: UInt64,
        at now: Instant,
        into actions: inout Actions
    ) {
        if case .ended = self.state {
            self.refuse(event, into: &actions)
            return
        }
        switch event {
        case .dialled(let socket):
            self.place(dialled: socket, random: random, at: now, into: &actions)
        case .dialFailed:
            self.failedDials += 1
            self.scheduleDial(random: random, at: now)
        case .accepted(let socket):
            self.awaitFirstPacket(of: socket, at: now, into: &actions)
        case .firstPacket(let socket, let kind):
            guard self.forgetUndecided(socket) else { return }
            self.place(accepted: socket, kind, random: random, at: now, into: &actions)
        case .badFirstPacket(let socket):
            if self.forgetUndecided(socket) { actions.append(.close(socket)) }
        case .closed(let socket):
            self.lose(socket, at: now, into: &actions)
        case .probed(let dataIsAlive, let metaIsAlive):
            self.judge(dataIsAlive, metaIsAlive, at: now, into: &actions)
        case .deadline:
            self.expire(random: random, at: now, into: &actions)
        case .stop:
            self.closeAll(into: &actions)
            self.state = .ended
        }
    }
}

extension SocketPairing {
    private var wantsSocket: Bool { self.data == nil || self.meta == nil }

    /// Closes what arrives after the end.
    private func refuse(_ event: Event, into actions: inout Actions) {
        switch event {
        case .dialled(let socket), .accepted(let socket): actions.append(.close(socket))
        case .dialFailed, .firstPacket, .badFirstPacket, .closed, .probed, .deadline, .stop: break
        }
    }

    private mutating func place(
        dialled socket: Socket,
        random: UInt64,
        at now: Instant,
        into actions: inout Actions
    ) {
        self.failedDials = 0
        let slot = Slot(socket: socket, wasDialled: true)
        // The other socket is the peer's to dial; ours follows only if it does not come.
        self.dial = .waiting(until: now + self.jittered(self.timing.connectInterval, random))
        if self.data == nil {
            self.data = slot
            actions.append(.sendFirstPacket(socket, .data))
        } else if self.meta == nil {
            self.meta = slot
            actions.append(.sendFirstPacket(socket, .meta))
        } else {
            actions.append(.close(socket))
        }
        self.settleIfComplete(at: now)
    }

    private mutating func place(
        accepted socket: Socket,
        _ kind: Kind,
        random: UInt64,
        at now: Instant,
        into actions: inout Actions
    ) {
        let slot = Slot(socket: socket, wasDialled: false)
        let replaced: Slot?
        switch kind {
        case .data:
            replaced = self.data
            self.data = slot
        case .meta:
            replaced = self.meta
            self.meta = slot
        }
        if let replaced {
            actions.append(.close(replaced.socket))
            // Both do this, so the accepted socket may be dead already. One of the two has to wait,
            // the other one to dial: a coin on each side makes them differ soon.
            if random & 1 == 0 {
                self.waitForPeer(random: random, at: now, into: &actions)
            } else {
                self.dialSoon(at: now)
            }
        } else {
            self.dialSoon(at: now)
        }
        self.state = .searching
        self.settleIfComplete(at: now)
    }

    private mutating func settleIfComplete(at now: Instant) {
        guard !self.wantsSocket else { return }
        switch self.state {
        case .searching: self.state = .settling(until: now + self.timing.settleTime)
        case .settling, .probing, .ended: break
        }
    }

    private mutating func lose(_ socket: Socket, at now: Instant, into actions: inout Actions) {
        if self.forgetUndecided(socket) {
            actions.append(.close(socket))
        } else if self.data?.socket == socket {
            self.data = nil
            self.state = .searching
            actions.append(.close(socket))
        } else if self.meta?.socket == socket {
            self.meta = nil
            self.state = .searching
            actions.append(.close(socket))
        }
    }

    private mutating func judge(
        _ dataIsAlive: Bool,
        _ metaIsAlive: Bool,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard case .probing = self.state, let data = self.data, let meta = self.meta else { return }
        if dataIsAlive, metaIsAlive {
            self.data = nil
            self.meta = nil
            self.closeAll(into: &actions)
            self.state = .ended
            actions.append(
                .established(
                    data: data.socket,
                    meta: meta.socket,
                    resolveConflicts: !meta.wasDialled
                )
            )
            return
        }
        if !dataIsAlive { self.lose(data.socket, at: now, into: &actions) }
        if !metaIsAlive { self.lose(meta.socket, at: now, into: &actions) }
        self.dialSoon(at: now)
    }

    private mutating func expire(random: UInt64, at now: Instant, into actions: inout Actions) {
        self.expireUndecided(at: now, into: &actions)
        if case .settling(let until) = self.state, until <= now,
            let data = self.data, let meta = self.meta
        {
            self.state = .probing
            actions.append(.probe(data: data.socket, meta: meta.socket))
        }
        switch self.dial {
        case .running(let until) where until <= now:
            actions.append(.cancelDial)
            self.failedDials += 1
            self.scheduleDial(random: random, at: now)
        case .waiting(let until) where until <= now && self.wantsSocket:
            self.dial = .running(until: now + self.timing.connectInterval)
            actions.append(.dial)
        case .running, .waiting:
            break
        }
    }

    private mutating func closeAll(into actions: inout Actions) {
        if case .running = self.dial { actions.append(.cancelDial) }
        self.dial = .waiting(until: .distantFuture)
        if let data = self.data { actions.append(.close(data.socket)) }
        if let meta = self.meta { actions.append(.close(meta.socket)) }
        self.data = nil
        self.meta = nil
        for index in self.undecided.indices {
            if let undecided = self.undecided[index] { actions.append(.close(undecided.socket)) }
            self.undecided[index] = nil
        }
    }
}

/// When to dial.
extension SocketPairing {
    /// The pause before the next dial: an eighth of `connect-int` after the first failure, doubled
    /// until `connect-int` is reached.
    private mutating func scheduleDial(random: UInt64, at now: Instant) {
        let doublings = min(self.failedDials, 4)
        let divisor: UInt64 = doublings == 0 ? 1 : 16 >> doublings
        let pause = TimeSpan(nanoseconds: self.timing.connectInterval.nanoseconds / divisor)
        self.dial = .waiting(until: now + self.jittered(pause, random))
    }

    private mutating func dialSoon(at now: Instant) {
        if case .waiting = self.dial { self.dial = .waiting(until: now) }
    }

    private mutating func waitForPeer(
        random: UInt64,
        at now: Instant,
        into actions: inout Actions
    ) {
        if case .running = self.dial { actions.append(.cancelDial) }
        self.dial = .waiting(until: now + self.jittered(self.timing.connectInterval, random))
    }

    /// The span shortened or lengthened by up to a seventh, by other bits than the coin.
    private func jittered(_ span: TimeSpan, _ random: UInt64) -> TimeSpan {
        let seventh = span.nanoseconds / 7
        let offset = (random >> 1) % (2 * seventh + 1)
        return TimeSpan(nanoseconds: span.nanoseconds - seventh + offset)
    }
}

/// Accepted sockets that have not said what they are for.
extension SocketPairing {
    private mutating func awaitFirstPacket(
        of socket: Socket,
        at now: Instant,
        into actions: inout Actions
    ) {
        var place = 0
        for index in self.undecided.indices {
            guard let held = self.undecided[index] else {
                place = index
                break
            }
            if let oldest = self.undecided[place], held.deadline < oldest.deadline { place = index }
        }
        if let oldest = self.undecided[place] { actions.append(.close(oldest.socket)) }
        self.undecided[place] = Undecided(
            socket: socket,
            deadline: now + self.timing.firstPacketTimeout
        )
        actions.append(.readFirstPacket(socket))
    }

    private mutating func forgetUndecided(_ socket: Socket) -> Bool {
        for index in self.undecided.indices where self.undecided[index]?.socket == socket {
            self.undecided[index] = nil
            return true
        }
        return false
    }

    private mutating func expireUndecided(at now: Instant, into actions: inout Actions) {
        for index in self.undecided.indices {
            guard let held = self.undecided[index], held.deadline <= now else { continue }
            self.undecided[index] = nil
            actions.append(.close(held.socket))
        }
    }
}
