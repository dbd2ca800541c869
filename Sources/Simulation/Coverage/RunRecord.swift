// SPDX-License-Identifier: Apache-2.0

/// How far a run over many seeds has come; it can be stored and gone on with.
package struct RunRecord: Codable, Sendable {
    /// A world that broke a promise.
    package struct Violation: Codable, Equatable, Sendable {
        package let seed: UInt64
        package let text: String
    }

    /// Why a stored record cannot be gone on with.
    package enum Refusal: Error, Equatable, Sendable, CustomStringConvertible {
        case otherBuild(stored: String, own: String)
        case otherMutation(stored: String?, own: String?)

        package var description: String {
            switch self {
            case .otherBuild(let stored, let own):
                "it is of build \(stored), this is build \(own), and a seed stands for other "
                    + "worlds in another build: name another file, or say --other-build to add to "
                    + "it all the same"
            case .otherMutation(let stored, let own):
                "it was made with \(stored.map { "--mutation \($0)" } ?? "no --mutation"), this "
                    + "run has \(own.map { "--mutation \($0)" } ?? "none"): name another file"
            }
        }
    }

    /// What was run: a name of the program's very bytes.
    package let build: String
    package let mutation: String?
    package private(set) var done = SeedSet()
    package private(set) var coverage = Coverage()
    package private(set) var violations: [Violation] = []

    package init(build: String, mutation: Mutation?) {
        self.build = build
        self.mutation = mutation?.rawValue
    }

    /// Goes on with a stored record.
    ///
    /// - Parameter acceptsOtherBuild: its seeds count as done even if another build ran them.
    package init(
        resuming stored: RunRecord,
        build: String,
        mutation: Mutation?,
        acceptsOtherBuild: Bool
    ) throws(Refusal) {
        guard stored.mutation == mutation?.rawValue else {
            throw .otherMutation(stored: stored.mutation, own: mutation?.rawValue)
        }
        guard stored.build == build || acceptsOtherBuild else {
            throw .otherBuild(stored: stored.build, own: build)
        }
        self.init(build: build, mutation: mutation)
        self.done = stored.done
        self.coverage = stored.coverage
        self.violations = stored.violations
    }

    /// Adds a world that is over; of its violations the first one is kept.
    package mutating func add(_ world: FinishedWorld) {
        guard !self.done.contains(world.seed) else { return }
        self.done.insert(world.seed)
        self.coverage.add(world.coverage)
        if let text = world.violations.first {
            self.violations.append(Violation(seed: world.seed, text: text))
        }
    }

    /// Worlds that broke a promise.
    package var failedSeeds: Int { self.violations.count }
}

/// What is left of a world that is over.
package struct FinishedWorld: Sendable {
    package let seed: UInt64
    package let violations: [String]
    package let coverage: Coverage

    /// Runs the world of a seed to its end.
    package init(seed: UInt64, mutation: Mutation? = nil, log: ((String) -> Void)? = nil) {
        let world = RandomWorld(seed: seed, mutation: mutation, log: log)
        self.seed = seed
        self.violations = world.run()
        self.coverage = world.world.coverage
    }
}
