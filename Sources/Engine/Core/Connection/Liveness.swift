// SPDX-License-Identifier: Apache-2.0

package import Primitives

/// Decides when the peer has to be asked for a sign of life, and when it counts as gone.
///
/// - Nothing from the peer on either socket for `ping-int`: a ping. Then nothing for
///   `ping-timeout`: gone. Only the answers to all pings end the shorter limit; anything that
///   comes renews it.
/// - No acknowledgement for `timeout` × `ko-count` although a request waits for one: gone. Requests
///   that are merely slow do not count while others are acknowledged.
/// - The data socket takes no byte for `timeout`: a ping, so that a dead peer is noticed early. If
///   neither a byte was taken nor an acknowledgement came for `timeout` × `ko-count`: gone.
/// - The meta socket takes no byte for `timeout`: gone.
///
/// A `ko-count` of 0 switches the second limit and the end of the third one off. Source: DRBD 8.4's
/// timeouts; that acknowledgements count as progress is ours.
package struct Liveness: ~Copyable {
    package enum Event: Hashable, Sendable, BitwiseCopyable {
        /// Something came on the meta socket.
        case metaReceived
        /// P_PING_ACK came on the meta socket.
        case pingAnswered
        /// Something came on the data socket.
        case dataReceived
        /// The peer acknowledged a request, or part of one: also a sign of life.
        case acknowledged
        /// Since when the oldest unacknowledged request is on its way; nil without one.
        case oldestRequest(sentAt: Instant?)
        /// The data socket does not take what is queued, or has taken some of it and stopped again.
        case dataSendBlocked
        /// The data socket has taken all that was queued.
        case dataSendDrained
        /// The meta socket does not take what is queued.
        case metaSendBlocked
        /// The meta socket has taken all that was queued.
        case metaSendDrained
        /// Somebody needs to know that the peer has processed all that was sent on the meta socket.
        case pingWanted
        /// ``nextDeadline`` is reached.
        case deadline
    }

    package enum Action: Hashable, Sendable, BitwiseCopyable {
        /// Send P_PING; pings are numbered from 1.
        case sendPing(number: UInt64)
        /// The ping of this number was answered.
        case pingDone(number: UInt64)
        /// The connection is lost. The machine has ended.
        case lost(Loss)
    }

    package typealias Actions = ActionBuffer<4, Action>

    /// What the peer failed to do.
    package enum Loss: Hashable, Sendable, BitwiseCopyable {
        /// No answer to a ping: NetworkFailure.
        case pingTimeout
        /// No acknowledgement: Timeout.
        case requestTimeout
        /// The data socket is stuck: Timeout.
        case dataSendTimeout
        /// The meta socket is stuck: NetworkFailure.
        case metaSendTimeout
    }

    /// The time limits of a `net` section.
    package struct Timing: Hashable, Sendable, BitwiseCopyable {
        /// `ping-int`.
        package var pingInterval: TimeSpan
        /// `ping-timeout`.
        package var pingTimeout: TimeSpan
        /// `timeout`.
        package var timeout: TimeSpan
        /// `ko-count`; 0 for no limit.
        package var koCount: UInt64

        /// Creates limits.
        package init(
            pingInterval: TimeSpan,
            pingTimeout: TimeSpan,
            timeout: TimeSpan,
            koCount: UInt64
        ) {
            self.pingInterval = pingInterval
            self.pingTimeout = pingTimeout
            self.timeout = timeout
            self.koCount = koCount
        }

        /// The longest time without progress; nil for no limit.
        var patience: TimeSpan? {
            guard self.koCount > 0, self.timeout > .zero else { return nil }
            return self.timeout * self.koCount
        }
    }

    private struct SendStall {
        var since: Instant
        var nextPing: Instant
    }

    private let timing: Timing
    private var lastMeta: Instant
    private var lastData: Instant
    private var lastProgress: Instant
    private var oldestRequest: Instant?
    private var dataStall: SendStall?
    private var metaStalledSince: Instant?
    private var pingsSent: UInt64 = 0
    private var pingsAnswered: UInt64 = 0
    private var lastPing: Instant
    private var hasEnded = false

    /// Starts to watch a connection that was just established.
    package init(timing: Timing, at now: Instant) {
        self.timing = timing
        self.lastMeta = now
        self.lastData = now
        self.lastProgress = now
        self.lastPing = now
    }

    /// When ``Event/deadline`` is due.
    package var nextDeadline: Instant {
        guard !self.hasEnded else { return .distantFuture }
        var next = self.pingDeadline
        if let request = self.requestDeadline { next = min(next, request) }
        if let stall = self.dataStall {
            next = min(next, stall.nextPing)
            if let deadline = self.dataSendDeadline(stall) { next = min(next, deadline) }
        }
        if let since = self.metaStalledSince { next = min(next, since + self.timing.timeout) }
        return next
    }

    /// Takes an event that calls for nothing to be done; false for any other.
    package mutating func note(_ event: Event, at now: Instant) -> Bool {
        switch event {
        case .metaReceived: self.lastMeta = now
        case .dataReceived: self.lastData = now
        case .acknowledged:
            self.lastMeta = now
            self.lastProgress = now
        case .oldestRequest(let sentAt): self.oldestRequest = sentAt
        case .pingAnswered, .dataSendBlocked, .dataSendDrained, .metaSendBlocked, .metaSendDrained,
            .pingWanted, .deadline:
            return false
        }
        return true
    }

    /// Takes one event and appends what the driver must do about it.
    package mutating func receive(_ event: Event, at now: Instant, into actions: inout Actions) {
        guard !self.hasEnded, !self.note(event, at: now) else { return }
        switch event {
        case .metaReceived, .dataReceived, .acknowledged, .oldestRequest: break
        case .pingAnswered:
            self.lastMeta = now
            // An answer without a ping is the peer's fault and harmless.
            guard self.pingsAnswered < self.pingsSent else { return }
            self.pingsAnswered += 1
            actions.append(.pingDone(number: self.pingsAnswered))
        case .dataSendBlocked:
            self.dataStall = SendStall(since: now, nextPing: now + self.timing.timeout)
        case .dataSendDrained:
            self.dataStall = nil
        case .metaSendBlocked:
            if self.metaStalledSince == nil { self.metaStalledSince = now }
        case .metaSendDrained:
            self.metaStalledSince = nil
        case .pingWanted:
            self.ping(at: now, into: &actions)
        case .deadline:
            self.expire(at: now, into: &actions)
        }
    }
}

extension Liveness {
    private var awaitsPing: Bool { self.pingsAnswered < self.pingsSent }

    private var pingDeadline: Instant {
        let lastSign = max(self.lastMeta, self.lastData)
        return self.awaitsPing
            ? max(lastSign, self.lastPing) + self.timing.pingTimeout
            : lastSign + self.timing.pingInterval
    }

    private var requestDeadline: Instant? {
        guard let patience = self.timing.patience, let oldest = self.oldestRequest else {
            return nil
        }
        return max(oldest, self.lastProgress) + patience
    }

    private func dataSendDeadline(_ stall: SendStall) -> Instant? {
        guard let patience = self.timing.patience else { return nil }
        return max(stall.since, self.lastProgress) + patience
    }

    private mutating func ping(at now: Instant, into actions: inout Actions) {
        self.pingsSent += 1
        self.lastPing = now
        actions.append(.sendPing(number: self.pingsSent))
    }

    private mutating func expire(at now: Instant, into actions: inout Actions) {
        if let loss = self.loss(at: now) {
            self.hasEnded = true
            actions.append(.lost(loss))
            return
        }
        if !self.awaitsPing, self.pingDeadline <= now { self.ping(at: now, into: &actions) }
        guard let stall = self.dataStall, stall.nextPing <= now else { return }
        self.dataStall?.nextPing = now + self.timing.timeout
        if !self.awaitsPing { self.ping(at: now, into: &actions) }
    }

    private func loss(at now: Instant) -> Loss? {
        if let since = self.metaStalledSince, since + self.timing.timeout <= now {
            return .metaSendTimeout
        }
        if let deadline = self.requestDeadline, deadline <= now { return .requestTimeout }
        if let stall = self.dataStall, let deadline = self.dataSendDeadline(stall), deadline <= now
        {
            return .dataSendTimeout
        }
        if self.awaitsPing, self.pingDeadline <= now { return .pingTimeout }
        return nil
    }
}
