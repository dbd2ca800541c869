// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing
import Wire

struct ExportEndingTests {
    private static let large = ExportDirectory.volume(byteCount: 1 << 40)

    @Test func `as many requests as allowed are in flight, the next waits for a reply sent`() {
        let harness = transmitting()
        harness.isAutomatic = false
        let limit = ExportLimits.requestsInFlight
        for cookie in 0..<limit + 2 {
            harness.feed(ClientBytes.request(3, cookie: UInt64(cookie)))
        }
        #expect(harness.requestCount == limit)
        #expect(harness.input == .paused)
        #expect(harness.staged == 56)
        _ = harness.takeActions()
        harness.complete(17)
        #expect(harness.input == .paused)
        harness.receive(.replySent(slot: 17))
        let flush = ExportRequest(.flush, offset: 0, byteCount: 0)
        #expect(
            harness.takeActions() == [
                .reply(slot: 17, payloadByteCount: 0), .release(slot: 17),
                .submit(slot: 17, flush),
            ]
        )
        #expect(harness.staged == 28)
    }

    @Test func `refused requests hold a slot until their reply is sent`() {
        let harness = transmitting()
        harness.isAutomatic = false
        for _ in 0...ExportLimits.requestsInFlight { harness.feed(ClientBytes.request(99)) }
        #expect(harness.input == .paused)
        #expect(harness.staged == 28)
        #expect(harness.answered == ExportLimits.requestsInFlight)
    }

    @Test func `payload in flight is limited, and one request always fits`() {
        let harness = transmitting(Self.large)
        harness.isAutomatic = false
        let read = ClientBytes.request(0, count: 33_554_432)
        let small = ClientBytes.request(0, count: 512)
        harness.feed(read + small + read + small)
        // Read and small fit, then the second read is too much, and nothing overtakes it.
        #expect(harness.requestCount == 2)
        #expect(harness.input == .paused)
        harness.complete(1, .inputOutput)
        harness.receive(.replySent(slot: 1))
        #expect(harness.requestCount == 2)
        #expect(harness.input == .paused)
        harness.complete(0, .inputOutput)
        #expect(harness.requestCount == 2)
        harness.receive(.replySent(slot: 0))
        #expect(harness.requestCount == 2)
        #expect(harness.staged == 0)
        #expect(harness.input == .bytes(minimum: 28))
    }

    @Test func `DISC is answered by the replies in flight, then by the close`() {
        let harness = transmitting()
        harness.isAutomatic = false
        harness.feed(
            ClientBytes.request(3, cookie: 1) + ClientBytes.request(3, cookie: 2)
                + ClientBytes.request(2) + ClientBytes.request(3, cookie: 3)
        )
        _ = harness.takeActions()
        #expect(harness.input == .ended)
        #expect(harness.requestCount == 2)
        #expect(harness.grantedExport == 7)
        harness.complete(1)
        harness.complete(0)
        harness.receive(.replySent(slot: 1))
        harness.receive(.replySent(slot: 0))
        #expect(
            harness.takeActions() == [
                .reply(slot: 1, payloadByteCount: 0), .reply(slot: 0, payloadByteCount: 0),
                .release(slot: 1), .release(slot: 0), .close(.disconnected), .finished,
            ]
        )
        #expect(harness.grantedExport == nil)
    }

    @Test func `DISC with nothing in flight closes at once`() {
        let harness = transmitting()
        harness.feed(ClientBytes.request(2))
        #expect(harness.takeActions() == [.close(.disconnected), .finished])
    }

    @Test func `a client that does not take its last replies is closed at the deadline`() {
        let harness = transmitting()
        harness.isAutomatic = false
        harness.now = .zero + .seconds(100)
        harness.feed(ClientBytes.request(3) + ClientBytes.request(2))
        #expect(harness.nextDeadline == .zero + .seconds(130))
        harness.complete(0)
        _ = harness.takeActions()
        harness.now = .zero + .seconds(130)
        harness.receive(.timer)
        #expect(harness.takeActions() == [.close(.drainTimedOut)])
        harness.receive(.replySent(slot: 0))
        #expect(harness.takeActions() == [.release(slot: 0), .finished])
    }

    @Test(arguments: [
        (ExportEvent.forceClose, ExportCloseReason.forced),
        (.connectionLost, .connectionLost),
    ])
    func `an abrupt end waits for everything outstanding and answers nothing more`(
        _ event: ExportEvent,
        _ reason: ExportCloseReason
    ) {
        let harness = transmitting()
        harness.isAutomatic = false
        // Slot 0 submitted, slot 1 being answered, slot 2 receiving its payload.
        harness.feed(ClientBytes.request(3) + ClientBytes.request(3))
        harness.complete(1)
        harness.feed(ClientBytes.request(1, count: 512) + [1, 2, 3])
        _ = harness.takeActions()
        _ = harness.takeSent()
        harness.receive(event)
        #expect(harness.takeActions() == [.close(reason), .release(slot: 2)])
        #expect(harness.grantedExport == nil)
        #expect(harness.input == .ended)
        harness.receive(.completed(slot: 0, nil))
        #expect(harness.takeActions() == [.release(slot: 0)])
        harness.receive(event)
        #expect(harness.takeActions() == [])
        harness.receive(.replySent(slot: 1))
        #expect(harness.takeActions() == [.release(slot: 1), .finished])
        #expect(harness.takeSent().isEmpty)
    }

    @Test func `a server that stops answers what is in flight and takes nothing new`() {
        let harness = transmitting()
        harness.isAutomatic = false
        harness.feed(ClientBytes.request(3))
        harness.feed(ClientBytes.request(1, count: 512) + [UInt8](repeating: 1, count: 500))
        harness.receive(.shutdown)
        // The payload that was begun is still awaited.
        #expect(harness.input == .payload(slot: 1))
        _ = harness.takeActions()
        harness.feed([UInt8](repeating: 1, count: 12) + ClientBytes.request(3))
        #expect(harness.input == .ended)
        harness.complete(0)
        harness.complete(1)
        harness.receive(.replySent(slot: 0))
        harness.receive(.replySent(slot: 1))
        #expect(harness.takeActions().suffix(2) == [.close(.shutdown), .finished])
        #expect(harness.content.prefix(512).allSatisfy { $0 == 1 })
    }

    @Test func `a late timer in transmission does nothing`() {
        let harness = transmitting()
        harness.now = .zero + .seconds(1_000_000)
        harness.receive(.timer)
        #expect(harness.takeActions() == [])
    }

    @Test func `reasons have sentences, and two of them are orderly`() {
        #expect(ExportCloseReason.allCases.filter(\.isOrderly) == [.aborted, .disconnected])
        #expect(Set(ExportCloseReason.allCases.map { "\($0.message)" }).count == 17)
        #expect(Set(ExportRefusal.allCases.map { "\($0.message)" }).count == 10)
    }
}
