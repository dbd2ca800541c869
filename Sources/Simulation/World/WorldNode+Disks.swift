// SPDX-License-Identifier: Apache-2.0

import EngineCore
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

    package init() {}
}

/// The core's disk actions, carried out on simulated devices.
extension WorldNode {
    private static var failure: IOResult { .failure(errno: 5) }

    private func fails(_ volume: UInt16, _ count: WritableKeyPath<DiskTrouble, Int>) -> Bool {
        guard self.troubles[Int(volume)][keyPath: count] > 0 else { return false }
        self.troubles[Int(volume)][keyPath: count] -= 1
        if count != \.failingReads { self.world.checks.diskFailed(self.number, Int(volume)) }
        return true
    }

    private func afterDelay(_ volume: UInt16, _ body: @escaping () -> Void) {
        let slowdown = self.troubles[Int(volume)].slowdown
        self.later(self.world.diskDelay(slowdown: slowdown), body)
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

    func writeMetadata(_ volume: UInt16, _ token: IOToken, _ block: SimulatedMetadata.Block) {
        if self.refuse(volume, token) { return }
        let metadata = self.disks[Int(volume)].metadata
        let id = self.skipsWrite(of: block) ? nil : metadata.begin(block)
        self.afterDelay(volume) { [self] in
            if self.fails(volume, \.failingMetadata) {
                if let id { metadata.fail(id, &self.world.random) }
                return self.finish(volume, token, Self.failure)
            }
            if let id { metadata.complete(id) }
            self.finish(volume, token, .success)
        }
    }

    private func skipsWrite(of block: SimulatedMetadata.Block) -> Bool {
        switch block {
        case .superblock: false
        case .log: self.world.configuration.mutation == .skipActivityLogWrite
        case .page: self.world.configuration.mutation == .skipBitmapWrite
        }
    }

    func flushMetadata(_ volume: UInt16, _ token: IOToken) {
        if self.refuse(volume, token) { return }
        let metadata = self.disks[Int(volume)].metadata
        let mark = metadata.flushMark
        let isSkipped = self.skipsMetadataFlush(token)
        self.afterDelay(volume) { [self] in
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

    func logBlock(_ volume: UInt16) -> SimulatedMetadata.LogBlock {
        self.core.withActivityLog(volume) { log in
            SimulatedMetadata.LogBlock(
                number: log.transactionNumber,
                contextStart: log.contextStart,
                context: (0..<log.contextCount).map { log.context(at: $0) },
                updates: (0..<log.updateCount).map { log.update(at: $0) }
            )
        }
    }
}
