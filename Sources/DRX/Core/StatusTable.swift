// SPDX-License-Identifier: Apache-2.0

internal import Wire

/// Renders the table of relay channels: two rows a connection, arrows that point away from who
/// dials.
package enum StatusTable {
    /// The table with placeholder names and arrows.
    package static func text(_ connections: [ConnectionStatus]) -> String {
        let rule = String(repeating: "-", count: 91)
        var lines = [rule, Self.header, rule]
        for connection in connections {
            for channel in connection.channels {
                lines.append(Self.row(connection.name, channel))
            }
        }
        lines += [rule, Self.footer(connections)]
        return lines.map { $0 + "\n" }.joined()
    }

    /// The table with addresses, times and diagnosis, without arrows.
    package static func verboseText(_ connections: [ConnectionStatus]) -> String {
        var cells = [Self.verboseHeadings]
        for connection in connections {
            for channel in connection.channels {
                cells.append([
                    connection.name, channel.typeText, channel.engineAddress,
                    channel.engineState?.name ?? "-", channel.relayAddress,
                    channel.bridgeState.name, channel.remoteAddress,
                    channel.upSince.isEmpty ? "-" : channel.upSince,
                ])
            }
        }
        let widths = Self.verboseHeadings.indices.map { column in
            cells.map { $0[column].count }.max() ?? 0
        }
        var rows = cells.map { row in
            zip(row, widths).map { Self.padded($0, $1) }.joined(separator: " ").trimmed
        }
        let rule = String(repeating: "-", count: max(91, rows.map(\.count).max() ?? 0))
        rows.insert(rule, at: 1)
        var lines = [rule] + rows + [rule]
        lines += connections.map { " \($0.name): \($0.diagnosis.text)" }
        lines.append(Self.footer(connections))
        return lines.map { $0 + "\n" }.joined()
    }

    /// Everything, as one JSON object.
    package static func json(_ connections: [ConnectionStatus]) -> String {
        let items = connections.map { connection in
            let channels = connection.channels.map(Self.json).joined(separator: ",")
            var remote = "null"
            if let states = connection.remote {
                remote =
                    "{\"acceptor\":\(quoted(states.acceptor.name)),"
                    + "\"connector\":\(quoted(states.connector.name))}"
            }
            return "{\"name\":\(quoted(connection.name)),\"channels\":[\(channels)],"
                + "\"remote\":\(remote),\"diagnosis\":\(quoted(connection.diagnosis.text))}"
        }
        let (all, established) = Self.counts(connections)
        return "{\"connections\":[\(items.joined(separator: ","))],\"all\":\(all),"
            + "\"established\":\(established)}\n"
    }

    private static let header =
        "Name           Type local-bsr-ip State          local-drx-ip State          remote-drx-ip"

    private static let verboseHeadings = [
        "Name", "Type", "local-bsr-ip", "State", "local-drx-ip", "State", "remote-drx-ip",
        "Up Since",
    ]

    private static func row(_ name: String, _ channel: ConnectionStatus.Channel) -> String {
        let isAcceptor = channel.role == .acceptor
        let engine = arrow(channel.engineState?.name ?? "", pointsRight: isAcceptor)
        let bridge = arrow(channel.bridgeState.name, pointsRight: !isAcceptor)
        return padded(name, 15, separate: true) + padded(channel.typeText, 5)
            + padded("(local-bsr)", 13) + padded(engine, 15) + padded("(local-drx)", 13)
            + padded(bridge, 15) + "(remote-drx)"
    }

    private static func footer(_ connections: [ConnectionStatus]) -> String {
        let (all, established) = self.counts(connections)
        return " All connections : \(all), Established : \(established)"
    }

    private static func counts(_ connections: [ConnectionStatus]) -> (Int, Int) {
        let channels = connections.flatMap(\.channels)
        return (channels.count, channels.count { $0.state == .established })
    }

    /// An arrow of 14 characters, or of as many as the state needs.
    private static func arrow(_ state: String, pointsRight: Bool) -> String {
        let dashes = String(repeating: "-", count: max(0, 12 - state.count))
        if pointsRight { return dashes + state + "->" }
        return "<-" + state + dashes
    }

    private static func json(_ channel: ConnectionStatus.Channel) -> String {
        "{\"role\":\(quoted(channel.role.name)),\"type\":\(quoted(channel.typeText)),"
            + "\"state\":\(quoted(channel.state.name)),"
            + "\"bridge\":\(quoted(channel.bridgeState.name)),"
            + "\"local-bsr\":\(quoted(channel.engineAddress)),"
            + "\"local-drx\":\(quoted(channel.relayAddress)),"
            + "\"remote-drx\":\(quoted(channel.remoteAddress)),"
            + "\"up-since\":\(quoted(channel.upSince))}"
    }

    private static func padded(_ text: String, _ width: Int, separate: Bool = false) -> String {
        let missing = width - text.count
        if missing > 0 { return text + String(repeating: " ", count: missing) }
        return separate ? text + " " : text
    }
}

extension String {
    fileprivate var trimmed: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

private func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\u{0}"..."\u{1F}":
            let digits = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
