// SPDX-License-Identifier: Apache-2.0

package import Primitives
import Wire

/// What may go wrong in a random world.
package enum Fault: String, CaseIterable, Sendable {
    case kill
    case powerCut
    /// Both nodes lose their power at once.
    case commonPowerCut
    case connectionReset
    /// The network drops everything, and neither node is told.
    case halfOpen
    case partition
    /// The data socket carries nothing to one of the nodes for a while; the meta socket lives.
    case dataStall
    /// The same of the meta socket.
    case metaStall
    /// What arrives at a node cannot be understood.
    case corruption
    case readError
    case writeError
    case flushError
    case metadataError
    case slowDisk
    /// A device fails every operation for a while.
    case deviceGone
    /// The metadata device answers nothing for a while.
    case hangingMetadata
}

/// What an administrator of a random world does.
package enum Chore: String, CaseIterable, Sendable {
    case promote
    case forcePromotion
    case switchOver
    case forceDemotion
    case disconnect
    case detach
    case outdate
    case invalidate
    case invalidateRemote
    case down
}

/// What a seed decides before a world begins.
package struct WorldPlan: Sendable {
    package var faults: [Fault] = []
    package var chores: [Chore] = []
    package var duration = TimeSpan.seconds(60)
    /// Requests of an application at once.
    package var depth: UInt64 = 4
    /// An application pauses up to this long between its requests.
    package var thinkMicroseconds: UInt64 = 50_000
    package var faultMilliseconds: UInt64 = 3_000
    package var choreMilliseconds: UInt64 = 2_000
    /// Where writes go, by volume: starts of stretches of ``stretch`` sectors.
    package var places: [[UInt64]] = []
    package static let stretch: UInt64 = 2_304
    package let configuration: WorldConfiguration

    /// The plan of a seed; some kinds of faults and chores are left out altogether.
    package init(seed: UInt64, mutation: Mutation? = nil) {
        var random = SeededRandom(seed: seed)
        var configuration = WorldConfiguration()
        configuration.mutation = mutation
        configuration.replicationProtocol = [.a, .b, .c, .c][Int(random.below(4))]
        let isWide = random.chance(1, in: 4)
        let sizes = (0..<1 + random.below(3)).map { _ in
            isWide ? Int(600_000 + random.below(100_000)) : Int(9_000 + random.below(40_000))
        }
        configuration.volumes = sizes
        configuration.diskDelayMicroseconds = [200, 2_000, 20_000][Int(random.below(3))]
        configuration.slowOperation = random.chance(1, in: 3) ? 200 : 0
        configuration.networkDelayMicroseconds = [200, 5_000, 60_000][Int(random.below(3))]
        configuration.metaDelayMicroseconds = random.chance(1, in: 4) ? 100_000 : 0
        configuration.bitmapSlots = random.chance(1, in: 4) ? 2 : 1
        configuration.authenticates = random.chance(1, in: 4)
        configuration.usesRunLengthEncoding = !random.chance(1, in: 4)
        self.configuration = configuration
        self.faults = Fault.allCases.filter { _ in random.chance(1, in: 2) }
        self.chores = [.promote] + Chore.allCases.filter { _ in random.chance(1, in: 3) }
        self.depth = [1, 4, 16][Int(random.below(3))]
        self.thinkMicroseconds = self.depth * [8_000, 40_000, 120_000][Int(random.below(3))]
        self.faultMilliseconds = [500, 3_000, 10_000][Int(random.below(3))]
        self.choreMilliseconds = [300, 2_000, 6_000][Int(random.below(3))]
        self.duration = .seconds(20 + random.below(60))
        self.places = sizes.map { sectors in
            let count = isWide ? 120 : 3
            return (0..<count).map { _ in random.below(UInt64(sectors) - Self.stretch) / 8 * 8 }
        }
    }
}
