// SPDX-License-Identifier: Apache-2.0

import EngineCore
package import Primitives
package import Wire

/// Two nodes, their disks and the network between them, in virtual time, from one number.
///
/// One thread and one source of randomness: the same number leads to the same events.
package final class World {
    package let configuration: WorldConfiguration
    let parameters: ResourceParameters
    let diskParameters: DiskParameters
    package var random: SeededRandom
    package private(set) var now = Instant(nanoseconds: 1_000_000_000)
    private var queue = EventQueue()
    package private(set) var nodes: [WorldNode] = []
    package private(set) var applications: [Application] = []
    package private(set) lazy var checks = Checks(self)
    /// Events so far.
    package private(set) var steps: UInt64 = 0
    private var transports = 0
    package private(set) var transport: Transport?
    /// Whether the nodes can reach each other.
    package var isNetworkUp = true
    package internal(set) var coverage = Coverage()
    /// What must not have happened.
    package private(set) var violations: [String] = []
    /// What each node has sent, for scripted traces.
    private var trace: [[String]] = [[], []]
    package var tracesPackets = false
    /// Changes a packet that has arrived, as a peer that breaks the protocol would have sent it:
    /// the receiver's number, the packet, the sectors of its payload.
    package var tampering: ((Int, inout Packet, inout Int) -> Void)?
    /// Changes the bytes of a packet's head that has arrived: the receiver's number, the socket,
    /// the bytes.
    ///
    /// With it packets may be undecodable, and nothing is checked any more but that the nodes live.
    package var corrupting: ((Int, PacketSocket, inout [UInt8]) -> Void)? {
        didSet { if self.corrupting != nil { self.isHostile = true } }
    }
    /// Whether a node has got packets that no honest peer would have sent.
    package private(set) var isHostile = false
    /// Gets a line for everything that happens.
    package var log: ((String) -> Void)?

    package init(seed: UInt64, _ configuration: WorldConfiguration = WorldConfiguration()) {
        self.configuration = configuration
        self.random = SeededRandom(seed: seed)
        var parameters = ResourceParameters()
        parameters.network.replicationProtocol = configuration.replicationProtocol
        parameters.network.usesRunLengthEncoding = configuration.usesRunLengthEncoding
        parameters.network.digestLength = configuration.authenticates ? Authentication.length : 0
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
        self.applications = (0...1).map { Application(self, node: $0) }
    }

    private func makeDisk(_ sectors: Int, of node: Int) -> WorldNode.VolumeDisk {
        let metadata = SimulatedMetadata(
            sectors: UInt64(sectors),
            slots: configuration.bitmapSlots,
            own: UInt8(node),
            peer: UInt8(1 - node)
        )
        if configuration.startsEqual {
            metadata.format(
                SuperblockContent(
                    generations: Generations(current: GenerationID(0x1234_5678_9ABC_DEF0)),
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

    package func schedule(at instant: Instant, _ body: @escaping () -> Void) {
        self.queue.schedule(at: max(instant, self.now), body)
    }

    package func schedule(after pause: TimeSpan, _ body: @escaping () -> Void) {
        self.queue.schedule(at: self.now + pause, body)
    }

    func diskDelay(slowdown: UInt64) -> TimeSpan {
        let delay = TimeSpan.microseconds(
            20 + self.random.below(self.configuration.diskDelayMicroseconds)
        )
        let slow = self.configuration.slowOperation
        let isSlow = slow > 0 && self.random.chance(1, in: slow)
        return min(delay * (isSlow ? 100 : 1) * slowdown, .seconds(10))
    }

    func networkDelay() -> TimeSpan {
        .microseconds(10 + self.random.below(self.configuration.networkDelayMicroseconds))
    }

    /// Carries out the next event.
    ///
    /// False if nothing will ever happen again.
    package func step() -> Bool {
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
        self.checks.probe()
        return true
    }

    /// Lets `span` pass.
    package func run(for span: TimeSpan) {
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
    package func run(
        _ what: String,
        within limit: TimeSpan = .seconds(60),
        until condition: () -> Bool
    ) -> Bool {
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

    /// Forgets what would still happen and who waits for an answer: they may hold the world itself.
    func end() {
        self.queue = EventQueue()
        for node in self.nodes { node.forgetClients() }
    }

    package func violated(_ sentence: String) {
        self.note("VIOLATION \(sentence)")
        self.violations.append("\(sentence)\n\(self.description)")
    }

    // MARK: Coverage

    /// The state of a volume has changed.
    func moved(_ node: Int, _ volume: UInt16, from old: VolumeState, to new: VolumeState) {
        for fault in self.coverage.moved(from: old, to: new) {
            self.expect("volume \(volume): \(fault)", node)
        }
    }

    func received(_ node: Int, _ packet: Packet) {
        self.expect(self.coverage.received(packet.command), node)
    }

    func answered(_ node: Int, _ code: StateChangeCode) {
        self.expect(self.coverage.answered(code), node)
    }

    /// What the table of transitions does not allow is a violation, among honest nodes.
    private func expect(_ fault: String?, _ node: Int) {
        guard let fault, !self.isHostile, self.tampering == nil else { return }
        self.violated("transition: node \(node): \(fault)")
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

    package func cutNetwork(tellsNodes: Bool) {
        self.note("the network is cut\(tellsNodes ? "" : " without a sign")")
        self.isNetworkUp = false
        self.transport?.cut(tellsNodes: tellsNodes)
    }

    /// Has a socket carry nothing to `receiver` for at most so long; false if there is none.
    package func stall(
        _ socket: PacketSocket,
        to receiver: Int,
        forMilliseconds longest: UInt64
    ) -> Bool {
        guard let transport = self.transport, transport.isOpen[receiver], !transport.isCut else {
            return false
        }
        let pause = TimeSpan.milliseconds(1 + self.random.below(longest))
        self.note("the \(socket) socket to node \(receiver) stalls for \(pause.milliseconds) ms")
        transport.stall(socket, to: receiver, until: self.now + pause)
        return true
    }

    /// Garbles the next packet to `receiver`; false if there is no connection.
    package func garble(to receiver: Int) -> Bool {
        guard let transport = self.transport, transport.isOpen[receiver], !transport.isCut else {
            return false
        }
        self.note("the next packet to node \(receiver) is garbled")
        transport.garble(to: receiver)
        return true
    }

    package func restoreNetwork() {
        self.note("the network is back")
        self.isNetworkUp = true
        self.connectIfBothWant()
    }

    func sent(_ node: Int, _ socket: PacketSocket, _ volume: UInt16, _ packet: Packet) {
        self.expect(self.coverage.sent(packet.command), node)
        if self.tracesPackets { self.trace[node].append("\(packet.command.name)") }
        self.note("node \(node) sends \(packet) of volume \(volume)")
    }

    /// The names of the packets that `node` has sent since packets are traced.
    package func trace(of node: Int) -> [String] { self.trace[node] }

    /// Logs what happens, if anybody listens.
    func note(_ sentence: @autoclosure () -> String) {
        self.log?("\(self.now.nanoseconds / 1_000) \(sentence())")
    }
}

extension World: CustomStringConvertible {
    package var description: String {
        "at \(self.now.nanoseconds / 1_000) µs" + self.describe(0) + self.describe(1)
    }

    package func describe(_ number: Int) -> String {
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
