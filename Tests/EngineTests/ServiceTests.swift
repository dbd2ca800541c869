// SPDX-License-Identifier: Apache-2.0

import Administration
import Engine
import Foundation
import Reactor
import TestSupport
import Testing

/// What tools are told by the engine's control socket.
@Suite struct ServiceTests {
    @Test func `a command is waited for as long as it takes`() throws {
        let site = try HeldSite()
        defer { site.stop() }
        var client = try site.promotingClient()
        #expect(try client.nextReply(until: .after(.milliseconds(2500))) == nil)
        site.disk.release()
        _ = site.node.handle?.perform { _ in }
        let reply = try #require(try client.nextReply(until: .after(.seconds(20))))
        #expect(reply.code == .success, "\(reply.texts)")
    }

    @Test func `who waits for a command is told when the engine stops`() throws {
        let site = try HeldSite()
        defer { site.stop() }
        var client = try site.promotingClient()
        var late = try ControlClient<EngineControl>(path: site.server.path)
        try late.send(.secondary(resource: "r0", force: false))
        // A daemon has its loop to the last.
        let keeper = LoopKeeper()
        _ = site.node.handle?.perform { keeper.loop = $0 }
        site.node.stop()
        defer { withExtendedLifetime(keeper) {} }
        let reply = try #require(try client.nextReply(until: .after(.seconds(5))))
        #expect(reply.code == .failed)
        #expect(reply.texts.joined().contains("the engine is stopping"), "\(reply.texts)")
        // It waited for the first, or came when the loop had ended.
        let second = try #require(try late.nextReply(until: .after(.seconds(5))))
        #expect(second.texts.joined().contains("the engine is stopping"), "\(second.texts)")
        #expect(site.server.stop())
    }

    @Test func `a client that goes away while its command waits holds up no other`() throws {
        let site = try HeldSite()
        defer { site.stop() }
        do {
            let client = try site.promotingClient()
            _ = consume client
        }
        var other = try ControlClient<EngineControl>(path: site.server.path)
        let reply = try other.call(
            .disconnect(PeerAddress("r0", 1), force: false),
            within: .seconds(20)
        )
        #expect(reply.isLast)
        #expect(site.disk.heldCount == 1)
    }

    @Test func `an answer that the loop lets go of ends the wait`() throws {
        let node = try EngineNode(name: "alpha")
        defer { node.stop() }
        let service = EngineService(try #require(node.handle))
        let answer: Int? = service.ask { _, _ in }
        #expect(answer == nil)
        node.stop()
        let late: Int? = service.ask { _, done in done(1) }
        #expect(late == nil)
    }
}

/// Keeps a loop that has ended; checked by hand: nobody reads it.
private final class LoopKeeper: @unchecked Sendable {
    var loop: EngineLoop?
}

/// One engine with a control socket and a resource, and a disk that does not get done.
private struct HeldSite {
    let node: EngineNode
    let disk = HeldDisk()
    let server: ControlServer<EngineControl>

    init() throws {
        self.node = try EngineNode(name: "alpha", interposer: self.disk)
        let service = EngineService(try #require(self.node.handle))
        self.server = try ControlServer(path: self.node.folder.file("control.sock")) {
            service.answer($0, $1)
        }
        var client = try ControlClient<EngineControl>(path: self.server.path)
        let path = try self.node.makeDisk("data", bytes: 64 << 20)
        let requests: [EngineRequest] = [
            .newResource(name: "r0", nodeID: 0, options: []),
            .newMinor(resource: "r0", minor: 1, volume: 0, options: []),
            .newPeer(PeerAddress("r0", 1), options: []),
            .attach(AttachArguments(minor: 1, disk: path, metaDisk: path, index: "internal")),
        ]
        for request in requests {
            let reply = try client.call(request)
            try #require(reply.code == .success, "\(reply.texts)")
        }
    }

    /// A client whose promotion waits for the disk.
    func promotingClient() throws -> ControlClient<EngineControl> {
        self.disk.hold()
        var client = try ControlClient<EngineControl>(path: self.server.path)
        try client.send(.primary(resource: "r0", force: true))
        try #require(waitUntil(within: .seconds(20)) { self.disk.heldCount > 0 })
        return client
    }

    func stop() {
        self.node.stop()
        self.server.stop()
    }
}
