// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
import Primitives
package import Reactor

/// What attaching a disk needs to know.
package struct AttachRequest: Sendable {
    package var dataPath: String
    /// The same as `dataPath` for internal metadata.
    package var metadataPath: String
    /// `internal`, `flexible` or an index.
    package var index: String
    package var mode: IOMode

    package init(dataPath: String, metadataPath: String, index: String, mode: IOMode = .auto) {
        self.dataPath = dataPath
        self.metadataPath = metadataPath
        self.index = index
        self.mode = mode
    }
}

/// Why a disk was not attached: drbdsetup's number and a sentence.
package struct AttachFailure: Error, Hashable, Sendable {
    package let code: Int
    package let text: String
}

extension AttachFailure {
    fileprivate init(_ refusal: AttachRefusal, _ request: AttachRequest) {
        switch refusal {
        case .metadata(let fault):
            self.init(
                code: fault == .unclean ? 165 : 171,
                text: "\(request.metadataPath): \(fault)"
            )
        case .noBitmapSlot:
            self.init(
                code: 171,
                text: "\(request.metadataPath): all bitmap slots belong to other peers; take one "
                    + "back with forget-peer of bsrmeta, or create the metadata anew"
            )
        case .diskTooSmall:
            self.init(
                code: 111,
                text: "\(request.dataPath): there is no room for any data; give the disk more "
                    + "room, or correct 'disk' in the resource file"
            )
        case .dataTooLarge(let agreed, let room):
            self.init(
                code: 111,
                text: "\(request.dataPath): the volume has \(agreed) sectors, and there is room "
                    + "for \(room); give the disk its size back, or if its data is not wanted, "
                    + "create its metadata anew"
            )
        }
    }
}

/// A disk that is being attached: its metadata is read piece by piece.
struct AttachProgress {
    enum Phase {
        case superblock
        /// The next byte of the bitmap to read.
        case bitmap(offset: UInt64)
    }

    var files: (data: FileID, metadata: FileID)
    let request: AttachRequest
    let placement: Placement
    let deviceBytes: UInt64
    let dataBytes: UInt64
    var phase = Phase.superblock
    /// What is read goes here: payload of clients and peers cannot take it.
    let memory: UnsafeMutableRawBufferPointer
    var stored: StoredMetadata?
    /// What the core has to know, when the metadata has been found good.
    var found: Attachment?
    var words: [UInt64] = []
    let reply: @Sendable (AttachFailure?) -> Void
}

extension EngineLoop {
    /// Opens and locks the files of a volume, reads its metadata and gives the disk to the core.
    package func attach(
        _ index: Int,
        volume: UInt16,
        _ request: AttachRequest,
        reply: @escaping @Sendable (AttachFailure?) -> Void
    ) {
        do throws(AttachFailure) {
            try self.beginAttach(index, volume, request, reply)
        } catch { reply(error) }
    }

    private func beginAttach(
        _ index: Int,
        _ volume: UInt16,
        _ request: AttachRequest,
        _ reply: @escaping @Sendable (AttachFailure?) -> Void
    ) throws(AttachFailure) {
        let resource = self.resource(index)
        guard resource.pointee.volumes[volume] == nil, resource.pointee.attaching[volume] == nil
        else { throw AttachFailure(code: 124, text: "Device is attached to a disk already") }
        guard let peer = resource.pointee.peer else {
            throw AttachFailure(
                code: 162,
                text: "The peer must be known before a disk is attached (new-peer comes first)"
            )
        }
        _ = peer
        let word = request.index == "flexible" ? "flex-external" : request.index
        guard let placement = Placement(word: word) else {
            throw AttachFailure(
                code: 116,
                text:
                    "'\(request.index)' is no meta-disk index: use internal, flexible or a number "
                    + "from 0 to 255"
            )
        }
        guard placement.isInternal || request.metadataPath != request.dataPath else {
            throw AttachFailure(
                code: 116,
                text: "\(request.dataPath) is the disk and the meta-disk; for metadata on the disk "
                    + "itself use meta-disk internal"
            )
        }
        let files = try self.openFiles(request, placement)
        do throws(AttachFailure) {
            try self.readSuperblock(index, volume, request, placement, files, reply)
        } catch {
            self.reactor.close(files.data)
            if files.metadata != files.data { self.reactor.close(files.metadata) }
            throw error
        }
    }

    private func openFiles(
        _ request: AttachRequest,
        _ placement: Placement
    ) throws(AttachFailure) -> (data: FileID, metadata: FileID) {
        var options = FileOptions()
        options.mode = request.mode
        let data = try self.open(request.dataPath, options, failure: 104, claimed: 114)
        if placement.isInternal { return (data, data) }
        do throws(AttachFailure) {
            return (data, try self.open(request.metadataPath, options, failure: 105, claimed: 115))
        } catch {
            self.reactor.close(data)
            throw error
        }
    }

    private func open(
        _ path: String,
        _ options: FileOptions,
        failure: Int,
        claimed: Int
    ) throws(AttachFailure) -> FileID {
        do throws(ReactorError) {
            return try self.reactor.open(path, options)
        } catch {
            if case .inUse = error {
                throw AttachFailure(code: claimed, text: "\(error)")
            }
            throw AttachFailure(code: failure, text: "\(error)\(Self.remedy(error))")
        }
    }

    private static func remedy(_ error: ReactorError) -> String {
        switch error {
        case .systemCall("open", _, let code):
            DiskRemedy.text(errno: code.number).map { "; \($0)" } ?? ""
        case .notAVolume: "; \(DiskRemedy.otherKind)"
        case .systemCall, .inUse, .badAddress, .directUnavailable, .limitReached, .ringUnavailable:
            ""
        }
    }

    private func readSuperblock(
        _ index: Int,
        _ volume: UInt16,
        _ request: AttachRequest,
        _ placement: Placement,
        _ files: (data: FileID, metadata: FileID),
        _ reply: @escaping @Sendable (AttachFailure?) -> Void
    ) throws(AttachFailure) {
        let deviceBytes: UInt64
        let dataBytes: UInt64
        let position: UInt64
        do throws(ReactorError) {
            deviceBytes = try self.reactor.byteCount(of: files.metadata)
            dataBytes = try self.reactor.byteCount(of: files.data)
        } catch { throw AttachFailure(code: 104, text: "\(error)") }
        do throws(LayoutFault) {
            position = try Layout.superblockPosition(placement, deviceBytes: deviceBytes)
        } catch {
            throw AttachFailure(
                code: 112,
                text: "\(request.metadataPath): \(error); correct 'disk' or 'meta-disk' in the "
                    + "resource file"
            )
        }
        let progress = AttachProgress(
            files: files,
            request: request,
            placement: placement,
            deviceBytes: deviceBytes,
            dataBytes: dataBytes,
            memory: .allocate(
                byteCount: 1_048_576,
                alignment: BufferPool.pageByteCount
            ),
            reply: reply
        )
        self.state.pointee.fileOwners[Int(files.data.slot)] =
            FileOwner(resource: index, volume: volume)
        self.state.pointee.fileOwners[Int(files.metadata.slot)] =
            FileOwner(resource: index, volume: volume)
        self.resource(index).pointee.attaching[volume] = progress
        self.readMetadata(progress, at: position, byteCount: Superblock.byteCount)
    }

    private func readMetadata(_ progress: AttachProgress, at position: UInt64, byteCount: Int) {
        let isStarted = progress.memory.baseAddress.map { start in
            self.reactor.read(
                progress.files.metadata,
                at: position,
                into: start,
                byteCount: byteCount,
                token: FileToken.ofAttach
            )
        }
        invariant(isStarted == true, "the table of file operations has room for an attach")
    }

    /// The superblock, or a piece of the bitmap, has been read.
    func attachReadDone(_ owner: FileOwner, _ count: Int, _ code: Errno?) {
        let resource = self.resource(owner.resource)
        guard var progress = resource.pointee.attaching[owner.volume] else { return }
        do throws(AttachFailure) {
            if let code {
                throw AttachFailure(
                    code: 118,
                    text: "Reading the metadata of \(progress.request.metadataPath) failed: "
                        + "\(code); the kernel's log may say why"
                )
            }
            let isComplete = try self.advance(&progress, owner, count)
            resource.pointee.attaching[owner.volume] = progress
            if isComplete { try self.finishAttach(progress, owner) }
        } catch { self.failAttach(progress, owner, error) }
    }

    private func advance(
        _ progress: inout AttachProgress,
        _ owner: FileOwner,
        _ count: Int
    ) throws(AttachFailure) -> Bool {
        let bytes = UnsafeRawBufferPointer(rebasing: progress.memory.prefix(count))
        switch progress.phase {
        case .superblock: try self.decodeSuperblock(&progress, owner, bytes)
        case .bitmap(let offset):
            self.decodeBitmap(&progress, owner, offset, bytes)
            progress.phase = .bitmap(offset: offset + UInt64(count))
        }
        guard case .bitmap(let offset) = progress.phase, let stored = progress.stored else {
            return false
        }
        let left = stored.bitmapBytes - min(stored.bitmapBytes, offset)
        guard left > 0 else { return true }
        self.readMetadata(
            progress,
            at: stored.layout.bitmapPosition + offset,
            byteCount: Int(min(left, 1_048_576))
        )
        return false
    }

    private func decodeSuperblock(
        _ progress: inout AttachProgress,
        _ owner: FileOwner,
        _ bytes: UnsafeRawBufferPointer
    ) throws(AttachFailure) {
        let path = progress.request.metadataPath
        guard bytes.count == Superblock.byteCount else {
            throw AttachFailure(
                code: 112,
                text: "\(path) ends before its superblock: has it been made smaller just now?"
            )
        }
        do throws(SuperblockFault) {
            let stored = try StoredMetadata(
                decoding: bytes.bytes,
                version: .v09,
                placement: progress.placement,
                deviceBytes: progress.deviceBytes
            )
            progress.stored = stored
            progress.phase = .bitmap(offset: 0)
            let bits = BitmapGeometry.bitCount(forSectors: stored.effectiveSectors)
            progress.words = Array(repeating: 0, count: Int((bits + 63) / 64))
        } catch {
            throw AttachFailure(
                code: 119,
                text: "No valid meta-data signature found on \(path): \(error); for a new disk, "
                    + "run: bsradm create-md \(self.resource(owner.resource).pointee.name); if it "
                    + "held data, do not: check its size"
            )
        }
        guard let stored = progress.stored, case .v09(let superblock) = stored.superblock,
            let peer = self.resource(owner.resource).pointee.peer
        else { throw AttachFailure(code: 119, text: "no metadata") }
        let resource = self.resource(owner.resource)
        do throws(AttachRefusal) {
            progress.found = try resource.pointee.core.attachment(
                owner.volume,
                superblock,
                stored.layout,
                node: resource.pointee.nodeIdentifier,
                peer: peer.nodeIdentifier,
                dataSectors: progress.dataBytes / 512
            )
        } catch { throw AttachFailure(error, progress.request) }
    }

    private func decodeBitmap(
        _ progress: inout AttachProgress,
        _ owner: FileOwner,
        _ offset: UInt64,
        _ bytes: UnsafeRawBufferPointer
    ) {
        guard let stored = progress.stored, let slot = progress.found?.bitmapSlot else { return }
        let bits = BitmapGeometry.bitCount(forSectors: stored.effectiveSectors)
        let page = BitmapGeometry.pageBytes
        progress.words.withUnsafeMutableBufferPointer { words in
            var start = 0
            while start + page <= bytes.count {
                stored.layout.bitmap.decode(
                    UnsafeRawBufferPointer(rebasing: bytes[start..<start + page]).bytes,
                    slot: slot,
                    page: (offset + UInt64(start)) / UInt64(page),
                    bitCount: bits,
                    into: words
                )
                start += page
            }
        }
    }

    private func finishAttach(
        _ progress: AttachProgress,
        _ owner: FileOwner
    ) throws(AttachFailure) {
        let resource = self.resource(owner.resource)
        guard let stored = progress.stored, case .v09(let superblock) = stored.superblock,
            let found = progress.found, let peer = resource.pointee.peer
        else { throw AttachFailure(code: 119, text: "no metadata") }
        progress.memory.deallocate()
        resource.pointee.attaching[owner.volume] = nil
        self.interpose(progress.files, progress.request)
        resource.pointee.volumes[owner.volume] = VolumeFiles(
            data: progress.files.data,
            metadata: progress.files.metadata,
            layout: stored.layout,
            superblock: superblock,
            dataPath: progress.request.dataPath,
            metadataPath: progress.request.metadataPath,
            placement: progress.placement,
            peerIdentifier: peer.nodeIdentifier,
            bitmapSlot: found.bitmapSlot
        )
        resource.pointee.core.attach(
            owner.volume,
            found,
            at: self.reactor.now,
            into: &resource.pointee.actions
        ) { words in
            for (offset, word) in progress.words.prefix(words.count).enumerated() {
                words[offset] = word
            }
        }
        resource.pointee.attachReplies[owner.volume] = progress.reply
        self.applyActions(of: owner.resource)
        self.refreshDirectory()
    }

    /// The core uses the disk now, or has given it up again.
    func attachDone(_ index: Int, _ volume: UInt16, _ result: IOResult) {
        let reply = self.resource(index).pointee.attachReplies.removeValue(forKey: volume)
        switch result {
        case .success: reply?(nil)
        case .failure(let number):
            reply?(self.failureOfAttach(index, volume, number))
        }
    }

    private func failureOfAttach(_ index: Int, _ volume: UInt16, _ number: Int32) -> AttachFailure {
        let resource = self.resource(index)
        let path = self.files(index, volume)?.dataPath ?? "the disk"
        let snapshot = resource.pointee.core.volumeSnapshot(volume)
        guard snapshot.diskEnd == .outOfDate else {
            return AttachFailure(
                code: 118,
                text: "\(path) was given up while it was attached: \(Errno(number))"
            )
        }
        let name = resource.pointee.name
        return AttachFailure(
            code: 150,
            text: "\(path): \(DiskEnd.outOfDate.text); connect the peer first: bsradm connect "
                + "\(name); or, to go on with what the disk has: bsradm secondary \(name), then "
                + "bsradm attach \(name)/\(snapshot.number)"
        )
    }

    private func interpose(_ files: (data: FileID, metadata: FileID), _ request: AttachRequest) {
        guard let interposer = self.interposer else { return }
        interposer.opened(files.data, path: request.dataPath)
        if files.metadata != files.data {
            interposer.opened(files.metadata, path: request.metadataPath)
        }
    }

    private func failAttach(
        _ progress: AttachProgress,
        _ owner: FileOwner,
        _ failure: AttachFailure
    ) {
        progress.memory.deallocate()
        self.resource(owner.resource).pointee.attaching[owner.volume] = nil
        self.reactor.close(progress.files.data)
        if progress.files.metadata != progress.files.data {
            self.reactor.close(progress.files.metadata)
        }
        progress.reply(failure)
    }
}
