// SPDX-License-Identifier: Apache-2.0

import Primitives

/// A first-in-first-out list of requests, linked through `Request.next`.
///
/// A request is in one list at most.
struct RequestList: BitwiseCopyable {
    private(set) var first = Request.none
    private var last = Request.none
    private(set) var count = 0

    var isEmpty: Bool { self.first == Request.none }

    mutating func append(_ slot: UInt32, in table: inout SlotTable<Request>) {
        table[slot].next = Request.none
        if self.isEmpty {
            self.first = slot
        } else {
            table[self.last].next = slot
        }
        self.last = slot
        self.count += 1
    }

    /// Takes `slot` out of the middle.
    ///
    /// Takes time in the number of requests before it.
    mutating func remove(_ slot: UInt32, in table: inout SlotTable<Request>) {
        var previous = Request.none
        var current = self.first
        while current != Request.none, current != slot {
            previous = current
            current = table[current].next
        }
        guard current == slot else { return }
        if previous == Request.none {
            self.first = table[slot].next
        } else {
            table[previous].next = table[slot].next
        }
        if self.last == slot { self.last = previous }
        table[slot].next = Request.none
        self.count -= 1
    }

    mutating func popFirst(in table: inout SlotTable<Request>) -> UInt32? {
        guard self.first != Request.none else { return nil }
        let slot = self.first
        self.first = table[slot].next
        table[slot].next = Request.none
        if self.first == Request.none { self.last = Request.none }
        self.count -= 1
        return slot
    }
}
