// SPDX-License-Identifier: Apache-2.0

/// What must hold between the sections of a configuration.
enum ConfigurationCheck {
    /// Everything that is wrong, in the order of the resources.
    static func faults(in configuration: Configuration) -> [Diagnostic] {
        var faults: [Diagnostic] = []
        var devices = UsedNames()
        var addresses = UsedAddresses()
        for resource in configuration.resources {
            if let fault = Self.hostFault(resource) {
                faults.append(fault)
                continue
            }
            do throws(Diagnostic) {
                let expanded = try configuration.expanded(resource)
                devices.claim(of: expanded, &faults)
                addresses.claim(of: expanded, &faults)
                Self.checkPairs(expanded, &faults)
            } catch {
                faults.append(error)
            }
            if faults.count >= Limits.diagnostics { break }
        }
        return faults
    }

    private static func hostFault(_ resource: Resource) -> Diagnostic? {
        if resource.hosts.isEmpty {
            return Diagnostic(
                resource.position,
                "in resource \(resource.name):\n"
                    + "\ta host section ('on alpha { ... }') is missing."
            )
        }
        for (index, host) in resource.hosts.enumerated() {
            for other in resource.hosts[..<index] {
                guard host.names.contains(where: { other.answers(to: $0) }) else { continue }
                return Diagnostic(
                    host.position,
                    "in resource \(resource.name), \(other.title) ... \(host.title):\n"
                        + "\tThere are multiple host sections for this node.\n"
                        + "\(other.position): first used here."
                )
            }
        }
        return nil
    }

    /// Two connections between the same hosts would be two peers with one node id.
    private static func checkPairs(_ resource: Resource, _ faults: inout [Diagnostic]) {
        var seen: [Set<Int>: SourcePosition] = [:]
        for connection in resource.connections {
            let pair = Set(connection.paths[0].endpoints.compactMap(\.hostIndex))
            guard let first = seen.updateValue(connection.position, forKey: pair) else { continue }
            let names = pair.sorted().map { resource.hosts[$0].joinedName }
            faults.append(
                Parser.conflict(
                    connection.position,
                    "connection '\(names.joined(separator: "-"))'",
                    first
                )
            )
        }
    }
}

/// Devices of each host that a volume already has.
private struct UsedNames {
    private var used: [String: SourcePosition] = [:]

    mutating func claim(of resource: Resource, _ faults: inout [Diagnostic]) {
        for host in resource.hosts {
            guard case .on = host.kind else { continue }
            for volume in host.volumes {
                for name in host.names { self.claim(volume, on: name, &faults) }
            }
        }
    }

    private mutating func claim(
        _ volume: Volume,
        on host: String,
        _ faults: inout [Diagnostic]
    ) {
        if let device = volume.device {
            self.claim("device-minor", host, "\(device.minor)", volume.position, &faults)
            self.claim("device", host, device.path, volume.position, &faults)
        }
        guard let disk = volume.backingPath else { return }
        self.claim("disk", host, disk, volume.position, &faults)
        switch volume.metaDisk {
        case .flexible(let path):
            self.claim("meta-disk", host, path, volume.position, &faults)
        case .indexed(let path, let index):
            self.claim("meta-disk", host, "\(path)[\(index)]", volume.position, &faults)
        case .internal, nil: break
        }
    }

    private mutating func claim(
        _ kind: String,
        _ host: String,
        _ name: String,
        _ position: SourcePosition,
        _ faults: inout [Diagnostic]
    ) {
        let key = "\(kind):\(host):\(name)"
        if let first = self.used[key] {
            faults.append(Parser.conflict(position, "\(kind) '\(key)'", first))
        } else {
            self.used[key] = position
        }
    }
}

/// Addresses that a resource already listens on.
///
/// Loopback addresses are exempt, because they name another machine on each node.
private struct UsedAddresses {
    private var used: [SocketAddress: (resource: String, position: SourcePosition)] = [:]

    mutating func claim(of resource: Resource, _ faults: inout [Diagnostic]) {
        var own: Set<SocketAddress> = []
        for connection in resource.connections {
            for endpoint in connection.paths.flatMap(\.endpoints) {
                guard let address = endpoint.address, !address.isLoopback,
                    own.insert(address).inserted
                else { continue }
                if let first = self.used[address] {
                    faults.append(
                        Diagnostic(
                            endpoint.position,
                            "in resource \(resource.name)\n    \(address.argument) is also used "
                                + "\(first.position) (resource \(first.resource))"
                        )
                    )
                } else {
                    self.used[address] = (resource.name, endpoint.position)
                }
            }
        }
    }
}
