// SPDX-License-Identifier: Apache-2.0

import Administration
import DRXCore
import Wire

/// What the tool prints.
enum Tables {
    static func status(_ reports: [RelayReport], isVerbose: Bool, isJSON: Bool) -> String {
        let connections = reports.map(Self.connection)
        if isJSON { return StatusTable.json(connections) }
        return isVerbose ? StatusTable.verboseText(connections) : StatusTable.text(connections)
    }

    static func buffers(_ reports: [RelayReport], isVerbose: Bool) -> String {
        reports.map { report in
            let buffer = report.buffer
            let share = buffer.size == 0 ? 0 : buffer.used * 100 / buffer.size
            var line =
                "\(report.name): size \(buffer.size), usable \(buffer.usable), "
                + "used \(buffer.used) (\(share) %)"
            if isVerbose {
                line +=
                    ", begin \(buffer.begin), end \(buffer.end), "
                    + "latency \(buffer.latencyMilliseconds) ms"
            }
            return line + "\n"
        }.joined()
    }

    static func traffic(_ reports: [RelayReport], isVerbose: Bool) -> String {
        reports.map { report in
            [(ChannelRole.acceptor, report.acceptor), (.connector, report.connector)]
                .map { role, channel in
                    var line =
                        "\(report.name) \(role.name): sent \(channel.sentContentBytes), "
                        + "received \(channel.receivedContentBytes)"
                    if isVerbose {
                        line +=
                            ", on the bridge \(channel.sentPayloadBytes) and "
                            + "\(channel.receivedPayloadBytes)"
                    }
                    return line + "\n"
                }.joined()
        }.joined()
    }

    private static func connection(_ report: RelayReport) -> DRXCore.ConnectionStatus {
        var remote: ChannelStates?
        if let states = report.remoteStates, states.count == 2,
            let acceptor = ChannelState(rawValue: states[0]),
            let connector = ChannelState(rawValue: states[1])
        {
            remote = ChannelStates(acceptor: acceptor, connector: connector)
        }
        return DRXCore.ConnectionStatus(
            name: report.name,
            acceptor: Self.channel(report.acceptor, .acceptor),
            connector: Self.channel(report.connector, .connector),
            remote: remote
        )
    }

    private static func channel(
        _ channel: RelayReport.Channel,
        _ role: ChannelRole
    ) -> DRXCore.ConnectionStatus.Channel {
        DRXCore.ConnectionStatus.Channel(
            role: role,
            state: ChannelState(rawValue: channel.state) ?? .stopped,
            type: channel.type.flatMap(ChannelType.init(rawValue:)),
            carriesBoth: channel.carriesBoth,
            isBridged: channel.isBridged,
            engineAddress: channel.engineAddress,
            relayAddress: channel.relayAddress,
            remoteAddress: channel.remoteAddress,
            upSince: channel.upSince
        )
    }
}
