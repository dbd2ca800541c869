// SPDX-License-Identifier: Apache-2.0

/// A table of at most `capacity` plain values that are addressed by slot number.
///
/// All memory is found at creation; taking and releasing a slot never allocates. A full table is
/// backpressure: the caller stops accepting work until a slot comes back. Owned by one thread.
public struct SlotTable<Element: BitwiseCopyable>: ~Copyable {
    @usableFromInline let elements: UnsafeMutablePointer<Element>
    @usableFromInline let inUse: UnsafeMutablePointer<Bool>
    @usableFromInline let free: UnsafeMutablePointer<UInt32>
    @usableFromInline var freeCount: Int
    /// The number of slots.
    public let capacity: Int

    /// Creates a table of `capacity` free slots.
    public init(capacity: Int) {
        invariant(capacity > 0 && capacity < Int(UInt32.max), "capacity of a slot table")
        self.capacity = capacity
        self.elements = .allocate(capacity: capacity)
        self.inUse = .allocate(capacity: capacity)
        self.inUse.initialize(repeating: false, count: capacity)
        self.free = .allocate(capacity: capacity)
        for index in 0..<capacity {
            (self.free + index).initialize(to: UInt32(capacity - 1 - index))
        }
        self.freeCount = capacity
    }

    deinit {
        self.elements.deallocate()
        self.inUse.deallocate()
        self.free.deallocate()
    }

    /// The number of slots taken.
    @inlinable public var count: Int { self.capacity - self.freeCount }

    /// Whether no slot is free.
    @inlinable public var isFull: Bool { self.freeCount == 0 }

    /// Takes a free slot for `element`; nil when the table is full.
    @inlinable
    public mutating func take(_ element: Element) -> UInt32? {
        guard self.freeCount > 0 else { return nil }
        self.freeCount -= 1
        let slot = self.free[self.freeCount]
        self.inUse[Int(slot)] = true
        (self.elements + Int(slot)).initialize(to: element)
        return slot
    }

    /// Gives `slot` back.
    ///
    /// Traps if it is free.
    @inlinable
    public mutating func release(_ slot: UInt32) {
        invariant(self.contains(slot), "release of a slot that is in use")
        self.inUse[Int(slot)] = false
        self.free[self.freeCount] = slot
        self.freeCount += 1
    }

    /// Whether `slot` is in use; false for numbers beyond the table.
    @inlinable
    public func contains(_ slot: UInt32) -> Bool {
        Int(slot) < self.capacity && self.inUse[Int(slot)]
    }

    /// The value in `slot`.
    ///
    /// Traps if the slot is free.
    @inlinable
    public subscript(slot: UInt32) -> Element {
        unsafeAddress {
            invariant(self.contains(slot), "access to a slot that is in use")
            return UnsafePointer(self.elements + Int(slot))
        }
        unsafeMutableAddress {
            invariant(self.contains(slot), "access to a slot that is in use")
            return self.elements + Int(slot)
        }
    }
}
