// SPDX-License-Identifier: Apache-2.0

/// A short list of slot numbers in their order of arrival, from which any may be taken out.
///
/// Removal moves what follows: for lists that are empty or short as a rule. Owned by one thread.
public struct SlotQueue: ~Copyable {
    private var storage: [UInt32] = []

    /// Creates an empty list with room for `capacity` numbers before it has to grow.
    public init(capacity: Int) { self.storage.reserveCapacity(capacity) }

    /// The number of entries.
    public var count: Int { self.storage.count }

    /// Whether there are no entries.
    public var isEmpty: Bool { self.storage.isEmpty }

    /// The entry at `offset`, oldest first.
    ///
    /// Traps beyond the last.
    public subscript(offset: Int) -> UInt32 { self.storage[offset] }

    /// Adds a number behind those already there.
    public mutating func append(_ slot: UInt32) { self.storage.append(slot) }

    /// Takes the entry at `offset` out.
    ///
    /// Traps beyond the last.
    public mutating func remove(at offset: Int) { self.storage.remove(at: offset) }

    /// Takes everything out.
    public mutating func removeAll() { self.storage.removeAll(keepingCapacity: true) }
}
