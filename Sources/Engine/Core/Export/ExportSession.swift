// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Wire

/// Serves one NBD client: negotiation, then requests, then an orderly or abrupt end.
///
///     negotiating ──export granted, answer sent──▶ transmitting ──DISC, shutdown──▶ draining
///          └───────────────────┬────────────────────────┴─────────────┬───────────────┘
///                              ▼                                      │ last reply sent
///                           closed ◀──────────────────────────────────┘
///                              │ nothing outstanding
///                           finished
///
/// **How bytes get in.** The driver receives into a stage that one whole option fits in. While
/// ``input`` is ``ExportInput/bytes(minimum:)`` and as many bytes are staged, it hands all staged
/// bytes to ``receive(_:exports:into:)``, drops from the
/// front as many as that returns, and carries out the actions. Pipelined requests are thus taken
/// from the stage without a copy, many at a time. After
/// ``ExportAction/readPayload(slot:byteCount:)``, the last action of its call, the next `byteCount`
/// bytes are not for the session: the driver moves them from the stage and from the socket to the
/// slot's buffer and reports ``ExportEvent/payloadRead(slot:)``. When there are fewer bytes than
/// ``input`` wants, it receives more. It looks at ``input`` again after every event.
///
/// **What it guarantees.** Each request is answered once, or not at all after
/// ``ExportAction/close(_:)``. Each slot ends with one ``ExportAction/release(slot:)``, also then.
/// Requests and their payload in flight have limits, until the replies are sent. Nothing that a
/// client sends can trap. After ``ExportAction/close(_:)`` come only releases and
/// ``ExportAction/finished``.
///
/// **What it assumes.** Each of ``ExportAction/sendOutput``,
/// ``ExportAction/readPayload(slot:byteCount:)``, ``ExportAction/submit(slot:_:)`` and the two
/// reply actions is answered by exactly one event, in any order, also after the connection was
/// closed. After ``ExportEvent/connectionLost`` those of the socket follow as soon as the kernel no
/// longer uses their memory.
///
/// The format and the rules are those of `doc/proto.md` of the NetworkBlockDevice project.
package struct ExportSession: ~Copyable {
    package typealias Actions = ActionQueue<ExportAction>

    private enum Phase: Hashable, BitwiseCopyable {
        case negotiating
        case transmitting
        case draining(ExportCloseReason)
        case closed
        case finished
    }

    /// What follows the answer that is being sent.
    private enum Afterwards: Hashable, BitwiseCopyable {
        case negotiate
        case transmit
        case close(ExportCloseReason)
    }

    private var phase: Phase = .negotiating
    private var negotiation: ExportNegotiation?
    private var transmission: ExportTransmission?
    private var isSendingOutput = false
    private var afterwards: Afterwards = .negotiate
    private var neededByteCount = NBDLimits.clientFlagsByteCount
    /// When ``ExportEvent/timer`` is wanted; `distantFuture` if not at all.
    package private(set) var nextDeadline: Instant = .distantFuture
    /// The export that the client uses: set from the decision to grant it until the connection is
    /// closed.
    ///
    /// While a client of a resource has one, the resource cannot become Secondary.
    package private(set) var grantedExport: UInt32?

    package init() { self.negotiation = ExportNegotiation() }

    /// What the session wants of the client's bytes.
    package var input: ExportInput {
        switch self.phase {
        case .negotiating:
            return self.isSendingOutput ? .paused : .bytes(minimum: self.neededByteCount)
        case .transmitting:
            return self.transmissionInput
        case .draining:
            // A payload that is being received is awaited, nothing else.
            guard case .payload(let slot) = self.transmissionInput else { return .ended }
            return .payload(slot: slot)
        case .closed, .finished:
            return .ended
        }
    }

    /// The bytes of ``ExportAction/sendOutput``, valid until ``ExportEvent/outputSent``.
    package var output: UnsafeRawBufferPointer {
        switch self.negotiation {
        case .some(let negotiation): negotiation.output
        case .none: UnsafeRawBufferPointer(start: nil, count: 0)
        }
    }

    /// The number of requests in flight.
    package var requestCount: Int {
        switch self.transmission {
        case .some(let transmission): transmission.count
        case .none: 0
        }
    }

    private var transmissionInput: ExportInput {
        switch self.transmission {
        case .some(let transmission): transmission.input
        case .none: .ended
        }
    }

    /// Takes messages from the start of `bytes`, the client's staged bytes, and returns how many
    /// bytes it has consumed: 0 if the first message is not complete, or nothing is wanted now.
    ///
    /// `exports` is looked at in negotiation only.
    package mutating func receive(
        _ bytes: RawSpan,
        exports: @autoclosure () -> ExportDirectory,
        at now: Instant,
        into actions: inout Actions
    ) -> Int {
        switch self.phase {
        case .negotiating:
            return self.negotiate(bytes, exports: exports(), into: &actions)
        case .transmitting:
            return self.transmit(bytes, at: now, into: &actions)
        case .draining, .closed, .finished:
            return 0
        }
    }

    /// Takes one event and appends what the driver must do about it.
    package mutating func receive(
        _ event: ExportEvent,
        exports: @autoclosure () -> ExportDirectory,
        at now: Instant,
        into actions: inout Actions
    ) {
        let isOpen = self.isOpen
        switch event {
        case .connected:
            self.nextDeadline = now + ExportLimits.negotiationTime
            self.sendOutput(then: .negotiate, into: &actions)
        case .outputSent:
            self.outputSent(exports: exports(), into: &actions)
        case .payloadRead(let slot):
            self.transmission?.payloadRead(slot, isOpen: isOpen, into: &actions)
        case .completed(let slot, let error):
            self.transmission?.completed(slot, error, isOpen: isOpen, into: &actions)
        case .replySent(let slot):
            self.transmission?.replySent(slot, into: &actions)
        case .connectionLost:
            self.connectionLost(into: &actions)
        case .forceClose:
            self.close(.forced, into: &actions)
        case .stalled:
            self.close(.stalled, into: &actions)
        case .shutdown:
            self.shutdown(at: now, into: &actions)
        case .timer:
            self.timer(at: now, into: &actions)
        }
        self.endIfNothingIsLeft(into: &actions)
    }

    /// Writes the head of the reply that ``ExportAction/reply(slot:payloadByteCount:)`` asks for
    /// and returns its length.
    ///
    /// `memory` has ``NBDLimits/replyHeadByteCountMaximum`` bytes or more.
    package func encodeReply(
        of slot: UInt32,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        switch self.transmission {
        case .some(let transmission): transmission.encodeReply(of: slot, into: memory)
        case .none: invariantBroken("replies belong to transmission")
        }
    }

    /// Writes the reply that ``ExportAction/replyBlockStatus(slot:)`` asks for and returns its
    /// length.
    ///
    /// `extents` begins as ``ExportRequest/emptyExtentList`` of the request; left empty it says
    /// "data".
    package func encodeBlockStatus(
        of slot: UInt32,
        _ extents: borrowing NBDExtentList,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        switch self.transmission {
        case .some(let transmission):
            transmission.encodeBlockStatus(of: slot, extents, into: memory)
        case .none: invariantBroken("replies belong to transmission")
        }
    }
}

// MARK: Bytes

extension ExportSession {
    private mutating func negotiate(
        _ bytes: RawSpan,
        exports: borrowing ExportDirectory,
        into actions: inout Actions
    ) -> Int {
        var position = 0
        while self.phase == .negotiating, !self.isSendingOutput {
            let rest = bytes.extracting(droppingFirst: position)
            guard let step = self.negotiation?.receive(rest, exports: exports) else { break }
            position += step.consumed
            if step.verdict == .incomplete {
                self.updateNeededByteCount(rest)
                break
            }
            self.apply(step.verdict, into: &actions)
        }
        self.endIfNothingIsLeft(into: &actions)
        return position
    }

    private mutating func updateNeededByteCount(_ rest: RawSpan) {
        switch self.negotiation {
        case .some(let negotiation): self.neededByteCount = negotiation.neededByteCount(rest)
        case .none: invariantBroken("the phase has its machine")
        }
    }

    private mutating func apply(
        _ verdict: ExportNegotiation.Verdict,
        into actions: inout Actions
    ) {
        switch verdict {
        case .incomplete, .proceed:
            break
        case .answer:
            self.sendOutput(then: .negotiate, into: &actions)
        case .grant(let agreement):
            self.transmission = ExportTransmission(agreement)
            self.grantedExport = agreement.identifier
            actions.append(.enterTransmission(export: agreement.identifier))
            self.sendOutput(then: .transmit, into: &actions)
        case .answerAndClose(let reason):
            self.sendOutput(then: .close(reason), into: &actions)
        case .close(let reason):
            self.close(reason, into: &actions)
        }
    }

    private mutating func transmit(
        _ bytes: RawSpan,
        at now: Instant,
        into actions: inout Actions
    ) -> Int {
        guard let step = self.transmission?.receive(bytes, into: &actions) else { return 0 }
        switch step.ending {
        case nil: break
        case .disconnect: self.drain(.disconnected, at: now)
        case .fault(let reason): self.close(reason, into: &actions)
        }
        self.endIfNothingIsLeft(into: &actions)
        return step.consumed
    }
}

// MARK: Events

extension ExportSession {
    private var isOpen: Bool {
        switch self.phase {
        case .negotiating, .transmitting, .draining: true
        case .closed, .finished: false
        }
    }

    private mutating func sendOutput(then afterwards: Afterwards, into actions: inout Actions) {
        invariant(!self.isSendingOutput, "one answer at a time")
        self.isSendingOutput = true
        self.afterwards = afterwards
        actions.append(.sendOutput)
    }

    private mutating func outputSent(
        exports: borrowing ExportDirectory,
        into actions: inout Actions
    ) {
        invariant(self.isSendingOutput, "an answer that was given to the driver")
        self.isSendingOutput = false
        guard self.isOpen else { return }
        switch self.afterwards {
        case .negotiate:
            if self.negotiation?.outputSent(exports: exports) == .answer {
                self.sendOutput(then: .negotiate, into: &actions)
            }
            self.neededByteCount = 1
        case .transmit:
            self.negotiation = nil
            self.phase = .transmitting
            self.nextDeadline = .distantFuture
        case .close(let reason):
            self.close(reason, into: &actions)
        }
    }

    private mutating func connectionLost(into actions: inout Actions) {
        if case .draining(let reason) = self.phase {
            self.close(reason, into: &actions)
        } else {
            self.close(.connectionLost, into: &actions)
        }
    }

    private mutating func shutdown(at now: Instant, into actions: inout Actions) {
        switch self.phase {
        case .negotiating: self.close(.shutdown, into: &actions)
        case .transmitting: self.drain(.shutdown, at: now)
        case .draining, .closed, .finished: break
        }
    }

    private mutating func timer(at now: Instant, into actions: inout Actions) {
        guard now >= self.nextDeadline else { return }
        switch self.phase {
        case .negotiating: self.close(.negotiationTimedOut, into: &actions)
        case .draining: self.close(.drainTimedOut, into: &actions)
        case .transmitting, .closed, .finished: break
        }
    }

    private mutating func drain(_ reason: ExportCloseReason, at now: Instant) {
        self.phase = .draining(reason)
        self.nextDeadline = now + ExportLimits.drainTime
    }

    private mutating func close(_ reason: ExportCloseReason, into actions: inout Actions) {
        guard self.isOpen else { return }
        self.phase = .closed
        self.nextDeadline = .distantFuture
        self.grantedExport = nil
        actions.append(.close(reason))
    }

    private mutating func endIfNothingIsLeft(into actions: inout Actions) {
        guard self.requestCount == 0, !self.isSendingOutput else { return }
        if case .draining(let reason) = self.phase { self.close(reason, into: &actions) }
        guard self.phase == .closed else { return }
        self.phase = .finished
        actions.append(.finished)
    }
}
