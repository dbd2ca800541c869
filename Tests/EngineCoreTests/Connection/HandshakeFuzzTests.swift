// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing
import Wire

/// Packets of features, authentication and parameters in any order, with any content.
@Suite struct HandshakeFuzzTests {
    private static func bytes(_ random: inout SeededRandom, count: UInt64) -> ShortBytes {
        ShortBytes((0..<count).map { _ in UInt8(random.below(256)) }) ?? ShortBytes()
    }

    private static func event(_ random: inout SeededRandom) -> Handshake.Event {
        let length = random.chance(1, in: 2) ? 64 : random.below(65)
        switch random.below(12) {
        case 0: return .start
        case 1: return .features(.announced)
        case 2:
            return .features(
                ConnectionFeatures(
                    versionMinimum: UInt32(random.below(120)),
                    versionMaximum: UInt32(random.below(120)),
                    flags: FeatureFlags(rawValue: UInt32(truncatingIfNeeded: random.next()))
                )
            )
        case 3, 4:
            return .challenge(self.bytes(&random, count: length), length: UInt32(length))
        case 5: return .challenge(self.bytes(&random, count: 64), length: .max)
        case 6: return .response(self.bytes(&random, count: 20), length: 20)
        case 7: return .response(self.bytes(&random, count: length), length: UInt32(length))
        case 8:
            return .responsesComputed(
                own: self.bytes(&random, count: 20),
                expected: self.bytes(&random, count: 20)
            )
        case 9: return .parameters(ProtocolParameters(replicationProtocol: .c))
        case 10: return .deadline
        default: return random.chance(1, in: 4) ? .otherPacket : .malformedPacket
        }
    }

    /// Without the shared secret no order of packets leads to a connection.
    @Test func `no order of packets ends a handshake twice or passes authentication`() {
        var random = SeededRandom(seed: 1)
        var ends = 0
        for number in 0..<20_000 {
            let authenticates = number % 2 == 0
            var machine = Handshake(
                Handshake.Configuration(
                    digestLength: authenticates ? 20 : nil,
                    challenge: Self.bytes(&random, count: 64),
                    parameters: ProtocolParameters(replicationProtocol: .c),
                    pingTimeout: .milliseconds(500),
                    timeout: .seconds(6)
                )
            )
            var now = Instant(nanoseconds: 1)
            var hasEnded = false
            for _ in 0..<12 {
                var actions = Handshake.Actions()
                now = now + .milliseconds(random.below(400))
                machine.receive(Self.event(&random), at: now, into: &actions)
                while let action = actions.popFirst() {
                    #expect(!hasEnded, "nothing follows the end")
                    switch action {
                    case .established:
                        hasEnded = true
                        #expect(!authenticates)
                    case .close: hasEnded = true
                    case .sendFeatures, .adopt, .sendChallenge, .computeResponses, .sendResponse,
                        .sendParameters:
                        break
                    }
                }
            }
            if hasEnded {
                ends += 1
                #expect(machine.nextDeadline == .distantFuture)
            }
        }
        #expect(ends > 15_000)
    }
}
