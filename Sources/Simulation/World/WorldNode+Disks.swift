// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Metadata
import Primitives
import Wire

/// What goes wrong with the disk of a volume.
package struct DiskTrouble {
    /// This many of the next operations of each kind fail.
    package var failingReads = 0
    package var failingWrites = 0
    package var failingFlushes = 0
    package var failingMetadata = 0
    /// Operations take this many times longer.
    package var slowdown: UInt64 = 1
    /// Every operation of data and metadata fails.
    package var isGone = false
    /// Operations of the metadata neither fail nor end meanwhile.
    package var holdsMetadata = false

    package init() {}
}

/// The core's disk actions, carried out on simulated devices.
extension WorldNode {
    private static var failure: IOResult { .failure(errno: 5) }

    private func fails(_ volume: UInt16, _ count: WritableKeyPath<DiskTrouble, Int>) -> Bool {
        let trouble = self.troubles[Int(volume)]
        guard trouble.isGone || trouble[keyPath: count] > 0 else { return false }
        if !trouble.isGone { self.troubles[Int(volume)][keyPath: count] -= 1 }
        self.world.checks.diskFailed(
            self.number,
            Int(volume),
            isRead: count == \.failingReads
        )
        return true
    }

    private func afterDelay(_ volume: UInt16, _ body: @escaping () -> Void) {
        let slowdown = self.troubles[Int(volume)].slowdown
        self.later(self.world.diskDelay(slowdown: slowdown), body)
    }

    /// The end of an operation of the metadata, as soon as they end again.
    private func afterMetadataDelay(_ volume: UInt16, _ body: @escaping () -> Void) {
        self.afterDelay(volume) { [self] in
            guard self.troubles[Int(volume)].holdsMetadata else { return body() }
            self.afterMetadataDelay(volume, body)
        }
    }

    /// Reports an operation that no open disk could carry out, as the driver does.
    private func refuse(_ volume: UInt16, _ token: IOToken) -> Bool {
        if self.disks[Int(volume)].isOpen { return false }
        self.world.violated("node \(self.number): \(token) for the closed disk of volume \(volume)")
        return true
    }

    // MARK: Data

    func read(_ volume: UInt16, _ token: IOToken, _ range: SectorRange, _ buffer: BufferHandle) {
        if self.refuse(volume, token) { return }
        self.afterDelay(volume) { [self] in
            if self.fails(volume, \.failingReads) {
                return self.finish(volume, token, Self.failure)
            }
            let disk = self.disks[Int(volume)].data
            let isStale =
                self.world.configuration.mutation == .staleResyncRead && token.purpose == .peerRead
            let content = isStale ? disk.durable[range] : disk.current[range]
            if buffer == .none {
                self.finish(volume, token, .success, self.buffers.make(content))
            } else {
                self.buffers[buffer] = content
                self.finish(volume, token, .success)
            }
        }
    }

    func write(
        _ volume: UInt16,
        _ token: IOToken,
        _ range: SectorRange,
        _ content: [Content],
        _ buffer: BufferHandle,
        isForcedUnitAccess: Bool
    ) {
        if self.refuse(volume, token) { return }
        let disk = self.disks[Int(volume)].data
        guard let id = disk.begin(range, content) else {
            return self.world.violated("node \(self.number): overlapping writes in flight \(range)")
        }
        let isStable =
            isForcedUnitAccess && self.world.configuration.mutation != .ignoreForcedUnitAccess
        self.afterDelay(volume) { [self] in
            if buffer != .none {
                invariant(self.buffers[buffer] == content, "a buffer rests while it is written")
            }
            if self.fails(volume, \.failingWrites) {
                disk.fail(id, &self.world.random)
                return self.finish(volume, token, Self.failure)
            }
            disk.complete(id, isForcedUnitAccess: isStable)
            self.finish(volume, token, .success)
        }
    }

    func flushData(_ volume: UInt16, _ token: IOToken) {
        if self.refuse(volume, token) { return }
        let disk = self.disks[Int(volume)].data
        let mark = disk.flushMark
        let isSkipped = self.skipsDataFlush(volume)
        self.afterDelay(volume) { [self] in
            if self.fails(volume, \.failingFlushes) {
                disk.flushFailed()
                return self.finish(volume, token, Self.failure)
            }
            if !isSkipped { disk.flushed(mark) }
            self.finish(volume, token, .success)
        }
    }

    private func skipsDataFlush(_ volume: UInt16) -> Bool {
        let state = self.world.state(self.number, volume)
        switch self.world.configuration.mutation {
        case .skipPrimaryFlush: return self.core.role == .primary
        case .skipTargetFlush: return state.disk == .inconsistent
        case .skipBarrierFlush: return self.core.role == .secondary && state.disk == .upToDate
        case .skipActivityLogWrite, .skipActivityLogFlush, .skipBitmapFlush, .skipBitmapWrite,
            .skipSuperblockFlush, .staleResyncRead, .ignoreForcedUnitAccess, .none:
            return false
        }
    }

    // MARK: Metadata

    func writeLogBlock(_ volume: UInt16, _ token: IOToken) {
        var block = [UInt8](repeating: 0, count: MetadataImage.blockBytes)
        let number = self.core.withActivityLog(volume) { log in
            block.withUnsafeMutableBytes { log.encode(into: $0) }
            return log.transactionNumber
        }
        let position = self.disks[Int(volume)].metadata.layout.position(ofTransaction: number)
        let isSkipped = self.world.configuration.mutation == .skipActivityLogWrite
        self.writeMetadata(volume, token, block, at: position, isSkipped: isSkipped)
    }

    func writePage(_ volume: UInt16, _ token: IOToken, _ page: UInt32) {
        let metadata = self.disks[Int(volume)].metadata
        var block = [UInt8](repeating: 0, count: MetadataImage.blockBytes)
        self.core.withBitmapWords(volume) { words in
            block.withUnsafeMutableBytes {
                metadata.layout.bitmap.encode(
                    words,
                    slot: metadata.slot,
                    page: UInt64(page),
                    into: $0
                )
            }
        }
        let position = metadata.layout.bitmapPosition + UInt64(page) * 4096
        let isSkipped = self.world.configuration.mutation == .skipBitmapWrite
        self.writeMetadata(volume, token, block, at: position, isSkipped: isSkipped)
    }

    func writeSuperblock(_ volume: UInt16, _ token: IOToken) {
        if self.refuse(volume, token) { return }
        let metadata = self.disks[Int(volume)].metadata
        guard var superblock = self.disks[Int(volume)].superblock else {
            invariantBroken("an open disk has a superblock")
        }
        superblock.apply(
            self.core.superblockContent(volume),
            of: metadata.nodes.own,
            peer: metadata.nodes.peer,
            slot: metadata.slot
        )
        self.disks[Int(volume)].superblock = superblock
        var block = [UInt8](repeating: 0, count: MetadataImage.blockBytes)
        block.withUnsafeMutableBytes { superblock.encode(into: $0) }
        self.writeMetadata(volume, token, block, at: metadata.layout.superblockPosition)
    }

    private func writeMetadata(
        _ volume: UInt16,
        _ token: IOToken,
        _ block: [UInt8],
        at position: UInt64,
        isSkipped: Bool = false
    ) {
        if self.refuse(volume, token) { return }
        let metadata = self.disks[Int(volume)].metadata
        let id = isSkipped ? nil : metadata.begin(block, at: position)
        self.afterMetadataDelay(volume) { [self] in
            if self.fails(volume, \.failingMetadata) {
                if let id { metadata.fail(id, &self.world.random) }
                return self.finish(volume, token, Self.failure)
            }
            if let id { metadata.complete(id) }
            self.finish(volume, token, .success)
        }
    }

    func flushMetadata(_ volume: UInt16, _ token: IOToken) {
        if self.refuse(volume, token) { return }
        let metadata = self.disks[Int(volume)].metadata
        let mark = metadata.flushMark
        let isSkipped = self.skipsMetadataFlush(token)
        self.afterMetadataDelay(volume) { [self] in
            if self.fails(volume, \.failingMetadata) {
                metadata.flushFailed()
                return self.finish(volume, token, Self.failure)
            }
            if !isSkipped { metadata.flushed(mark) }
            self.finish(volume, token, .success)
        }
    }

    private func skipsMetadataFlush(_ token: IOToken) -> Bool {
        switch self.world.configuration.mutation {
        case .skipActivityLogFlush: token.purpose == .activityLogFlush
        case .skipBitmapFlush: token.purpose == .bitmapFlush
        case .skipSuperblockFlush: token.purpose == .superblockFlush
        case .skipActivityLogWrite, .skipBitmapWrite, .skipPrimaryFlush, .skipBarrierFlush,
            .skipTargetFlush, .staleResyncRead, .ignoreForcedUnitAccess, .none:
            false
        }
    }
}
