// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives

/// Contract 1 through crashes: for every sector of every node the newest write whose loss there
/// would break a promise.
///
/// Floors rise with completions, by what the protocol promises, sink to what a death leaves, and
/// are replaced by the source's when the node was synchronised.
package final class PromiseCheck {
    /// What has to survive what.
    package enum Strength: Int, CaseIterable {
        /// Nothing: it is in the memory of the process.
        case memory
        /// The end of the process.
        case process
        /// A power cut.
        case power
    }

    /// By node, volume and strength.
    private var floors: [[[SectorContent]]]
    /// By node and volume: what the source had promised when the running resync began.
    private var ofSource: [[SectorContent]]
    private let writes: WriteTable

    init(_ writes: WriteTable, sectors: [Int]) {
        self.writes = writes
        let none = sectors.map { SectorContent(sectorCount: $0, initial: 0) }
        let levels = none.map { Array(repeating: $0, count: Strength.allCases.count) }
        self.floors = [levels, levels]
        self.ofSource = [none, none]
    }

    /// `node` keeps a write with this strength.
    func promise(_ content: Content, on node: Int, _ strength: Strength) {
        let write = self.writes[content]
        for level in 0...strength.rawValue {
            self.floors[node][Int(write.volume)][level].update(write.range) { max($1, content) }
        }
    }

    /// The floors as they are now, for a flush that begins.
    func floors(_ node: Int, _ volume: UInt16, _ strength: Strength) -> SectorContent {
        self.floors[node][Int(volume)][strength.rawValue]
    }

    /// A flush has succeeded that began when the floors were these.
    func flushed(_ node: Int, _ volume: UInt16, _ floors: SectorContent) {
        for strength in Strength.allCases {
            self.floors[node][Int(volume)][strength.rawValue].raise(to: floors)
        }
    }

    /// Only promises of this strength hold for a node, or for one of its volumes.
    func lost(_ node: Int, volume: Int? = nil, leaving strength: Strength) {
        for index in self.floors[node].indices where volume == nil || volume == index {
            for level in 0..<strength.rawValue {
                self.floors[node][index][level] = self.floors[node][index][strength.rawValue]
            }
        }
    }

    /// The data of a node is given up, or was never whole.
    func givenUp(_ node: Int, _ volume: Int) {
        for level in self.floors[node][volume].indices {
            let sectors = self.floors[node][volume][level].sectorCount
            self.floors[node][volume][level] = SectorContent(sectorCount: sectors, initial: 0)
        }
    }

    /// `source` is about to feed a resync.
    func becameSource(_ source: Int, _ volume: Int) {
        self.ofSource[1 - source][volume] = self.floors[source][volume][0]
    }

    /// `target` has all that its source had when the resync began, on stable storage.
    func synchronised(_ target: Int, _ volume: Int) {
        for level in self.floors[target][volume].indices {
            self.floors[target][volume][level] = self.ofSource[target][volume]
        }
    }

    /// What a disk lacks that its node has promised; nil if nothing.
    func fault(_ node: Int, _ volume: Int, in disk: SectorContent) -> String? {
        var fault: String?
        let floors = self.floors[node][volume][0]
        floors.compare(with: disk, below: disk.sectorCount) { sector, floor, content in
            guard floor > 0, content < floor else { return true }
            fault = self.writes.fault(UInt16(volume), sector, content, floor: floor)
                .map { "volume \(volume) sector \(sector) \($0)" }
            return fault == nil
        }
        return fault
    }
}
