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
        site.letGo()
        let reply = try #require(try client.nextReply(until: .after(.seconds(20))))
        #expect(reply.code == .success, "\(reply.texts)")
    }

    @Test func `who waits for a command is told when the engine stops`() throws {
        let site = try HeldSite()
        defer { site.stop() }
        var client = try site.promotingClient()
        var late = try ControlClient<EngineControl>(path: site.server.path)
        try late.send(.secondary(resource: "r0", force: false))
        site.node.handle?.stop()
        let reply = try #require(try client.nextReply(until: .after(.seconds(5))))
        #expect(reply.code == .failed)
        #expect(reply.texts.joined().contains("the engine is stopping"), "\(reply.texts)")
        // It waited for the first, or came when the loop had ended.
        let second = try #require(try late.nextReply(until: .after(.seconds(5))))
        #expect(second.texts.joined().contains("the engine is stopping"), "\(second.texts)")
        #expect(site.server.stop())
    }

    @Test func `a command whose client goes away keeps its resource until it is over`() throws {
        let site = try HeldSite()
        defer { site.stop() }
        do {
            let client = try site.promotingClient()
            _ = consume client
        }
        var other = try ControlClient<EngineControl>(path: site.server.path)
        try other.send(.disconnect(PeerAddress("r0", 1), force: false))
        #expect(try other.nextReply(until: .after(.milliseconds(2500))) == nil)
        site.letGo()
        let reply = try #require(try other.nextReply(until: .after(.seconds(20))))
        #expect(reply.isLast)
    }

    @Test func `a resource is taken down to the end though who asked for it is gone`() throws {
        let site = try HeldSite()
        defer { site.stop() }
        var first = try ControlClient<EngineControl>(path: site.server.path)
        let promoted = try first.call(.primary(resource: "r0", force: true))
        try #require(promoted.code == .success, "\(promoted.texts)")
        do {
            site.disk.hold()
            var client = try ControlClient<EngineControl>(path: site.server.path)
            try client.send(.down(resource: "r0"))
            try #require(waitUntil(within: .seconds(20)) { site.disk.heldCount > 0 })
        }
        // One compares, one adds: neither may find the resource that is on its way out.
        var comparing = try ControlClient<EngineControl>(path: site.server.path)
        try comparing.send(.configuration(resource: "r0"))
        try first.send(.newMinor(resource: "r0", minor: 1, volume: 0, options: []))
        #expect(try comparing.nextReply(until: .after(.milliseconds(2500))) == nil)
        #expect(try first.nextReply(until: .after(.milliseconds(10))) == nil)
        site.letGo()
        let shown = try comparing.nextReply(until: .after(.seconds(20)))
        #expect(shown?.code == .failure(.resourceUnknown), "\(shown as Any)")
        let added = try first.nextReply(until: .after(.seconds(20)))
        #expect(added?.code == .failure(.resourceUnknown), "\(added as Any)")
        let index: Int? = site.node.ask { loop, done in done(loop.resourceIndex("r0")) }
        #expect(index == nil)
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

/// One engine with a control socket and a resource, and a disk that does not get done.
private struct HeldSite {
    let node: EngineNode
    let disk = HeldDisk()
    let server: ControlServer<EngineControl>
    /// A daemon has its loop to the last.
    private let mayLetGo = DispatchSemaphore(value: 0)

    init() throws {
        let mayLetGo = self.mayLetGo
        self.node = try EngineNode(name: "alpha", interposer: self.disk) { mayLetGo.wait() }
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

    /// The disk gets done.
    func letGo() {
        self.disk.release()
        _ = self.node.handle?.perform { _ in }
    }

    func stop() {
        self.mayLetGo.signal()
        self.node.stop()
        self.server.stop()
    }
}
