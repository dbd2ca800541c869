// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Reactor
import Wire

/// The log's sentences about the ends of connections and disks.
extension Resource {
    /// Why the peer was lost; nil if an administrator wanted it or StandAlone says it.
    var lossReason: String? {
        guard let loss = self.lastLoss else { return nil }
        let network = self.parameters.network
        return switch loss {
        case .brokenPipe(let end): "the data socket \(end.text)"
        case .networkFailure(.handshake): self.handshakeFailureText
        case .networkFailure(let fault): fault.text(network)
        case .timeout(.acknowledgement):
            "no write was acknowledged for timeout x ko-count = \(network.patienceText)"
        case .timeout(.dataSocket):
            "the data socket took nothing for timeout x ko-count = \(network.patienceText)"
        case .protocolError(let fault): "the peer broke the protocol: \(fault.text)"
        case .tearDown: "the peer's administrator disconnected"
        case .disconnected, .refused: nil
        }
    }

    /// What came of the last handshake.
    var handshakeFailureText: String {
        self.lastHandshakeFailure?.text(
            own: self.parameters.network.replicationProtocol,
            peer: self.peerParameters
        ) ?? "the peer asked for what this node cannot do"
    }
}

extension NetworkParameters {
    fileprivate var patienceText: String {
        "\(self.timeout.milliseconds) ms x \(self.koCount)"
    }
}

extension SocketEnd {
    fileprivate var text: String {
        switch self {
        case .closed: "was closed by the peer"
        case .failed(let errno): "failed: \(Errno(errno))"
        }
    }
}

extension NetworkFault {
    fileprivate func text(_ network: NetworkParameters) -> String {
        switch self {
        case .socket(let end): "the meta socket \(end.text)"
        case .pingTimeout:
            "no answer to a ping for ping-timeout = \(network.pingTimeout.milliseconds) ms"
        case .sendTimeout:
            "the meta socket took nothing for timeout = \(network.timeout.milliseconds) ms"
        case .handshake: "the handshake failed"
        case .flushFailed: "a flush of this node's disk failed while the peer awaited it"
        case .diskLostBeforeResync: "a disk was lost before the resync could begin"
        case .volumeAppeared(let number):
            "volume \(number) is in use here and has come to the peer: "
                + "the nodes connect again to compare it"
        case .resizedWhileBusy:
            "the peer has another size for a volume that is busy here: "
                + "the nodes connect again to agree on it"
        case .resyncSourceWentOn:
            "the source of a resync went on without this node: the nodes connect again to compare"
        }
    }
}

extension ProtocolFault {
    fileprivate var text: String {
        switch self {
        case .unexpectedPacket(let command): "\(command.name) does not belong here"
        case .unknownVolume(let number): "a packet for volume \(number), which this node lacks"
        case .outOfRange(let sector, let bytes):
            "a request for \(bytes) bytes at sector \(sector), which is not inside the volume"
        case .unknownBlock(let sector): "an answer for sector \(sector) that nobody asked for"
        case .barrierAck(let number, let writes):
            "barrier \(number) acknowledged for \(writes) writes, which is not what was sent"
        case .tooManyRequests: "more requests at a time than agreed"
        case .bitmap(let error): "\(error)"
        case .undecodable(let error): "\(error)"
        }
    }
}

extension DiskEnd {
    /// The reason in words.
    var text: String {
        switch self {
        case .operation(let purpose, let range, let errno):
            "\(purpose.text(of: range)) failed: \(Errno(errno))"
        case .detached: "the administrator detached it"
        case .refused(let refusal): "its data does not fit the peer's: \(refusal.text)"
        case .outOfDate: "the application has seen newer data than it has"
        }
    }
}

extension IOToken.Purpose {
    /// The operation in words, with the sectors of the volume that it was about.
    func text(of range: SectorRange?) -> String {
        guard let range else { return "\(self.text)" }
        return "\(self.text) of \(range.count) sectors at sector \(range.start)"
    }

    private var text: StaticString {
        switch self {
        case .requestRead: "a read for the application"
        case .requestWrite: "a write for the application"
        case .peerWrite: "a write for the peer"
        case .peerRead: "a read for the peer"
        case .dataFlush: "a flush of the data"
        case .attachFlush: "the flush before the attach"
        case .detachFlush: "the last flush of the data"
        case .activityLogWrite: "a write of the activity log"
        case .activityLogFlush: "a flush of the activity log"
        case .bitmapPage: "a write of the bitmap"
        case .bitmapFlush: "a flush of the bitmap"
        case .superblockWrite: "a write of the superblock"
        case .superblockFlush: "a flush of the superblock"
        }
    }
}

extension Handshake.Reason {
    /// What does not fit, with both values where they are known.
    func text(own: ReplicationProtocol, peer: ProtocolParameters?) -> String {
        switch self {
        case .wrongSecret: "the peer has another shared-secret"
        case .mismatch(.bothDiscardTheirData): "\(ParameterMismatch.bothDiscardTheirData.text)"
        case .mismatch(let option):
            if let peer {
                "\(option.text) differs: ours \(option.ownValue(own)), "
                    + "the peer's \(option.value(of: peer))"
            } else {
                "\(option.text) differs"
            }
        case .noCommonVersion(let peer):
            "no protocol version in common: this node speaks "
                + "\(ConnectionFeatures.announced.versionText), the peer \(peer.versionText)"
        case .unexpectedPacket:
            "the peer sent a packet out of turn; it may lack cram-hmac-alg, or have it alone"
        case .malformedPacket, .malformedFeatures: "the peer's handshake is malformed"
        case .badChallenge: "the peer's challenge does not have 64 bytes"
        case .reflectedChallenge: "the peer sent this node's challenge back"
        case .badResponseLength: "the peer uses another cram-hmac-alg"
        case .socketClosed: "the peer closed a socket during the handshake"
        case .timeout: "the peer did not answer in the handshake"
        }
    }
}

extension ConnectionFeatures {
    fileprivate var versionText: String {
        "\(self.versionMinimum) to \(max(self.versionMinimum, self.versionMaximum))"
    }
}

extension ParameterMismatch {
    fileprivate func ownValue(_ letter: ReplicationProtocol) -> String {
        self.value(of: ProtocolParameters(replicationProtocol: letter))
    }

    fileprivate func value(of parameters: ProtocolParameters) -> String {
        switch self {
        case .replicationProtocol: "\(parameters.replicationProtocol.name)"
        case .afterSplitBrain0: "\(parameters.afterSplitBrain0)"
        case .afterSplitBrain1: "\(parameters.afterSplitBrain1)"
        case .afterSplitBrain2: "\(parameters.afterSplitBrain2)"
        case .bothDiscardTheirData: "discard-my-data"
        case .twoPrimaries: parameters.allowTwoPrimaries ? "yes" : "no"
        case .integrityAlgorithm: "\(parameters.integrityAlgorithm)"
        }
    }
}
