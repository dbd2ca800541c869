// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// Watches a world and asks its checkers at the right moments.
package final class Checks {
    /// What was last seen of a volume.
    private struct Seen {
        var connection = ConnectionCode.standAlone
        var disk = DiskState.diskless
        var peerDisk = DiskState.unknown
    }

    /// What errors have cost a disk.
    private struct DiskHistory {
        /// The step at which an operation that changes it has failed last.
        var failedAt: UInt64?
        /// An operation has failed since it was attached.
        var hasFailed = false
        /// The step at which it has lost its cache; nil once the nodes have agreed on its data.
        var lostCacheAt: UInt64?
        /// The step at which a write was completed last that it alone has.
        var wroteAloneAt: UInt64 = 0

        func hasFailed(since step: UInt64) -> Bool { self.failedAt.map { $0 >= step } ?? false }
    }

    private unowned let world: World
    package let writes: WriteTable
    package let sessions: Sessions
    let promises: PromiseCheck
    package let generations: GenerationCheck
    private var seen: [[Seen]]
    /// By node and volume.
    private var histories: [[DiskHistory]]
    /// By node and volume: the only good copy, at the peer of this Primary, may have lost
    /// something.
    private var onlyCopyFailed: [[Bool]]
    /// Of the probes only, so that they change nothing else.
    private var random = SeededRandom(seed: 1)
    private var stepsToProbe: UInt64 = 50

    init(_ world: World) {
        let sectors = world.configuration.volumes
        self.world = world
        self.writes = WriteTable(volumes: sectors.count)
        self.sessions = Sessions(volumes: sectors.count)
        self.promises = PromiseCheck(self.writes, sectors: sectors)
        self.generations = GenerationCheck(volumes: sectors.count)
        self.histories = Array(
            repeating: Array(repeating: DiskHistory(), count: sectors.count),
            count: 2
        )
        self.onlyCopyFailed = Array(
            repeating: Array(repeating: false, count: sectors.count),
            count: 2
        )
        self.seen = Array(repeating: Array(repeating: Seen(), count: sectors.count), count: 2)
    }

    private var volumes: Range<Int> { self.world.configuration.volumes.indices }

    private func report(_ fault: String?, _ checker: String) {
        if let fault, !self.world.isHostile { self.world.violated("\(checker): \(fault)") }
    }

    // MARK: The application

    /// A write is about to be submitted; nil if the node is not Primary.
    func begin(_ node: Int, _ volume: UInt16, _ range: SectorRange, isZeroes: Bool) -> Content? {
        guard let session = self.sessions.current[node] else { return nil }
        return self.writes.begin(
            WriteTable.Write(
                volume: volume,
                range: range,
                isZeroes: isZeroes,
                session: session,
                submittedAt: self.world.steps
            )
        )
    }

    /// A write was completed with success.
    func completed(_ content: Content, _ node: Int, isForcedUnitAccess isForced: Bool) {
        self.writes.completed(content, at: self.world.steps)
        let write = self.writes[content]
        self.sessions.completed(content, write)
        let state = self.world.state(node, write.volume)
        let own = state.disk
        if own == .upToDate || own == .inconsistent {
            self.promises.promise(content, on: node, isForced ? .power : .process)
        }
        let isReplicating =
            self.world.isReplicating(node, write.volume)
            && !self.hasGivenUp(1 - node, write.volume)
            && !self.histories[1 - node][Int(write.volume)].hasFailed(since: write.submittedAt)
        let peerIsOnlyCopy = own != .upToDate
        if isReplicating {
            switch self.world.configuration.replicationProtocol {
            case _ where peerIsOnlyCopy && self.world.shareTransport:
                self.promises.promise(content, on: 1 - node, .process)
            case .a: break
            case .c where isForced: self.promises.promise(content, on: 1 - node, .power)
            // The peer may have died since it has answered.
            case _ where !self.world.shareTransport: break
            case .b: self.promises.promise(content, on: 1 - node, .memory)
            case .c: self.promises.promise(content, on: 1 - node, .process)
            }
        }
        if own == .upToDate, state.connection < .connected || state.peerDisk < .inconsistent {
            self.histories[node][Int(write.volume)].wroteAloneAt = self.world.steps
            self.generations.diverged(node, Int(write.volume))
        } else if own < .inconsistent, isReplicating, self.world.shareTransport,
            !self.isOnDisk(content, of: node)
        {
            self.generations.diverged(1 - node, Int(write.volume))
        }
    }

    /// Whether a disk, given up or not, has all of a write, or what was written there later.
    private func isOnDisk(_ content: Content, of node: Int) -> Bool {
        let write = self.writes[content]
        let disk = self.world.nodes[node].disks[Int(write.volume)].data.current
        return disk[write.range].enumerated()
            .allSatisfy { offset, found in
                let sector = Int(write.range.start) + offset
                return self.writes.fault(write.volume, sector, found, floor: content) == nil
            }
    }

    /// Whether a node that lives has given up a disk; the news may be on its way.
    private func hasGivenUp(_ node: Int, _ volume: UInt16) -> Bool {
        self.world.nodes[node].isUp && self.world.state(node, volume).disk <= .failed
    }

    /// A read is about to be submitted; nil if the node is not Primary.
    func beginRead(_ node: Int, _ volume: UInt16, _ range: SectorRange) -> ReadCheck.Read? {
        guard let session = self.sessions.current[node] else { return nil }
        return ReadCheck.Read(
            session: session,
            volume: volume,
            range: range,
            floors: self.sessions.all[session].floors[Int(volume)]
        )
    }

    func completed(_ read: ReadCheck.Read, _ content: [Content]) {
        guard self.isCurrent(read.session) else { return }
        let fault = ReadCheck.fault(read, content, self.sessions, self.writes)
        self.report(fault.map { "volume \(read.volume) \($0)" }, "read")
    }

    private func isCurrent(_ session: Int) -> Bool {
        self.sessions.current[self.sessions.all[session].node] == session
    }

    /// What a flush that begins now covers: on the own node and on its peer.
    func beginFlush(_ node: Int, _ volume: UInt16) -> [SectorContent?] {
        let hasDisk = self.world.state(node, volume).disk == .upToDate
        let reachesPeer =
            self.world.isReplicating(node, volume)
            && (!hasDisk || self.world.configuration.replicationProtocol == .c)
        var floors: [SectorContent?] = [nil, nil]
        if hasDisk { floors[node] = self.promises.floors(node, volume, .memory) }
        if reachesPeer { floors[1 - node] = self.promises.floors(1 - node, volume, .memory) }
        return floors
    }

    func completedFlush(
        _ node: Int,
        _ volume: UInt16,
        _ floors: [SectorContent?],
        submittedAt: UInt64
    ) {
        if let own = floors[node], self.world.state(node, volume).disk == .upToDate {
            self.promises.flushed(node, volume, own)
        }
        if let peer = floors[1 - node], self.world.isReplicating(node, volume),
            !self.histories[1 - node][Int(volume)].hasFailed(since: submittedAt)
        {
            self.promises.flushed(1 - node, volume, peer)
        }
    }

    // MARK: The nodes

    /// A node is gone.
    func died(_ node: Int, losingPower: Bool) {
        if losingPower {
            self.loseOwnOrder(node)
            for volume in self.volumes { self.cacheLost(node, volume) }
        }
        self.sessions.end(node)
        self.promises.lost(node, leaving: losingPower ? .power : .process)
        self.checkOrder(
            node,
            self.world.nodes[node].disks.map { ($0.data, $0.metadata) },
            losingPower: losingPower
        )
        for volume in self.volumes { self.seen[node][volume] = Seen() }
    }

    /// What a node has written as Primary is in no order on its own disk, whose cache is gone.
    private func loseOwnOrder(_ node: Int) {
        for volume in self.volumes where self.isOwn(self.sessions.ofReplica[node][volume], node) {
            self.sessions.lostOrder(node, volume)
        }
    }

    private func isOwn(_ session: Int?, _ node: Int) -> Bool {
        session.map { self.sessions.all[$0].node == node } ?? false
    }

    /// A disk is about to be attached.
    func attaching(_ node: Int, _ volume: Int) {
        let disk = self.world.nodes[node].disks[volume]
        self.histories[node][volume].hasFailed = false
        guard disk.metadata.current.isConsistent else { return }
        let fault = self.promises.fault(node, volume, in: disk.data.current)
        self.report(fault, "attach of node \(node)")
    }

    /// An operation of a disk has failed; if that was no read, what no flush has covered may be
    /// gone.
    func diskFailed(_ node: Int, _ volume: Int, isRead: Bool) {
        self.histories[node][volume].hasFailed = true
        if !isRead {
            self.histories[node][volume].failedAt = self.world.steps
            self.promises.lost(node, volume: volume, leaving: .power)
            self.sessions.lostOrder(node, volume)
            self.cacheLost(node, volume)
        }
        if self.sessions.current[node] != nil,
            let lostAt = self.histories[1 - node][volume].lostCacheAt,
            lostAt > self.histories[node][volume].wroteAloneAt
        {
            // The generations do not tell what the peer lacks: this node has not gone on alone.
            self.onlyCopyFailed[node][volume] = true
        }
    }

    private func cacheLost(_ node: Int, _ volume: Int) {
        self.histories[node][volume].lostCacheAt = self.world.steps
        self.onlyCopyMayHaveLost(at: 1 - node, volume)
    }

    /// The disk has lost its cache that a Primary without one of its own works with.
    private func onlyCopyMayHaveLost(at primary: Int, _ volume: Int) {
        guard self.sessions.current[primary] != nil, self.world.nodes[primary].isUp,
            self.world.state(primary, UInt16(volume)).disk != .upToDate
        else { return }
        self.onlyCopyFailed[primary][volume] = true
    }

    /// The state of a node may have changed.
    func observe(_ node: Int) {
        guard self.world.nodes[node].isUp else { return }
        self.observeRole(node)
        for index in self.world.nodes[node].core.volumeIndices {
            let state = self.world.state(node, index)
            let old = self.seen[node][Int(index)]
            self.seen[node][Int(index)] = Seen(
                connection: state.connection,
                disk: state.disk,
                peerDisk: state.peerDisk
            )
            if old.disk > .failed, state.disk <= .failed {
                // It does not follow the other volumes any more, nor what it has only received.
                self.sessions.lostOrder(node, Int(index))
                self.promises.lost(node, volume: Int(index), leaving: .process)
            }
            if old.peerDisk > .failed, state.peerDisk <= .failed, state.connection >= .connected {
                // It gets no more writes of this volume, though of the others.
                self.sessions.lostOrder(1 - node, Int(index))
            }
            if old.disk == .inconsistent, state.disk == .upToDate, state.connection < .connected {
                // Declared UpToDate by force: whatever it has is the data now.
                self.promises.givenUp(node, Int(index))
                if self.sessions.current[node] != nil { self.continueSession(node, Int(index)) }
            }
            if old.disk == .attaching || old.disk == .negotiating, state.disk == .upToDate,
                self.sessions.current[node] != nil, state.peerDisk != .upToDate
            {
                // What an error has cost a Primary that has the only good copy is gone.
                self.continueSession(node, Int(index))
            }
            if self.onlyCopyFailed[node][Int(index)], state.connection >= .connected,
                state.peerDisk == .upToDate, self.world.shareTransport
            {
                // So is what it has cost a Primary whose peer has it.
                self.onlyCopyFailed[node][Int(index)] = false
                if self.sessions.current[node] != nil { self.continueSession(node, Int(index)) }
            }
            if state.connection == .connected, state.disk == .upToDate, self.world.shareTransport {
                self.histories[node][Int(index)].lostCacheAt = nil
            }
            if old.connection >= .connected, state.connection < .connected,
                self.histories[node][Int(index)].hasFailed || state.disk < .upToDate,
                self.world.configuration.replicationProtocol != .c
            {
                // Completed before the own disk failed, was invalidated or detached by force, and
                // not sent yet.
                self.onlyCopyMayHaveLost(at: node, Int(index))
            }
            if old.connection != state.connection {
                self.connectionChanged(node, Int(index), from: old, to: state)
            }
        }
        if self.volumes.allSatisfy({ self.isFollowing(self.world.state(node, UInt16($0))) }) {
            self.sessions.follow(node)
        }
        self.report(RoleCheck.fault(self.world), "roles")
    }

    private func isFollowing(_ state: VolumeState) -> Bool {
        state.connection == .connected && state.disk == .upToDate && state.peerDisk == .upToDate
    }

    private func connectionChanged(_ node: Int, _ volume: Int, from old: Seen, to new: VolumeState)
    {
        switch new.connection {
        case .wfBitMapS, .startingSyncS:
            self.promises.becameSource(node, volume)
            if old.connection < .connected, self.sessions.current[1 - node] != nil {
                // The Primary is its target, and writes here from now on.
                self.sessions.separated(node, volume)
            }
        case .syncTarget, .pausedSyncT:
            guard old.connection != .syncTarget, old.connection != .pausedSyncT else { return }
            if self.generations.givesUp(node, volume) {
                // The volume goes back, others of the resource may not.
                self.sessions.lostOrder(1 - node, volume)
            }
            self.report(self.generations.becameTarget(node, volume), "generations")
            self.checkCoverage([.survives, .survives])
        case .connected:
            if old.connection == .syncTarget || old.connection == .pausedSyncT,
                new.disk == .upToDate
            {
                self.promises.synchronised(node, volume)
                self.sessions.synchronised(node, volume, from: 1 - node)
                self.generations.synchronised(node, volume)
            } else if old.connection < .connected {
                self.checkCoverage([.survives, .survives])
                if new.disk == .upToDate, self.sessions.current[1 - node] != nil {
                    // It gets the Primary's writes from now on; others may need a resync first.
                    self.sessions.separated(node, volume)
                }
            }
        case .standAlone, .disconnecting, .unconnected, .timeout, .brokenPipe, .networkFailure,
            .protocolError, .tearDown, .wfConnection, .wfReportParams, .startingSyncT, .wfBitMapT,
            .wfSyncUUID, .syncSource, .verifyS, .verifyT, .pausedSyncS, .ahead, .behind:
            break
        }
    }

    private func observeRole(_ number: Int) {
        let isPrimary = self.world.nodes[number].core.role == .primary
        guard isPrimary != (self.sessions.current[number] != nil) else { return }
        isPrimary ? self.beginSession(number) : self.sessions.end(number)
    }

    /// A node became Primary.
    private func beginSession(_ number: Int) {
        let base = self.volumes.map { self.visibleContent(number, $0) }
        for volume in self.volumes {
            let state = self.world.state(number, UInt16(volume))
            guard state.disk == .upToDate else { continue }
            if self.seen[number][volume].disk == .inconsistent
                || !self.world.nodes[number].disks[volume].metadata.current.isConsistent
            {
                // Declared UpToDate by force: whatever it has is the data now.
                self.promises.givenUp(number, volume)
            }
            self.checkPromotion(number, volume, state)
        }
        self.sessions.begin(number, base, replicas: self.currentReplicas(number))
    }

    /// A Primary goes on with what it has access to now of one of its volumes.
    private func continueSession(_ number: Int, _ volume: Int) {
        self.sessions.rebase(
            number,
            volume,
            self.visibleContent(number, volume),
            replicas: self.currentReplicas(number)
        )
    }

    /// What the application of a Primary reads now.
    private func visibleContent(_ number: Int, _ volume: Int) -> SectorContent {
        let state = self.world.state(number, UInt16(volume))
        // Without a peer that has current data, whatever disk there is here is read.
        let readsPeer =
            state.disk != .upToDate && state.connection >= .connected && state.peerDisk == .upToDate
        return self.world.nodes[readsPeer ? 1 - number : number].disks[volume].data.current
    }

    /// The copies that have the data of a Primary.
    private func currentReplicas(_ number: Int) -> [(node: Int, volume: Int)] {
        self.volumes.flatMap { volume in
            let state = self.world.state(number, UInt16(volume))
            let nodes: [Int?] = [
                state.disk == .upToDate ? number : nil,
                state.connection == .connected && state.peerDisk == .upToDate ? 1 - number : nil,
            ]
            return nodes.compactMap { $0 }.map { (node: $0, volume: volume) }
        }
    }

    private func checkPromotion(_ node: Int, _ volume: Int, _ state: VolumeState) {
        let disk = self.world.nodes[node].disks[volume].data
        if state.connection < .connected, let range = disk.rangesInFlight.first {
            let text = "volume \(volume): \(range.start)+\(range.count) is still being written"
            self.report(text, "promotion of node \(node)")
        }
        self.report(
            self.promises.fault(node, volume, in: disk.current),
            "promotion of node \(node)"
        )
    }

    // MARK: At any time

    private func checkOrder(
        _ node: Int,
        _ disks: [(SimulatedDisk, SimulatedMetadata)],
        losingPower: Bool
    ) {
        if self.world.isHostile { return }
        let members = self.volumes.filter {
            disks[$0].1.current.isConsistent
        }
        // A volume that was synchronised before the others is ahead of them.
        for moment in Set(members.map { self.sessions.moments[node][$0] }).sorted() {
            let volumes = members.filter { self.sessions.moments[node][$0] == moment }
            guard let session = volumes.compactMap({ self.sessions.ofReplica[node][$0] }).first,
                !losingPower || !self.isOwn(session, node)
            else { continue }
            let replicas = volumes.filter { self.sessions.ofReplica[node][$0] == session }
                .map { OrderCheck.Replica(volume: $0, content: disks[$0].0.current) }
            self.report(OrderCheck.fault(session, replicas, self.writes), "order on node \(node)")
        }
    }

    private func checkCoverage(_ fates: [CoverageCheck.Fate]) {
        if self.world.isHostile { return }
        self.report(CoverageCheck.fault(self.world, fates, &self.random), "coverage")
    }

    /// Called after every event: now and then asks what would be if nodes crashed.
    func probe() {
        if self.world.isHostile { return }
        self.stepsToProbe -= 1
        guard self.stepsToProbe == 0, self.world.violations.isEmpty else { return }
        self.stepsToProbe = 20 + self.random.below(400)
        let fates = (0...1).map { _ in
            CoverageCheck.Fate.allCases[Int(self.random.below(3))]
        }
        self.checkCoverage(fates)
        for node in 0...1 where self.sessions.current[node] == nil && fates[node] != .survives {
            self.probeOrder(node, losingPower: fates[node] == .losesPower)
        }
    }

    private func probeOrder(_ node: Int, losingPower: Bool) {
        let disks = self.world.nodes[node].disks.map { disk in
            let data = SimulatedDisk(copyOf: disk.data)
            let metadata = SimulatedMetadata(copyOf: disk.metadata)
            if losingPower {
                data.cutPower(&self.random)
                metadata.cutPower(&self.random)
            } else {
                data.kill(&self.random)
                metadata.kill(&self.random)
            }
            return (data, metadata)
        }
        self.checkOrder(node, disks, losingPower: losingPower)
    }
}
