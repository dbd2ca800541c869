// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing
import Wire

/// One handshake, to be fed by hand; the digest of a challenge is the challenge's first bytes and a
/// number that stands for the secret.
private struct Node: ~Copyable {
    var machine: Handshake
    let configuration: Handshake.Configuration
    private let secret: UInt8
    private var actions = Handshake.Actions()
    var now = Instant(nanoseconds: 5)

    init(
        _ parameters: ProtocolParameters = ProtocolParameters(replicationProtocol: .c),
        challenge: UInt8? = nil,
        secret: UInt8 = 1,
        digestLength: Int = 20
    ) {
        self.configuration = Handshake.Configuration(
            digestLength: challenge == nil ? nil : digestLength,
            challenge: challengeBytes(challenge ?? 0),
            parameters: parameters,
            pingTimeout: .milliseconds(500),
            timeout: .seconds(6)
        )
        self.secret = secret
        self.machine = Handshake(self.configuration)
    }

    mutating func feed(_ event: Handshake.Event) -> [Handshake.Action] {
        self.machine.receive(event, at: self.now, into: &self.actions)
        var all: [Handshake.Action] = []
        while let action = self.actions.popFirst() { all.append(action) }
        return all
    }

    func digest(of challenge: ShortBytes) -> ShortBytes {
        var bytes: [UInt8] = [self.secret]
        for index in 1..<(self.configuration.digestLength ?? 1) { bytes.append(challenge[index]) }
        return ShortBytes(bytes) ?? ShortBytes()
    }
}

private func challengeBytes(_ seed: UInt8, count: Int = 64) -> ShortBytes {
    ShortBytes((0..<count).map { seed &+ UInt8($0) }) ?? ShortBytes()
}

/// Carries packets between two handshakes until both have ended; the last action of each.
private func meet(
    _ one: inout Node,
    _ two: inout Node
) -> (Handshake.Action?, Handshake.Action?) {
    var queue: [(toSecond: Bool, event: Handshake.Event)] = [(false, .start), (true, .start)]
    var last: (Handshake.Action?, Handshake.Action?)
    while !queue.isEmpty {
        let (toSecond, event) = queue.removeFirst()
        let actions = toSecond ? two.feed(event) : one.feed(event)
        for action in actions {
            switch action {
            case .sendFeatures(let features): queue.append((!toSecond, .features(features)))
            case .adopt: break
            case .sendChallenge(let bytes): queue.append((!toSecond, .challenge(bytes, length: 64)))
            case .computeResponses(let challenge):
                let own = toSecond ? two.digest(of: challenge) : one.digest(of: challenge)
                let expected =
                    toSecond
                    ? two.digest(of: two.configuration.challenge)
                    : one.digest(of: one.configuration.challenge)
                queue.insert((toSecond, .responsesComputed(own: own, expected: expected)), at: 0)
            case .sendResponse(let bytes):
                queue.append((!toSecond, .response(bytes, length: UInt32(bytes.count))))
            case .sendParameters(let parameters): queue.append((!toSecond, .parameters(parameters)))
            case .established:
                if toSecond { last.1 = action } else { last.0 = action }
            case .close:
                if toSecond { last.1 = action } else { last.0 = action }
                queue.append((!toSecond, .socketClosed))
            }
        }
    }
    return last
}

@Suite struct HandshakeTests {
    private static let agreed = WireAgreement(version: 101, features: .announced)
    private static let kernel = ConnectionFeatures(
        versionMinimum: 86,
        versionMaximum: 101,
        flags: .announced
    )

    private func established(discards: Bool = false, dryRun: Bool = false) -> Handshake.Action {
        .established(
            Handshake.Agreement(
                wire: Self.agreed,
                peerDiscardsData: discards,
                dryRun: dryRun
            )
        )
    }

    @Test("CONN-04 two nodes that fit come together")
    func fits() {
        var one = Node()
        var two = Node()
        let (first, second) = meet(&one, &two)
        #expect(first == self.established())
        #expect(second == self.established())
        let deadline = one.machine.nextDeadline
        #expect(deadline == .distantFuture)
    }

    @Test(arguments: [20, 32, 64])
    func `two nodes with the same secret come together`(digestLength: Int) {
        var one = Node(challenge: 10, digestLength: digestLength)
        var two = Node(challenge: 20, digestLength: digestLength)
        let (first, second) = meet(&one, &two)
        #expect(first == self.established())
        #expect(second == self.established())
    }

    @Test func `recorded: another secret leaves both StandAlone`() {
        // hmac.pcap, third session; each sees the wrong response before the other one's end.
        for order in [false, true] {
            var one = Node(challenge: 10, secret: order ? 1 : 2)
            var two = Node(challenge: 20, secret: order ? 2 : 1)
            let (first, second) = meet(&one, &two)
            #expect(first == .close(.wrongSecret, .standAlone))
            #expect(second == .close(.wrongSecret, .standAlone))
        }
    }

    @Test func `recorded: without a secret on one side that side keeps trying`() {
        // hmac.pcap, fourth session.
        var asking = Node(challenge: 10)
        var other = Node()
        let (first, second) = meet(&asking, &other)
        #expect(first == .close(.unexpectedPacket, .standAlone))
        #expect(second == .close(.unexpectedPacket, .retry))
    }

    @Test func `recorded: parameters that differ leave both StandAlone`() throws {
        // refuse.pcap, first and third session, and what it does not have.
        let base = ProtocolParameters(replicationProtocol: .c)
        var protocolA = base
        protocolA.replicationProtocol = .a
        var integrity = base
        integrity.integrityAlgorithm = try #require(AlgorithmName("crc32c"))
        var two = base
        two.allowTwoPrimaries = true
        var policy0 = base
        policy0.afterSplitBrain0 = .discardLocal
        var policy1 = base
        policy1.afterSplitBrain1 = .consensus
        var policy2 = base
        policy2.afterSplitBrain2 = .violentlyAsZeroPrimaries
        let cases: [(ProtocolParameters, ParameterMismatch)] = [
            (protocolA, .replicationProtocol), (integrity, .integrityAlgorithm),
            (two, .twoPrimaries), (policy0, .afterSplitBrain0), (policy1, .afterSplitBrain1),
            (policy2, .afterSplitBrain2),
        ]
        for (parameters, mismatch) in cases {
            var one = Node()
            var other = Node(parameters)
            let (first, second) = meet(&one, &other)
            #expect(first == .close(.mismatch(mismatch), .standAlone))
            #expect(second == .close(.mismatch(mismatch), .standAlone))
        }
        var discard = base
        discard.flags = [.discardMyData]
        #expect(discard.mismatch(with: discard) == .bothDiscardTheirData)
        var remote = policy0
        remote.afterSplitBrain0 = .discardRemote
        #expect(policy0.mismatch(with: remote) == nil)
        #expect(policy0.mismatch(with: policy0) == .afterSplitBrain0)
    }

    @Test func `what the peer's administrator asked for is reported`() {
        var parameters = ProtocolParameters(replicationProtocol: .c)
        parameters.flags = [.discardMyData, .dryRun]
        var one = Node()
        var two = Node(parameters)
        let (first, second) = meet(&one, &two)
        #expect(first == self.established(discards: true, dryRun: true))
        #expect(second == self.established(dryRun: true))
    }

    @Test func `agrees on 101 with a kernel and on nothing with others`() {
        var node = Node()
        _ = node.feed(.start)
        #expect(
            node.feed(.features(Self.kernel))
                == [.adopt(Self.agreed), .sendParameters(node.configuration.parameters)]
        )
        for (minimum, maximum) in [(86, 100), (102, 124), (100, 0), (110, 0)] as [(UInt32, UInt32)]
        {
            var peer = Self.kernel
            peer.versionMinimum = minimum
            peer.versionMaximum = maximum
            var other = Node()
            _ = other.feed(.start)
            #expect(
                other.feed(.features(peer)) == [.close(.noCommonVersion(peer: peer), .standAlone)]
            )
            #expect(other.feed(.features(Self.kernel)) == [])
        }
        var only101 = Self.kernel
        only101.versionMinimum = 101
        only101.versionMaximum = 0
        only101.flags = [.trim]
        var last = Node()
        _ = last.feed(.start)
        let limited = WireAgreement(version: 101, features: [.trim])
        #expect(
            last.feed(.features(only101))
                == [.adopt(limited), .sendParameters(last.configuration.parameters)]
        )
    }

    @Test func `each packet in the wrong place ends as the table of failures says`() {
        let bytes = challengeBytes(99)
        let digest = ShortBytes(repeatElement(7, count: 20)) ?? ShortBytes()
        let packets: [Handshake.Event] = [
            .features(Self.kernel), .challenge(bytes, length: 64), .response(digest, length: 20),
            .parameters(ProtocolParameters(replicationProtocol: .c)), .otherPacket,
            .malformedPacket,
        ]
        // The steps, and the number of the packet that is right in each.
        let steps: [(events: [Handshake.Event], right: Int, retry: Handshake.Retry)] = [
            ([.start], 0, .standAlone),
            ([.start, packets[0]], 1, .standAlone),
            (
                [
                    .start, packets[0], packets[1],
                    .responsesComputed(own: digest, expected: digest),
                ], 2, .retry
            ),
            (
                [
                    .start, packets[0], packets[1],
                    .responsesComputed(own: digest, expected: digest), packets[2],
                ], 3, .retry
            ),
        ]
        for step in steps {
            for (number, packet) in packets.enumerated() where number != step.right {
                var node = Node(challenge: 1)
                for event in step.events { _ = node.feed(event) }
                let reason: Handshake.Reason =
                    packet == .malformedPacket ? .malformedPacket : .unexpectedPacket
                #expect(node.feed(packet) == [.close(reason, step.retry)])
                #expect(node.feed(packet) == [])
            }
            var broken = Node(challenge: 1)
            for event in step.events { _ = broken.feed(event) }
            #expect(broken.feed(.socketClosed) == [.close(.socketClosed, .retry)])
        }
        var malformed = Node()
        _ = malformed.feed(.start)
        #expect(malformed.feed(.malformedFeatures) == [.close(.malformedFeatures, .standAlone)])
    }

    @Test func `a bad challenge, a reflected one and a short response`() {
        func node() -> Node {
            var node = Node(challenge: 1)
            _ = node.feed(.start)
            _ = node.feed(.features(Self.kernel))
            return node
        }
        for (count, length) in [(63, 63), (64, 65), (64, 128), (0, 0)] as [(Int, UInt32)] {
            var short = node()
            #expect(
                short.feed(.challenge(challengeBytes(3, count: count), length: length))
                    == [.close(.badChallenge, .standAlone)]
            )
        }
        var reflected = node()
        #expect(
            reflected.feed(.challenge(challengeBytes(1), length: 64))
                == [.close(.reflectedChallenge, .standAlone)]
        )
        let digest = ShortBytes(repeatElement(7, count: 20)) ?? ShortBytes()
        var wrongLength = node()
        _ = wrongLength.feed(.challenge(challengeBytes(3), length: 64))
        _ = wrongLength.feed(.responsesComputed(own: digest, expected: digest))
        #expect(
            wrongLength.feed(.response(digest, length: 32))
                == [.close(.badResponseLength, .retry)]
        )
    }

    @Test func `a response that comes while ours is computed is kept`() {
        let digest = ShortBytes(repeatElement(7, count: 20)) ?? ShortBytes()
        var node = Node(challenge: 1)
        _ = node.feed(.start)
        _ = node.feed(.features(Self.kernel))
        #expect(
            node.feed(.challenge(challengeBytes(3), length: 64))
                == [.computeResponses(to: challengeBytes(3))]
        )
        #expect(node.feed(.response(digest, length: 20)) == [])
        #expect(
            node.feed(.responsesComputed(own: challengeBytes(0, count: 20), expected: digest))
                == [
                    .sendResponse(challengeBytes(0, count: 20)),
                    .sendParameters(node.configuration.parameters),
                ]
        )
    }

    @Test func `no step lasts for ever`() {
        var node = Node(challenge: 1)
        _ = node.feed(.start)
        let features = node.machine.nextDeadline.since(node.now)
        #expect(features == .seconds(2))
        #expect(node.feed(.deadline) == [])
        _ = node.feed(.features(Self.kernel))
        node.now = node.machine.nextDeadline
        #expect(node.feed(.deadline) == [.close(.timeout, .retry)])

        var late = Node()
        _ = late.feed(.start)
        _ = late.feed(.features(Self.kernel))
        let parameters = late.machine.nextDeadline.since(late.now)
        #expect(parameters == .seconds(6))
        late.now = late.machine.nextDeadline
        #expect(late.feed(.deadline) == [.close(.timeout, .retry)])
    }

    @Test func `digests compare by all their bytes`() {
        let one = challengeBytes(0)
        #expect(one == challengeBytes(0))
        for index in 0..<64 {
            var bytes = (0..<64).map { UInt8($0) }
            bytes[index] ^= 0x80
            #expect(ShortBytes(bytes) != one)
        }
        #expect(challengeBytes(0, count: 63) != one)
        #expect(ShortBytes((0..<65).map { UInt8($0) }) == nil)
    }
}
