// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// The handshake and the options of one client, until it is granted an export or gone.
///
///     greeting ──client flags──▶ options ──EXPORT_NAME, GO──▶ granted
///                                 │  ▲
///                                LIST │ all sent
///                                 ▼  │
///                               listing
///
/// One message is answered at a time: while an answer is being sent nothing is consumed, so a
/// client that does not read its answers is not served.
struct ExportNegotiation: ~Copyable {
    /// What became of one message.
    enum Verdict: Hashable, BitwiseCopyable {
        /// The message is not complete.
        case incomplete
        /// Nothing to say.
        case proceed
        /// The output holds an answer.
        case answer
        /// The output holds the answer that lets the client into transmission.
        case grant(ExportAgreement)
        /// The output holds the last answer.
        case answerAndClose(ExportCloseReason)
        case close(ExportCloseReason)
    }

    private enum State: Hashable, BitwiseCopyable {
        case greeting
        case options
        case listing(next: Int)
    }

    /// The number that answers SET_META_CONTEXT and stands in each block status.
    static var baseAllocationContext: UInt32 { 1 }

    private let memory: UnsafeMutableRawBufferPointer
    private(set) var outputByteCount = 0
    private var state: State = .greeting
    private var clientFlags: NBDClientFlags = []
    private var structuredReplies = false
    /// The export for which `base:allocation` was selected.
    private var blockStatusExport: UInt32?
    private var optionCount = 0
    /// Data of an option that was too big.
    private var skipByteCount = 0

    init() {
        self.memory = .allocate(byteCount: ExportLimits.outputByteCount, alignment: 8)
        self.outputByteCount = NBDOptionReply.encodeGreeting(
            [.fixedNewstyle, .noZeroes],
            into: self.memory
        )
    }

    deinit { self.memory.deallocate() }

    /// The answer to send, at an address that does not change.
    var output: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: self.memory[..<self.outputByteCount])
    }

    /// Takes at most one message from the start of `bytes` and returns how much it has consumed.
    mutating func receive(
        _ bytes: RawSpan,
        exports: borrowing ExportDirectory
    ) -> (consumed: Int, verdict: Verdict) {
        if self.skipByteCount > 0 {
            let count = min(self.skipByteCount, bytes.byteCount)
            self.skipByteCount -= count
            return (count, count > 0 ? .proceed : .incomplete)
        }
        switch self.state {
        case .greeting: return self.receiveClientFlags(bytes)
        case .options: return self.receiveOption(bytes, exports: exports)
        case .listing: invariantBroken("nothing is consumed while an answer is being sent")
        }
    }

    /// The number of staged bytes that the next message needs.
    ///
    /// It is seen from `bytes`, which begin it.
    func neededByteCount(_ bytes: RawSpan) -> Int {
        if self.skipByteCount > 0 { return 1 }
        switch self.state {
        case .greeting: return NBDLimits.clientFlagsByteCount
        case .options, .listing:
            guard case .some(.some(let header)) = try? NBDOptionHeader.decode(bytes) else {
                return NBDLimits.optionHeaderByteCount
            }
            return NBDLimits.optionHeaderByteCount + Int(header.byteCount)
        }
    }

    /// The output was sent.
    ///
    /// The verdict is `answer` if a list goes on.
    mutating func outputSent(exports: borrowing ExportDirectory) -> Verdict {
        self.outputByteCount = 0
        guard case .listing(let next) = self.state else { return .proceed }
        self.list(from: next, exports: exports)
        return .answer
    }

    private mutating func receiveClientFlags(_ bytes: RawSpan) -> (Int, Verdict) {
        guard let flags = NBDClientFlags.decode(bytes) else { return (0, .incomplete) }
        let consumed = NBDLimits.clientFlagsByteCount
        guard flags.isSubset(of: .all) else { return (consumed, .close(.clientFlagsUnknown)) }
        self.clientFlags = flags
        self.state = .options
        return (consumed, .proceed)
    }

    private mutating func receiveOption(
        _ bytes: RawSpan,
        exports: borrowing ExportDirectory
    ) -> (Int, Verdict) {
        let header: NBDOptionHeader
        do throws(NBDFault) {
            guard let decoded = try NBDOptionHeader.decode(bytes) else { return (0, .incomplete) }
            header = decoded
        } catch {
            return (0, .close(.optionMagic))
        }
        let start = NBDLimits.optionHeaderByteCount
        if let reason = self.reasonToClose(header) { return (start, .close(reason)) }
        guard header.byteCount <= NBDLimits.optionDataMaximum else {
            self.optionCount += 1
            self.skipByteCount = Int(header.byteCount)
            return (start, self.refuse(header.option, .tooBig, "the option's data is too long"))
        }
        let end = start + Int(header.byteCount)
        guard bytes.byteCount >= end else { return (0, .incomplete) }
        self.optionCount += 1
        return (end, self.answer(header.option, bytes.extracting(start..<end), exports))
    }

    private func reasonToClose(_ header: NBDOptionHeader) -> ExportCloseReason? {
        let isExportName = header.option == NBDOption.exportName.rawValue
        if self.optionCount == ExportLimits.options { return .optionsTooMany }
        if !isExportName && !self.clientFlags.contains(.fixedNewstyle) {
            return .fixedNewstyleNotSet
        }
        let maximum = isExportName ? UInt32(NBDLimits.textMaximum) : ExportLimits.refusedOptionData
        return header.byteCount > maximum ? .optionTooLong : nil
    }

    private mutating func answer(
        _ option: UInt32,
        _ data: RawSpan,
        _ exports: borrowing ExportDirectory
    ) -> Verdict {
        switch NBDOption(rawValue: option) {
        case .exportName:
            return self.answerExportName(data, exports)
        case .info, .go:
            return self.answerInfo(option, data, exports)
        case .listMetaContext, .setMetaContext:
            return self.answerMetaContext(option, data, exports)
        case .abort:
            self.acknowledge(option)
            return .answerAndClose(.aborted)
        case .list:
            guard data.byteCount == 0 else { return self.refuse(option, .unexpectedData) }
            self.list(from: 0, exports: exports)
            return .answer
        case .structuredReply:
            guard data.byteCount == 0 else { return self.refuse(option, .unexpectedData) }
            self.structuredReplies = true
            self.acknowledge(option)
            return .answer
        case .startTLS:
            return self.refuse(option, .unsupported, "this server does not offer TLS")
        case nil:
            return self.refuse(option, .unsupported, "this server does not know the option")
        }
    }
}

// MARK: Answers

extension ExportNegotiation {
    private mutating func answerExportName(
        _ name: RawSpan,
        _ exports: borrowing ExportDirectory
    ) -> Verdict {
        guard let export = exports.find(name) else { return .close(.exportUnknown) }
        guard export.availability == .available else { return .close(.exportRefused) }
        let agreement = self.agreement(on: export)
        self.append { [withZeroes = !self.clientFlags.contains(.noZeroes)] memory in
            NBDOptionReply.encodeExportName(
                byteCount: export.byteCount,
                flags: agreement.flags,
                withZeroes: withZeroes,
                into: memory
            )
        }
        return .grant(agreement)
    }

    private mutating func answerInfo(
        _ option: UInt32,
        _ data: RawSpan,
        _ exports: borrowing ExportDirectory
    ) -> Verdict {
        let request: NBDInfoRequest
        do throws(NBDOptionFault) {
            request = try NBDInfoRequest(data)
        } catch {
            return self.refuse(option, error)
        }
        guard let export = exports.find(request.name) else { return self.refuseUnknown(option) }
        if case .refused(let sentence) = export.availability {
            return self.refuse(option, .policy, sentence)
        }
        let agreement = self.agreement(on: export)
        self.append {
            NBDOptionReply.encodeExport(
                option,
                byteCount: export.byteCount,
                flags: agreement.flags,
                into: $0
            )
        }
        if request.wantsName {
            self.append { NBDOptionReply.encodeText(option, .name, export.name, into: $0) }
        }
        if request.wantsDescription, !export.description.isEmpty {
            self.append {
                NBDOptionReply.encodeText(option, .description, export.description, into: $0)
            }
        }
        self.append { NBDOptionReply.encodeBlockSize(option, into: $0) }
        self.acknowledge(option)
        return option == NBDOption.go.rawValue ? .grant(agreement) : .answer
    }

    /// A new selection replaces the old one even when it fails.
    private mutating func answerMetaContext(
        _ option: UInt32,
        _ data: RawSpan,
        _ exports: borrowing ExportDirectory
    ) -> Verdict {
        let sets = option == NBDOption.setMetaContext.rawValue
        if sets { self.blockStatusExport = nil }
        guard self.structuredReplies else {
            return self.refuse(option, .invalid, "structured replies must be negotiated first")
        }
        let request: NBDMetaContextRequest
        do throws(NBDOptionFault) {
            request = try NBDMetaContextRequest(data)
        } catch {
            return self.refuse(option, error)
        }
        guard let export = exports.find(request.name) else { return self.refuseUnknown(option) }
        if case .refused(let sentence) = export.availability {
            return self.refuse(option, .policy, sentence)
        }
        if sets ? request.selectsBaseAllocation : request.listsBaseAllocation {
            let identifier = sets ? Self.baseAllocationContext : 0
            self.append {
                NBDOptionReply.encodeBaseAllocation(option, identifier: identifier, into: $0)
            }
            if sets { self.blockStatusExport = export.identifier }
        }
        self.acknowledge(option)
        return .answer
    }

    /// Appends as many entries as there is room for.
    ///
    /// The directory may have changed since the last call: the list is a walk, not a snapshot.
    private mutating func list(from first: Int, exports: borrowing ExportDirectory) {
        let header = NBDLimits.optionReplyHeaderByteCount
        var next = first
        while next < exports.exports.count {
            let export = exports.exports[next]
            let length = header + 4 + export.name.utf8.count + export.description.utf8.count
            guard self.outputByteCount + length + header <= self.memory.count else {
                self.state = .listing(next: next)
                return
            }
            self.append {
                NBDOptionReply.encodeServer(
                    name: export.name,
                    description: export.description,
                    into: $0
                )
            }
            next += 1
        }
        self.acknowledge(NBDOption.list.rawValue)
        self.state = .options
    }

    private func agreement(on export: ExportDescription) -> ExportAgreement {
        ExportAgreement(
            identifier: export.identifier,
            byteCount: export.byteCount,
            flags: export.abilities.transmissionFlags(structuredReplies: self.structuredReplies),
            structuredReplies: self.structuredReplies,
            blockStatus: self.blockStatusExport == export.identifier
        )
    }

    private mutating func acknowledge(_ option: UInt32) {
        self.append { NBDOptionReply.encodeAcknowledge(option, into: $0) }
    }

    private mutating func refuse(_ option: UInt32, _ fault: NBDOptionFault) -> Verdict {
        self.refuse(option, .invalid, fault.message)
    }

    private mutating func refuse(
        _ option: UInt32,
        _ type: NBDOptionReplyType,
        _ message: StaticString
    ) -> Verdict {
        self.append { NBDOptionReply.encodeError(option, type, message, into: $0) }
        return .answer
    }

    private mutating func refuse(
        _ option: UInt32,
        _ type: NBDOptionReplyType,
        _ message: String
    ) -> Verdict {
        self.append { NBDOptionReply.encodeError(option, type, message, into: $0) }
        return .answer
    }

    private mutating func refuseUnknown(_ option: UInt32) -> Verdict {
        self.refuse(option, .unknown, "no export has this name; ask for the list of exports")
    }

    private mutating func append(_ encode: (UnsafeMutableRawBufferPointer) -> Int) {
        let room = UnsafeMutableRawBufferPointer(rebasing: self.memory[self.outputByteCount...])
        self.outputByteCount += encode(room)
    }
}
