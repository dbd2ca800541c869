// SPDX-License-Identifier: Apache-2.0

import Primitives

/// A table of at most `capacity` plain values, addressed by slot and generation.
///
/// A value of pointers: copies share the table. Elements do not move, so a pointer to one is good
/// until its slot is released. Generations are odd while a slot is in use. Owned by one thread;
/// freed by ``deallocate()``.
struct HandleTable<Element: BitwiseCopyable> {
    let capacity: Int
    private let elements: UnsafeMutablePointer<Element>
    private let generations: UnsafeMutablePointer<UInt32>
    private let free: UnsafeMutablePointer<UInt32>
    private let freeCount: UnsafeMutablePointer<Int>

    init(capacity: Int) {
        invariant(capacity > 0 && capacity < Int(Int32.max), "capacity of a handle table")
        self.capacity = capacity
        self.elements = .allocate(capacity: capacity)
        self.generations = .allocate(capacity: capacity)
        self.generations.initialize(repeating: 0, count: capacity)
        self.free = .allocate(capacity: capacity)
        for index in 0..<capacity {
            (self.free + index).initialize(to: UInt32(capacity - 1 - index))
        }
        self.freeCount = .allocate(capacity: 1)
        self.freeCount.initialize(to: capacity)
    }

    func deallocate() {
        self.elements.deallocate()
        self.generations.deallocate()
        self.free.deallocate()
        self.freeCount.deallocate()
    }

    var isFull: Bool { self.freeCount.pointee == 0 }

    var isEmpty: Bool { self.freeCount.pointee == self.capacity }

    /// Takes a free slot for `element`; nil when the table is full.
    func take(_ element: Element) -> UInt32? {
        guard self.freeCount.pointee > 0 else { return nil }
        self.freeCount.pointee -= 1
        let slot = self.free[self.freeCount.pointee]
        self.generations[Int(slot)] &+= 1
        (self.elements + Int(slot)).initialize(to: element)
        return slot
    }

    /// Gives `slot` back.
    ///
    /// Traps if it is free.
    func release(_ slot: UInt32) {
        invariant(self.isInUse(slot), "release of a slot that is in use")
        self.generations[Int(slot)] &+= 1
        self.free[self.freeCount.pointee] = slot
        self.freeCount.pointee += 1
    }

    func isInUse(_ slot: UInt32) -> Bool {
        Int(slot) < self.capacity && self.generations[Int(slot)] & 1 == 1
    }

    func generation(_ slot: UInt32) -> UInt32 { self.generations[Int(slot)] }

    /// The element in `slot`.
    ///
    /// Traps if the slot is free.
    subscript(slot: UInt32) -> UnsafeMutablePointer<Element> {
        invariant(self.isInUse(slot), "access to a slot that is in use")
        return self.elements + Int(slot)
    }

    /// The element that a handle names; nil if the handle is stale.
    func find(_ slot: UInt32, _ generation: UInt32) -> UnsafeMutablePointer<Element>? {
        guard Int(slot) < self.capacity, self.generations[Int(slot)] == generation else {
            return nil
        }
        return self.elements + Int(slot)
    }
}
