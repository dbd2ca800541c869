// SPDX-License-Identifier: Apache-2.0

/// A table of at most `capacity` owned values whose addresses never change.
///
/// For the long-lived parts of a driver: non-copyable values that are found by number from events.
/// All memory is found at creation. Owned by one thread.
@frozen
public struct PlaceTable<Element: ~Copyable>: ~Copyable {
    @usableFromInline let places: UnsafeMutablePointer<Element>
    @usableFromInline let inUse: UnsafeMutablePointer<Bool>
    /// The number of places.
    public let capacity: Int
    /// The number of places taken.
    public private(set) var count = 0
    /// The end of the places that are taken: one more than the highest, 0 if there is none.
    public private(set) var end = 0

    /// Creates a table of `capacity` empty places.
    public init(capacity: Int) {
        self.capacity = capacity
        self.places = .allocate(capacity: capacity)
        self.inUse = .allocate(capacity: capacity)
        self.inUse.initialize(repeating: false, count: capacity)
    }

    deinit {
        for index in 0..<self.capacity where self.inUse[index] {
            (self.places + index).deinitialize(count: 1)
        }
        self.places.deallocate()
        self.inUse.deallocate()
    }

    /// Whether no place is free.
    public var isFull: Bool { self.count == self.capacity }

    /// Whether place `index` is taken; false for numbers beyond the table.
    @inlinable
    public func contains(_ index: Int) -> Bool {
        index >= 0 && index < self.capacity && self.inUse[index]
    }

    /// Puts `element` into the lowest free place.
    ///
    /// Traps if the table is full.
    public mutating func add(_ element: consuming Element) -> Int {
        var index = 0
        while index < self.capacity, self.inUse[index] { index += 1 }
        invariant(index < self.capacity, "a table that is not full has a place")
        self.put(element, at: index)
        return index
    }

    /// Puts `element` into place `index`.
    ///
    /// Traps if the place is taken.
    public mutating func put(_ element: consuming Element, at index: Int) {
        invariant(index >= 0 && index < self.capacity && !self.inUse[index], "a free place")
        (self.places + index).initialize(to: element)
        self.inUse[index] = true
        self.count += 1
        self.end = max(self.end, index + 1)
    }

    /// Destroys the value in place `index`.
    ///
    /// Traps if the place is free.
    public mutating func remove(_ index: Int) {
        invariant(self.contains(index), "a place that is taken")
        (self.places + index).deinitialize(count: 1)
        self.inUse[index] = false
        self.count -= 1
        while self.end > 0, !self.inUse[self.end - 1] { self.end -= 1 }
    }

    /// The address of the value in place `index`, valid until it is removed.
    ///
    /// Traps if the place is free.
    @inlinable
    public func address(_ index: Int) -> UnsafeMutablePointer<Element> {
        invariant(self.contains(index), "a place that is taken")
        return self.places + index
    }
}
