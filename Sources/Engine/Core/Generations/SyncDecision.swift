// SPDX-License-Identifier: Apache-2.0

package import Wire

/// What two nodes do about their data when they meet.
package enum SyncDecision: Hashable, Sendable, BitwiseCopyable {
    /// The data is equal: Connected.
    case none
    /// Our data goes to the peer: WFBitMapS. `full`: set all bits, durably, before that.
    case source(full: Bool)
    /// The peer's data comes here: WFBitMapT. `full`: set all bits, durably, before that.
    case target(full: Bool)
    /// The nodes do not connect.
    case fail(SyncRefusal)
}

/// Why two nodes do not connect although they understand each other.
package enum SyncRefusal: Hashable, Sendable, BitwiseCopyable {
    /// Both have data that the other lacks, and nobody said whose goes.
    case splitBrain
    /// The data has nothing in common.
    case unrelatedData
    /// The agreed protocol version cannot tell whose data is newer.
    case needsVersion(UInt32)
    /// The agreed features cannot tell whose data is newer.
    case needsWriteSame
    /// The node whose data would be copied has itself a mixture of old and new.
    case sourceIsInconsistent
    /// This node is Primary and its data would be overwritten (`rr-conflict disconnect`).
    case primaryWouldBeTarget
    /// This node is Primary without a disk, and its application has seen other data.
    case otherDataExposed
    /// One of the nodes asked only what would happen: `plan` is ±1, ±2 or 0.
    case dryRun(plan: Int32)

    /// A sentence for the log.
    package var text: String {
        switch self {
        case .splitBrain:
            "split brain: both nodes have changes that the other lacks; run 'connect "
                + "--discard-my-data' on the one whose changes are to be lost"
        case .unrelatedData:
            "unrelated data: the nodes have no generation in common; check that the resource's "
                + "disks belong together"
        case .needsVersion: "the peer's protocol is too old to tell whose data is newer"
        case .needsWriteSame: "the peer lacks a feature that is needed to tell whose data is newer"
        case .sourceIsInconsistent: "the disk to copy from is inconsistent"
        case .primaryWouldBeTarget:
            "this node is Primary and its data would be overwritten; make it Secondary first"
        case .otherDataExposed:
            "this node is Primary without a disk and its application has seen other data than the "
                + "peer's; make it Secondary first"
        case .dryRun: "dry run: not connected"
        }
    }
}

/// One node as the decision sees it.
package struct SyncSide: Hashable, Sendable, BitwiseCopyable {
    /// Generations, crash mark and role.
    package var comparison: ComparisonSide
    /// Its disk; for one that is Negotiating what its metadata says.
    package var disk: DiskState
    /// Whether the disk is Negotiating: being attached, so that nobody uses its data yet.
    package var attaching: Bool
    /// Whether its administrator gave the data up for this connection.
    package var discardsData: Bool

    /// Creates one side.
    package init(
        comparison: ComparisonSide,
        disk: DiskState,
        attaching: Bool = false,
        discardsData: Bool = false
    ) {
        self.comparison = comparison
        self.disk = disk
        self.attaching = attaching
        self.discardsData = discardsData
    }
}

/// What has been agreed on or configured, as far as the decision needs it.
package struct SyncTerms: Hashable, Sendable, BitwiseCopyable {
    /// Whether this node accepted the meta socket.
    package var resolveConflicts: Bool
    /// The agreed protocol version.
    package var version: UInt32
    /// Whether WSAME was agreed on.
    package var writeSame: Bool
    /// Whether either node asked only what would happen.
    package var dryRun = false

    /// Creates terms.
    package init(resolveConflicts: Bool, version: UInt32 = 101, writeSame: Bool = true) {
        self.resolveConflicts = resolveConflicts
        self.version = version
        self.writeSame = writeSame
    }
}

/// The decision about a volume's data at connect or attach, and how it was found.
///
/// Stale data never overwrites newer data, and a split brain is never resolved without a word from
/// the administrator.
package struct SyncPlan: Hashable, Sendable, BitwiseCopyable {
    /// What the generations say.
    package let comparison: GenerationComparison
    /// What to do.
    package let decision: SyncDecision
    /// Whether a split brain was found, solved or not: the `initial-split-brain` handler runs.
    package let splitBrainFound: Bool

    /// Decides for a pair of nodes that both have a disk.
    package init(own: SyncSide, peer: SyncSide, terms: SyncTerms) {
        let comparison = GenerationComparison(
            own: own.comparison,
            peer: peer.comparison,
            resolveConflicts: terms.resolveConflicts,
            version: terms.version,
            writeSame: terms.writeSame
        )
        let verdict = Self.judgeByDisks(comparison.verdict, own: own.disk, peer: peer.disk)
        self.comparison = comparison
        self.splitBrainFound = verdict == .splitBrain || verdict == .splitBrainInThePast
        self.decision = Self.check(
            Self.decide(verdict, own: own, peer: peer, terms: terms),
            own: own,
            peer: peer,
            terms: terms
        )
    }

    /// Lets a consistent disk win against an inconsistent one, whatever the generations say.
    private static func judgeByDisks(
        _ verdict: GenerationVerdict,
        own: DiskState,
        peer: DiskState
    ) -> GenerationVerdict {
        let ownLoses = own == .inconsistent && peer > .inconsistent
        let peerLoses = peer == .inconsistent && own > .inconsistent
        guard ownLoses || peerLoses else { return verdict }
        switch verdict {
        case .unrelated, .needsVersion, .needsWriteSame:
            return verdict
        case .splitBrainInThePast, .source(full: true), .target(full: true):
            return peerLoses ? .source(full: true) : .target(full: true)
        case .equal, .splitBrain, .source(full: false), .target(full: false):
            return peerLoses ? .source(full: false) : .target(full: false)
        }
    }

    private static func decide(
        _ verdict: GenerationVerdict,
        own: SyncSide,
        peer: SyncSide,
        terms: SyncTerms
    ) -> SyncDecision {
        switch verdict {
        case .equal: .none
        case .source(let full): .source(full: full)
        case .target(let full): .target(full: full)
        case .unrelated: .fail(.unrelatedData)
        case .needsVersion(let version): .fail(.needsVersion(version))
        case .needsWriteSame: .fail(.needsWriteSame)
        case .splitBrain: self.solve(own: own, peer: peer, full: false)
        // The bitmaps need not cover what differs. DRBD 8.4 uses them all the same; setting all
        // bits on one side suffices, because the two bitmaps are joined before the resync.
        case .splitBrainInThePast: self.solve(own: own, peer: peer, full: true)
        }
    }

    /// Resolves a split brain.
    ///
    /// The policies can only be `disconnect`, which leaves it to the administrator.
    private static func solve(own: SyncSide, peer: SyncSide, full: Bool) -> SyncDecision {
        switch (own.discardsData, peer.discardsData) {
        case (true, false): .target(full: full)
        case (false, true): .source(full: full)
        case (true, true), (false, false): .fail(.splitBrain)
        }
    }

    /// Refuses what would destroy data, and what was only a question.
    private static func check(
        _ decision: SyncDecision,
        own: SyncSide,
        peer: SyncSide,
        terms: SyncTerms
    ) -> SyncDecision {
        let plan: Int32
        switch decision {
        case .fail: return decision
        case .none: plan = 0
        case .source(let full):
            if own.disk <= .inconsistent { return .fail(.sourceIsInconsistent) }
            plan = full ? 2 : 1
        case .target(let full):
            // The peer refuses to be source then; not to rely on it costs nothing.
            if peer.disk <= .inconsistent { return .fail(.sourceIsInconsistent) }
            if own.comparison.role == .primary, own.disk >= .consistent, !own.attaching {
                return .fail(.primaryWouldBeTarget)
            }
            plan = full ? -2 : -1
        }
        return terms.dryRun ? .fail(.dryRun(plan: plan)) : decision
    }
}
