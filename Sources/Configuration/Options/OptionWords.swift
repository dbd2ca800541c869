// SPDX-License-Identifier: Apache-2.0

/// When a write is complete: handed to the send buffer (A), received (B), on the peer's disk (C).
package enum ReplicationProtocol: String, CaseIterable, Sendable {
    case a = "A"
    case b = "B"
    case c = "C"
}

/// What I/O does when no data, or no quorum, is there.
package enum OnNoData: String, CaseIterable, Sendable {
    case error = "io-error"
    case suspend = "suspend-io"
}

/// What happens when `max-req-write-count` is reached.
package enum OnWriteCongestion: String, CaseIterable, Sendable {
    case disconnect
    case block
}

/// What a suspended Primary does that learns it is outdated.
package enum OnSuspendedPrimaryOutdated: String, CaseIterable, Sendable {
    case disconnect
    case forceSecondary = "force-secondary"
}

/// How many nodes must agree.
package enum Quorum: Hashable, Sendable {
    case off
    case majority
    case all
    case nodes(Int)

    static let words = ["off", "majority", "all"]
}

/// What happens after an I/O error of the backing device.
package enum OnInputOutputError: String, CaseIterable, Sendable {
    case passOn = "pass_on"
    case callLocalHandler = "call-local-io-error"
    case detach
    case passThrough = "passthrough"
}

/// Where a read of a volume with two good copies goes.
package enum ReadBalancing: String, CaseIterable, Sendable {
    case preferLocal = "prefer-local"
    case preferRemote = "prefer-remote"
    case roundRobin = "round-robin"
    case leastPending = "least-pending"
    case whenCongestedRemote = "when-congested-remote"
    case striping32K = "32K-striping"
    case striping64K = "64K-striping"
    case striping128K = "128K-striping"
    case striping256K = "256K-striping"
    case striping512K = "512K-striping"
    case striping1M = "1M-striping"
}

/// How the engine opens a backing device.
package enum InputOutputMode: String, CaseIterable, Sendable {
    case auto
    case direct
    case buffered
}

/// Split brain found, nobody Primary.
package enum AfterSplitBrain0: String, CaseIterable, Sendable {
    case disconnect
    case discardYoungerPrimary = "discard-younger-primary"
    case discardOlderPrimary = "discard-older-primary"
    case discardZeroChanges = "discard-zero-changes"
    case discardLeastChanges = "discard-least-changes"
    case discardLocal = "discard-local"
    case discardRemote = "discard-remote"
}

/// Split brain found, one node Primary.
package enum AfterSplitBrain1: String, CaseIterable, Sendable {
    case disconnect
    case consensus
    case discardSecondary = "discard-secondary"
    case callPrimaryLost = "call-pri-lost-after-sb"
    case violentlyAs0 = "violently-as0p"
}

/// Split brain found, both nodes Primary.
package enum AfterSplitBrain2: String, CaseIterable, Sendable {
    case disconnect
    case callPrimaryLost = "call-pri-lost-after-sb"
    case violentlyAs0 = "violently-as0p"
}

/// The data generations say that a Primary would have to become sync target.
package enum RoleResyncConflict: String, CaseIterable, Sendable {
    case disconnect
    case callPrimaryLost = "call-pri-lost"
    case violently
    case retryConnect = "retry-connect"
    case autoDiscard = "auto-discard"
}

/// What protocol A does when the send path fills up.
package enum OnCongestion: String, CaseIterable, Sendable {
    case block
    case pullAhead = "pull-ahead"
    case disconnect
}

/// What is done about a peer that cannot be reached.
package enum FencingPolicy: String, CaseIterable, Sendable {
    case dontCare = "dont-care"
    case resourceOnly = "resource-only"
    case resourceAndStonith = "resource-and-stonith"
}
