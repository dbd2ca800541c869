// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives
import Reactor
import Testing

/// A loop whose both ends of each connection live on it, so that tests need no second thread.
final class LoopPair {
    let reactor: Reactor
    /// Events that nobody asked for yet.
    private var waiting: [Event] = []
    private let patience = TimeSpan.seconds(20)

    init(_ limits: ReactorLimits = ReactorLimits()) throws { self.reactor = try Reactor(limits) }

    /// The next event, which must come in reasonable time.
    func event() throws -> Event {
        let limit = self.reactor.now + self.patience
        while true {
            if let event = self.reactor.next() { return event }
            try #require(self.reactor.now < limit, "the loop has nothing more to report")
            self.reactor.turn(until: limit)
        }
    }

    /// The next event that `choice` makes something of; the others are kept in their order.
    func await<R>(_ choice: (Event) -> R?) throws -> R {
        for (index, event) in self.waiting.enumerated() {
            guard let result = choice(event) else { continue }
            self.waiting.remove(at: index)
            return result
        }
        while true {
            let event = try self.event()
            if let result = choice(event) { return result }
            self.waiting.append(event)
        }
    }

    func expect(_ event: Event) throws { try self.await { $0 == event ? () : nil } }

    /// Events that have come and that nobody has asked for.
    func leftover() -> [Event] {
        defer { self.waiting = [] }
        return self.waiting
    }

    /// Turns until `span` has passed, keeping what happens.
    func run(for span: TimeSpan) {
        let limit = self.reactor.now + span
        while self.reactor.now < limit {
            self.reactor.turn(until: limit)
            while let event = self.reactor.next() { self.waiting.append(event) }
        }
    }

    /// A listener at `address` and one connection to it.
    func connect(
        _ address: SocketAddress,
        client: ConnectionOptions = ConnectionOptions(),
        server: ConnectionOptions = ConnectionOptions()
    ) throws -> (client: ConnectionID, server: ConnectionID, listener: ListenerID) {
        let listener = try self.reactor.listen(on: address, options: server)
        let bound = try #require(self.reactor.address(of: listener))
        let deadline = self.reactor.now + .seconds(5)
        let near = try self.reactor.connect(to: bound, deadline: deadline, options: client)
        try self.expect(.connected(near))
        let far = try self.await { event in
            if case .accepted(let id, listener) = event { id } else { nil }
        }
        return (near, far, listener)
    }
}

/// Memory of a test, freed with the value.
final class TestMemory {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ count: Int, alignment: Int = 4096) {
        self.bytes = .allocate(byteCount: count, alignment: alignment)
        self.bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    convenience init(_ text: String) {
        self.init(text.utf8.count)
        self.bytes.copyBytes(from: text.utf8)
    }

    deinit { self.bytes.deallocate() }

    var raw: UnsafeRawBufferPointer { UnsafeRawBufferPointer(self.bytes) }

    var start: UnsafeMutableRawPointer {
        guard let start = self.bytes.baseAddress else {
            invariantBroken("test memory is not empty")
        }
        return start
    }

    func fill(_ random: inout SeededRandom) {
        for index in 0..<self.bytes.count / 8 {
            self.bytes.storeBytes(of: random.next(), toByteOffset: index * 8, as: UInt64.self)
        }
    }
}

/// The memory of a string for as long as `body` runs.
func withBytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try Array(text.utf8).withUnsafeBytes(body)
}
