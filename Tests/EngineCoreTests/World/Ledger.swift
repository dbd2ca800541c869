// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// What applications have written and been told, and what each node owes them for it.
///
/// For every sector and node a floor: the newest write whose loss on that node would break a
/// promise. Floors rise with completions, by what the protocol promises, and sink when a node dies
/// to what it has promised to keep.
final class Ledger {
    struct Write {
        var volume: UInt16
        var range: SectorRange
        var isZeroes: Bool
        /// Steps of the world.
        var submittedAt: UInt64
        var completedAt: UInt64?
    }

    /// What has to survive what.
    enum Strength: Int, CaseIterable, Comparable {
        /// Nothing: it is in the memory of the process.
        case memory
        /// A crash of the process.
        case process
        /// A power cut.
        case power

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    private unowned let world: World
    /// By number minus ``firstContent``.
    private(set) var writes: [Write] = []
    /// All writes to a sector in the order of their submission.
    private var history: [[Int: [Content]]]
    /// By node, volume and strength: floors of sectors.
    private var floors: [[[[Int: Content]]]]

    static var firstContent: Content { 100 }

    init(_ world: World, volumes: Int) {
        self.world = world
        self.history = Array(repeating: [:], count: volumes)
        let strengths = Array(repeating: [Int: Content](), count: Strength.allCases.count)
        self.floors = Array(repeating: Array(repeating: strengths, count: volumes), count: 2)
    }

    // MARK: Writing

    /// Notes a write that is about to be submitted and returns what it writes.
    func begin(_ volume: UInt16, _ range: SectorRange, isZeroes: Bool) -> Content {
        let content = Self.firstContent + Content(self.writes.count)
        self.writes.append(
            Write(
                volume: volume,
                range: range,
                isZeroes: isZeroes,
                submittedAt: self.world.steps
            )
        )
        for sector in Int(range.start)..<Int(range.end) {
            self.history[Int(volume)][sector, default: []].append(content)
        }
        return content
    }

    func write(_ content: Content) -> Write { self.writes[Int(content - Self.firstContent)] }

    /// A write was completed with success; `node` keeps it with this strength.
    func completed(_ content: Content) {
        self.writes[Int(content - Self.firstContent)].completedAt = self.world.steps
    }

    func promise(_ content: Content, on node: Int, _ strength: Strength) {
        let write = self.write(content)
        for level in 0...strength.rawValue {
            for sector in Int(write.range.start)..<Int(write.range.end) {
                let volume = Int(write.volume)
                let floor = self.floors[node][volume][level][sector] ?? 0
                self.floors[node][volume][level][sector] = max(floor, content)
            }
        }
    }

    /// The floors of one strength as they are now, for a flush that begins.
    func floors(_ node: Int, _ volume: UInt16, _ strength: Strength) -> [Int: Content] {
        self.floors[node][Int(volume)][strength.rawValue]
    }

    /// A flush has succeeded that began when the floors were these.
    func flushed(_ node: Int, _ volume: UInt16, _ floors: [Int: Content]) {
        let power = Strength.power.rawValue
        self.floors[node][Int(volume)][power].merge(floors) { max($0, $1) }
    }

    // MARK: Crashes and resyncs

    /// A node is gone: only promises of this strength hold.
    func died(_ node: Int, leaving strength: Strength) {
        for volume in self.floors[node].indices {
            for level in 0..<strength.rawValue {
                self.floors[node][volume][level] = self.floors[node][volume][strength.rawValue]
            }
        }
    }

    /// A resync towards `target` begins: what its node has promised is the source's business now.
    ///
    /// If the source is a Primary that came back without its cache, only what was flushed is.
    func becameTarget(_ target: Int, _ volume: UInt16, sourceLostCache: Bool) {
        let least = sourceLostCache ? Strength.power : .memory
        for strength in Strength.allCases {
            let promised = self.floors[target][Int(volume)][max(strength, least).rawValue]
            self.floors[1 - target][Int(volume)][strength.rawValue].merge(promised) { max($0, $1) }
            self.floors[target][Int(volume)][strength.rawValue] = [:]
        }
    }

    /// `target` has the data of the other node now, on stable storage.
    func synchronised(_ target: Int, _ volume: UInt16) {
        let source = self.floors[1 - target][Int(volume)]
        for strength in Strength.allCases {
            self.floors[target][Int(volume)][strength.rawValue].merge(source[0]) { max($0, $1) }
        }
    }

    /// Acknowledged writes may be lost from now on without anybody being at fault: the order of
    /// those that were so far says nothing.
    func forgetOrder() {
        for index in self.writes.indices { self.writes[index].completedAt = nil }
    }

    /// A node's data is given up.
    func discarded(_ node: Int) {
        for volume in self.floors[node].indices {
            for level in self.floors[node][volume].indices {
                self.floors[node][volume][level] = [:]
            }
        }
    }

    // MARK: Checking

    /// Whether `content` may be in a sector whose floor is `floor`; nil if it may.
    func fault(_ volume: UInt16, _ sector: Int, _ content: Content, floor: Content) -> String? {
        let history = self.history[Int(volume)][sector] ?? []
        if content >= Self.firstContent {
            guard history.contains(content) else { return "holds \(content) of elsewhere" }
            return content >= floor ? nil : "holds \(content), which is older than \(floor)"
        }
        if floor == 0 { return nil }
        if content == 0, history.contains(where: { $0 >= floor && self.write($0).isZeroes }) {
            return nil
        }
        return "holds \(content), but \(floor) was written"
    }

    func floor(_ node: Int, _ volume: UInt16, _ sector: Int, _ strength: Strength = .memory)
        -> Content
    {
        self.floors[node][Int(volume)][strength.rawValue][sector] ?? 0
    }

    /// Compares a disk with what its node owes, at a time when nothing is in flight on it.
    func check(_ node: Int, _ volume: UInt16, against disk: SectorContent) {
        for (sector, floor) in self.floors[node][Int(volume)][0] {
            if let fault = self.fault(volume, sector, disk[sector], floor: floor) {
                return self.world.violated(
                    "node \(node) volume \(volume) sector \(sector) \(fault)"
                )
            }
        }
    }

    /// Whether the content of a replica's volumes is that of some write boundary: if one write was
    /// completed before another was submitted, it has the older one if it has the newer one.
    func checkOrder(_ node: Int, _ contents: [SectorContent]) {
        var newest: UInt64 = 0
        for (volume, history) in self.history.enumerated() {
            for sector in history.keys where contents[volume][sector] >= Self.firstContent {
                newest = max(newest, self.write(contents[volume][sector]).submittedAt)
            }
        }
        for (volume, history) in self.history.enumerated() {
            for (sector, writes) in history {
                let due = writes.last { content in
                    (self.write(content).completedAt ?? .max) < newest
                }
                guard let due else { continue }
                let fault = self.fault(UInt16(volume), sector, contents[volume][sector], floor: due)
                guard let fault else { continue }
                return self.world.violated(
                    "order on node \(node): volume \(volume) sector \(sector) \(fault), "
                        + "completed before a write it has"
                )
            }
        }
    }
}
