// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
import Primitives
import Reactor
import Wire

/// The core's disk and metadata actions become operations of the reactor.
extension EngineLoop {
    // MARK: Data

    func applyData(_ action: ResourceAction, of index: Int) {
        switch action {
        case .read(let volume, let token, let range, let buffer):
            buffer == .none
                ? self.readForPeer(WaitingRead(volume: volume, token: token, range: range), index)
                : self.read(index, volume, token, range, into: buffer)
        case .write(let volume, let token, let range, let buffer, let isDurable):
            guard let file = self.dataFile(index, volume) else {
                return self.failLater(index, volume, token)
            }
            let isStarted = self.writeFile(
                file,
                at: range.start * 512,
                from: self.reactor.buffers.payload(buffer),
                byteCount: Int(range.byteCount),
                isDurable: isDurable,
                token: FileToken(token).raw
            )
            if !isStarted { self.failLater(index, volume, token) }
        case .writeZeroes(let volume, let token, let range, let mayUnmap):
            guard let file = self.dataFile(index, volume) else {
                return self.failLater(index, volume, token)
            }
            let isStarted = self.zeroFile(
                file,
                at: range.start * 512,
                byteCount: Int(range.byteCount),
                keepsAllocation: !mayUnmap,
                token: FileToken(token).raw
            )
            if !isStarted { self.failLater(index, volume, token) }
        case .flushData(let volume, let token):
            guard let file = self.dataFile(index, volume),
                self.flushFile(
                    file,
                    token: FileToken(token).raw,
                    for: self.resource(index).pointee.core.role == .primary ? .data : .barrier
                )
            else { return self.failLater(index, volume, token) }
        case .writeActivityLogBlock, .writeBitmapPage, .writeSuperblock, .flushMetadata,
            .attached, .closeDisk, .complete, .completeRead, .disconnectClients, .releaseBuffer,
            .openTransport, .closeTransport, .send, .sendBitmap, .adopt, .sendAuthentication,
            .computeResponses, .reply, .changed, .moved:
            invariantBroken("an action of the data device")
        }
    }

    func files(_ index: Int, _ volume: UInt16) -> VolumeFiles? {
        self.resource(index).pointee.volumes[volume]
    }

    private func dataFile(_ index: Int, _ volume: UInt16) -> FileID? {
        let resource = self.resource(index)
        guard volume < resource.pointee.dataFiles.count else { return nil }
        return resource.pointee.dataFiles[Int(volume)]
    }

    private func read(
        _ index: Int,
        _ volume: UInt16,
        _ token: IOToken,
        _ range: SectorRange,
        into buffer: BufferHandle
    ) {
        guard let file = self.dataFile(index, volume),
            self.readFile(
                file,
                at: range.start * 512,
                into: self.reactor.buffers.payload(buffer),
                byteCount: Int(range.byteCount),
                token: FileToken(token).raw
            )
        else { return self.failLater(index, volume, token) }
    }

    /// A read for the peer brings its own buffer, as soon as there is one.
    private func readForPeer(_ read: WaitingRead, _ index: Int) {
        let resource = self.resource(index)
        guard resource.pointee.readsWaiting.isEmpty,
            let buffer = self.reactor.buffers.lease(Int(read.range.byteCount))
        else {
            resource.pointee.readsWaiting.append(read)
            self.state.pointee.hasBufferWaiters = true
            return
        }
        self.startReadForPeer(read, index, buffer)
    }

    private func startReadForPeer(_ read: WaitingRead, _ index: Int, _ buffer: BufferHandle) {
        self.resource(index).pointee.readBuffers[Int(read.token.slot)] = buffer
        self.read(index, read.volume, read.token, read.range, into: buffer)
    }

    /// Starts reads for the peer for which there is memory now.
    func resumeReadsForPeer(_ index: Int) {
        let resource = self.resource(index)
        while !resource.pointee.readsWaiting.isEmpty {
            let bytes = Int(resource.pointee.readsWaiting[0].range.byteCount)
            guard let buffer = self.reactor.buffers.lease(bytes) else {
                self.state.pointee.hasBufferWaiters = true
                return
            }
            guard let read = resource.pointee.readsWaiting.popFirst() else { return }
            self.startReadForPeer(read, index, buffer)
        }
    }

    /// An operation that could not begin fails like one that did.
    private func failLater(_ index: Int, _ volume: UInt16, _ token: IOToken) {
        self.later { loop in
            guard loop.state.pointee.resources.contains(index) else { return }
            loop.report(index, volume, token, .failure(errno: 5))
        }
    }

    private func report(_ index: Int, _ volume: UInt16, _ token: IOToken, _ result: IOResult) {
        var buffer = BufferHandle.none
        if token.purpose == .peerRead {
            buffer = self.resource(index).pointee.readBuffers[Int(token.slot)]
            self.resource(index).pointee.readBuffers[Int(token.slot)] = .none
        }
        self.deliver(.io(volume: volume, token, result, buffer), to: index)
    }

    // MARK: Completions

    func fileDone(_ file: FileID, _ token: UInt64, _ count: Int, _ code: Errno?) {
        let owner = self.state.pointee.fileOwners[Int(file.slot)]
        guard self.state.pointee.resources.contains(owner.resource) else { return }
        let token = FileToken(raw: token)
        if token.isAttaching {
            return self.attachReadDone(owner, count, code)
        }
        if let block = token.block { self.state.pointee.metadataBlocks.release(block) }
        let result: IOResult = code.map { .failure(errno: $0.number) } ?? .success
        if let code {
            let resource = self.resource(owner.resource)
            let sectors = resource.pointee.core.sectors(of: token.io)
            self.log.warn(
                "resource \(resource.pointee.name): \(token.io.purpose.text(of: sectors)) failed "
                    + "on \(self.path(of: file, owner)): \(code)"
            )
        }
        self.report(owner.resource, owner.volume, token.io, result)
    }

    private func path(of file: FileID, _ owner: FileOwner) -> String {
        guard let files = self.files(owner.resource, owner.volume) else { return "a closed file" }
        return file == files.data ? files.dataPath : files.metadataPath
    }

    func fileClosed(_ file: FileID) {}

    // MARK: Metadata

    func applyMetadata(_ action: ResourceAction, of index: Int) {
        switch action {
        case .writeActivityLogBlock(let volume, let token):
            self.writeActivityLogBlock(index, volume, token)
        case .writeBitmapPage(let volume, let token, let page):
            self.writeBitmapPage(index, volume, token, page)
        case .writeSuperblock(let volume, let token): self.writeSuperblock(index, volume, token)
        case .flushMetadata(let volume, let token):
            guard let files = self.files(index, volume),
                self.flushFile(
                    files.metadata,
                    token: FileToken(token).raw,
                    for: token.purpose.metadataFlush
                )
            else { return self.failLater(index, volume, token) }
        case .attached(let volume, let result): self.attachDone(index, volume, result)
        case .closeDisk(let volume): self.closeFiles(index, volume)
        case .read, .write, .writeZeroes, .flushData, .complete, .completeRead, .disconnectClients,
            .releaseBuffer, .openTransport, .closeTransport, .send, .sendBitmap, .adopt,
            .sendAuthentication, .computeResponses, .reply, .changed, .moved:
            invariantBroken("an action of the metadata device")
        }
    }

    /// Has `fill` write 4096 bytes, which go to `position` of the metadata file.
    private func writeBlock(
        _ index: Int,
        _ volume: UInt16,
        _ token: IOToken,
        at position: UInt64,
        _ fill: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        guard let files = self.files(index, volume) else {
            return self.failLater(index, volume, token)
        }
        let block = self.state.pointee.metadataBlocks.take()
        let memory = self.state.pointee.metadataBlocks[block]
        fill(memory)
        let isStarted = memory.baseAddress.map { start in
            self.writeFile(
                files.metadata,
                at: position,
                from: start,
                byteCount: memory.count,
                token: FileToken(token, block: block).raw
            )
        }
        if isStarted != true {
            self.state.pointee.metadataBlocks.release(block)
            self.failLater(index, volume, token)
        }
    }

    private func writeActivityLogBlock(_ index: Int, _ volume: UInt16, _ token: IOToken) {
        guard let files = self.files(index, volume) else {
            return self.failLater(index, volume, token)
        }
        self.resource(index).pointee.core.withActivityLog(volume) { log in
            let position = files.layout.position(ofTransaction: log.transactionNumber)
            self.writeBlock(index, volume, token, at: position) { log.encode(into: $0) }
        }
    }

    private func writeBitmapPage(
        _ index: Int,
        _ volume: UInt16,
        _ token: IOToken,
        _ page: UInt32
    ) {
        guard let files = self.files(index, volume) else {
            return self.failLater(index, volume, token)
        }
        let position = files.layout.bitmapPosition + UInt64(page) * UInt64(BitmapGeometry.pageBytes)
        self.resource(index).pointee.core.withBitmapWords(volume) { words in
            self.writeBlock(index, volume, token, at: position) { memory in
                memory.initializeMemory(as: UInt8.self, repeating: 0)
                files.layout.bitmap.encode(
                    words,
                    slot: files.bitmapSlot,
                    page: UInt64(page),
                    into: memory
                )
            }
        }
    }

    private func writeSuperblock(_ index: Int, _ volume: UInt16, _ token: IOToken) {
        guard var files = self.files(index, volume) else {
            return self.failLater(index, volume, token)
        }
        let content = self.resource(index).pointee.core.superblockContent(volume)
        files.superblock.apply(
            content,
            of: self.resource(index).pointee.nodeIdentifier,
            peer: files.peerIdentifier,
            slot: files.bitmapSlot
        )
        self.resource(index).pointee.volumes[volume] = files
        self.writeBlock(index, volume, token, at: files.layout.superblockPosition) { memory in
            files.superblock.encode(into: memory)
        }
    }

    private func closeFiles(_ index: Int, _ volume: UInt16) {
        guard let files = self.resource(index).pointee.volumes.removeValue(forKey: volume) else {
            return
        }
        self.closeFile(files.data)
        if files.metadata != files.data { self.closeFile(files.metadata) }
        self.refreshDirectory()
    }
}

extension IOToken.Purpose {
    /// What a flush of the metadata makes durable.
    fileprivate var metadataFlush: DiskFlush {
        switch self {
        case .activityLogFlush: .activityLog
        case .bitmapFlush: .bitmap
        case .superblockFlush, .attachFlush: .superblock
        case .requestRead, .requestWrite, .peerWrite, .peerRead, .dataFlush, .detachFlush,
            .activityLogWrite, .bitmapPage, .superblockWrite:
            invariantBroken("a flush of the metadata")
        }
    }
}

/// What a file operation is for, packed into the reactor's 64 bits.
struct FileToken {
    let io: IOToken
    /// A metadata block that is free when the operation is through.
    let block: UInt32?

    private static let attaching: UInt64 = .max

    /// The token of the reads of an attach.
    static var ofAttach: UInt64 { Self.attaching }

    init(_ io: IOToken, block: UInt32? = nil) {
        self.io = io
        self.block = block
    }

    /// Slots below 2^23 go with a block, larger ones without.
    var raw: UInt64 {
        let purpose = UInt64(self.io.purpose.rawValue) << 56
        guard let block = self.block else { return purpose | UInt64(self.io.slot) }
        invariant(self.io.slot < 1 << 23, "slot of a metadata operation")
        return purpose | 1 << 55 | UInt64(self.io.slot) << 32 | UInt64(block)
    }

    init(raw: UInt64) {
        let purpose = IOToken.Purpose(rawValue: UInt8(truncatingIfNeeded: raw >> 56))
        let hasBlock = raw >> 55 & 1 == 1
        self.io = IOToken(
            purpose ?? .dataFlush,
            slot: hasBlock
                ? UInt32(truncatingIfNeeded: raw >> 32) & 0x7F_FFFF
                : UInt32(truncatingIfNeeded: raw)
        )
        self.block =
            hasBlock && raw != Self.attaching ? UInt32(truncatingIfNeeded: raw) : nil
        self.isAttaching = raw == Self.attaching
    }

    private(set) var isAttaching = false
}
