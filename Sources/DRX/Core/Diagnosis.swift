// SPDX-License-Identifier: Apache-2.0

package import Wire

/// What the states of a connection's channels say about the network and the engines.
///
/// Two readings of established and connecting are told apart by the remote relay's states.
package enum Diagnosis: Hashable, Sendable, BitwiseCopyable, CaseIterable {
    case normal
    case allocatingBuffer
    case noRelay
    case remoteRelayCannotReachUs
    case cannotReachRemoteRelay
    case noLocalEngine
    case remoteEngineUnreachable
    case localEngineRefuses
    case remoteEngineDoesNotDial
    case oneOfBothDirections
    case remoteEngineRefuses
    case localEngineDoesNotDial
    case ending
    case changing

    /// Judges the states of this relay, and of the remote one if they are known.
    package init(_ own: ChannelStates, remote: ChannelStates?) {
        switch (own.acceptor, own.connector) {
        case (.established, .established): self = .normal
        case (.allocating, _), (_, .allocating): self = .allocatingBuffer
        case (.closePending, _), (.stopping, _), (_, .closePending), (_, .stopping):
            self = .ending
        case (.bridging, .bridging): self = .noRelay
        case (.bridging, .connecting): self = .remoteRelayCannotReachUs
        case (.waiting, .bridging): self = .cannotReachRemoteRelay
        case (.waiting, .connecting): self = .noLocalEngine
        case (.establishing, .connecting): self = .remoteEngineUnreachable
        case (.established, .connecting):
            if Self.remoteIs(remote, .establishing, .established) {
                self = .localEngineRefuses
            } else if Self.remoteIs(remote, .waiting, .established) {
                self = .remoteEngineDoesNotDial
            } else {
                self = .oneOfBothDirections
            }
        case (.establishing, .established): self = .remoteEngineRefuses
        case (.waiting, .established): self = .localEngineDoesNotDial
        case (.bridging, _), (.bridged, _), (.waiting, _), (.connecting, _), (.connected, _),
            (.establishing, _), (.established, _), (.stopped, _):
            self = .changing
        }
    }

    /// The situation in one sentence, and where to look.
    package var text: String {
        switch self {
        case .normal: "both channels are established"
        case .allocatingBuffer:
            "the transmit buffer's memory is being allocated; it is very large, or comes from swap"
        case .noRelay:
            "the remote relay is off, or the relays cannot reach each other at all: check it, and"
                + " the outside addresses"
        case .remoteRelayCannotReachUs:
            "we reach the remote relay, it does not reach our outside address: check it, and the"
                + " firewall here"
        case .cannotReachRemoteRelay:
            "the remote relay reaches us, we do not reach its outside address: check it, and the"
                + " firewall there"
        case .noLocalEngine:
            "the local engine's resource is not connecting, or it cannot reach our inside address"
        case .remoteEngineUnreachable:
            "the local engine is here, the remote relay cannot reach the remote engine: is its"
                + " resource connecting?"
        case .localEngineRefuses:
            "the local engine reaches us, we do not reach the local engine's address"
        case .remoteEngineDoesNotDial:
            "the remote engine does not reach the remote relay's inside address"
        case .oneOfBothDirections:
            "either we do not reach the local engine's address, or the remote engine does not"
                + " reach the remote relay's inside address"
        case .remoteEngineRefuses:
            "the remote engine reaches its relay, which does not reach the remote engine's address"
        case .localEngineDoesNotDial:
            "we reach the local engine, it does not reach our inside address"
        case .ending: "the connection is being closed; what was accepted is delivered first"
        case .changing: "the connection is being made"
        }
    }

    private static func remoteIs(
        _ states: ChannelStates?,
        _ acceptor: ChannelState,
        _ connector: ChannelState
    ) -> Bool {
        states == ChannelStates(acceptor: acceptor, connector: connector)
    }
}
