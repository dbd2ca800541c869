// SPDX-License-Identifier: Apache-2.0

package import Primitives
package import Wire

/// The part of a handshake that concerns the connection and not a volume, on the data socket.
///
///     features ─▶ [challenge ─▶ response ─▶] parameters ─▶ established
///
/// Each side sends without waiting for the other one; only a digest waits for the challenge it
/// answers. Digests are computed by the driver, which alone knows the secret. A failure that trying
/// again would not mend ends StandAlone, any other one is followed by a new attempt. Source:
/// DRBD 8.4's handshake at protocol 101.
package struct Handshake: ~Copyable {
    package enum Event: Hashable, Sendable, BitwiseCopyable {
        /// Both sockets are there.
        case start
        /// P_CONNECTION_FEATURES came.
        case features(ConnectionFeatures)
        /// P_CONNECTION_FEATURES of a wrong length came.
        case malformedFeatures
        /// P_AUTH_CHALLENGE came; `challenge` has the first 64 bytes of `length`.
        case challenge(ShortBytes, length: UInt32)
        /// The driver has computed what ``Action/computeResponses(to:)`` asked for.
        case responsesComputed(own: ShortBytes, expected: ShortBytes)
        /// P_AUTH_RESPONSE came; `response` has the first 64 bytes of `length`.
        case response(ShortBytes, length: UInt32)
        /// P_PROTOCOL came.
        case parameters(ProtocolParameters)
        /// Any other packet came.
        case otherPacket
        /// What came cannot be read as a packet.
        case malformedPacket
        /// One of the sockets has ended or broken.
        case socketClosed
        /// ``nextDeadline`` is reached.
        case deadline
    }

    package enum Action: Hashable, Sendable, BitwiseCopyable {
        /// Send P_CONNECTION_FEATURES.
        case sendFeatures(ConnectionFeatures)
        /// From now on frame packets as agreed.
        case adopt(WireAgreement)
        /// Send P_AUTH_CHALLENGE with these 64 bytes.
        case sendChallenge(ShortBytes)
        /// Compute the keyed digest of the peer's challenge, our response, and that of our own
        /// challenge, the response we expect.
        case computeResponses(to: ShortBytes)
        /// Send P_AUTH_RESPONSE.
        case sendResponse(ShortBytes)
        /// Send P_PROTOCOL. The volumes' packets may follow at once.
        case sendParameters(ProtocolParameters)
        /// The nodes understand each other. The machine has ended.
        case established(Agreement)
        /// Close both sockets. The machine has ended.
        case close(Reason, Retry)
    }

    package typealias Actions = ActionBuffer<4, Action>

    /// What the nodes agreed on.
    package struct Agreement: Hashable, Sendable, BitwiseCopyable {
        /// The protocol version and the features of both.
        package var wire: WireAgreement
        /// Whether the peer's administrator gave up the peer's data.
        package var peerDiscardsData: Bool
        /// Whether either side wants to know only what would happen.
        package var dryRun: Bool

        /// Creates an agreement.
        package init(wire: WireAgreement, peerDiscardsData: Bool, dryRun: Bool) {
            self.wire = wire
            self.peerDiscardsData = peerDiscardsData
            self.dryRun = dryRun
        }
    }

    /// Whether a new attempt follows.
    package enum Retry: Hashable, Sendable, BitwiseCopyable {
        case retry
        case standAlone
    }

    package enum Reason: Hashable, Sendable, BitwiseCopyable {
        case unexpectedPacket
        case malformedPacket
        case malformedFeatures
        case noCommonVersion(peer: ConnectionFeatures)
        case badChallenge
        case reflectedChallenge
        case badResponseLength
        case wrongSecret
        case mismatch(ParameterMismatch)
        case socketClosed
        case timeout
    }

    /// How a connection is to be made.
    package struct Configuration: Hashable, Sendable, BitwiseCopyable {
        /// What to announce.
        package var features: ConnectionFeatures
        /// The length of a digest of `cram-hmac-alg`; nil without authentication.
        package var digestLength: Int?
        /// 64 random bytes, new for each connection; unused without authentication.
        package var challenge: ShortBytes
        /// What to send as P_PROTOCOL.
        package var parameters: ProtocolParameters
        /// How long the peer may take for a packet of features or authentication: 4 ping-timeouts.
        package var packetTimeout: TimeSpan
        /// How long the peer may take for P_PROTOCOL (timeout).
        ///
        /// DRBD waits without limit.
        package var parametersTimeout: TimeSpan

        /// Creates a configuration.
        package init(
            features: ConnectionFeatures = .announced,
            digestLength: Int? = nil,
            challenge: ShortBytes = ShortBytes(),
            parameters: ProtocolParameters,
            pingTimeout: TimeSpan,
            timeout: TimeSpan
        ) {
            self.features = features
            self.digestLength = digestLength
            self.challenge = challenge
            self.parameters = parameters
            self.packetTimeout = pingTimeout * 4
            self.parametersTimeout = max(timeout, pingTimeout * 4)
        }
    }

    private enum State {
        case idle
        case awaitingFeatures
        case awaitingChallenge
        /// The driver computes; the peer's response may come meanwhile.
        case computing(response: ShortBytes?)
        case awaitingResponse(expected: ShortBytes)
        case awaitingParameters
        case ended
    }

    private let configuration: Configuration
    private var state = State.idle
    private var agreement: WireAgreement?

    /// When ``Event/deadline`` is due.
    package private(set) var nextDeadline = Instant.distantFuture

    /// Creates the machine of one attempt.
    package init(_ configuration: Configuration) { self.configuration = configuration }

    /// Takes one event and appends what the driver must do about it.
    package mutating func receive(_ event: Event, at now: Instant, into actions: inout Actions) {
        switch event {
        case .start:
            self.start(at: now, into: &actions)
        case .features(let features):
            self.agree(with: features, at: now, into: &actions)
        case .malformedFeatures:
            self.close(.malformedFeatures, .standAlone, into: &actions)
        case .challenge(let challenge, let length):
            self.answer(challenge, length: length, at: now, into: &actions)
        case .responsesComputed(let own, let expected):
            self.respond(own, expected: expected, at: now, into: &actions)
        case .response(let response, let length):
            self.take(response, length: length, at: now, into: &actions)
        case .parameters(let parameters):
            self.check(parameters, into: &actions)
        case .otherPacket:
            self.refusePacket(into: &actions)
        case .malformedPacket:
            self.refusePacket(.malformedPacket, into: &actions)
        case .socketClosed:
            self.close(.socketClosed, .retry, into: &actions)
        case .deadline:
            if self.nextDeadline <= now { self.close(.timeout, .retry, into: &actions) }
        }
    }
}

extension Handshake {
    private mutating func start(at now: Instant, into actions: inout Actions) {
        guard case .idle = self.state else { return }
        self.state = .awaitingFeatures
        self.nextDeadline = now + self.configuration.packetTimeout
        actions.append(.sendFeatures(self.configuration.features))
    }

    private mutating func agree(
        with peer: ConnectionFeatures,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard case .awaitingFeatures = self.state else { return self.refusePacket(into: &actions) }
        do throws(WireError) {
            self.agreement = try self.configuration.features.agreement(with: peer)
        } catch {
            return self.close(.noCommonVersion(peer: peer), .standAlone, into: &actions)
        }
        if let agreement = self.agreement { actions.append(.adopt(agreement)) }
        if self.configuration.digestLength == nil {
            self.sendParameters(at: now, into: &actions)
        } else {
            self.state = .awaitingChallenge
            self.nextDeadline = now + self.configuration.packetTimeout
            actions.append(.sendChallenge(self.configuration.challenge))
        }
    }

    private mutating func answer(
        _ challenge: ShortBytes,
        length: UInt32,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard case .awaitingChallenge = self.state else { return self.refusePacket(into: &actions) }
        guard length == ShortBytes.capacity, challenge.count == ShortBytes.capacity else {
            return self.close(.badChallenge, .standAlone, into: &actions)
        }
        // Whoever sends our challenge back wants us to compute the response to it.
        guard challenge != self.configuration.challenge else {
            return self.close(.reflectedChallenge, .standAlone, into: &actions)
        }
        self.state = .computing(response: nil)
        self.nextDeadline = now + self.configuration.packetTimeout
        actions.append(.computeResponses(to: challenge))
    }

    private mutating func respond(
        _ own: ShortBytes,
        expected: ShortBytes,
        at now: Instant,
        into actions: inout Actions
    ) {
        guard case .computing(let response) = self.state else { return }
        self.state = .awaitingResponse(expected: expected)
        actions.append(.sendResponse(own))
        if let response { self.verify(response, expected, at: now, into: &actions) }
    }

    private mutating func take(
        _ response: ShortBytes,
        length: UInt32,
        at now: Instant,
        into actions: inout Actions
    ) {
        let fits = self.configuration.digestLength.map { UInt32(clamping: $0) } == length
        switch self.state {
        case .computing(response: nil):
            guard fits else { return self.close(.badResponseLength, .retry, into: &actions) }
            self.state = .computing(response: response)
        case .awaitingResponse(let expected):
            guard fits else { return self.close(.badResponseLength, .retry, into: &actions) }
            self.verify(response, expected, at: now, into: &actions)
        case .idle, .awaitingFeatures, .awaitingChallenge, .computing(response: .some),
            .awaitingParameters, .ended:
            self.refusePacket(into: &actions)
        }
    }

    private mutating func verify(
        _ response: ShortBytes,
        _ expected: ShortBytes,
        at now: Instant,
        into actions: inout Actions
    ) {
        if response == expected {
            self.sendParameters(at: now, into: &actions)
        } else {
            self.close(.wrongSecret, .standAlone, into: &actions)
        }
    }

    private mutating func sendParameters(at now: Instant, into actions: inout Actions) {
        self.state = .awaitingParameters
        self.nextDeadline = now + self.configuration.parametersTimeout
        actions.append(.sendParameters(self.configuration.parameters))
    }

    private mutating func check(_ peer: ProtocolParameters, into actions: inout Actions) {
        guard case .awaitingParameters = self.state, let agreement = self.agreement else {
            return self.refusePacket(into: &actions)
        }
        if let mismatch = self.configuration.parameters.mismatch(with: peer) {
            return self.close(.mismatch(mismatch), .standAlone, into: &actions)
        }
        self.state = .ended
        self.nextDeadline = .distantFuture
        actions.append(
            .established(
                Agreement(
                    wire: agreement,
                    peerDiscardsData: peer.flags.contains(.discardMyData),
                    dryRun: peer.flags.union(self.configuration.parameters.flags)
                        .contains(.dryRun)
                )
            )
        )
    }

    /// Ends the attempt because of a packet that does not belong here.
    ///
    /// A peer that is configured without authentication is noticed by the packet it sends in place
    /// of its challenge, one with authentication by the challenge in place of its parameters: the
    /// node that asks for authentication gives up, the other one keeps trying.
    private mutating func refusePacket(
        _ reason: Reason = .unexpectedPacket,
        into actions: inout Actions
    ) {
        switch self.state {
        case .idle, .awaitingFeatures, .awaitingChallenge:
            self.close(reason, .standAlone, into: &actions)
        case .computing, .awaitingResponse, .awaitingParameters:
            self.close(reason, .retry, into: &actions)
        case .ended:
            break
        }
    }

    private mutating func close(_ reason: Reason, _ retry: Retry, into actions: inout Actions) {
        if case .ended = self.state { return }
        self.state = .ended
        self.nextDeadline = .distantFuture
        actions.append(.close(reason, retry))
    }
}
