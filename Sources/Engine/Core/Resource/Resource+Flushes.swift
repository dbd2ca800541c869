// SPDX-License-Identifier: Apache-2.0

import Primitives
import Wire

/// What waits for a data flush of a volume.
struct FlushWaiter: BitwiseCopyable {
    enum Purpose: BitwiseCopyable {
        /// A flush of the application.
        case request(UInt32)
        /// Zeroes of the application with FUA, which the disk has no durable operation for.
        case zeroes(UInt32)
        /// The same of the peer.
        case peerZeroes(UInt32)
        /// A write of the peer whose acknowledgement may clear bits.
        case acknowledgement(UInt32)
        /// The oldest epoch of the peer.
        case epoch
        /// A block for the resync that the peer's last writes may be part of.
        case resyncRead(UInt32)
        /// The node becomes Secondary on this command.
        case demotion(command: UInt32)
    }

    /// The number of the flush that covers it.
    var mark: UInt64
    var purpose: Purpose
}

/// One data flush at a time for each volume serves everybody who needs one.
extension Resource {
    /// Has `purpose` answered when everything that has completed by now is on stable storage.
    mutating func awaitFlush(_ index: UInt16, _ purpose: FlushWaiter.Purpose, at now: Instant) {
        guard self.volumes[index].hasDisk, !self.volumes[index].isLost else {
            self.deferred.append(.flushFailed(index, purpose))
            return
        }
        let mark = self.volumes[index].flushes.mark
        self.volumes[index].flushWaiters.append(FlushWaiter(mark: mark, purpose: purpose))
        self.startFlushIfNeeded(index, at: now)
    }

    /// Starts a flush if anything waits for one and none is under way.
    mutating func startFlushIfNeeded(_ index: UInt16, at now: Instant) {
        guard self.volumes[index].hasDisk, !self.volumes[index].isLost,
            !self.volumes[index].flushes.isRunning,
            self.volumes[index].isFlushWanted
        else { return }
        self.volumes[index].flushes.start()
        if self.volumes[index].parameters.flushesData
            || self.volumes[index].requestsAwaitingFlush > 0
        {
            self.volumes[index].operationsInFlight += 1
            self.actions.append(.flushData(volume: index, IOToken(.dataFlush)))
        } else {
            // `disk-flushes no`: what has completed counts as stable.
            self.deferred.append(.flushed(index))
        }
    }

    mutating func flushDone(_ index: UInt16, _ result: IOResult, at now: Instant) {
        guard self.volumes[index].flushes.isRunning else { return }
        guard result.isSuccess else { return self.diskFailed(index, result, at: now) }
        self.volumes[index].flushes.complete()
        while !self.volumes[index].flushWaiters.isEmpty,
            self.volumes[index].flushes.covers(self.volumes[index].flushWaiters[0].mark),
            let waiter = self.volumes[index].flushWaiters.popFirst()
        {
            self.flushed(index, waiter.purpose, true, at: now)
        }
        self.advanceActivityLog(index, at: now)
        self.startFlushIfNeeded(index, at: now)
        self.advanceReceivedEpochs(at: now)
    }

    /// The disk is gone: nothing becomes stable any more.
    mutating func failFlushWaiters(_ index: UInt16, at now: Instant) {
        while let waiter = self.volumes[index].flushWaiters.popFirst() {
            self.flushed(index, waiter.purpose, false, at: now)
        }
    }

    mutating func flushed(
        _ index: UInt16,
        _ purpose: FlushWaiter.Purpose,
        _ succeeded: Bool,
        at now: Instant
    ) {
        switch purpose {
        case .request(let slot): self.localFlushDone(slot, succeeded, at: now)
        case .zeroes(let slot): self.localZeroesFlushed(slot, succeeded, at: now)
        case .peerZeroes(let slot): self.peerZeroesFlushed(slot, succeeded, at: now)
        case .acknowledgement(let slot): self.acknowledgeInSync(slot, flushed: succeeded, at: now)
        case .epoch: self.epochFlushed(succeeded, at: now)
        case .resyncRead(let slot): self.resyncReadFlushed(slot, succeeded, at: now)
        case .demotion(let command): self.demotionStepDone(command, at: now)
        }
    }
}
