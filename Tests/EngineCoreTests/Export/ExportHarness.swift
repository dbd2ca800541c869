// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// A driver of an ``ExportSession`` with its volumes in memory.
///
/// It does what the type's contract says and checks what the type promises.
final class ExportHarness {
    private var session = ExportSession()
    private var actions = ExportSession.Actions()
    private var stage: [UInt8] = []
    private var pendingPayload: (slot: UInt32, byteCount: Int)?
    private var buffers: [UInt32: [UInt8]] = [:]
    private var requests: [UInt32: ExportRequest] = [:]

    var directory: ExportDirectory
    var content: [UInt8]
    var now: Instant = .zero
    /// Whether requests are carried out and replies sent at once.
    var isAutomatic = true
    /// The actions since the last call of ``takeActions()``.
    private(set) var log: [ExportAction] = []
    /// Everything sent to the client.
    private(set) var sent: [UInt8] = []
    private(set) var closeReason: ExportCloseReason?
    private(set) var isFinished = false
    private(set) var answered = 0

    init(_ directory: ExportDirectory = .oneVolume, content: Int = 0) {
        self.directory = directory
        self.content = [UInt8](repeating: 0, count: content)
    }

    var input: ExportInput { self.session.input }
    var requestCount: Int { self.session.requestCount }
    var grantedExport: UInt32? { self.session.grantedExport }
    var nextDeadline: Instant { self.session.nextDeadline }
    /// What is staged and not consumed.
    var staged: Int { self.stage.count }

    func takeActions() -> [ExportAction] {
        defer { self.log = [] }
        return self.log
    }

    func takeSent() -> [UInt8] {
        defer { self.sent = [] }
        return self.sent
    }

    /// Carries out a submitted request, or fails it with `error`.
    func complete(_ slot: UInt32, _ error: NBDError? = nil) {
        self.receive(.completed(slot: slot, error ?? self.perform(slot)))
    }

    func receive(_ event: ExportEvent) {
        self.session.receive(event, exports: self.directory, at: self.now, into: &self.actions)
        self.carryOut()
        self.drainStage()
    }

    /// Receives `bytes` in one piece.
    func feed(_ bytes: [UInt8]) {
        self.stage += bytes
        self.drainStage()
    }

    /// Receives `bytes` in pieces of the given size.
    func feed(_ bytes: [UInt8], by size: Int) {
        var rest = bytes[...]
        while !rest.isEmpty {
            self.feed(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
    }

    private func drainStage() {
        while true {
            switch self.session.input {
            case .bytes(let minimum):
                guard self.stage.count >= minimum, !self.stage.isEmpty else { return }
                let consumed = self.stage.withUnsafeBytes {
                    self.session.receive(
                        $0.bytes,
                        exports: self.directory,
                        at: self.now,
                        into: &self.actions
                    )
                }
                self.stage.removeFirst(consumed)
                self.carryOut()
                if consumed == 0 { return }
            case .payload(let slot):
                guard let pending = self.pendingPayload, pending.slot == slot else {
                    fatalError("payload of slot \(slot) without readPayload")
                }
                guard self.stage.count >= pending.byteCount, pending.byteCount > 0 else { return }
                self.buffers[slot] = Array(self.stage.prefix(pending.byteCount))
                self.stage.removeFirst(pending.byteCount)
                self.pendingPayload = nil
                self.receive(.payloadRead(slot: slot))
                return
            case .paused, .ended:
                return
            }
        }
    }

    private func carryOut() {
        while let action = self.actions.popFirst() {
            self.log.append(action)
            precondition(!self.isFinished, "an action after finished")
            switch action {
            case .sendOutput:
                if self.closeReason == nil { self.sent += Array(self.session.output) }
                if self.isAutomatic { self.enqueue(.outputSent) }
            case .enterTransmission:
                break
            case .readPayload(let slot, let byteCount):
                self.pendingPayload = (slot, Int(byteCount))
            case .submit(let slot, let request):
                self.requests[slot] = request
                if self.isAutomatic { self.enqueue(.completed(slot: slot, self.perform(slot))) }
            case .reply(let slot, let payloadByteCount):
                self.reply(slot, Int(payloadByteCount))
                if self.isAutomatic { self.enqueue(.replySent(slot: slot)) }
            case .replyBlockStatus(let slot):
                self.replyBlockStatus(slot)
                if self.isAutomatic { self.enqueue(.replySent(slot: slot)) }
            case .release(let slot):
                self.buffers[slot] = nil
                self.requests[slot] = nil
            case .close(let reason):
                precondition(self.closeReason == nil, "closed twice")
                self.closeReason = reason
                if let pending = self.pendingPayload {
                    self.pendingPayload = nil
                    self.enqueue(.payloadRead(slot: pending.slot))
                }
            case .finished:
                self.isFinished = true
            }
        }
    }

    /// Events are raised after the actions at hand, never from within the session.
    private func enqueue(_ event: ExportEvent) {
        self.session.receive(event, exports: self.directory, at: self.now, into: &self.actions)
    }

    private func reply(_ slot: UInt32, _ payloadByteCount: Int) {
        precondition(self.closeReason == nil, "a reply after close")
        self.answered += 1
        self.sent += withHead { self.session.encodeReply(of: slot, into: $0) }
        if payloadByteCount > 0 { self.sent += self.buffers[slot] ?? [] }
    }

    private func replyBlockStatus(_ slot: UInt32) {
        precondition(self.closeReason == nil, "a reply after close")
        self.answered += 1
        guard let request = self.requests[slot] else { fatalError("block status of no request") }
        var list = request.emptyExtentList
        var offset = Int(request.offset)
        while !list.isComplete {
            let isZero = self.content[offset..<offset + 512].allSatisfy { $0 == 0 }
            let status: NBDAllocation = isZero ? [.hole, .zero] : .data
            guard list.append(byteCount: 512, status: status) else { break }
            offset += 512
        }
        self.sent += withHead { self.session.encodeBlockStatus(of: slot, list, into: $0) }
    }

    private func withHead(_ encode: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
        withUnsafeTemporaryAllocation(
            byteCount: NBDLimits.replyHeadByteCountMaximum,
            alignment: 8
        ) { memory in
            Array(memory[..<encode(memory)])
        }
    }

    private func perform(_ slot: UInt32) -> NBDError? {
        guard let request = self.requests[slot] else { return .inputOutput }
        let range = Int(request.offset)..<Int(request.offset) + Int(request.byteCount)
        guard range.upperBound <= self.content.count else { return .inputOutput }
        switch request.kind {
        case .read:
            self.buffers[slot] = Array(self.content[range])
        case .write:
            guard let data = self.buffers[slot], data.count == range.count else {
                return .inputOutput
            }
            self.content.replaceSubrange(range, with: data)
        case .trim, .writeZeroes:
            self.content.replaceSubrange(range, with: repeatElement(0, count: range.count))
        case .flush, .blockStatus:
            break
        }
        return nil
    }
}

extension ExportDirectory {
    /// `data/0` of `byteCount` bytes, which can do everything.
    static func volume(
        byteCount: UInt64 = 1_048_576,
        availability: ExportDescription.Availability = .available,
        abilities: ExportAbilities = [.trim, .writeZeroes, .multiConnection]
    ) -> ExportDirectory {
        ExportDirectory([
            ExportDescription(
                identifier: 7,
                name: "data/0",
                description: "volume 0 of data",
                byteCount: byteCount,
                availability: availability,
                abilities: abilities
            )
        ])
    }

    static var oneVolume: ExportDirectory { self.volume() }
}
