// SPDX-License-Identifier: Apache-2.0

// Prints how often the data path allocates and retains once it is warm:
//
//     reactor-allocations FOLDER direct|buffered
//
// A client and a server share one loop. The client keeps eight 4 KiB writes in flight; the server
// receives header and payload, writes the payload to a file, reads it back, and answers with a
// copied header and the payload.

import CAllocationCounter
import Foundation
import Primitives
import Reactor

let requests = 20_000
let warmUp = 4_000
let depth = 8
let payloadByteCount = 4096
let headerByteCount = 32

struct Server {
    let reactor: Reactor
    let near: ConnectionID
    let far: ConnectionID
    let file: FileID
    let header: UnsafeMutableRawBufferPointer
    let reply: UnsafeMutableRawBufferPointer
    let payload: UnsafeMutableRawBufferPointer
    var buffer = BufferHandle(number: 0)
    var sent = 0
    var answered = 0
    var replyIsHeader = true

    mutating func request() {
        let bytes = UnsafeRawBufferPointer(rebasing: self.payload[..<headerByteCount])
        check(self.reactor.send(copying: bytes, on: self.near))
        check(self.reactor.send(UnsafeRawBufferPointer(self.payload), on: self.near, token: 0))
        self.sent += 1
    }

    func receiveHeader() {
        self.reactor.receive(on: self.far, into: self.header, atLeast: headerByteCount, token: 1)
    }

    func receiveReply() {
        self.reactor.receive(on: self.near, into: self.reply, atLeast: self.reply.count, token: 3)
    }

    mutating func handle(_ event: Event) {
        switch event {
        case .received(self.far, token: 1, _): self.receivePayload()
        case .received(self.far, token: 2, _): self.write()
        case .received(self.near, token: 3, _):
            self.answered += 1
            self.receiveReply()
            self.request()
        case .fileCompleted(_, token: let token, let count):
            check(count == payloadByteCount)
            if token & 1 == 0 { self.read(token | 1) } else { self.answer(token) }
        case .sent(self.far, let token): self.reactor.buffers.release(Self.buffer(token))
        case .sent, .sendReady: break
        default: fail("unexpected event")
        }
    }

    private mutating func receivePayload() {
        guard let buffer = self.reactor.buffers.lease(payloadByteCount) else { fail("no buffer") }
        self.buffer = buffer
        let memory = UnsafeMutableRawBufferPointer(
            start: self.reactor.buffers.payload(buffer),
            count: payloadByteCount
        )
        self.reactor.receive(on: self.far, into: memory, atLeast: payloadByteCount, token: 2)
    }

    private func write() {
        let token = UInt64(self.buffer.number) << 1
        let memory = self.reactor.buffers.payload(self.buffer)
        check(
            self.reactor.write(
                self.file,
                at: Self.place(token),
                from: memory,
                byteCount: 4096,
                token: token
            )
        )
        self.receiveHeader()
    }

    private func read(_ token: UInt64) {
        let memory = self.reactor.buffers.payload(Self.buffer(token))
        check(
            self.reactor.read(
                self.file,
                at: Self.place(token),
                into: memory,
                byteCount: 4096,
                token: token
            )
        )
    }

    private func answer(_ token: UInt64) {
        let memory = self.reactor.buffers.payload(Self.buffer(token))
        let header = UnsafeRawBufferPointer(rebasing: self.payload[..<headerByteCount])
        check(self.reactor.send(copying: header, on: self.far))
        let payload = UnsafeRawBufferPointer(start: memory, count: payloadByteCount)
        check(self.reactor.send(payload, on: self.far, token: token))
    }

    private static func buffer(_ token: UInt64) -> BufferHandle {
        BufferHandle(number: UInt32(token >> 1))
    }

    private static func place(_ token: UInt64) -> UInt64 { (token >> 1 & 15) * 4096 }
}

@inline(__always) func check(_ condition: Bool) {
    if !condition { fail("a check of the loop has failed") }
}

func fail(_ message: StaticString) -> Never {
    print(message)
    exit(1)
}

func run(_ folder: String, _ mode: IOMode) throws {
    var limits = ReactorLimits()
    limits.buffers = [BufferClass(byteCount: payloadByteCount, count: 16)]
    let reactor = try Reactor(limits)
    let path = folder + "/volume"
    check(FileManager.default.createFile(atPath: path, contents: Data(count: 1 << 20)))
    var options = FileOptions()
    options.mode = mode
    var ends: [Int32] = [0, 0]
    check(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    var server = Server(
        reactor: reactor,
        near: try reactor.adopt(ends[0]),
        far: try reactor.adopt(ends[1]),
        file: try reactor.open(path, options),
        header: .allocate(byteCount: headerByteCount, alignment: 16),
        reply: .allocate(byteCount: headerByteCount + payloadByteCount, alignment: 16),
        payload: .allocate(byteCount: payloadByteCount, alignment: 4096)
    )
    server.payload.initializeMemory(as: UInt8.self, repeating: 7)
    server.receiveHeader()
    server.receiveReply()
    for _ in 0..<depth { server.request() }
    drive(&server, until: warmUp)
    let before = allocation_counter_allocations()
    allocation_counter_watch_retains(true)
    drive(&server, until: warmUp + requests)
    allocation_counter_watch_retains(false)
    let allocations = allocation_counter_allocations() - before
    print("requests \(requests)")
    print("allocations \(allocations)")
    print("retains \(allocation_counter_retains())")
}

func drive(_ server: inout Server, until answered: Int) {
    while server.answered < answered {
        server.reactor.turn()
        while let event = server.reactor.next() { server.handle(event) }
    }
}

let arguments = CommandLine.arguments
guard arguments.count == 3, let mode = IOMode(rawValue: arguments[2]) else {
    fail("usage: reactor-allocations FOLDER direct|buffered")
}
do {
    try run(arguments[1], mode)
} catch {
    print(error)
    exit(1)
}
