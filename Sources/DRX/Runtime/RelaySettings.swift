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
    /// At least what is read from an engine at a time.
    private static let bufferByteCounts: ClosedRange<UInt64> = (1 << 17)...(1 << 44)
    private static let receiveByteCounts: ClosedRange<UInt64> = (1 << 18)...(1 << 30)
    private static let pingTimeouts: ClosedRange<UInt64> = 100...300_000

    let arguments: RelayArguments
    let name: ConnectionName
    let plugins: [Plugin]
    let inside: SocketAddress
    let outside: SocketAddress
    let peerOutside: SocketAddress
    let engine: SocketAddress
    let memoryByteCount: Int
    let times: RelayTimes

    init(_ arguments: RelayArguments) throws {
        self.arguments = arguments
        self.name = ConnectionName(
            resource: arguments.resource,
            peerNodes: arguments.peerNodes,
            ownNodes: arguments.ownNodes
        )
        try Self.checkNames(arguments)
        self.plugins = try arguments.steps.map { try Self.plugin($0, arguments.name) }
        guard self.plugins.count <= 1 else {
            throw RelaySettingsError(
                description: "connection \(arguments.name): more than one compressor is not "
                    + "supported; keep one"
            )
        }
        self.inside = try Self.address(arguments.inside, "inside", arguments)
        self.outside = try Self.address(arguments.outside, "outside", arguments)
        self.peerOutside = try Self.address(arguments.peerOutside, "the peer's outside", arguments)
        self.engine = try Self.address(arguments.engine, "address", arguments)
        try Self.checkMemory(arguments)
        self.memoryByteCount = Int(arguments.memoryLimit + 4095) / 4096 * 4096
        guard Self.pingTimeouts.contains(arguments.pingTimeoutMilliseconds) else {
            throw RelaySettingsError(
                description: "connection \(arguments.name): ping-timeout "
                    + "\(arguments.pingTimeoutMilliseconds) ms is not between 100 ms and 5 minutes"
            )
        }
        var times = RelayTimes()
        times.silence = times.keepAlive + .milliseconds(arguments.pingTimeoutMilliseconds)
        self.times = times
    }

    private static func checkNames(_ arguments: RelayArguments) throws {
        for text in [
            arguments.resource, arguments.peerNodes.joined(separator: "_"),
            arguments.ownNodes.joined(separator: "_"),
        ] {
            guard (1...BridgeLimits.nameMaximum).contains(text.utf8.count), Self.isPlain(text)
            else {
                throw RelaySettingsError(
                    description: "a connection's resource and node names must have 1 to "
                        + "\(BridgeLimits.nameMaximum) bytes and no control characters"
                )
            }
        }
        guard (1...Self.nameMaximum).contains(arguments.name.utf8.count),
            Self.isPlain(arguments.name)
        else {
            throw RelaySettingsError(
                description: "a connection's name must have 1 to \(Self.nameMaximum) bytes and no "
                    + "control characters"
            )
        }
    }

    /// Resource, peer and own nodes, and what joins them.
    private static let nameMaximum = 3 * BridgeLimits.nameMaximum + 2

    private static func isPlain(_ text: String) -> Bool {
        !text.utf8.contains { $0 < 0x20 || $0 == 0x7F }
    }

    private static func address(
        _ address: RelayArguments.Address,
        _ role: String,
        _ arguments: RelayArguments
    ) throws -> SocketAddress {
        guard address.port > 0 else {
            throw RelaySettingsError(
                description: "connection \(arguments.name): \(role) \(address.text) needs a port"
            )
        }
        return try .ip(address.host, port: address.port)
    }

    private static func checkMemory(_ arguments: RelayArguments) throws {
        guard Self.bufferByteCounts.contains(arguments.memoryLimit) else {
            throw RelaySettingsError(
                description: "connection \(arguments.name): memlimit \(arguments.memoryLimit) is "
                    + "not between 128K and 16T"
            )
        }
        guard arguments.memoryLimit <= BufferMemory.machineByteCount else {
            throw RelaySettingsError(
                description: "connection \(arguments.name): memlimit \(arguments.memoryLimit) is "
                    + "more than this machine's memory and swap, \(BufferMemory.machineByteCount) "
                    + "bytes; lower it"
            )
        }
        guard Self.receiveByteCounts.contains(arguments.receiveMemoryLimit) else {
            throw RelaySettingsError(
                description: "connection \(arguments.name): rx-memlimit "
                    + "\(arguments.receiveMemoryLimit) is not between 256K and 1G"
            )
        }
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
        // No TCP_USER_TIMEOUT: the kernel counts it also while a living remote relay keeps its
        // window shut because its engine does not read. The silence between relays ends a dead
        // bridge.
        options.congestionControl = "bbr"
        return options
    }

    /// Blocks of a receive buffer: what has arrived and waits for the engine.
    var receiveBlockCount: Int {
        max(
            EngineSocket.blockMinimum,
            Int(self.arguments.receiveMemoryLimit) / EngineSocket.blockByteCount
        )
    }

    /// Frames that may wait for the engine: twice as many as are full.
    var receiveSegmentCount: Int {
        let least = max(1024, 2 * self.receiveBlockCount)
        return 1 << (Int.bitWidth - (least - 1).leadingZeroBitCount)
    }

    var engineOptions: ConnectionOptions {
        var options = ConnectionOptions()
        options.sendSegments = self.receiveSegmentCount
        options.keepAlive = .init(idle: .seconds(10), interval: .seconds(5), probes: 3)
        return options
    }
}
