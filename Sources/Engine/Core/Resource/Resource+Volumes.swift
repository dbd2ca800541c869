// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Wire

/// Volumes come, get disks and go.
extension Resource {
    /// Adds a volume without a disk, Secondary, and tells a peer that is connected.
    ///
    /// Returns its index; nil if the number is in use.
    package mutating func addVolume(
        number: UInt16,
        minor: UInt32,
        parameters: DiskParameters,
        into actions: inout ActionQueue<ResourceAction>
    ) -> UInt16? {
        guard self.volumes.index(ofNumber: number) == nil else { return nil }
        var volume = Volume(
            number: number,
            minor: minor,
            parameters: parameters,
            limits: self.parameters
        )
        volume.state.connection = self.linkCode
        let index = self.volumes.add(volume)
        swap(&self.actions, &actions)
        if self.isEstablished { self.tellOfVolume(index) }
        swap(&self.actions, &actions)
        return index
    }

    /// Options for the next attach of a volume.
    package mutating func setDiskParameters(_ index: UInt16, _ parameters: DiskParameters) {
        self.volumes[index].parameters = parameters
    }

    /// Options for the next connect.
    package mutating func setNetworkParameters(_ parameters: NetworkParameters) {
        self.parameters.network = parameters
    }

    /// Removes a Diskless, Secondary volume.
    ///
    /// False if it has a disk, is Primary or is in use, or if anything that has begun is about it.
    package mutating func removeVolume(_ index: UInt16) -> Bool {
        guard self.volumes.contains(index), !self.volumes[index].hasDisk,
            self.volumes[index].state.role == .secondary, !self.volumes[index].isInUse,
            !self.volumes[index].awaitsStaleMark, !self.hasRequests(index)
        else { return false }
        self.volumes.remove(index)
        return true
    }

    /// Whether a request of the application or of the peer is not over, or its answer is held.
    ///
    /// What the client was told of stays a request until the peer has confirmed its epoch.
    private func hasRequests(_ index: UInt16) -> Bool {
        for slot in 0..<UInt32(self.requests.capacity)
        where self.requests.contains(slot) && self.requests[slot].client.volume == index {
            return true
        }
        for slot in 0..<UInt32(self.peerRequests.capacity)
        where self.peerRequests.contains(slot) && self.peerRequests[slot].volume == index {
            return true
        }
        for place in 0..<self.waiting.count where self.waiting[place].volume == index {
            return true
        }
        for place in 0..<self.heldCompletions.count
        where self.heldCompletions[place].volume == index {
            return true
        }
        return false
    }

    /// Gives a volume its disk, whose files the driver has opened and locked.
    ///
    /// `load` fills the bitmap from disk: 64-bit words, bit n in word n / 64. Bits beyond the
    /// device are dropped.
    package mutating func attach(
        _ index: UInt16,
        _ found: Attachment,
        at now: Instant,
        into actions: inout ActionQueue<ResourceAction>,
        load: (UnsafeMutableBufferPointer<UInt64>) -> Void
    ) {
        swap(&self.actions, &actions)
        var found = found
        if found.generations.current.names(self.volumes[index].staleGeneration) {
            found.isConsistent = false
        }
        let sectors = self.sectorsAtAttach(index, found)
        self.volumes[index].sizes.diskSectors = found.diskSectors
        self.volumes[index].sizes.userSectors = self.volumes[index].parameters.userSectors
        self.volumes[index].sizes.exposedSectors = sectors
        // A Primary that was killed comes back as a Secondary, and says so in bit 0.
        self.volumes[index].generations = found.generations
        self.volumes[index].generations.mark(for: self.role)
        self.volumes[index].generationsDuringResync = nil
        self.volumes[index].crashedPrimary = found.crashedPrimary
        self.volumes[index].hasDisk = true
        self.volumes[index].lastError = nil
        self.volumes[index].diskEnd = nil
        self.volumes[index].superblock = SuperblockWriter()
        self.volumes[index].bitmapWriter = BitmapWriter()
        self.loadBitmap(index, found, sectors: sectors, load)
        self.volumes[index].activityLog = ActivityLog(
            slotCount: Int(
                max(
                    67,
                    min(
                        self.volumes[index].parameters.activityLogExtents,
                        found.activityLogSlotMaximum
                    )
                )
            ),
            requestCapacity: self.parameters.requestMaximum,
            writesUpdates: self.volumes[index].parameters.updatesActivityLog
        )
        self.beginAttachedState(index, found, at: now)
        self.handleDeferred(at: now)
        swap(&self.actions, &actions)
    }

    /// The sectors there are for a volume, if its consistent data does not fit any more: such a
    /// disk is not to be attached; nil if it may be.
    func roomIfTooSmall(_ index: UInt16, _ found: Attachment) -> UInt64? {
        let room = self.sectorsAtAttach(index, found)
        return found.isConsistent && room < found.agreedSectors ? room : nil
    }

    private func sectorsAtAttach(_ index: UInt16, _ found: Attachment) -> UInt64 {
        var sectors = found.diskSectors
        if found.agreedSectors > 0 { sectors = min(sectors, found.agreedSectors) }
        let user = self.volumes[index].parameters.userSectors
        return user > 0 ? min(sectors, user) : sectors
    }

    private mutating func loadBitmap(
        _ index: UInt16,
        _ found: Attachment,
        sectors: UInt64,
        _ load: (UnsafeMutableBufferPointer<UInt64>) -> Void
    ) {
        var bitmap = OutOfSyncBitmap(
            sectorCount: sectors,
            interleave: OutOfSyncBitmap.Interleave(
                slot: found.bitmapSlot,
                peers: found.bitmapSlots
            )
        )
        bitmap.loadWords(load)
        // Metadata that has never been attached says nothing about the data.
        let needsFullSync = found.needsFullSync || found.agreedSectors == 0
        if needsFullSync { _ = bitmap.setAll() }
        self.volumes[index].needsFullSync = needsFullSync
        self.volumes[index].bitmap = consume bitmap
    }

    /// Attaching: first of all everything that an earlier process has written has to be on stable
    /// storage.
    ///
    /// It may be in the page cache only, and no bit would cover it once the bits of this process'
    /// resyncs are cleared.
    private mutating func beginAttachedState(
        _ index: UInt16,
        _ found: Attachment,
        at now: Instant
    ) {
        self.volumes[index].attachedDisks = StateContext.AttachedDisks(
            disk: found.disk,
            peerDisk: found.peerWasOutdated ? .outdated : .unknown
        )
        self.volumes[index].recordedDisk = found.disk
        self.change(index, StateChange(disk: .attaching), at: now)
        self.volumes[index].awaitsAttach = true
        self.volumes[index].attachFlushesPending = 2
        self.volumes[index].operationsInFlight += 2
        self.actions.append(.flushData(volume: index, IOToken(.attachFlush, slot: 0)))
        self.actions.append(.flushMetadata(volume: index, IOToken(.attachFlush, slot: 1)))
    }

    mutating func attachFlushDone(_ index: UInt16, _ result: IOResult, at now: Instant) {
        self.volumes[index].attachFlushesPending -= 1
        guard !self.volumes[index].isDetaching else { return }
        guard result.isSuccess else { return self.diskFailed(index, result, at: now) }
        self.continueAttach(index, at: now)
    }

    /// Goes on with an attach whose flushes are done.
    ///
    /// Not during a handshake: the peer has been told that there is no disk.
    mutating func continueAttach(_ index: UInt16, at now: Instant) {
        guard self.volumes.contains(index), let found = self.volumes[index].attachedDisks,
            self.volumes[index].state.disk == .attaching,
            self.volumes[index].attachFlushesPending == 0,
            self.volumes[index].state.connection != .wfReportParams
        else { return }
        self.enterAttachedState(index, found, at: now)
        guard self.volumes[index].awaitsAttach, !self.volumes[index].isDetaching else { return }
        self.volumes[index].awaitsAttach = false
        self.actions.append(.attached(volume: index, .success))
    }

    /// The error of a disk that is older than what the application has seen: ESTALE.
    private static var staleFileHandle: Int32 { 116 }

    /// A disk lacks what the application of this Primary was told, and there is no peer to ask.
    mutating func diskIsOutOfDate(_ index: UInt16, at now: Instant) {
        self.volumes[index].diskEnd = .outOfDate
        self.diskFailed(index, .failure(errno: Self.staleFileHandle), at: now)
    }

    private mutating func enterAttachedState(
        _ index: UInt16,
        _ found: StateContext.AttachedDisks,
        at now: Instant
    ) {
        guard self.volumes[index].state.connection >= .connected else {
            guard
                self.volumes[index].state.role == .secondary
                    || !self.volumes[index].exposesPeerData
            else {
                return self.diskIsOutOfDate(index, at: now)
            }
            self.change(
                index,
                StateChange(disk: found.disk, peerDisk: found.peerDisk),
                at: now
            )
            self.volumes[index].attachedDisks = nil
            self.persist(index)
            return self.recordFullSyncOfAttach(index, at: now)
        }
        self.change(index, StateChange(disk: .negotiating), at: now)
        self.sendSizes(index)
        self.sendGenerations(index)
        self.sendState(index)
        self.persist(index)
        self.recordFullSyncOfAttach(index, at: now)
    }

    /// Has the bits written that the superblock has promised, so that it need not any more.
    private mutating func recordFullSyncOfAttach(_ index: UInt16, at now: Instant) {
        if self.volumes[index].needsFullSync {
            self.writeBitmap(index, then: .fullSyncRecorded, at: now)
        }
    }

    /// The connection state of volumes for the link as it is.
    private var linkCode: ConnectionCode {
        switch self.link {
        case .standAlone: .standAlone
        case .unconnected: .unconnected
        case .connecting, .handshaking, .established: .wfConnection
        case .closing: .unconnected
        }
    }

    // MARK: Sizes and generations of the peer

    mutating func receiveSizes(_ index: UInt16, _ sizes: Sizes, at now: Instant) {
        var own = SizeSituation(
            diskSectors: self.volumes[index].sizes.diskSectors,
            userSectors: self.volumes[index].sizes.userSectors,
            currentSectors: self.volumes[index].sizes.exposedSectors,
            lastAgreedSectors: self.volumes[index].sizes.exposedSectors,
            state: self.volumes[index].state
        )
        own.diskHasGrown = false
        guard sizes.largestSectors <= SizeSituation.sectorMaximum else {
            return self.closeConnection(
                .protocolError(.outOfRange(sector: sizes.largestSectors, bytes: 0)),
                at: now
            )
        }
        switch SizeAgreement(own: own, peer: sizes) {
        case .ignored: break
        case .refused: self.closeConnection(.refused(.diskTooSmall), at: now)
        case .agreed(let result):
            guard self.mayResize(index, to: result.sectors) else {
                // With the next connection, when that is done.
                return self.closeConnection(.networkFailure(.resizedWhileBusy), at: now)
            }
            self.volumes[index].sizes.userSectors = result.userSectors
            self.setExposedSectors(index, result.sectors)
            if result.mustAnswer { self.sendSizes(index) }
        }
    }

    /// Whether nothing is under way that has to do with the volume's former size.
    private func mayResize(_ index: UInt16, to sectors: UInt64) -> Bool {
        let former = self.volumes[index].sizes.exposedSectors
        guard sectors != former else { return true }
        guard self.volumes[index].bitmapWriter.isIdle else { return false }
        return sectors > former || self.requests.count == 0 && self.peerRequests.count == 0
    }

    private mutating func setExposedSectors(_ index: UInt16, _ sectors: UInt64) {
        guard sectors != self.volumes[index].sizes.exposedSectors else { return }
        self.volumes[index].sizes.exposedSectors = sectors
        self.volumes[index].bitmap?.resize(sectorCount: sectors, newBlocks: true)
        self.actions.append(.changed(.volume(index)))
        self.persist(index)
    }

    mutating func receiveGenerations(_ index: UInt16, _ set: UUIDSet, at now: Instant) {
        let generations = Generations(
            current: GenerationID(set.current),
            bitmap: GenerationID(set.bitmap),
            history0: GenerationID(set.history0),
            history1: GenerationID(set.history1)
        )
        self.volumes[index].peerGenerations = PeerGenerations(
            generations: generations,
            dirtyBits: set.dirtyBits,
            discardsData: set.flags.contains(.discardMyData),
            crashedPrimary: set.flags.contains(.crashedPrimary),
            isInconsistent: set.flags.contains(.inconsistent)
        )
        self.peerNamedItsData(index, generations.current, at: now)
        let state = self.volumes[index].state
        if state.role == .primary, state.disk < .consistent {
            let exposed = self.volumes[index].exposedGeneration
            let isInUse = state.connection >= .connected && state.peerDisk >= .inconsistent
            guard isInUse || exposed.names(generations.current) else {
                return self.closeConnection(.refused(.data(.otherDataExposed)), at: now)
            }
            self.volumes[index].exposedGeneration = generations.current
        }
        guard set.flags.contains(.skipInitialSync), state.connection == .connected,
            self.volumes[index].generations.current.names(.justCreated)
        else { return }
        // The peer declares both disks equal.
        self.volumes[index].generations.adopt(generations.current, role: state.role)
        _ = self.volumes[index].bitmap?.clearAll()
        self.change(index, StateChange(disk: .upToDate, peerDisk: .upToDate), at: now)
        self.persist(index)
        self.writeBitmap(index, then: .nothing, at: now)
    }

    // MARK: Bitmap exchange

    /// Merges a packet of the peer's bitmap, whose trailing bytes are `bytes`.
    package mutating func receiveBitmap(
        volume number: UInt16,
        _ packet: Packet,
        bytes: UnsafeRawBufferPointer,
        at now: Instant,
        into actions: inout ActionQueue<ResourceAction>
    ) {
        swap(&self.actions, &actions)
        self.mergeBitmap(number, packet, bytes, at: now)
        self.handleDeferred(at: now)
        swap(&self.actions, &actions)
    }

    private mutating func mergeBitmap(
        _ number: UInt16,
        _ packet: Packet,
        _ bytes: UnsafeRawBufferPointer,
        at now: Instant
    ) {
        guard self.isEstablished, let agreement = self.agreement,
            let index = self.volumes.index(ofNumber: number), self.volumes[index].hasDisk
        else {
            return self.closeConnection(.protocolError(.unknownVolume(number)), at: now)
        }
        self.liveness(.dataReceived, at: now)
        var receiver =
            self.volumes[index].bitmapReceiver
            ?? BitmapReceiver(
                bitCount: self.volumes[index].bitCount,
                under: agreement
            )
        do throws(BitmapError) {
            try self.volumes[index].bitmap?.mergeWords { words throws(BitmapError) in
                var span = words.mutableSpan
                try receiver.receive(packet, trailing: bytes.bytes, into: &span)
            }
        } catch {
            return self.closeConnection(.protocolError(.bitmap(error)), at: now)
        }
        if receiver.isFinished {
            self.volumes[index].bitmapReceiver = nil
            self.bitmapReceived(index, at: now)
        } else {
            self.volumes[index].bitmapReceiver = receiver
        }
    }

    /// The next packet of the bitmap that ``ResourceAction/sendBitmap(volume:)`` asks to send; nil
    /// behind the last one.
    ///
    /// `memory` has room for 4088 bytes.
    package mutating func nextBitmapPacket(
        _ index: UInt16,
        into memory: UnsafeMutableRawBufferPointer
    ) -> BitmapPacket? {
        guard self.volumes.contains(index), let agreement = self.agreement,
            self.volumes[index].hasDisk
        else { return nil }
        var sender =
            self.volumes[index].bitmapSender
            ?? BitmapSender(
                bitCount: self.volumes[index].bitCount,
                compresses: self.parameters.network.usesRunLengthEncoding,
                under: agreement
            )
        let packet = self.volumes[index].bitmap?.withWords {
            sender.next(of: $0.span, into: memory)
        }
        guard let packet else {
            self.volumes[index].bitmapSender = nil
            return nil
        }
        self.volumes[index].bitmapSender = sender
        return packet
    }
}
