// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Foundation
import Primitives
import Testing
import Wire

/// How a world is built.
struct WorldConfiguration {
    /// Sectors of each volume.
    var volumes = [32_768]
    var replicationProtocol = ReplicationProtocol.c
    /// Whether the nodes start with equal, UpToDate data; else with fresh metadata.
    var startsEqual = true
    /// Bitmap slots of the metadata.
    var bitmapSlots = 1
    /// Disk operations take up to this long.
    var diskDelayMicroseconds: UInt64 = 2_000
    /// One of this many disk operations takes a hundred times longer; 0 for none.
    var slowOperation: UInt64 = 0
    var networkDelayMicroseconds: UInt64 = 1_000
    var requestMaximum = 256
    var peerRequestMaximum = 256

    init() {}
}

/// Two nodes, their disks and the network between them, in virtual time, from one number.
final class World {
    let configuration: WorldConfiguration
    let parameters: ResourceParameters
    let diskParameters: DiskParameters
    var random: SeededRandom
    private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var queue = EventQueue()
    private(set) var nodes: [WorldNode] = []
    private(set) var ledger: Ledger?
    private(set) var applications: [Application] = []
    /// Events so far.
    private(set) var steps: UInt64 = 0
    private var transports = 0
    private(set) var transport: Transport?
    /// Whether the nodes can reach each other.
    var isNetworkUp = true
    /// What must not have happened.
    private(set) var violations: [String] = []
    /// What each node has sent, for scripted traces.
    private var trace: [[String]] = [[], []]
    var tracesPackets = false
    /// Called after every event.
    var afterStep: (() -> Void)?

    init(seed: UInt64, _ configuration: WorldConfiguration = WorldConfiguration()) {
        self.configuration = configuration
        self.random = SeededRandom(seed: seed)
        var parameters = ResourceParameters()
        parameters.network.replicationProtocol = configuration.replicationProtocol
        parameters.requestMaximum = configuration.requestMaximum
        parameters.peerRequestMaximum = configuration.peerRequestMaximum
        self.parameters = parameters
        var disk = DiskParameters()
        disk.activityLogExtents = 67
        self.diskParameters = disk
        for number in 0...1 {
            let node = WorldNode(self, number: number)
            node.disks = configuration.volumes.map { self.makeDisk($0, of: number) }
            self.nodes.append(node)
        }
        let ledger = Ledger(self, volumes: configuration.volumes.count)
        self.ledger = ledger
        self.applications = (0...1).map { Application(self, ledger, node: $0) }
    }

    private func makeDisk(_ sectors: Int, of node: Int) -> WorldNode.VolumeDisk {
        let metadata = SimulatedMetadata(
            interleave: OutOfSyncBitmap.Interleave(
                slot: configuration.bitmapSlots - 1,
                peers: configuration.bitmapSlots
            )
        )
        if configuration.startsEqual {
            metadata.format(
                SuperblockContent(
                    generations: Generations(current: GenerationID(0x1234_5678_9ABC_DEF0)),
                    deviceIdentifier: 1,
                    agreedSectors: UInt64(sectors),
                    isConsistent: true,
                    wasUpToDate: true,
                    isPrimary: false,
                    crashedPrimary: false,
                    isConnected: false,
                    peerIsOutdated: false,
                    peerSeen: true,
                    needsFullSync: false,
                    activityLogExtents: 67
                )
            )
        }
        let initial = configuration.startsEqual ? Content(1) : Content(1 + node)
        return WorldNode.VolumeDisk(
            data: SimulatedDisk(sectorCount: sectors, initial: initial),
            metadata: metadata
        )
    }

    // MARK: Time

    func schedule(at instant: Instant, _ body: @escaping () -> Void) {
        self.queue.schedule(at: max(instant, self.now), body)
    }

    func schedule(after pause: TimeSpan, _ body: @escaping () -> Void) {
        self.queue.schedule(at: self.now + pause, body)
    }

    func diskDelay() -> TimeSpan {
        let delay = TimeSpan.microseconds(
            20 + self.random.below(self.configuration.diskDelayMicroseconds)
        )
        let slow = self.configuration.slowOperation
        return slow > 0 && self.random.chance(1, in: slow) ? delay * 100 : delay
    }

    func networkDelay() -> TimeSpan {
        .microseconds(10 + self.random.below(self.configuration.networkDelayMicroseconds))
    }

    /// Carries out the next event.
    ///
    /// False if nothing will ever happen again.
    func step() -> Bool {
        let deadline = min(self.nodes[0].nextDeadline, self.nodes[1].nextDeadline)
        let next = min(deadline, self.queue.next)
        guard next != .distantFuture else { return false }
        self.now = max(self.now, next)
        self.steps += 1
        if deadline < self.queue.next {
            for node in self.nodes where node.nextDeadline <= self.now { node.deliver(.timer) }
        } else if let body = self.queue.popFirst() {
            body()
        }
        self.afterStep?()
        return true
    }

    /// Lets `span` pass.
    func run(for span: TimeSpan) {
        let end = self.now + span
        while self.violations.isEmpty,
            min(self.queue.next, self.nodes[0].nextDeadline, self.nodes[1].nextDeadline) <= end
        {
            guard self.step() else { break }
        }
        self.now = max(self.now, end)
    }

    /// Goes on until `condition` holds; a violation if that takes longer than `limit`.
    @discardableResult
    func run(_ what: String, within limit: TimeSpan = .seconds(60), until condition: () -> Bool)
        -> Bool
    {
        let end = self.now + limit
        while !condition() {
            guard self.violations.isEmpty else { return false }
            guard self.now <= end, self.step() else {
                self.violated("after \(limit.milliseconds) ms still not: \(what)")
                return false
            }
        }
        return true
    }

    func violated(_ sentence: String) {
        self.violations.append("\(sentence)\n\(self.description)")
    }

    // MARK: Network

    /// Sets up two sockets when both nodes look for each other and can reach each other.
    func connectIfBothWant() {
        guard self.isNetworkUp, self.nodes.allSatisfy({ $0.wantsTransport }) else { return }
        self.transports += 1
        let transport = Transport(self, number: self.transports)
        self.transport = transport
        let resolver = Int(self.random.below(2))
        for node in self.nodes {
            node.wantsTransport = false
            node.transport = transport
            let life = node.life
            self.schedule(after: self.networkDelay()) {
                guard node.life == life, node.transport === transport else { return }
                node.transportEstablished(transport, resolvesConflicts: node.number == resolver)
                transport.established(node.number)
            }
        }
    }

    func cutNetwork(tellsNodes: Bool) {
        self.isNetworkUp = false
        self.transport?.cut(tellsNodes: tellsNodes)
    }

    func restoreNetwork() {
        self.isNetworkUp = true
        self.connectIfBothWant()
    }

    func sent(_ node: Int, _ socket: PacketSocket, _ volume: UInt16, _ packet: Packet) {
        if self.tracesPackets { self.trace[node].append("\(packet.command.name)") }
        self.note("node \(node) sends \(packet) of volume \(volume)")
    }

    /// The names of the packets that `node` has sent since packets are traced.
    func trace(of node: Int) -> [String] { self.trace[node] }

    // MARK: Text

    /// Set while a seed is being looked at: `BSR_WORLD_PRINTS=1`.
    private static let prints = ProcessInfo.processInfo.environment["BSR_WORLD_PRINTS"] != nil

    /// Prints what happens, if that was asked for.
    func note(_ sentence: @autoclosure () -> String) {
        if Self.prints { print("\(self.now.nanoseconds / 1_000) \(sentence())") }
    }
}

extension World: CustomStringConvertible {
    var description: String {
        "at \(self.now.nanoseconds / 1_000) µs" + self.describe(0) + self.describe(1)
    }

    func describe(_ number: Int) -> String {
        let node = self.nodes[number]
        guard node.isUp else { return "\n  node \(number) is down" }
        var text = "\n  node \(number) \(node.core.role) \(node.core.link)"
        text += " loss \(node.core.lastLoss.map { "\($0)" } ?? "-")"
        text += " requests \(node.core.requestCount) unconfirmed \(node.core.unconfirmedWrites)"
        for index in node.core.volumeIndices {
            let volume = node.core.volumeSnapshot(index)
            let state = volume.state
            text += "\n    volume \(index) \(state.role)/\(state.peerRole) \(state.connection) "
            text += "\(state.disk)/\(state.peerDisk) bits \(volume.outOfSyncBits) "
            text += "\(volume.generations) in flight \(volume.operationsInFlight)"
            if let plan = volume.lastPlan {
                text += " rule \(plan.comparison.rule) \(plan.decision)"
            }
        }
        return text
    }
}
