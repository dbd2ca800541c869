// SPDX-License-Identifier: Apache-2.0

import Foundation
import Primitives
import Reactor
import Testing

@Suite struct WakerTests {
    @Test func `messages of four threads all arrive, each thread's in order`() throws {
        struct Message: Sendable {
            let thread: Int
            let number: Int
        }
        let pair = try LoopPair()
        let mailbox = Mailbox<Message>(waking: pair.reactor.waker, capacity: 64)
        let threads = (0..<4).map { thread in
            Thread {
                for number in 0..<2000 {
                    while !mailbox.post(Message(thread: thread, number: number)) { sched_yield() }
                }
            }
        }
        for thread in threads { thread.start() }
        var seen = [Int](repeating: 0, count: 4)
        while seen.reduce(0, +) < 8000 {
            try pair.expect(.messages)
            let messages = mailbox.drain()
            #expect(messages.count <= 64)
            for message in messages {
                #expect(message.number == seen[message.thread])
                seen[message.thread] += 1
            }
        }
        #expect(seen == [2000, 2000, 2000, 2000])
    }

    @Test func `a full mailbox refuses`() throws {
        let reactor = try Reactor()
        let mailbox = Mailbox<Int>(waking: reactor.waker, capacity: 2)
        #expect(mailbox.post(1))
        #expect(mailbox.post(2))
        #expect(!mailbox.post(3))
        #expect(mailbox.drain() == [1, 2])
        #expect(mailbox.post(4))
    }

    @Test func `another thread ends a loop that waits`() throws {
        let pair = try LoopPair()
        let waker = pair.reactor.waker
        Thread.detachNewThread { waker.requestStop() }
        try pair.expect(.stopRequested)
    }

    @Test func `a loop released with everything under way lets go of its memory`() throws {
        for round in 0..<20 {
            let payload = TestMemory(8 << 20)
            let stage = TestMemory(4096)
            var pair: LoopPair? = try LoopPair()
            let (near, far, listener) = try #require(
                try pair?.connect(.ip("127.0.0.1", port: 0))
            )
            let address = try #require(pair?.reactor.address(of: listener))
            #expect(pair?.reactor.send(payload.raw, on: near, token: 1) == true)
            #expect(pair?.reactor.receive(on: near, into: stage.bytes, token: 2) == true)
            if round % 2 == 0 { pair?.run(for: .milliseconds(1)) }
            _ = try pair?.reactor.connect(to: address, deadline: .distantFuture)
            _ = far
            pair = nil
        }
    }
}
