// SPDX-License-Identifier: Apache-2.0

package import Wire

/// The generation identifiers of one volume towards its one peer, and how they change.
///
/// - `current` names the data this node has.
/// - `bitmap` names the generation since which the set bits count; empty while nothing diverges.
/// - `history` holds older values, newest first.
///
/// Every change has to be in the metadata before anything that follows from it is seen outside: a
/// new current generation before the first write that the peer lacks is completed, the generation
/// of a resync before its first block is written. Source: DRBD 8.4's protocol
/// 86 to 101; what differs from it is in `Docs/decisions/0003`.
package struct Generations: Hashable, Sendable, BitwiseCopyable {
    package var current: GenerationID
    package var bitmap: GenerationID
    /// The newest older generation.
    package var history0: GenerationID
    /// The one before it.
    package var history1: GenerationID

    /// Creates a set; by default that of fresh metadata.
    package init(
        current: GenerationID = .justCreated,
        bitmap: GenerationID = .empty,
        history0: GenerationID = .empty,
        history1: GenerationID = .empty
    ) {
        self.current = current
        self.bitmap = bitmap
        self.history0 = history0
        self.history1 = history1
    }

    /// Whether the two sets name the same generations, whatever role their nodes had.
    package func names(_ other: Self) -> Bool {
        self.current.names(other.current) && self.bitmap.names(other.bitmap)
            && self.history0.names(other.history0) && self.history1.names(other.history1)
    }

    /// Whether the set has `generation` in one of its places.
    func contains(_ generation: GenerationID) -> Bool {
        generation.names(self.current) || generation.names(self.bitmap)
            || generation.names(self.history0) || generation.names(self.history1)
    }

    /// Starts a generation that the peer does not have; its name is `random`.
    ///
    /// The bits count from the generation that ends, or go on counting from an older one. DRBD 8.4
    /// drops that older one when a promotion is forced; keeping it costs nothing, and the peer that
    /// has it is still recognised.
    package mutating func startNew(_ random: UInt64, role: Role) {
        if self.bitmap.isEmpty {
            self.bitmap = self.current
        } else {
            self.pushHistory(self.current)
        }
        self.current = Self.fresh(random, unlike: self).marked(for: role)
    }

    /// Writes down that this node became Primary in its current generation, or ceased to be.
    package mutating func mark(for role: Role) { self.current = self.current.marked(for: role) }

    /// Starts a resync as its source and returns the generation to send as P_SYNC_UUID.
    ///
    /// It is a fixed distance from the generation that the bits count from, so that either node can
    /// tell that a P_SYNC_UUID got lost. Where nothing diverged before, DRBD 8.4 draws a random
    /// one; we count from the current one, because ``peerMayHaveCurrent`` has to recognise it.
    package mutating func startResyncAsSource() -> GenerationID {
        let base = self.bitmap
        var resync = (base.isBlank ? self.current : base).afterResyncOffset
        if base.isBlank {
            while resync.names(self.history0) || resync.names(self.history1) {
                resync = resync.afterResyncOffset
            }
        }
        if !base.isEmpty { self.pushHistory(base) }
        self.bitmap = resync
        return resync
    }

    /// Whether the peer may have exactly our data, as far as we know.
    ///
    /// It has while nothing diverges. It may have during a resync that we are the source of, and
    /// after one that was cut off: the news that the peer finished it may be what got lost. Whoever
    /// writes alone then has to start a new generation first, or both nodes would call different
    /// data by one name. DRBD 8.4 does not, and takes the peer's data if that was changed, too.
    /// True once too often for a resync without a base, which costs nothing.
    package var peerMayHaveCurrent: Bool {
        if self.bitmap.isEmpty { return true }
        if self.isTorn { return true }
        if !self.history0.isBlank, self.history0.afterResyncOffset.names(self.bitmap) {
            return true
        }
        return self.bitmap.isResync(ofBlankBaseIn: self.current)
    }

    /// Whether a power cut has torn the superblock while a name moved from one place to the next.
    private var isTorn: Bool {
        self.bitmap.names(self.current) || self.history0.names(self.current)
            || self.history0.names(self.bitmap)
    }

    /// Starts a resync as its target: from now on the data is the mixture that `resync` names.
    package mutating func startResyncAsTarget(_ resync: GenerationID, role: Role) {
        self.current = resync.marked(for: role)
        self.bitmap = .empty
    }

    /// Ends a resync as its source: the peer has our data, nothing diverges.
    package mutating func finishResyncAsSource() {
        if !self.bitmap.isEmpty { self.pushHistory(self.bitmap) }
        self.bitmap = .empty
    }

    /// Ends a resync as its target: the data is now that of `source`, the peer's last P_UUIDS.
    package mutating func finishResyncAsTarget(source: Generations, role: Role) {
        let resync = self.current
        self.history0 = source.history0
        self.history1 = source.history1
        if !source.bitmap.isEmpty { self.pushHistory(source.bitmap) }
        self.pushHistory(resync)
        self.current = source.current.marked(for: role)
        self.bitmap = .empty
    }

    /// Takes over the generation of a peer that declared both disks equal.
    package mutating func adopt(_ current: GenerationID, role: Role) {
        self.current = current.marked(for: role)
        self.bitmap = .empty
    }

    mutating func pushHistory(_ generation: GenerationID) {
        self.history1 = self.history0
        self.history0 = generation
    }

    /// A usable name from `random`: neither blank nor one of `set`'s.
    private static func fresh(_ random: UInt64, unlike set: Generations) -> GenerationID {
        var candidate = GenerationID(random & ~1)
        while candidate.isBlank || set.contains(candidate) {
            candidate = GenerationID((candidate.rawValue &+ 0x9E37_79B9_7F4A_7C16) & ~1)
        }
        return candidate
    }
}

extension Generations: CustomStringConvertible {
    /// The four identifiers in hex, as the kernel's log has them.
    package var description: String {
        [self.current, self.bitmap, self.history0, self.history1]
            .map { id in
                let digits = String(id.rawValue, radix: 16, uppercase: true)
                return String(repeating: "0", count: 16 - digits.count) + digits
            }
            .joined(separator: ":")
    }
}

/// When a Primary or its UpToDate peer has to start a new generation.
package enum GenerationRules {
    /// Whether the change from `old` to `new` leaves this node alone with data that the peer lacks.
    ///
    /// While I/O is suspended the new generation waits until it resumes.
    package static func needsNew(
        from old: VolumeState,
        to new: VolumeState,
        generations: Generations
    ) -> Bool {
        guard generations.peerMayHaveCurrent, new.disk == .upToDate else { return false }
        // A Secondary that loses its Primary with the connection is not meant: it writes nothing.
        // One that stays connected to a Primary without a disk holds the only copy of what that
        // writes.
        let someoneWrites = new.role == .primary || new.peerRole == .primary
        // A Primary gets its disk back and has nobody to ask.
        if old.role == .primary, new.role == .primary, old.disk != .upToDate,
            new.connection < .connected
        {
            return true
        }
        if someoneWrites, self.losesPeerData(from: old.peerDisk, to: new.peerDisk) { return true }
        return old.peerRole != .primary && new.peerRole == .primary && new.peerDisk < .inconsistent
    }

    /// Whether promotion in the state `new` starts a new generation; else bit 0 of the current is
    /// set.
    package static func promotionNeedsNew(
        in new: VolumeState,
        forced: Bool,
        generations: Generations
    ) -> Bool {
        if forced { return true }
        let alone = new.connection < .connected || new.peerDisk <= .failed
        return alone && generations.peerMayHaveCurrent
    }

    private static func losesPeerData(from old: DiskState, to new: DiskState) -> Bool {
        switch old {
        case .inconsistent, .consistent, .upToDate:
            new < .inconsistent || new == .unknown || new == .outdated
        case .unknown:
            new == .diskless || new == .failed || new == .outdated
        case .diskless, .attaching, .failed, .negotiating, .outdated:
            false
        }
    }
}
