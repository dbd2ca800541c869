// SPDX-License-Identifier: Apache-2.0

import Administration
import Configuration
import Primitives

/// One connection of the configuration as `drxd` wants it.
struct ConfiguredConnection {
    fileprivate let connection: RelayConnection

    var name: String { self.connection.name }
    var resource: String { self.connection.resource }

    /// The arguments; refuses what this relay does not build.
    func arguments() throws -> RelayArguments {
        let options: ProxyOptions
        do throws(OptionError) {
            options = try self.connection.settings.typed()
        } catch {
            throw ToolError(description: "connection \(self.name): \(error)")
        }
        let problems = self.connection.refusals
        guard problems.isEmpty else {
            throw ToolError(
                description: problems.map { "connection \(self.name): \($0)" }
                    .joined(separator: "\n")
            )
        }
        var arguments = RelayArguments(
            name: self.name,
            resource: self.resource,
            peerNodes: self.connection.peerHosts,
            ownNodes: self.connection.ownHosts,
            inside: self.address(self.connection.inside),
            outside: self.address(self.connection.outside),
            peerOutside: self.address(self.connection.peerOutside),
            engine: self.address(self.connection.engine),
            memoryLimit: UInt64(options.memoryLimit.bytes)
        )
        arguments.receiveMemoryLimit = UInt64(options.receiveMemoryLimit.bytes)
        arguments.pingTimeoutMilliseconds = options.pingTimeout.milliseconds
        arguments.sendBufferByteCount = UInt64(options.sendBufferSize.bytes)
        arguments.receiveBufferByteCount = UInt64(options.receiveBufferSize.bytes)
        arguments.steps = options.plugins.compactMap(Self.step)
        return arguments
    }

    private func address(_ address: SocketAddress) -> RelayArguments.Address {
        RelayArguments.Address(host: address.address, port: UInt16(address.port))
    }

    /// Nil for an encryption, which is refused before.
    private static func step(_ plugin: ProxyPlugin) -> RelayArguments.Step? {
        switch plugin {
        case .compressor(let compressor, let level):
            RelayArguments.Step(
                algorithm: compressor.rawValue,
                level: UInt8(clamping: max(1, level ?? 1))
            )
        case .encryption: nil
        }
    }
}

/// The connections that a configuration file gives to the relay of a node.
enum ConfiguredConnections {
    static func read(_ path: String, node: String?) throws -> [ConfiguredConnection] {
        let configuration: Configuration
        do throws(ConfigurationError) {
            configuration = try Parser.parse(path, from: SystemFiles())
        } catch {
            throw ToolError(description: error.description)
        }
        let identity = NodeIdentity.current(name: node ?? configuration.global.hostName)
        do throws(Diagnostic) {
            return try configuration.relayConnections(on: identity.name)
                .map(ConfiguredConnection.init)
        } catch {
            throw ToolError(description: error.description)
        }
    }
}
