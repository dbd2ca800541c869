// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// Two nodes with a few blocks, and the truth about who has which acknowledged write.
///
/// Events of all kinds happen in an order that the seed decides; generations, decisions and repairs
/// are those of the product. What goes against the truth is a line in `violations`.
struct GenerationWorld {
    struct Node {
        var generations = Generations()
        var disk = DiskState.inconsistent
        var role = Role.secondary
        var isUp = true
        var crashedPrimary = false
        var discardsData = false
        /// The write that each block holds.
        var blocks = [Int](repeating: 0, count: GenerationWorld.blockCount)
        var dirty = [Bool](repeating: true, count: GenerationWorld.blockCount)
        /// Blocks that the activity log names: marked dirty after a crash.
        var hot: Set<Int> = []
        /// The acknowledged writes that the data includes; meaningless while Inconsistent.
        var writes: Set<Int> = []
        /// The peer's set as last received.
        var peerGenerations = Generations()

        var side: SyncSide {
            SyncSide(
                comparison: ComparisonSide(
                    generations: self.generations,
                    crashedPrimary: self.crashedPrimary,
                    role: self.role
                ),
                disk: self.disk,
                discardsData: self.discardsData
            )
        }
    }

    static let blockCount = 6

    private(set) var nodes = [Node(), Node()]
    private(set) var violations: [String] = []
    /// How often each rule decided.
    private(set) var rules: [UInt8: Int] = [:]
    private(set) var splitBrains = 0
    private(set) var resyncs = 0
    private var random: SeededRandom
    private var isConnected = false
    private var nextWrite = 1

    init(seed: UInt64) {
        self.random = SeededRandom(seed: seed)
        if self.random.chance(1, in: 2) {
            self.nodes[0].generations.startNew(self.random.next(), role: .secondary)
            let current = self.nodes[0].generations.current
            self.nodes[0].generations.bitmap = .empty
            self.nodes[1].generations.adopt(current, role: .secondary)
            for index in 0..<2 {
                self.nodes[index].disk = .upToDate
                self.nodes[index].dirty = self.clean
            }
            self.isConnected = true
        } else {
            self.nodes[0].generations.startNew(self.random.next(), role: .primary)
            self.nodes[0].disk = .upToDate
            self.nodes[0].role = .primary
            self.connect()
        }
    }

    /// Lets one thing happen.
    mutating func step() {
        let node = Int(self.random.below(2))
        switch self.random.below(16) {
        case 0, 1, 2, 3: self.write(at: node)
        case 4: self.disconnect()
        case 5, 6, 7: self.connect()
        case 8, 9: self.promote(node)
        case 10: self.demote(node)
        case 11: self.crash(node, losing: self.random.chance(1, in: 2))
        case 12, 13: self.boot(node)
        case 14: self.outdate(node)
        default: self.giveUpData(of: node)
        }
    }
}

// What nodes do by themselves.
extension GenerationWorld {
    private var clean: [Bool] { [Bool](repeating: false, count: Self.blockCount) }

    private func state(of node: Int) -> VolumeState {
        VolumeState(
            role: self.nodes[node].role,
            peerRole: self.isConnected ? self.nodes[1 - node].role : .unknown,
            connection: self.isConnected ? .connected : .wfConnection,
            disk: self.nodes[node].disk,
            peerDisk: self.isConnected ? self.nodes[1 - node].disk : .unknown
        )
    }

    private mutating func put(_ write: Int, into block: Int, of node: Int) {
        self.nodes[node].blocks[block] = write
        if self.nodes[node].role == .primary { self.nodes[node].hot.insert(block) }
    }

    private mutating func write(at node: Int) {
        guard self.nodes[node].isUp, self.nodes[node].role == .primary else { return }
        guard self.nodes[node].disk == .upToDate else { return }
        let write = self.nextWrite
        self.nextWrite += 1
        let block = Int(self.random.below(UInt64(Self.blockCount)))
        self.put(write, into: block, of: node)
        self.nodes[node].writes.insert(write)
        if self.isConnected {
            self.put(write, into: block, of: 1 - node)
            self.nodes[1 - node].writes.insert(write)
        } else {
            self.nodes[node].dirty[block] = true
        }
    }

    /// Starts a write that is not acknowledged before something fails: it may be anywhere.
    private mutating func writeInFlight(from node: Int) -> (block: Int, write: Int)? {
        guard self.nodes[node].isUp, self.nodes[node].role == .primary else { return nil }
        guard self.nodes[node].disk == .upToDate else { return nil }
        let write = self.nextWrite
        self.nextWrite += 1
        let block = Int(self.random.below(UInt64(Self.blockCount)))
        self.nodes[node].hot.insert(block)
        if self.random.chance(1, in: 2) { self.put(write, into: block, of: node) }
        if self.isConnected, self.random.chance(1, in: 2) {
            self.put(write, into: block, of: 1 - node)
        }
        return (block, write)
    }

    private mutating func promote(_ node: Int) {
        guard self.nodes[node].isUp, self.nodes[node].role == .secondary else { return }
        guard self.nodes[node].disk == .upToDate else { return }
        if self.isConnected, self.nodes[1 - node].role == .primary { return }
        self.nodes[node].role = .primary
        let needsNew = GenerationRules.promotionNeedsNew(
            in: self.state(of: node),
            forced: false,
            generations: self.nodes[node].generations
        )
        if needsNew {
            self.nodes[node].generations.startNew(self.random.next(), role: .primary)
        } else {
            self.nodes[node].generations.mark(for: .primary)
        }
    }

    private mutating func demote(_ node: Int) {
        guard self.nodes[node].isUp, self.nodes[node].role == .primary else { return }
        self.nodes[node].role = .secondary
        self.nodes[node].generations.mark(for: .secondary)
        self.nodes[node].hot = []
    }

    private mutating func outdate(_ node: Int) {
        guard self.nodes[node].isUp, !self.isConnected else { return }
        guard self.nodes[node].role == .secondary, self.nodes[node].disk == .upToDate else {
            return
        }
        self.nodes[node].disk = .outdated
    }

    private mutating func giveUpData(of node: Int) {
        guard self.nodes[node].isUp, !self.isConnected else { return }
        guard self.nodes[node].role == .secondary else { return }
        self.nodes[node].discardsData = true
    }

    private mutating func boot(_ node: Int) { self.nodes[node].isUp = true }

    private mutating func crash(_ node: Int, losing alsoPeer: Bool) {
        guard self.nodes[node].isUp else { return }
        let inFlight = self.writeInFlight(from: node)
        let fromPeer = self.isConnected ? self.writeInFlight(from: 1 - node) : nil
        self.fall(node)
        if alsoPeer, self.random.chance(1, in: 3), self.nodes[1 - node].isUp {
            self.fall(1 - node)
            self.isConnected = false
        } else {
            self.disconnect(inFlight: fromPeer.map { (1 - node, $0.block, $0.write) })
        }
        _ = inFlight
    }

    /// Takes a node down as a power cut does; what it comes back as is already decided then.
    private mutating func fall(_ node: Int) {
        if self.nodes[node].role == .primary { self.nodes[node].crashedPrimary = true }
        for block in self.nodes[node].hot { self.nodes[node].dirty[block] = true }
        self.nodes[node].hot = []
        self.nodes[node].role = .secondary
        self.nodes[node].isUp = false
        self.nodes[node].discardsData = false
    }

    /// Ends the connection for both nodes; a Primary starts a generation if its rules say so.
    private mutating func disconnect(inFlight: (node: Int, block: Int, write: Int)? = nil) {
        guard self.isConnected else { return }
        let before = [self.state(of: 0), self.state(of: 1)]
        self.isConnected = false
        for node in 0..<2 where self.nodes[node].isUp {
            let after = self.state(of: node)
            let needsNew = GenerationRules.needsNew(
                from: before[node],
                to: after,
                generations: self.nodes[node].generations
            )
            if needsNew {
                self.nodes[node].generations.startNew(
                    self.random.next(),
                    role: self.nodes[node].role
                )
            }
        }
        // What was on its way is completed by the Primary alone.
        if let inFlight, self.nodes[inFlight.node].isUp {
            self.put(inFlight.write, into: inFlight.block, of: inFlight.node)
            self.nodes[inFlight.node].dirty[inFlight.block] = true
            self.nodes[inFlight.node].writes.insert(inFlight.write)
        }
    }
}

// What they do when they meet.
extension GenerationWorld {
    private mutating func connect() {
        guard !self.isConnected, self.nodes[0].isUp, self.nodes[1].isUp else { return }
        let flag = self.random.chance(1, in: 2)
        let sides = [self.nodes[0].side, self.nodes[1].side]
        let plans = [
            SyncPlan(own: sides[0], peer: sides[1], terms: SyncTerms(resolveConflicts: flag)),
            SyncPlan(own: sides[1], peer: sides[0], terms: SyncTerms(resolveConflicts: !flag)),
        ]
        self.rules[plans[0].comparison.rule, default: 0] += 1
        let discards = [self.nodes[0].discardsData, self.nodes[1].discardsData]
        for node in 0..<2 {
            if self.nodes[node].discardsData != discards[node] { return }
            self.nodes[node].discardsData = false
        }
        self.judge(plans, discards)
        // Two Primaries are refused by the state rules, after the decision.
        if self.nodes[0].role == .primary, self.nodes[1].role == .primary { return }
        switch (plans[0].decision, plans[1].decision) {
        case (.none, .none): self.establish()
        case (.source(let full), .target): self.resync(from: 0, full: full, plans)
        case (.target(let full), .source): self.resync(from: 1, full: full, plans)
        case (.fail, _), (_, .fail): if plans[0].splitBrainFound { self.splitBrains += 1 }
        case (.none, _), (.source, _), (.target, _): self.report("directions differ", plans)
        }
    }

    private mutating func establish() {
        self.isConnected = true
        for node in 0..<2 {
            if self.nodes[node].disk == .outdated { self.nodes[node].disk = .upToDate }
            self.nodes[node].crashedPrimary = false
        }
    }

    /// Copies dirty blocks until it is done or something ends it.
    private mutating func resync(from source: Int, full: Bool, _ plans: [SyncPlan]) {
        self.resyncs += 1
        let target = 1 - source
        self.applyRepairs(plans)
        for node in 0..<2 { self.nodes[node].peerGenerations = self.received(by: node, plans) }
        self.isConnected = true
        if self.nodes[target].disk != .inconsistent { self.nodes[target].disk = .outdated }
        self.nodes[source].disk = .upToDate
        if full { self.nodes[source].dirty = [Bool](repeating: true, count: Self.blockCount) }
        if full { self.nodes[target].dirty = [Bool](repeating: true, count: Self.blockCount) }
        if self.endsEarly() { return }
        for block in 0..<Self.blockCount {
            let either = self.nodes[source].dirty[block] || self.nodes[target].dirty[block]
            self.nodes[source].dirty[block] = either
            self.nodes[target].dirty[block] = either
        }
        if self.endsEarly() { return }
        let generation = self.nodes[source].generations.startResyncAsSource()
        if self.endsEarly() { return }
        self.nodes[target].generations.startResyncAsTarget(generation, role: .secondary)
        self.nodes[target].disk = .inconsistent
        self.copy(from: source, to: target)
    }

    private mutating func copy(from source: Int, to target: Int) {
        for block in 0..<Self.blockCount where self.nodes[source].dirty[block] {
            if self.endsEarly() { return }
            if self.random.chance(1, in: 4) { self.write(at: source) }
            self.nodes[target].blocks[block] = self.nodes[source].blocks[block]
            self.nodes[target].dirty[block] = false
            // The acknowledgement may be lost with the connection.
            if self.random.chance(1, in: 12) {
                self.disconnect()
                return
            }
            self.nodes[source].dirty[block] = false
        }
        if self.endsEarly() { return }
        self.nodes[target].generations.finishResyncAsTarget(
            source: self.nodes[target].peerGenerations,
            role: .secondary
        )
        self.nodes[target].disk = .upToDate
        self.nodes[target].writes = self.nodes[source].writes
        self.nodes[target].crashedPrimary = false
        if self.nodes[target].blocks != self.nodes[source].blocks {
            self.report("blocks differ after a resync", [])
        }
        // The state that tells the source of it may be lost.
        if self.endsEarly() { return }
        self.nodes[source].generations.finishResyncAsSource()
        self.nodes[source].crashedPrimary = false
        if !self.nodes[source].generations.names(self.nodes[target].generations) {
            self.report("generations differ after a resync", [])
        }
    }

    /// Ends a resync now and then by a lost connection, a crash or a promotion of nobody.
    private mutating func endsEarly() -> Bool {
        switch self.random.below(24) {
        case 0: self.disconnect()
        case 1: self.crash(0, losing: true)
        case 2: self.crash(1, losing: true)
        default: return false
        }
        return true
    }

    private mutating func applyRepairs(_ plans: [SyncPlan]) {
        for node in 0..<2 {
            if case .own(let repaired) = plans[node].comparison.repair {
                self.nodes[node].generations = repaired
            }
        }
    }

    private func received(by node: Int, _ plans: [SyncPlan]) -> Generations {
        switch plans[node].comparison.repair {
        case .peer(let repaired): repaired
        case .none, .own: self.nodes[1 - node].generations
        }
    }

    /// Holds the decisions against the truth.
    private mutating func judge(_ plans: [SyncPlan], _ discards: [Bool]) {
        if plans[0].comparison.verdict != plans[1].comparison.verdict.mirrored {
            self.report("verdicts are not mirrored", plans)
        }
        for node in 0..<2 {
            switch plans[node].decision {
            case .none:
                if self.nodes[0].blocks != self.nodes[1].blocks
                    || self.nodes[0].writes != self.nodes[1].writes
                {
                    self.report("different data counts as equal", plans)
                }
            case .source:
                if self.nodes[node].disk == .inconsistent { self.report("bad source", plans) }
            case .target:
                let loses = !self.nodes[node].writes.isSubset(of: self.nodes[1 - node].writes)
                let isClaim = self.nodes[node].disk != .inconsistent
                if loses, isClaim, !discards[node] {
                    self.report("acknowledged writes would be lost", plans)
                }
            case .fail(let refusal):
                if refusal == .unrelatedData { self.report("own data counts as foreign", plans) }
            }
        }
    }

    private mutating func report(_ what: String, _ plans: [SyncPlan]) {
        let rules = plans.map { "\($0.comparison.rule) \($0.decision)" }
        let sets = self.nodes.map { "\($0.disk) \($0.generations)" }
        self.violations.append("\(what): \(rules) \(sets)")
    }
}
