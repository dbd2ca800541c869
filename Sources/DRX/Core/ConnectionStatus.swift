// SPDX-License-Identifier: Apache-2.0

package import Wire

/// What `drxctl status` shows of one connection.
package struct ConnectionStatus: Hashable, Sendable {
    /// What it shows of one channel.
    package struct Channel: Hashable, Sendable {
        package var role: ChannelRole
        package var state: ChannelState
        /// Nil before the engine has connected.
        package var type: ChannelType?
        /// The engine has dialled both of its sockets, and both are relayed in this channel.
        package var carriesBoth: Bool
        package var isBridged: Bool
        /// Addresses as text, for people who ask for details.
        package var engineAddress: String
        package var relayAddress: String
        package var remoteAddress: String
        /// When the channel was established, as text; empty if it is not.
        package var upSince: String

        /// Creates the status of one channel.
        package init(
            role: ChannelRole,
            state: ChannelState,
            type: ChannelType?,
            carriesBoth: Bool = false,
            isBridged: Bool,
            engineAddress: String = "",
            relayAddress: String = "",
            remoteAddress: String = "",
            upSince: String = ""
        ) {
            self.role = role
            self.state = state
            self.type = type
            self.carriesBoth = carriesBoth
            self.isBridged = isBridged
            self.engineAddress = engineAddress
            self.relayAddress = relayAddress
            self.remoteAddress = remoteAddress
            self.upSince = upSince
        }

        /// The word for what the channel carries.
        package var typeText: String {
            self.carriesBoth ? "both" : self.type?.name ?? "-"
        }
    }

    package var name: String
    package var acceptor: Channel
    package var connector: Channel
    /// The remote relay's states; nil without a bridge.
    package var remote: ChannelStates?

    /// Creates the status of one connection.
    package init(name: String, acceptor: Channel, connector: Channel, remote: ChannelStates?) {
        self.name = name
        self.acceptor = acceptor
        self.connector = connector
        self.remote = remote
    }

    /// The two channels in the order of the table.
    package var channels: [Channel] { [self.acceptor, self.connector] }

    /// What the states mean.
    package var diagnosis: Diagnosis {
        let own = ChannelStates(acceptor: self.acceptor.state, connector: self.connector.state)
        return Diagnosis(own, remote: self.remote)
    }
}

extension ConnectionStatus.Channel {
    /// The state of the side of the local engine; nil while the bridge is being made.
    package var engineState: ChannelState? {
        switch self.state {
        case .allocating, .bridging, .bridged: nil
        case .waiting, .connecting, .connected, .establishing, .established, .closePending,
            .stopping, .stopped:
            self.state
        }
    }

    /// The state of the side of the remote relay.
    package var bridgeState: ChannelState {
        if self.isBridged { return .bridged }
        return self.state == .allocating ? .allocating : .bridging
    }
}
