// SPDX-License-Identifier: Apache-2.0

package import Wire

extension AfterSplitBrainPolicy {
    /// The word in the configuration.
    package var optionValue: StaticString {
        switch self {
        case .disconnect: "disconnect"
        case .discardYoungerPrimary: "discard-younger-primary"
        case .discardOlderPrimary: "discard-older-primary"
        case .discardZeroChanges: "discard-zero-changes"
        case .discardLeastChanges: "discard-least-changes"
        case .discardLocal: "discard-local"
        case .discardRemote: "discard-remote"
        case .consensus: "consensus"
        case .discardSecondary: "discard-secondary"
        case .callPrimaryLost: "call-pri-lost-after-sb"
        case .violentlyAsZeroPrimaries: "violently-as0p"
        }
    }
}

/// How many nodes are Primary when a split brain is found.
package enum SplitBrainSituation: Hashable, Sendable, BitwiseCopyable {
    case withoutPrimary
    case withOnePrimary
    case withTwoPrimaries

    /// The option that says what to do then.
    package var optionName: StaticString {
        switch self {
        case .withoutPrimary: "after-sb-0pri"
        case .withOnePrimary: "after-sb-1pri"
        case .withTwoPrimaries: "after-sb-2pri"
        }
    }
}

/// A policy that this version cannot carry out.
package struct UnsupportedSplitBrainPolicy: Error, Hashable, CustomStringConvertible {
    /// What the policy was given for.
    package let situation: SplitBrainSituation
    /// The policy.
    package let policy: AfterSplitBrainPolicy

    package var description: String {
        "\(self.situation.optionName) \(self.policy.optionValue) is not supported yet; "
            + "only 'disconnect' is. "
            + "Resolve a split brain by 'connect --discard-my-data' on the node that gives way."
    }
}

/// The three after-split-brain options, checked: whoever has a value can carry it out.
package struct SplitBrainPolicies: Hashable, Sendable, BitwiseCopyable {
    /// `after-sb-0pri`.
    package let withoutPrimary: AfterSplitBrainPolicy
    /// `after-sb-1pri`.
    package let withOnePrimary: AfterSplitBrainPolicy
    /// `after-sb-2pri`.
    package let withTwoPrimaries: AfterSplitBrainPolicy

    /// The defaults: `disconnect`, whoever is Primary.
    package static let disconnect = Self()

    private init() {
        self.withoutPrimary = .disconnect
        self.withOnePrimary = .disconnect
        self.withTwoPrimaries = .disconnect
    }

    /// Checks the options.
    ///
    /// - Throws: ``UnsupportedSplitBrainPolicy`` for the first one that is not `disconnect`.
    package init(
        withoutPrimary: AfterSplitBrainPolicy,
        withOnePrimary: AfterSplitBrainPolicy,
        withTwoPrimaries: AfterSplitBrainPolicy
    ) throws(UnsupportedSplitBrainPolicy) {
        try Self.check(.withoutPrimary, withoutPrimary)
        try Self.check(.withOnePrimary, withOnePrimary)
        try Self.check(.withTwoPrimaries, withTwoPrimaries)
        self.init()
    }

    private static func check(
        _ situation: SplitBrainSituation,
        _ policy: AfterSplitBrainPolicy
    ) throws(UnsupportedSplitBrainPolicy) {
        guard policy == .disconnect else {
            throw UnsupportedSplitBrainPolicy(situation: situation, policy: policy)
        }
    }
}
