// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// The keyed digests of a world: whoever computes them like this knows the secret.
enum Authentication {
    static let length: UInt8 = 20

    static func challenge(_ random: inout SeededRandom) -> ShortBytes {
        Self.bytes((0..<ShortBytes.capacity).map { _ in UInt8(random.below(256)) })
    }

    static func digest(of challenge: ShortBytes) -> ShortBytes {
        let bytes = challenge.array
        return Self.bytes((0..<Int(Self.length)).map { bytes[$0] ^ bytes[63 - $0] ^ 0x5A })
    }

    static func bytes(_ bytes: [UInt8]) -> ShortBytes {
        guard let short = ShortBytes(bytes) else { invariantBroken("a challenge fits") }
        return short
    }
}

/// P_AUTH_CHALLENGE and P_AUTH_RESPONSE, and packets that nobody understands.
extension WorldNode {
    func sendAuthentication(_ step: AuthenticationStep, _ bytes: ShortBytes) {
        guard let transport = self.transport else { return }
        self.world.sent(self.number, .data, 0, step.packet)
        transport.send(
            from: self.number,
            .data,
            self.encode(step.packet, 0, bytes.count),
            .bytes(bytes.array)
        )
    }

    func deliver(_ step: AuthenticationStep, _ bytes: [UInt8]) {
        self.deliver(
            .authentication(step, Authentication.bytes(bytes), length: UInt32(bytes.count))
        )
    }

    func computeResponses(to challenge: ShortBytes) {
        self.core.receiveResponses(
            own: Authentication.digest(of: challenge),
            expected: Authentication.digest(of: self.challenge),
            at: self.world.now,
            into: &self.actions
        )
        self.applyActions()
    }

    /// Why the connection ends whose packet has lost its magic number.
    func lossOfGarbled(_ socket: PacketSocket, _ head: [UInt8]) -> ConnectionLoss {
        var head = head
        head[0] ^= 0xFF
        do throws(WireError) { _ = try self.decode(socket, head) } catch {
            return .protocolError(.undecodable(error))
        }
        self.world.violated("node \(self.number): a garbled packet is understood")
        return .brokenPipe(.closed)
    }
}

extension ShortBytes {
    var array: [UInt8] { (0..<self.count).map { self[$0] } }
}
