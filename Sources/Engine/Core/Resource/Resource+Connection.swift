// SPDX-License-Identifier: Apache-2.0

package import Primitives
import Wire

/// The handshake of the connection, and the watch over a connection that stands.
extension Resource {
    /// Both sockets are up.
    mutating func transportEstablished(
        _ resolvesConflicts: Bool,
        _ challenge: ShortBytes,
        at now: Instant
    ) {
        guard self.link == .connecting else { return }
        self.link = .handshaking
        self.resolvesConflicts = resolvesConflicts
        self.lastHandshakeFailure = nil
        var flags: ConnectFlags = []
        if self.discardsDataAtConnect { flags.insert(.discardMyData) }
        let network = self.parameters.network
        self.agreedProtocol = network.replicationProtocol
        self.peerParameters = nil
        self.handshake = Handshake(
            Handshake.Configuration(
                digestLength: network.digestLength == 0 ? nil : Int(network.digestLength),
                challenge: challenge,
                parameters: ProtocolParameters(
                    replicationProtocol: network.replicationProtocol,
                    flags: flags
                ),
                pingTimeout: network.pingTimeout,
                timeout: network.timeout
            )
        )
        self.handshake(.start, at: now)
    }

    /// Feeds the handshake, if one is under way, and carries out what it asks.
    mutating func handshake(_ event: Handshake.Event, at now: Instant) {
        guard self.handshake != nil else { return }
        var actions = Handshake.Actions()
        self.handshake?.receive(event, at: now, into: &actions)
        while let action = actions.popFirst() {
            switch action {
            case .sendFeatures: self.sendFeatures()
            case .adopt(let agreement):
                self.agreement = agreement
                self.actions.append(.adopt(agreement))
            case .sendChallenge(let bytes):
                self.actions.append(.sendAuthentication(.challenge, bytes))
            case .computeResponses(let challenge):
                self.actions.append(.computeResponses(to: challenge))
            case .sendResponse(let bytes):
                self.actions.append(.sendAuthentication(.response, bytes))
            case .sendParameters(let parameters): self.sendProtocol(parameters)
            case .established: self.established(at: now)
            case .close(let reason, let retry): self.handshakeFailed(reason, retry, at: now)
            }
        }
    }

    private mutating func handshakeFailed(
        _ reason: Handshake.Reason,
        _ retry: Handshake.Retry,
        at now: Instant
    ) {
        self.lastHandshakeFailure = reason
        switch retry {
        case .retry: self.closeConnection(.networkFailure(.handshake), at: now)
        case .standAlone: self.closeConnection(.refused(.handshake), at: now)
        }
    }

    /// P_PROTOCOL_UPDATE: the peer's administrator has changed options of the connection.
    ///
    /// What need not be alike on both nodes, and the protocol letter, are taken over as they come;
    /// anything else has to fit as at the handshake. Writes that are under way complete by the
    /// letter that then holds, at the latest with the acknowledgement of their epoch.
    mutating func receiveProtocolUpdate(_ peer: ProtocolParameters, at now: Instant) {
        self.peerParameters = peer
        let own = ProtocolParameters(replicationProtocol: peer.replicationProtocol)
        if let mismatch = own.mismatch(with: peer) {
            self.lastHandshakeFailure = .mismatch(mismatch)
            return self.closeConnection(.refused(.handshake), at: now)
        }
        self.agreedProtocol = peer.replicationProtocol
        self.parameters.network.replicationProtocol = peer.replicationProtocol
        self.actions.append(.changed(.connection))
    }

    /// The nodes understand each other: now the volumes' turn.
    private mutating func established(at now: Instant) {
        self.handshake = nil
        self.link = .established
        self.failedConnects = 0
        let network = self.parameters.network
        self.liveness = Liveness(
            timing: Liveness.Timing(
                pingInterval: network.pingInterval,
                pingTimeout: network.pingTimeout,
                timeout: network.timeout,
                koCount: network.koCount
            ),
            at: now
        )
        self.sendVolumeHandshakes(at: now)
        self.volumesDeadline = now + max(network.timeout, network.pingTimeout * 4)
        self.discardsDataAtConnect = false
        self.actions.append(.changed(.connection))
    }

    /// Takes the keyed digests that ``ResourceAction/computeResponses(to:)`` asked for.
    package mutating func receiveResponses(
        own: ShortBytes,
        expected: ShortBytes,
        at now: Instant,
        into actions: inout ActionQueue<ResourceAction>
    ) {
        swap(&self.actions, &actions)
        self.handshake(.responsesComputed(own: own, expected: expected), at: now)
        self.handleDeferred(at: now)
        swap(&self.actions, &actions)
    }

    mutating func receiveAuthentication(
        _ step: AuthenticationStep,
        _ bytes: ShortBytes,
        _ length: UInt32,
        at now: Instant
    ) {
        guard self.link == .handshaking else {
            return self.closeConnection(
                .protocolError(.unexpectedPacket(step.packet.command)),
                at: now
            )
        }
        switch step {
        case .challenge: self.handshake(.challenge(bytes, length: length), at: now)
        case .response: self.handshake(.response(bytes, length: length), at: now)
        }
    }

    // MARK: Liveness

    /// Feeds the watch, if a connection stands, and carries out what it asks.
    mutating func liveness(_ event: Liveness.Event, at now: Instant) {
        guard self.liveness?.note(event, at: now) == false else { return }
        var actions = Liveness.Actions()
        self.liveness?.receive(event, at: now, into: &actions)
        while let action = actions.popFirst() {
            switch action {
            case .sendPing: self.sendPing()
            case .pingDone(let number): self.pingAnswered(number, at: now)
            case .lost(let loss): self.closeConnection(loss.connectionLoss, at: now)
            }
        }
    }

    /// Tells the watch since when the oldest write waits for the peer.
    mutating func updateOldestRequest(at now: Instant) {
        let oldest: Instant? =
            self.transferLog.isEmpty
            ? nil : self.requests[self.transferLog.first].submittedAt
        self.liveness(.oldestRequest(sentAt: oldest), at: now)
    }
}

extension Liveness.Loss {
    var connectionLoss: ConnectionLoss {
        switch self {
        case .pingTimeout: .networkFailure(.pingTimeout)
        case .metaSendTimeout: .networkFailure(.sendTimeout)
        case .requestTimeout: .timeout(.acknowledgement)
        case .dataSendTimeout: .timeout(.dataSocket)
        }
    }
}
