// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// The requests of one client in transmission.
///
/// Each request has a slot from its header to the last byte of its reply, a refused one too: a
/// client that does not read its replies soon has no slot left and is not read from any more.
///
///     write:   receiving ──payload read──▶ submitted ──completed──▶ replying ──reply sent──▶ free
///     others:                              submitted ──completed──▶ replying ──reply sent──▶ free
///     refused:                                                      replying ──reply sent──▶ free
struct ExportTransmission: ~Copyable {
    /// Why no further request is taken.
    enum Ending: Hashable, BitwiseCopyable {
        /// The client has sent DISC: what is in flight is still answered.
        case disconnect
        /// The stream cannot be followed any more.
        case fault(ExportCloseReason)
    }

    enum Stage: UInt8, BitwiseCopyable {
        case receiving
        case submitted
        case replying
    }

    /// How a request ended.
    enum Result: Hashable, BitwiseCopyable {
        case success
        case failure(NBDError)
        case refusal(ExportRefusal)
    }

    /// One request.
    ///
    /// Not private: Swift 6.3.1 fails to emit the table of a private type.
    struct Entry: BitwiseCopyable {
        var cookie: UInt64
        var request: ExportRequest
        var stage: Stage
        var result: Result = .success
    }

    let agreement: ExportAgreement
    private var slots: SlotTable<Entry>
    private var payloadInFlight: UInt64 = 0
    /// The slot that the next bytes belong to.
    private var receivingSlot: UInt32?
    /// Payload of a refused write that is still to come.
    private var skipByteCount: UInt32 = 0
    /// The payload of the request that waits at the head of the stage for room.
    private var parkedByteCount: UInt32 = 0

    init(_ agreement: ExportAgreement) {
        self.agreement = agreement
        self.slots = SlotTable(capacity: ExportLimits.requestsInFlight)
    }

    /// The number of requests in flight.
    var count: Int { self.slots.count }

    var input: ExportInput {
        if let slot = self.receivingSlot { return .payload(slot: slot) }
        if self.skipByteCount > 0 { return .bytes(minimum: 1) }
        let hasRoom = !self.slots.isFull && self.fits(self.parkedByteCount)
        return hasRoom ? .bytes(minimum: NBDLimits.requestByteCount) : .paused
    }

    /// Takes all requests from the start of `bytes` that are complete and for which there is room,
    /// up to the payload of a write.
    mutating func receive(
        _ bytes: RawSpan,
        into actions: inout ExportSession.Actions
    ) -> (consumed: Int, ending: Ending?) {
        var position = 0
        while position < bytes.byteCount {
            if self.skipByteCount > 0 {
                let count = min(Int(self.skipByteCount), bytes.byteCount - position)
                self.skipByteCount -= UInt32(count)
                position += count
                continue
            }
            guard self.receivingSlot == nil, !self.slots.isFull else { break }
            let request: NBDRequest
            do throws(NBDFault) {
                let rest = bytes.extracting(droppingFirst: position)
                guard let decoded = try NBDRequest.decode(rest) else { break }
                request = decoded
            } catch {
                return (position, .fault(.requestMagic))
            }
            switch self.take(request, into: &actions) {
            case .taken: position += NBDLimits.requestByteCount
            case .parked: return (position, nil)
            case .ended(let ending): return (position + NBDLimits.requestByteCount, ending)
            }
        }
        return (position, nil)
    }

    private enum Taking: BitwiseCopyable {
        case taken
        case parked
        case ended(Ending)
    }

    private mutating func take(
        _ header: NBDRequest,
        into actions: inout ExportSession.Actions
    ) -> Taking {
        guard let command = NBDCommand(rawValue: header.command) else {
            return self.refuse(header, .unknownCommand, into: &actions)
        }
        guard let kind = ExportRequest.Kind(command) else { return .ended(.disconnect) }
        let request: ExportRequest
        do throws(ExportRefusal) {
            request = try ExportRequest(header, kind, under: self.agreement)
        } catch {
            return self.refuse(header, error, into: &actions)
        }
        guard self.fits(request.payloadByteCount) else {
            self.parkedByteCount = request.payloadByteCount
            return .parked
        }
        self.parkedByteCount = 0
        self.payloadInFlight += UInt64(request.payloadByteCount)
        if kind == .write {
            let slot = self.slot(for: request, header.cookie, .receiving)
            self.receivingSlot = slot
            actions.append(.readPayload(slot: slot, byteCount: request.byteCount))
        } else {
            let slot = self.slot(for: request, header.cookie, .submitted)
            actions.append(.submit(slot: slot, request))
        }
        return .taken
    }

    /// Answers a request that will not be carried out.
    ///
    /// The payload of a write is dropped.
    private mutating func refuse(
        _ header: NBDRequest,
        _ refusal: ExportRefusal,
        into actions: inout ExportSession.Actions
    ) -> Taking {
        if header.command == NBDCommand.write.rawValue {
            guard header.byteCount <= ExportLimits.refusedPayload else {
                return .ended(.fault(.payloadTooLong))
            }
            self.skipByteCount = header.byteCount
        }
        let nothing = ExportRequest(.flush, offset: 0, byteCount: 0)
        let slot = self.slot(for: nothing, header.cookie, .replying)
        self.slots[slot].result = .refusal(refusal)
        actions.append(.reply(slot: slot, payloadByteCount: 0))
        return .taken
    }

    private mutating func slot(
        for request: ExportRequest,
        _ cookie: UInt64,
        _ stage: Stage
    ) -> UInt32 {
        let entry = Entry(cookie: cookie, request: request, stage: stage)
        guard let slot = self.slots.take(entry) else { invariantBroken("a free slot was seen") }
        return slot
    }

    /// One request always fits, however long.
    private func fits(_ byteCount: UInt32) -> Bool {
        self.payloadInFlight == 0
            || self.payloadInFlight + UInt64(byteCount) <= ExportLimits.payloadInFlight
    }
}

// MARK: Life of a request

extension ExportTransmission {
    /// The payload of a write is there; on a closed connection the request ends.
    mutating func payloadRead(
        _ slot: UInt32,
        isOpen: Bool,
        into actions: inout ExportSession.Actions
    ) {
        invariant(self.receivingSlot == slot, "the payload that was asked for")
        self.receivingSlot = nil
        guard isOpen else { return self.release(slot, into: &actions) }
        self.slots[slot].stage = .submitted
        actions.append(.submit(slot: slot, self.slots[slot].request))
    }

    /// A request was carried out, or has failed; on a closed connection nobody wants to know.
    mutating func completed(
        _ slot: UInt32,
        _ error: NBDError?,
        isOpen: Bool,
        into actions: inout ExportSession.Actions
    ) {
        let entry = self.slots[slot]
        invariant(entry.stage == .submitted, "completion of a submitted request")
        guard isOpen else { return self.release(slot, into: &actions) }
        self.slots[slot].stage = .replying
        if let error {
            self.slots[slot].result = .failure(error)
            return actions.append(.reply(slot: slot, payloadByteCount: 0))
        }
        switch entry.request.kind {
        case .read:
            actions.append(.reply(slot: slot, payloadByteCount: entry.request.byteCount))
        case .blockStatus:
            actions.append(.replyBlockStatus(slot: slot))
        case .write, .flush, .trim, .writeZeroes:
            actions.append(.reply(slot: slot, payloadByteCount: 0))
        }
    }

    /// A reply is out of our hands.
    mutating func replySent(_ slot: UInt32, into actions: inout ExportSession.Actions) {
        invariant(self.slots[slot].stage == .replying, "a reply that was given to the driver")
        self.release(slot, into: &actions)
    }

    private mutating func release(_ slot: UInt32, into actions: inout ExportSession.Actions) {
        self.payloadInFlight -= UInt64(self.slots[slot].request.payloadByteCount)
        self.slots.release(slot)
        actions.append(.release(slot: slot))
    }

    /// Writes the head of a reply and returns its length.
    ///
    /// With structured replies a read must be answered by one, and errors by one with a sentence;
    /// the success of the other commands is a simple reply, which is shorter.
    func encodeReply(of slot: UInt32, into memory: UnsafeMutableRawBufferPointer) -> Int {
        let entry = self.slots[slot]
        invariant(entry.stage == .replying, "a request to be answered")
        let cookie = entry.cookie
        switch entry.result {
        case .success:
            guard entry.request.kind == .read, self.agreement.structuredReplies else {
                return NBDReply.encodeSimple(cookie: cookie, nil, into: memory)
            }
            return NBDReply.encodeData(
                cookie: cookie,
                offset: entry.request.offset,
                byteCount: entry.request.byteCount,
                into: memory
            )
        case .failure(let error):
            return self.encodeError(cookie, error, error.message, into: memory)
        case .refusal(let refusal):
            return self.encodeError(cookie, refusal.error, refusal.message, into: memory)
        }
    }

    /// Writes the whole reply to a block status and returns its length.
    func encodeBlockStatus(
        of slot: UInt32,
        _ extents: borrowing NBDExtentList,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        let entry = self.slots[slot]
        invariant(entry.stage == .replying, "a request to be answered")
        invariant(entry.request.kind == .blockStatus, "extents answer a block status")
        return NBDReply.encodeBlockStatus(
            cookie: entry.cookie,
            context: ExportNegotiation.baseAllocationContext,
            extents,
            into: memory
        )
    }

    private func encodeError(
        _ cookie: UInt64,
        _ error: NBDError,
        _ message: StaticString,
        into memory: UnsafeMutableRawBufferPointer
    ) -> Int {
        guard self.agreement.structuredReplies else {
            return NBDReply.encodeSimple(cookie: cookie, error, into: memory)
        }
        return NBDReply.encodeError(cookie: cookie, error, message, into: memory)
    }
}

extension ExportRequest.Kind {
    /// Nil for DISC, which is no request: it has no reply.
    fileprivate init?(_ command: NBDCommand) {
        switch command {
        case .read: self = .read
        case .write: self = .write
        case .flush: self = .flush
        case .trim: self = .trim
        case .writeZeroes: self = .writeZeroes
        case .blockStatus: self = .blockStatus
        case .disconnect: return nil
        }
    }
}
