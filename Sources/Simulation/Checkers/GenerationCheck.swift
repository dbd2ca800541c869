// SPDX-License-Identifier: Apache-2.0

/// Contract 4: stale data never overwrites newer data, and a split brain is never resolved without
/// a word of the administrator.
///
/// Keeps what the generations have to express, as a clock with one entry for each node: the last
/// write that was completed while only that node's copy could have it.
package final class GenerationCheck {
    private typealias Clock = [UInt64]

    /// By node and volume: which of those writes its data includes.
    private var known: [[Clock]]
    /// By node and volume: its administrator gave up what only this node has.
    private var isDiscardable: [[Bool]]
    private var stamp: UInt64 = 0

    init(volumes: Int) {
        self.known = Array(repeating: Array(repeating: [0, 0], count: volumes), count: 2)
        self.isDiscardable = Array(repeating: Array(repeating: false, count: volumes), count: 2)
    }

    /// A write was completed that only the copy of `node` may have.
    func diverged(_ node: Int, _ volume: Int) {
        self.stamp += 1
        self.known[node][volume][node] = self.stamp
    }

    func discards(_ node: Int, _ volume: Int, _ discards: Bool) {
        self.isDiscardable[node][volume] = discards
    }

    /// Whether `target` is about to lose writes that its administrator gave up.
    func givesUp(_ target: Int, _ volume: Int) -> Bool {
        let own = self.known[target][volume]
        let source = self.known[1 - target][volume]
        return self.isDiscardable[target][volume]
            && (0...1).contains { own[$0] > source[$0] }
    }

    /// `target` is about to be overwritten with the data of the other node.
    ///
    /// Returns what would be lost; nil if nothing.
    func becameTarget(_ target: Int, _ volume: Int) -> String? {
        let own = self.known[target][volume]
        let source = self.known[1 - target][volume]
        self.known[target][volume] = [0, 0]
        guard !self.isDiscardable[target][volume] else { return nil }
        for node in 0...1 where own[node] > source[node] {
            return "volume \(volume) of node \(target) has writes that node \(node) alone "
                + "completed, is overwritten with data that lacks them"
        }
        return nil
    }

    func synchronised(_ target: Int, _ volume: Int) {
        self.known[target][volume] = self.known[1 - target][volume]
        self.isDiscardable[target][volume] = false
    }
}
