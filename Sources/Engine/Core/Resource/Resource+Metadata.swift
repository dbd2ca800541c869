// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// What comes after a superblock has become durable.
enum AfterPersist: BitwiseCopyable {
    case nothing
    /// Writes of the new generation may begin and complete.
    case generation
    /// The same, and the peer learns the new name, which proves to it that it is durable.
    case announceGeneration
    case enterSyncSource
    case startResyncAsTarget
    /// The bits that the superblock has promised may be written.
    case recordFullSync
    /// A write of the peer, whose only other copy is here, has to have its bits durable next.
    case markPeerWrite(UInt32)
    /// Writes of the lost connection's resync may reach the disk.
    case releasePeerWrites
    /// The peer may learn the state that is on disk now.
    case sendState
    case reply(command: UInt32)
    /// The disk may be closed.
    case detach
    /// The disk has failed, and the superblock says that it lacks writes of the Primary.
    case giveUpDisk
}

extension AfterPersist {
    /// What is left of the step when the connection is gone: it must not fire in the next one.
    mutating func connectionLost() {
        switch self {
        case .enterSyncSource, .sendState: self = .nothing
        case .startResyncAsTarget: self = .releasePeerWrites
        case .announceGeneration: self = .generation
        case .nothing, .generation, .recordFullSync, .markPeerWrite, .releasePeerWrites, .reply,
            .detach, .giveUpDisk:
            break
        }
    }
}

/// Metadata of a volume on its way to stable storage: superblock, bitmap, activity log.
extension Resource {
    // MARK: Superblock

    /// Writes the superblock as it is now, or a later one, then goes on with `step`.
    mutating func persist(_ index: UInt16, then step: AfterPersist = .nothing) {
        guard self.volumes[index].hasDisk, !self.volumes[index].isDetaching else {
            self.deferred.append(.persisted(index, step))
            return
        }
        self.volumes[index].superblock.want(step)
        self.startSuperblockWrite(index)
    }

    private mutating func startSuperblockWrite(_ index: UInt16) {
        guard self.volumes[index].superblock.begin() else { return }
        self.volumes[index].operationsInFlight += 1
        self.actions.append(.writeSuperblock(volume: index, IOToken(.superblockWrite)))
    }

    mutating func superblockWritten(_ index: UInt16, _ result: IOResult, at now: Instant) {
        guard !self.volumes[index].isDetaching else { return }
        guard result.isSuccess else { return self.metadataFailed(index, result, at: now) }
        guard self.volumes[index].parameters.flushesMetadata else {
            return self.superblockFlushed(index, .success, at: now)
        }
        self.volumes[index].operationsInFlight += 1
        self.actions.append(.flushMetadata(volume: index, IOToken(.superblockFlush)))
    }

    mutating func superblockFlushed(_ index: UInt16, _ result: IOResult, at now: Instant) {
        guard !self.volumes[index].isDetaching else { return }
        guard result.isSuccess else { return self.metadataFailed(index, result, at: now) }
        self.volumes[index].superblock.end()
        while let step = self.volumes[index].superblock.nextDurable() {
            self.persisted(index, step, at: now)
        }
        if self.volumes.contains(index) { self.startSuperblockWrite(index) }
    }

    mutating func persisted(_ index: UInt16, _ step: AfterPersist, at now: Instant) {
        switch step {
        case .nothing: break
        case .generation: self.generationPersisted(at: now)
        case .announceGeneration: self.announceGeneration(index, at: now)
        case .giveUpDisk: self.staleDiskRecorded(index, at: now)
        case .enterSyncSource: self.enterSyncSource(index, at: now)
        case .startResyncAsTarget: self.startResyncAsTarget(index, at: now)
        case .recordFullSync: self.recordFullSync(index, at: now)
        case .markPeerWrite(let slot): self.writeBitmap(index, then: .peerWrite(slot), at: now)
        case .releasePeerWrites: self.releasePeerWrites(index)
        case .sendState: if self.isEstablished { self.sendState(index) }
        case .detach: self.detachAfterMetadata(index, at: now)
        case .reply(let command): self.commandPersisted(command)
        }
    }

    /// A generation is durable, or the disk is gone that should have recorded it.
    private mutating func announceGeneration(_ index: UInt16, at now: Instant) {
        self.generationPersisted(at: now)
        guard self.volumes.contains(index), self.volumes[index].state.connection >= .connected,
            self.volumes[index].state.disk > .failed
        else { return }
        self.sendGenerations(index)
    }

    mutating func generationPersisted(at now: Instant) {
        self.generationsPending -= 1
        if self.generationsPending == 0 { self.releaseHeldCompletions(at: now) }
    }

    /// The generation is durable: what was done in it may be told, and more may begin.
    private mutating func releaseHeldCompletions(at now: Instant) {
        while let held = self.heldCompletions.popFirst() {
            // The disk may have failed instead of recording the generation.
            let state = self.volumes[held.volume].state
            let isKept = state.disk >= .inconsistent || state.mayReadFromPeer
            self.actions.append(.complete(request: held.identifier, isKept ? held.error : .io))
        }
        self.admitWaiting(at: now)
    }

    /// Metadata errors always detach: without it no later write could be told from old data.
    mutating func metadataFailed(_ index: UInt16, _ result: IOResult, at now: Instant) {
        self.volumes[index].metadataFailed = true
        self.diskFailed(index, result, at: now)
    }

    /// The disk is given up: what waited for its metadata goes on without.
    mutating func failMetadataWaiters(_ index: UInt16, at now: Instant) {
        while let step = self.volumes[index].superblock.nextAbandoned() {
            self.deferred.append(.persisted(index, step))
        }
        while let step = self.volumes[index].bitmapWriter.nextAbandoned() {
            self.deferred.append(.bitmapWritten(index, step))
        }
        self.volumes[index].activityLog?.fail()
        self.advanceActivityLog(index, at: now)
        if self.volumes[index].isLost { self.failFlushWaiters(index, at: now) }
    }

    // MARK: Bitmap

    /// Makes all changed pages of the bitmap durable, then goes on with `step`.
    mutating func writeBitmap(_ index: UInt16, then step: AfterBitmap, at now: Instant) {
        guard self.volumes[index].hasDisk, !self.volumes[index].isDetaching else {
            self.deferred.append(.bitmapWritten(index, step))
            return
        }
        self.volumes[index].bitmapWriter.want(step)
        self.advanceBitmapWrite(index, at: now)
    }

    mutating func advanceBitmapWrite(_ index: UInt16, at now: Instant) {
        while let page = self.volumes[index].nextBitmapPage() {
            self.volumes[index].operationsInFlight += 1
            self.actions.append(
                .writeBitmapPage(volume: index, IOToken(.bitmapPage, slot: page), page: page)
            )
        }
        guard self.volumes[index].bitmapWriter.beginFlush() else { return }
        if self.volumes[index].bitmapWriter.wroteAny, self.volumes[index].parameters.flushesMetadata
        {
            self.volumes[index].operationsInFlight += 1
            self.actions.append(.flushMetadata(volume: index, IOToken(.bitmapFlush)))
        } else {
            self.deferred.append(.bitmapFlushed(index))
        }
    }

    mutating func bitmapPageWritten(
        _ index: UInt16,
        _ page: UInt32,
        _ result: IOResult,
        at now: Instant
    ) {
        guard !self.volumes[index].isDetaching else { return }
        guard result.isSuccess else { return self.metadataFailed(index, result, at: now) }
        self.volumes[index].bitmap?.endWrite(page: Int(page))
        self.volumes[index].bitmapWriter.pageWritten()
        self.volumes[index].statistics.bitmapWrites += 1
        self.advanceBitmapWrite(index, at: now)
    }

    mutating func bitmapFlushed(_ index: UInt16, _ result: IOResult, at now: Instant) {
        guard !self.volumes[index].isDetaching else { return }
        guard result.isSuccess else { return self.metadataFailed(index, result, at: now) }
        guard let steps = self.volumes[index].bitmapWriter.end() else { return }
        for offset in 0..<steps {
            _ = offset
            guard let step = self.volumes[index].bitmapWriter.popDone() else { break }
            self.bitmapWritten(index, step, at: now)
        }
        self.advanceBitmapWrite(index, at: now)
    }

    // MARK: Activity log

    /// Carries out what the activity log asks for.
    mutating func advanceActivityLog(_ index: UInt16, at now: Instant) {
        while let action = self.volumes[index].nextActivityLogAction() {
            switch action {
            case .writeBitmap:
                self.writeBitmap(index, then: .activityLog, at: now)
            case .writeTransaction:
                self.volumes[index].operationsInFlight += 1
                self.actions.append(
                    .writeActivityLogBlock(volume: index, IOToken(.activityLogWrite))
                )
            case .resume(let slot):
                self.requests[slot].flags.insert(.holdsExtents)
                self.dispatchWrite(slot, at: now)
            case .refuse(let slot):
                self.dispatchWrite(slot, at: now)
            case .metadataFailed:
                break
            }
        }
        self.startFlushIfNeeded(index, at: now)
    }

    mutating func activityLogWritten(_ index: UInt16, _ result: IOResult, at now: Instant) {
        guard !self.volumes[index].isDetaching else { return }
        guard result.isSuccess else { return self.metadataFailed(index, result, at: now) }
        guard self.volumes[index].parameters.flushesMetadata else {
            return self.activityLogFlushed(index, .success, at: now)
        }
        self.volumes[index].operationsInFlight += 1
        self.actions.append(.flushMetadata(volume: index, IOToken(.activityLogFlush)))
    }

    mutating func activityLogFlushed(_ index: UInt16, _ result: IOResult, at now: Instant) {
        guard !self.volumes[index].isDetaching else { return }
        guard result.isSuccess else { return self.metadataFailed(index, result, at: now) }
        self.volumes[index].statistics.activityLogWrites += 1
        self.volumes[index].activityLog?.transactionWritten()
        self.advanceActivityLog(index, at: now)
    }

    mutating func activityLogPagesWritten(_ index: UInt16, at now: Instant) {
        self.volumes[index].activityLog?.bitmapWritten()
        self.advanceActivityLog(index, at: now)
    }
}
