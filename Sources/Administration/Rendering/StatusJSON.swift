// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The JSON text of `status --json`, down to its blanks and line ends.
///
/// Source: `reference/drbd-metadata.md` §9.2; bsr's own keys come last in their object.
package enum StatusJSON {
    /// An array of `resources`, sorted by name.
    package static func render(_ resources: [ResourceStatus]) -> String {
        let elements = resources.sorted { $0.name < $1.name }.map(Self.text(of:))
        return "[\n" + elements.joined(separator: ",\n") + (elements.isEmpty ? "" : "\n") + "]\n\n"
    }

    private static func text(of resource: ResourceStatus) -> String {
        let suspension = resource.suspension
        var fields: [(String, String)] = [
            ("name", Self.quoted(resource.name)),
            ("node-id", "\(resource.nodeID)"),
            ("role", Self.quoted(resource.role.text)),
            ("suspended", "\(suspension.isSuspended)"),
            ("suspended-user", "\(suspension.user)"),
            ("suspended-no-data", "\(suspension.noData)"),
            ("suspended-fencing", "\(suspension.fencing)"),
            ("suspended-quorum", "\(suspension.quorum)"),
            ("force-io-failures", "\(resource.forcesIOFailures)"),
            ("write-ordering", Self.quoted(resource.writeOrdering.rawValue)),
            ("devices", Self.list(resource.devices.map(Self.text(of:)))),
            (
                "connections",
                Self.list(
                    resource.connections.sorted { $0.name < $1.name }
                        .map { Self.text(of: $0, in: resource) }
                )
            ),
        ]
        if let pending = resource.pendingRequests { fields.append(("req-pending", "\(pending)")) }
        return Self.object(fields, indent: "")
    }

    private static func text(of device: DeviceStatus) -> String {
        var fields: [(String, String)] = [
            ("volume", "\(device.volume)"),
            ("minor", "\(device.minor)"),
            ("disk-state", Self.quoted(device.disk.text)),
            ("client", "\(device.client == .yes)"),
            ("quorum", "\(device.hasQuorum)"),
        ]
        if let statistics = device.statistics {
            fields += [
                ("size", "\(statistics.size)"),
                ("read", "\(statistics.read)"),
                ("written", "\(statistics.written)"),
                ("al-writes", "\(statistics.activityLogWrites)"),
                ("bm-writes", "\(statistics.bitmapWrites)"),
                ("upper-pending", "\(statistics.upperPending)"),
                ("lower-pending", "\(statistics.lowerPending)"),
            ]
        }
        if let errors = device.diskErrors { fields.append(("io-error", "\(errors)")) }
        return Self.object(fields, indent: "    ")
    }

    private static func text(of connection: ConnectionStatus, in resource: ResourceStatus)
        -> String
    {
        let peerDevices = connection.peerDevices.map {
            Self.text(of: $0, size: resource.sizeOfVolume($0.volume))
        }
        var fields: [(String, String)] = [
            ("peer-node-id", "\(connection.peerNodeID)"),
            ("name", Self.quoted(connection.name)),
            ("connection-state", Self.quoted(connection.state.rawValue)),
            ("congested", "\(connection.isCongested)"),
            ("peer-role", Self.quoted(connection.peerRole.text)),
            ("ap-in-flight", "\(connection.applicationInFlight)"),
            ("rs-in-flight", "\(connection.resyncInFlight)"),
            ("peer_devices", Self.list(peerDevices)),
        ]
        if let problem = connection.problem {
            fields.append(("error", Self.quoted(problem.rawValue)))
        }
        return Self.object(fields, indent: "    ")
            // DRBD's tool has a blank there, and people compare texts.
            .replacingOccurrences(
                of: "\"connection-state\": \"\(connection.state.rawValue)\",\n",
                with: "\"connection-state\": \"\(connection.state.rawValue)\", \n"
            )
    }

    private static func text(of peer: PeerDeviceStatus, size: UInt64?) -> String {
        var fields: [(String, String)] = [
            ("volume", "\(peer.volume)"),
            ("replication-state", Self.quoted(peer.replication.rawValue)),
            ("peer-disk-state", Self.quoted(peer.disk.text)),
            ("peer-client", "\(peer.client == .yes)"),
            ("resync-suspended", Self.quoted(peer.resyncSuspension.text)),
        ]
        if let statistics = peer.statistics {
            fields += [
                ("received", "\(statistics.received)"),
                ("sent", "\(statistics.sent)"),
                ("out-of-sync", "\(statistics.outOfSync)"),
                ("pending", "\(statistics.pending)"),
                ("unacked", "\(statistics.unacknowledged)"),
                ("has-sync-details", "\(statistics.resync != nil)"),
                ("has-online-verify-details", "\(statistics.verify != nil)"),
                (
                    "percent-in-sync",
                    ResyncFigures.inSync(statistics.outOfSync, of: size ?? 0).fixed(2)
                ),
            ]
            if let figures = ResyncFigures(statistics, in: peer.replication, deviceSize: size) {
                fields += Self.progress(statistics, figures)
            }
        }
        return Self.object(fields, indent: "        ")
    }

    private static func progress(_ statistics: PeerDeviceStatistics, _ figures: ResyncFigures)
        -> [(String, String)]
    {
        let done = ("percent-resync-done", figures.done.fixed(2))
        guard let resync = statistics.resync else { return [done] }
        var numbers = resync.fields + (statistics.verify?.fields ?? resync.resultFields)
        if let wanted = resync.wantedRate { numbers.append(("want", wanted)) }
        let secondsLeft = figures.secondsLeft.isNaN ? 987_654_321 : figures.secondsLeft
        return numbers.map { ($0.name, "\($0.value)") } + [
            ("db0/dt0 [MiB/s]", resync.window0.mebibytesPerSecond.fixed(2)),
            ("db1/dt1 [MiB/s]", resync.window1.mebibytesPerSecond.fixed(2)),
            ("estimated-seconds-to-finish", secondsLeft.fixed(0)),
            ("db/dt [MiB/s]", figures.averageRate.fixed(2)),
            done,
        ]
    }

    private static func object(_ fields: [(String, String)], indent: String) -> String {
        let lines = fields.map { "\(indent)  \"\($0.0)\": \($0.1)" }
        return "\(indent){\n" + lines.joined(separator: ",\n") + "\n\(indent)}"
    }

    private static func list(_ elements: [String]) -> String {
        elements.isEmpty ? "[ ]" : "[\n" + elements.joined(separator: ",\n") + " ]"
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case _ where scalar.value < 0x20: quoted += String(format: "\\u%04x", scalar.value)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
