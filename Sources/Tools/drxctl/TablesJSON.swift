// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation

/// What the tool prints with `--json`.
enum TablesJSON {
    private struct Buffers: Encodable {
        struct Connection: Encodable {
            var name: String
            var resource: String
            var size: UInt64
            var usable: UInt64
            var used: UInt64
            var begin: UInt64
            var end: UInt64
            var latencyMilliseconds: UInt64

            enum CodingKeys: String, CodingKey {
                case name, resource, size, usable, used, begin, end
                case latencyMilliseconds = "latency_ms"
            }
        }
        var connections: [Connection]
    }

    private struct Traffic: Encodable {
        struct Channel: Encodable {
            var role: String
            var sent: UInt64
            var received: UInt64
            var bridgeSent: UInt64
            var bridgeReceived: UInt64

            enum CodingKeys: String, CodingKey {
                case role, sent, received
                case bridgeSent = "bridge_sent"
                case bridgeReceived = "bridge_received"
            }
        }
        struct Connection: Encodable {
            var name: String
            var resource: String
            var channels: [Channel]
        }
        var connections: [Connection]
    }

    static func buffers(_ reports: [RelayReport]) throws -> String {
        try Self.text(
            Buffers(
                connections: reports.map { report in
                    let buffer = report.buffer
                    return Buffers.Connection(
                        name: report.name,
                        resource: report.resource,
                        size: buffer.size,
                        usable: buffer.usable,
                        used: buffer.used,
                        begin: buffer.begin,
                        end: buffer.end,
                        latencyMilliseconds: buffer.latencyMilliseconds
                    )
                }
            )
        )
    }

    static func traffic(_ reports: [RelayReport]) throws -> String {
        try Self.text(
            Traffic(
                connections: reports.map { report in
                    Traffic.Connection(
                        name: report.name,
                        resource: report.resource,
                        channels: [
                            Self.channel(report.acceptor, "acceptor"),
                            Self.channel(report.connector, "connector"),
                        ]
                    )
                }
            )
        )
    }

    private static func channel(_ channel: RelayReport.Channel, _ role: String) -> Traffic.Channel {
        Traffic.Channel(
            role: role,
            sent: channel.sentContentBytes,
            received: channel.receivedContentBytes,
            bridgeSent: channel.sentPayloadBytes,
            bridgeReceived: channel.receivedPayloadBytes
        )
    }

    private static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    }
}
