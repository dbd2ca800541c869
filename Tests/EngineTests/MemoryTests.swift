// SPDX-License-Identifier: Apache-2.0

import Engine
import EngineCore
import Glibc
import Primitives
import Reactor
import TestSupport
import Testing
import Wire

/// Clients that take all memory that they can get.
@Suite(.enabled(if: Tool.qemuIO.isPresent, "needs qemu-io (Debian: qemu-utils)"))
struct MemoryTests {
    @Test func `metadata is read and written when no payload buffer is free`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let taken: [UInt32] = node.ask { loop, done in
            var taken: [UInt32] = []
            while let buffer = loop.reactor.buffers.lease(1) { taken.append(buffer.number) }
            done(taken)
        }
        #expect(taken.count == EngineConfiguration.bufferClasses.reduce(0) { $0 + $1.count })
        try node.addPrimaryResource()
        // A cold extent: a transaction of the activity log.
        let trim = try Tool.qemuIO.run(["-f", "raw", "-c", "discard 8M 4k", Self.uri(node)])
        #expect(trim.exitCode == 0, "\(trim.text)")
        _ = node.ask { loop, done in
            for number in taken { loop.reactor.buffers.release(BufferHandle(number: number)) }
            done(true)
        }
        let write = try Tool.qemuIO.run(
            ["-f", "raw", "-c", "write -P 3 8M 4k", "-c", "read -P 3 8M 4k", Self.uri(node)]
        )
        #expect(write.exitCode == 0 && !write.text.contains("failed"), "\(write.text)")
    }

    /// Eight clients announce 32 MiB each and send none of it; more read and do not take the
    /// replies.
    @Test func `clients that hold their memory leave some for the next`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        try node.addPrimaryResource()
        var clients: [RawNBDClient] = []
        defer { withExtendedLifetime(clients) {} }
        for _ in 0..<8 {
            let client = try RawNBDClient(socket: node.socketPath, export: "r0/0")
            clients.append(client)
            // The reply to the read proves that the header behind it has been looked at.
            try client.send(RawNBDClient.request(0, 0, 512) + RawNBDClient.request(1, 0, 32 << 20))
            #expect(client.receive(16 + 512).count == 16 + 512)
        }
        for _ in 0..<24 {
            let client = try RawNBDClient(socket: node.socketPath, export: "r0/0")
            clients.append(client)
            let reads = (0..<250).flatMap { _ in RawNBDClient.request(0, 0, 65_536) }
            try client.send(reads + RawNBDClient.request(0, 0, 512))
            #expect(client.receive(16).count == 16)
        }
        let free: [Int] = node.ask { loop, done in
            done([4096, 65_536, 1 << 20].map { loop.reactor.buffers.freeCount(of: $0) })
        }
        // What the peers find.
        #expect(free[0] >= 512 + 128 + 32 && free[1] >= 128 + 32 && free[2] >= 32, "\(free)")
        let output = try Program.run(
            "/usr/bin/timeout",
            [
                "60", try #require(Tool.qemuIO.path), "-f", "raw", "-c", "read 0 1M",
                "-c", "write -P 5 0 4k", "-c", "read -P 5 0 4k", Self.uri(node),
            ]
        )
        #expect(output.exitCode == 0 && !output.text.contains("failed"), "\(output.text)")
    }

    /// Clients stall in the middle of requests, and others do not take replies, until no buffer of
    /// 1 MiB is left for clients.
    @Test(arguments: [true, false])
    func `clients that stall are dropped when others wait for their memory`(writes: Bool) throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        try node.addPrimaryResource()
        var clients: [RawNBDClient] = []
        defer { clients.removeAll() }
        func freeCount() -> Int {
            node.ask { loop, done in done(loop.reactor.buffers.freeCount(of: 1 << 20)) }
        }
        let reserved = try #require(EngineConfiguration.bufferClasses.last).reserved
        while freeCount() > reserved {
            try #require(clients.count < 240)
            let client = try RawNBDClient(socket: node.socketPath, export: "r0/0")
            clients.append(client)
            let byteCount: UInt64 = clients.count > 8 ? 1 << 20 : 32 << 20
            if writes {
                // The reply to the read proves that the header behind it has been looked at.
                try client.send(
                    RawNBDClient.request(0, 0, 512) + RawNBDClient.request(1, 0, byteCount)
                        + [1, 2, 3]
                )
                #expect(client.receive(16 + 512).count == 16 + 512)
            } else {
                try client.send(RawNBDClient.request(0, 0, byteCount))
                #expect(client.receive(16).count == 16)
            }
        }
        let output = try Program.run(
            "/usr/bin/timeout",
            [
                "60", try #require(Tool.qemuIO.path), "-f", "raw", "-c", "write -P 5 0 1M",
                "-c", "read -P 5 0 1M", Self.uri(node),
            ]
        )
        #expect(output.exitCode == 0 && !output.text.contains("failed"), "\(output.text)")
        #expect(node.lines.all.contains { $0.contains("stalled") }, "\(node.lines.all)")
    }

    private static func uri(_ node: EngineNode) -> String {
        "nbd+unix:///r0/0?socket=\(node.socketPath)"
    }
}

/// A client that sends what it is told to and reads no more than it is asked to.
final class RawNBDClient {
    private var socket: BlockingSocket?

    /// Connects and opens `export` by NBD_OPT_EXPORT_NAME.
    init(socket path: String, export: String) throws {
        self.socket = try BlockingSocket.connected(toSocket: path)
        try #require(self.receive(18).count == 18)
        // Fixed newstyle, no zeroes behind the answer.
        try self.send(
            Self.big(3, 4) + Array("IHAVEOPT".utf8) + Self.big(1, 4)
                + Self.big(UInt64(export.utf8.count), 4) + Array(export.utf8)
        )
        try #require(self.receive(10).count == 10)
    }

    /// The header of a request: `type` 0 reads, 1 writes.
    static func request(_ type: UInt64, _ offset: UInt64, _ byteCount: UInt64) -> [UInt8] {
        Self.big(0x2560_9513, 4) + Self.big(0, 2) + Self.big(type, 2) + Self.big(7, 8)
            + Self.big(offset, 8) + Self.big(byteCount, 4)
    }

    private static func big(_ value: UInt64, _ byteCount: Int) -> [UInt8] {
        (0..<byteCount).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (byteCount - 1 - $0))) }
    }

    func send(_ bytes: [UInt8]) throws { try self.socket?.send(bytes) }

    func receive(_ byteCount: Int) -> [UInt8] {
        self.socket?.receive(exactly: byteCount) ?? []
    }

    func close() { self.socket = nil }
}
