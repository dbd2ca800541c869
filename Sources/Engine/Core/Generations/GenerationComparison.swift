// SPDX-License-Identifier: Apache-2.0

package import Wire

/// What comparing the generations of two nodes says about their data.
///
/// Both nodes compare on their own and come to mirrored verdicts, because they use the same sets.
package enum GenerationVerdict: Hashable, Sendable, BitwiseCopyable {
    /// Both have the same data.
    case equal
    /// Our data is newer; `full` if the bitmaps do not say where.
    case source(full: Bool)
    /// The peer's data is newer; `full` if the bitmaps do not say where.
    case target(full: Bool)
    /// Both have data that the other lacks, since a generation that both bitmaps count from.
    case splitBrain
    /// Both have data that the other lacks, and a common generation is only in the past.
    case splitBrainInThePast
    /// The data has nothing in common.
    case unrelated
    /// The agreed protocol version is below the one that can tell.
    case needsVersion(UInt32)
    /// The WSAME feature, which newer versions imply by it, was not agreed on.
    case needsWriteSame

    /// The verdict as the kernel logs it: above 0 we are source, below 0 target.
    package var number: Int32 {
        switch self {
        case .equal: 0
        case .source(let full): full ? 2 : 1
        case .target(let full): full ? -2 : -1
        case .splitBrain: 100
        case .splitBrainInThePast: -100
        case .unrelated: -1000
        case .needsVersion(let version): -1000 - Int32(clamping: version)
        case .needsWriteSame: -2000
        }
    }

    /// What the peer has to come to.
    package var mirrored: GenerationVerdict {
        switch self {
        case .source(let full): .target(full: full)
        case .target(let full): .source(full: full)
        case .equal, .splitBrain, .splitBrainInThePast, .unrelated, .needsVersion, .needsWriteSame:
            self
        }
    }
}

/// One node's part of a comparison.
package struct ComparisonSide: Hashable, Sendable, BitwiseCopyable {
    /// Its generations: our own, or those of the peer's last P_UUIDS.
    package var generations: Generations
    /// Whether it went down while Primary and has not met its peer since.
    package var crashedPrimary: Bool
    /// Its role now.
    package var role: Role

    /// Creates one side.
    package init(generations: Generations, crashedPrimary: Bool, role: Role) {
        self.generations = generations
        self.crashedPrimary = crashedPrimary
        self.role = role
    }
}

/// A comparison of two nodes' generations, by DRBD 8.4's rules in their order.
package struct GenerationComparison: Hashable, Sendable, BitwiseCopyable {
    /// What a lost packet left undone and the comparison made up for.
    package enum Repair: Hashable, Sendable, BitwiseCopyable {
        case none
        /// Store this as the own set before going on.
        case own(Generations)
        /// Keep this as the peer's set before going on.
        case peer(Generations)
    }

    /// The verdict.
    package let verdict: GenerationVerdict
    /// The number of the rule, as logged by the kernel; 0 if none matched.
    package let rule: UInt8
    /// What to correct before the verdict is used.
    package let repair: Repair

    private init(_ verdict: GenerationVerdict, rule: UInt8, repair: Repair = .none) {
        self.verdict = verdict
        self.rule = rule
        self.repair = repair
    }

    /// Compares `own` and `peer`.
    ///
    /// - Parameters:
    ///   - resolveConflicts: whether this node accepted the meta socket: it yields where all else
    ///     is equal.
    ///   - version: the agreed protocol version.
    ///   - writeSame: whether the WSAME feature was agreed on.
    package init(
        own: ComparisonSide,
        peer: ComparisonSide,
        resolveConflicts: Bool,
        version: UInt32,
        writeSame: Bool
    ) {
        let one = own.generations
        let two = peer.generations
        self =
            Self.compareBlank(one, two)
            ?? Self.compareEqual(one, two, version: version)
            ?? Self.compareCrashed(own, peer, resolveConflicts, writeSame: writeSame)
            ?? Self.compareWithPeers(one, two, version: version)
            ?? Self.compareWithOwn(one, two, version: version)
            ?? Self.compareDiverged(one, two)
    }

    /// Rules 10 to 30: a side without data of its own.
    private static func compareBlank(_ own: Generations, _ peer: Generations) -> Self? {
        let ownIsNew = own.current.names(.justCreated)
        let peerIsNew = peer.current.names(.justCreated)
        let ownIsBlank = own.current.isBlank
        let peerIsBlank = peer.current.isBlank
        if ownIsNew, peerIsNew { return Self(.equal, rule: 10) }
        // Not even "just created" on either side: damaged metadata, and each would want to be
        // target.
        if ownIsBlank, peerIsBlank, !ownIsNew, !peerIsNew { return Self(.unrelated, rule: 0) }
        if ownIsBlank, !peerIsNew { return Self(.target(full: true), rule: 20) }
        if !ownIsNew, peerIsBlank { return Self(.source(full: true), rule: 30) }
        return nil
    }

    /// Rules 34 to 37: equal data, but only one side knows that a resync ended.
    private static func compareEqual(
        _ own: Generations,
        _ peer: Generations,
        version: UInt32
    ) -> Self? {
        guard own.current.names(peer.current) else { return nil }
        if peer.bitmap.isEmpty, !own.bitmap.isEmpty {
            if version < 91 { return Self(.needsVersion(91), rule: 36) }
            if own.missedEndOfResync(seenBy: peer) {
                var repaired = own
                repaired.finishResyncAsSource()
                return Self(.source(full: false), rule: 34, repair: .own(repaired))
            }
            return Self(.source(full: false), rule: 36)
        }
        if own.bitmap.isEmpty, !peer.bitmap.isEmpty {
            if version < 91 { return Self(.needsVersion(91), rule: 37) }
            if peer.missedEndOfResync(seenBy: own) {
                var repaired = peer
                repaired.finishResyncAsSource()
                return Self(.target(full: false), rule: 35, repair: .peer(repaired))
            }
            return Self(.target(full: false), rule: 37)
        }
        return nil
    }

    /// Rules 40 and 41: equal data; a crashed Primary may have writes that the other lacks.
    private static func compareCrashed(
        _ own: ComparisonSide,
        _ peer: ComparisonSide,
        _ resolveConflicts: Bool,
        writeSame: Bool
    ) -> Self? {
        guard own.generations.current.names(peer.generations.current) else { return nil }
        if !own.crashedPrimary, !peer.crashedPrimary { return Self(.equal, rule: 40) }
        let ownIsPrimary = own.role == .primary
        let peerIsPrimary = peer.role == .primary
        if ownIsPrimary || peerIsPrimary {
            if !writeSame { return Self(.needsWriteSame, rule: 41) }
            if ownIsPrimary, peerIsPrimary { return Self(.splitBrainInThePast, rule: 41) }
            return Self(ownIsPrimary ? .source(full: false) : .target(full: false), rule: 41)
        }
        if own.crashedPrimary, peer.crashedPrimary {
            let yields = resolveConflicts
            return Self(yields ? .target(full: false) : .source(full: false), rule: 40)
        }
        return Self(own.crashedPrimary ? .source(full: false) : .target(full: false), rule: 40)
    }

    /// Rules 50 to 61: the peer went on from our data.
    private static func compareWithPeers(
        _ own: Generations,
        _ peer: Generations,
        version: UInt32
    ) -> Self? {
        if own.current.names(peer.bitmap) { return Self(.target(full: false), rule: 50) }
        if own.current.names(peer.history0), peer.lostResyncStart(of: own, version: version) {
            var repaired = peer
            repaired.undoResyncStart()
            return Self(.target(full: false), rule: 51, repair: .peer(repaired))
        }
        if let (rule, repaired) = peer.repairedForPeer(with: own) {
            return Self(.target(full: false), rule: rule - 20, repair: .peer(repaired))
        }
        if own.current.names(peer.history0) || own.current.names(peer.history1) {
            return Self(.target(full: true), rule: 60)
        }
        return nil
    }

    /// Rules 70 to 81: we went on from the peer's data.
    private static func compareWithOwn(
        _ own: Generations,
        _ peer: Generations,
        version: UInt32
    ) -> Self? {
        if own.bitmap.names(peer.current) { return Self(.source(full: false), rule: 70) }
        if own.history0.names(peer.current), own.lostResyncStart(of: peer, version: version) {
            var repaired = own
            repaired.undoResyncStart()
            return Self(.source(full: false), rule: 71, repair: .own(repaired))
        }
        if let (rule, repaired) = own.repairedForPeer(with: peer) {
            return Self(.source(full: false), rule: rule, repair: .own(repaired))
        }
        if peer.current.names(own.history0) || peer.current.names(own.history1) {
            return Self(.source(full: true), rule: 80)
        }
        return nil
    }

    /// Rules 90 to 101: both went on.
    ///
    /// Unused places in the history match each other, as in 8.4.
    private static func compareDiverged(_ own: Generations, _ peer: Generations) -> Self {
        if own.bitmap.identity != 0, own.bitmap.names(peer.bitmap) {
            return Self(.splitBrain, rule: 90)
        }
        let meet =
            own.history0.names(peer.history0) || own.history0.names(peer.history1)
            || own.history1.names(peer.history0) || own.history1.names(peer.history1)
        if meet { return Self(.splitBrainInThePast, rule: 100) }
        // Rule 101, ours: a source and a target that both went on after a lost end of resync.
        if own.sharesPast(with: peer) { return Self(.splitBrainInThePast, rule: 101) }
        return Self(.unrelated, rule: 0)
    }
}

extension Generations {
    /// Whether this set is that of a source that did not learn of the end of the resync that
    /// `target` has closed.
    fileprivate func missedEndOfResync(seenBy target: Generations) -> Bool {
        self.bitmap.names(target.history0) && self.history0.names(target.history1)
    }

    /// Whether this set is that of a source whose P_SYNC_UUID did not reach `target`.
    fileprivate func lostResyncStart(of target: Generations, version: UInt32) -> Bool {
        if version < 96 { return target.history0.names(self.history1) }
        return GenerationID(self.history0.identity).afterResyncOffset.names(self.bitmap)
    }

    /// Goes back to before ``startResyncAsSource()``.
    fileprivate mutating func undoResyncStart() {
        self.bitmap = self.history0
        self.history0 = self.history1
    }

    /// This set, as it would be if the resync that was cut off had not been, when a source that
    /// went on alone meets its target again; nil if that is not what happened.
    ///
    /// Two rules that DRBD 8.4 lacks, since its sources do not start a generation then. It finds
    /// rules 60 and 80 instead, so with one of those nodes the resync is a full one.
    fileprivate func repairedForPeer(with target: Generations) -> (rule: UInt8, Generations)? {
        guard !self.bitmap.isEmpty, target.bitmap.isEmpty else { return nil }
        var repaired = self
        // 81: the target had finished the resync, and has what was our data before we went on.
        if target.current.names(self.history0), target.history0.names(self.bitmap) {
            repaired.bitmap = self.history0
            repaired.history0 = self.bitmap
            return (81, repaired)
        }
        // 72: the resync never reached the target.
        if !self.history1.isBlank, target.current.names(self.history1),
            self.history1.afterResyncOffset.names(self.bitmap)
        {
            repaired.bitmap = self.history1
            repaired.history1 = .empty
            return (72, repaired)
        }
        return nil
    }

    /// Whether a generation of the one's past is one of the other's.
    fileprivate func sharesPast(with other: Generations) -> Bool {
        for one in [self.bitmap, self.history0, self.history1] where !one.isBlank {
            if one.names(other.bitmap) || one.names(other.history0) || one.names(other.history1) {
                return true
            }
        }
        return false
    }
}
