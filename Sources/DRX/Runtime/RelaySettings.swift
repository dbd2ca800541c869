// SPDX-License-Identifier: Apache-2.0

import Administration
import DRXCore
import Primitives
import Reactor
import Wire

/// Why a connection cannot be relayed as it was asked.
struct RelaySettingsError: Error, CustomStringConvertible {
    let description: String
}

/// The checked arguments of one connection.
struct RelaySettings {
    /// How long sent data may stay unacknowledged on a bridge.
    ///
    /// Longer than the silence that ends a bridge: the kernel counts it also while a living remote
    /// relay keeps its window shut, because its engine does not read.
    private static let bridgeUserTimeout = TimeSpan.seconds(60)
    private static let bufferByteCounts: ClosedRange<UInt64> = (1 << 16)...(1 << 44)

    let arguments: RelayArguments
    let name: ConnectionName
    let plugins: [Plugin]
    let inside: SocketAddress
    let outside: SocketAddress
    let peerOutside: SocketAddress
    let engine: SocketAddress
    let memoryByteCount: Int

    init(_ arguments: RelayArguments) throws {
        self.arguments = arguments
        self.name = ConnectionName(
            resource: arguments.resource,
            peerNodes: arguments.peerNodes,
            ownNodes: arguments.ownNodes
        )
        for text in [
            arguments.resource, arguments.peerNodes.joined(separator: "_"),
            arguments.ownNodes.joined(separator: "_"),
        ] {
            guard (1...BridgeLimits.nameMaximum).contains(text.utf8.count) else {
                throw RelaySettingsError(
                    description: "connection \(arguments.name): the name '\(text)' must have 1 to "
                        + "\(BridgeLimits.nameMaximum) bytes"
                )
            }
        }
        self.plugins = try arguments.steps.map { try Self.plugin($0, arguments.name) }
        guard self.plugins.count <= 1 else {
            throw RelaySettingsError(
                description: "connection \(arguments.name): more than one compressor is not "
                    + "supported; keep one"
            )
        }
        self.inside = try .ip(arguments.inside.host, port: arguments.inside.port)
        self.outside = try .ip(arguments.outside.host, port: arguments.outside.port)
        self.peerOutside = try .ip(arguments.peerOutside.host, port: arguments.peerOutside.port)
        self.engine = try .ip(arguments.engine.host, port: arguments.engine.port)
        guard Self.bufferByteCounts.contains(arguments.memoryLimit) else {
            throw RelaySettingsError(
                description: "connection \(arguments.name): memlimit \(arguments.memoryLimit) is "
                    + "not between 64K and 16T"
            )
        }
        self.memoryByteCount = Int(arguments.memoryLimit + 4095) / 4096 * 4096
    }

    private static func plugin(_ step: RelayArguments.Step, _ name: String) throws -> Plugin {
        guard let algorithm = Plugin.Algorithm.allCases.first(where: { $0.name == step.algorithm }),
            (1...22).contains(step.level)
        else {
            throw RelaySettingsError(
                description: "connection \(name): plugin \(step.algorithm) level \(step.level) is "
                    + "not supported; use zstd or lz4 with a level of 1 to 22"
            )
        }
        return Plugin(algorithm: algorithm, level: step.level)
    }

    var bridgeOptions: ConnectionOptions {
        var options = Self.bridgeOptions
        let (send, receive) = (
            self.arguments.sendBufferByteCount, self.arguments.receiveBufferByteCount
        )
        if send > 0 { options.sendBufferByteCount = Int(clamping: send) }
        if receive > 0 { options.receiveBufferByteCount = Int(clamping: receive) }
        return options
    }

    /// What is the same for all connections that share an outside address.
    static var bridgeOptions: ConnectionOptions {
        var options = ConnectionOptions()
        options.userTimeout = Self.bridgeUserTimeout
        options.congestionControl = "bbr"
        return options
    }

    static var engineOptions: ConnectionOptions {
        var options = ConnectionOptions()
        options.keepAlive = .init(idle: .seconds(10), interval: .seconds(5), probes: 3)
        return options
    }
}
