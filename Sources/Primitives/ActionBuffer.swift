// SPDX-License-Identifier: Apache-2.0

/// A queue of at most `capacity` actions, stored in place: filling and emptying it never allocates.
///
/// For machines whose events have a small bound. A machine whose one event may release many
/// requests uses ``ActionQueue``.
@frozen
public struct ActionBuffer<let capacity: Int, Action: BitwiseCopyable & Sendable>: ~Copyable {
    @usableFromInline var storage: InlineArray<capacity, Action?>
    @usableFromInline var head = 0
    @usableFromInline var tail = 0

    /// Creates an empty buffer.
    @inlinable public init() { self.storage = .init(repeating: nil) }

    /// Whether nothing is left to carry out.
    @inlinable public var isEmpty: Bool { self.head == self.tail }

    /// Adds `action` after those already there.
    ///
    /// Traps if one event exceeds the bound.
    @inlinable
    public mutating func append(_ action: Action) {
        invariant(self.tail < capacity, "one event produced more actions than its bound")
        self.storage[self.tail] = action
        self.tail += 1
    }

    /// Removes and returns the oldest action; nil when none is left.
    @inlinable
    public mutating func popFirst() -> Action? {
        guard self.head < self.tail else {
            self.head = 0
            self.tail = 0
            return nil
        }
        defer { self.head += 1 }
        return self.storage[self.head]
    }
}

/// A first-in-first-out ring of plain values that grows by doubling and never shrinks.
///
/// After warm-up, appending and removing do not allocate. Owned by one thread.
public struct ActionQueue<Action: BitwiseCopyable>: ~Copyable {
    @usableFromInline var storage: UnsafeMutablePointer<Action>
    @usableFromInline var mask: Int
    @usableFromInline var head = 0
    @usableFromInline var tail = 0

    /// Creates an empty ring with room for `capacity` values, rounded up to a power of two.
    public init(capacity: Int = 256) {
        var size = 1
        while size < capacity { size *= 2 }
        self.storage = .allocate(capacity: size)
        self.mask = size - 1
    }

    deinit { self.storage.deallocate() }

    /// The number of values in the ring.
    @inlinable public var count: Int { self.tail - self.head }

    /// Whether the ring holds nothing.
    @inlinable public var isEmpty: Bool { self.head == self.tail }

    /// Adds `action` after those already there.
    @inlinable
    public mutating func append(_ action: Action) {
        if self.count > self.mask { self.grow() }
        (self.storage + (self.tail & self.mask)).initialize(to: action)
        self.tail += 1
    }

    /// Removes and returns the oldest value; nil when none is left.
    @inlinable
    public mutating func popFirst() -> Action? {
        guard self.head < self.tail else { return nil }
        let action = self.storage[self.head & self.mask]
        self.head += 1
        return action
    }

    /// The value `offset` places behind the oldest one.
    ///
    /// Traps beyond the last.
    @inlinable
    public subscript(offset: Int) -> Action {
        invariant(offset >= 0 && offset < self.count, "index inside the ring")
        return self.storage[(self.head + offset) & self.mask]
    }

    /// Changes the value `offset` places behind the oldest one.
    ///
    /// Traps beyond the last.
    @inlinable
    public mutating func update(_ offset: Int, _ change: (inout Action) -> Void) {
        invariant(offset >= 0 && offset < self.count, "index inside the ring")
        change(&self.storage[(self.head + offset) & self.mask])
    }

    /// Removes everything.
    @inlinable
    public mutating func removeAll() { self.head = self.tail }

    @usableFromInline
    mutating func grow() {
        let count = self.count
        let size = (self.mask + 1) * 2
        let larger = UnsafeMutablePointer<Action>.allocate(capacity: size)
        for index in 0..<count {
            (larger + index).initialize(to: self.storage[(self.head + index) & self.mask])
        }
        self.storage.deallocate()
        self.storage = larger
        self.mask = size - 1
        self.head = 0
        self.tail = count
    }
}
