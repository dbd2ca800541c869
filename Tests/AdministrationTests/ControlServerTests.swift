// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import TestSupport
import Testing

/// Questions to a daemon of the tests.
private enum EchoControl: ControlService {
    enum Request: Codable, Sendable {
        case echo(String)
        case count(Int)
        case streamForEver
        case answerAtEnd
        case silence
    }
    typealias Payload = String

    static let daemonName = "echod"

    static func answer(_ request: Request, _ stream: ResponseStream<Self>) {
        switch request {
        case .echo(let text): stream.finish(payload: text)
        case .count(let count):
            for number in 0..<count { stream.send("\(number)") }
            stream.finish(.refused, ["that was all"])
        case .streamForEver:
            _ = waitUntil(within: .seconds(20)) {
                stream.send("tick")
                return !stream.isOpen
            }
        case .answerAtEnd:
            stream.send("begun")
            _ = waitUntil(within: .seconds(20)) { !stream.isOpen }
            stream.finish(payload: "last words")
        case .silence: break
        }
    }
}

private typealias EchoServer = ControlServer<EchoControl>
private typealias EchoClient = ControlClient<EchoControl>

struct ControlServerTests {
    private let folder: TemporaryFolder
    private var path: String { EchoControl.socketPath(inRunDirectory: self.folder.path) }

    init() throws { self.folder = try TemporaryFolder() }

    private func start(permittedUsers: Set<UInt32> = [0, geteuid()]) throws -> EchoServer {
        try EchoServer(path: self.path, permittedUsers: permittedUsers) {
            EchoControl.answer($0, $1)
        }
    }

    @Test func `answers requests one after the other on one connection`() throws {
        let server = try self.start()
        defer { server.stop() }
        var client = try EchoClient(path: self.path)
        for round in 0..<3 {
            let reply = try client.call(.echo("hello \(round)"))
            #expect(reply.code == .success)
            #expect(reply.payload == "hello \(round)")
        }
        var items: [String] = []
        let reply = try client.call(.count(1000)) { items.append($0) }
        #expect(items.count == 1000)
        #expect(reply.code == .refused)
        #expect(reply.texts == ["that was all"])
    }

    @Test func `takes a line of nearly the maximum`() throws {
        let server = try self.start()
        defer { server.stop() }
        var client = try EchoClient(path: self.path)
        let text = String(repeating: "x", count: AdministrationLimits.requestLineBytes - 100)
        #expect(try client.call(.echo(text)).payload == text)
    }

    @Test func `answers a line that is too long with an error`() throws {
        let server = try self.start()
        defer { server.stop() }
        var client = try EchoClient(path: self.path)
        let text = String(repeating: "x", count: AdministrationLimits.requestLineBytes + 1)
        let reply = try client.call(.echo(text))
        #expect(reply.code == .failed)
        #expect(reply.texts == ["a line on the control socket exceeds 1048576 bytes"])
    }

    @Test func `answers a line that is no request with an error and lives on`() throws {
        let server = try self.start()
        defer { server.stop() }
        var stranger = try ControlClient<EngineControl>(path: self.path)
        let reply = try stranger.call(.outdate(minor: 1))
        #expect(reply.code == .failed)
        #expect(reply.texts.first?.hasPrefix("malformed line on the control socket") == true)
        var client = try EchoClient(path: self.path)
        #expect(try client.call(.echo("still here")).payload == "still here")
    }

    @Test func `a handler that ends when the server stops can still answer`() throws {
        let server = try self.start()
        defer { server.stop() }
        var client = try EchoClient(path: self.path)
        try client.send(.answerAtEnd)
        #expect(try client.nextReply(until: .after(.seconds(10)))?.payload == "begun")
        #expect(server.stop())
        #expect(try client.nextReply(until: .after(.seconds(10)))?.payload == "last words")
    }

    @Test func `tells when a handler forgot to answer`() throws {
        let server = try self.start()
        defer { server.stop() }
        var client = try EchoClient(path: self.path)
        let reply = try client.call(.silence)
        #expect(reply.code == .failed)
        #expect(reply.texts == ["echod gave no answer to this request"])
    }

    @Test func `its socket belongs to its user alone`() throws {
        let server = try self.start()
        defer { server.stop() }
        let attributes = try FileManager.default.attributesOfItem(atPath: self.path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test func `turns other users away with a sentence`() throws {
        let server = try self.start(permittedUsers: [geteuid() &+ 1])
        defer { server.stop() }
        var client = try EchoClient(path: self.path)
        let reply = try client.call(.echo("let me in"))
        #expect(reply.code == .failed)
        #expect(reply.texts.first?.hasPrefix("permission denied: only root") == true)
    }

    @Test func `a second daemon on the same path is refused`() throws {
        let server = try self.start()
        defer { server.stop() }
        #expect(throws: ControlError.alreadyRunning(daemon: "echod", path: self.path)) {
            try self.start()
        }
        var client = try EchoClient(path: self.path)
        #expect(try client.call(.echo("undisturbed")).payload == "undisturbed")
    }

    @Test func `replaces the socket of a daemon that was killed`() throws {
        // What a killed daemon leaves: a bound socket that nobody listens on.
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(self.path.utf8)) }
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0)
        close(descriptor)
        let server = try self.start()
        defer { server.stop() }
        var client = try EchoClient(path: self.path)
        #expect(try client.call(.echo("fresh")).payload == "fresh")
    }

    @Test func `does not remove a file that is no socket`() throws {
        try Data("precious".utf8).write(to: URL(fileURLWithPath: self.path))
        #expect(throws: ControlError.notASocket(path: self.path)) { try self.start() }
        #expect(FileManager.default.fileExists(atPath: self.path))
    }

    @Test func `refuses a path that is too long for a socket`() {
        let path = "/tmp/" + String(repeating: "x", count: 103)
        #expect(throws: ControlError.pathTooLong(path: path)) {
            try EchoServer(path: path) { EchoControl.answer($0, $1) }
        }
    }

    @Test func `has at most 64 clients`() throws {
        let server = try self.start()
        defer { server.stop() }
        var sockets: [Int32] = []
        defer { for descriptor in sockets { close(descriptor) } }
        for _ in 0..<AdministrationLimits.clients {
            var client = try EchoClient(path: self.path)
            #expect(try client.call(.echo("x")).payload == "x")
            sockets.append(dup(client.descriptor))
        }
        var late = try EchoClient(path: self.path)
        let reply = try late.call(.echo("me too"))
        #expect(reply.code == .failed)
        #expect(reply.texts == ["echod has 64 control clients; close some of them"])
    }

    @Test func `stop ends a stream, removes the socket and lets go of the path`() throws {
        let server = try self.start()
        var client = try EchoClient(path: self.path)
        try client.send(.streamForEver)
        #expect(try client.nextReply(until: .after(.seconds(10)))?.payload == "tick")
        #expect(server.stop())
        #expect(!FileManager.default.fileExists(atPath: self.path))
        let next = try self.start()
        #expect(next.stop())
    }

    @Test func `a stream ends when its client leaves`() throws {
        let ended = DispatchSemaphore(value: 0)
        let server = try EchoServer(path: self.path) { request, stream in
            EchoControl.answer(request, stream)
            ended.signal()
        }
        defer { server.stop() }
        do {
            var client = try EchoClient(path: self.path)
            try client.send(.streamForEver)
            _ = try client.nextReply(until: .after(.seconds(10)))
        }
        #expect(ended.wait(timeout: .now() + 10) == .success)
    }

    @Test func `a client whose deadline passes gets nothing, not an error`() throws {
        let server = try EchoServer(path: self.path) { _, stream in
            _ = waitUntil(within: .seconds(20)) { !stream.isOpen }
        }
        defer { server.stop() }
        var client = try EchoClient(path: self.path)
        try client.send(.silence)
        #expect(try client.nextReply(until: .after(.milliseconds(5))) == nil)
    }

    @Test func `a missing daemon is named with its path`() {
        #expect {
            _ = try EchoClient(path: self.path)
        } throws: {
            "\($0)" == "cannot reach echod at \(self.path): No such file or directory; "
                + "is it running?"
        }
    }
}
