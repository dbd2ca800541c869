// SPDX-License-Identifier: Apache-2.0

import Primitives

/// The volumes of a resource, addressed by an index that stays the same while the volume exists.
///
/// Grows when a volume is configured, never on the data path.
struct VolumeTable: ~Copyable {
    private var places: UnsafeMutablePointer<Volume>
    private var inUse: UnsafeMutablePointer<Bool>
    private var count = 0

    init() {
        self.places = .allocate(capacity: 0)
        self.inUse = .allocate(capacity: 0)
    }

    deinit {
        for index in 0..<self.count where self.inUse[index] {
            (self.places + index).deinitialize(count: 1)
        }
        self.places.deallocate()
        self.inUse.deallocate()
    }

    /// The indices of the volumes that exist, lowest first.
    var indices: VolumeIndices { VolumeIndices(inUse: self.inUse, count: self.count) }

    /// Whether there is no volume.
    var isEmpty: Bool { self.indices.first == nil }

    func contains(_ index: UInt16) -> Bool {
        Int(index) < self.count && self.inUse[Int(index)]
    }

    /// The index of volume `number`; nil if there is none.
    func index(ofNumber number: UInt16) -> UInt16? {
        for index in self.indices where self.places[Int(index)].number == number { return index }
        return nil
    }

    /// Adds a volume and returns its index.
    mutating func add(_ volume: consuming Volume) -> UInt16 {
        for free in 0..<self.count where !self.inUse[free] {
            (self.places + free).initialize(to: volume)
            self.inUse[free] = true
            return UInt16(free)
        }
        let count = self.count
        let places = UnsafeMutablePointer<Volume>.allocate(capacity: count + 1)
        places.moveInitialize(from: self.places, count: count)
        self.places.deallocate()
        self.places = places
        let inUse = UnsafeMutablePointer<Bool>.allocate(capacity: count + 1)
        inUse.moveInitialize(from: self.inUse, count: count)
        self.inUse.deallocate()
        self.inUse = inUse
        (places + count).initialize(to: volume)
        (inUse + count).initialize(to: true)
        self.count += 1
        return UInt16(count)
    }

    mutating func remove(_ index: UInt16) {
        invariant(self.contains(index), "a volume to remove exists")
        (self.places + Int(index)).deinitialize(count: 1)
        self.inUse[Int(index)] = false
    }

    subscript(index: UInt16) -> Volume {
        unsafeAddress {
            invariant(self.contains(index), "the volume exists")
            return UnsafePointer(self.places + Int(index))
        }
        unsafeMutableAddress {
            invariant(self.contains(index), "the volume exists")
            return self.places + Int(index)
        }
    }
}

/// The indices of the volumes that exist, lowest first.
///
/// Valid until a volume is added.
struct VolumeIndices: Sequence, IteratorProtocol {
    private let inUse: UnsafeMutablePointer<Bool>
    private let count: Int
    private var position = 0

    init(inUse: UnsafeMutablePointer<Bool>, count: Int) {
        self.inUse = inUse
        self.count = count
    }

    var first: UInt16? {
        var iterator = self
        return iterator.next()
    }

    var last: UInt16? {
        var last: UInt16?
        for index in self { last = index }
        return last
    }

    mutating func next() -> UInt16? {
        while self.position < self.count {
            defer { self.position += 1 }
            if self.inUse[self.position] { return UInt16(self.position) }
        }
        return nil
    }
}
