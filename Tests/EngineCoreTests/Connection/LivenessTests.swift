// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

/// One machine with DRBD's defaults (ping-int 10, ping-timeout 5, timeout 60, ko-count 7).
private struct Watch: ~Copyable {
    var machine: Liveness
    var now = Instant(nanoseconds: 0)
    private var actions = Liveness.Actions()

    init(koCount: UInt64 = 7) {
        self.machine = Liveness(
            timing: Liveness.Timing(
                pingInterval: .seconds(10),
                pingTimeout: .milliseconds(500),
                timeout: .seconds(6),
                koCount: koCount
            ),
            at: self.now
        )
    }

    mutating func feed(_ event: Liveness.Event, after wait: TimeSpan = .zero) -> [Liveness.Action] {
        self.now = self.now + wait
        self.machine.receive(event, at: self.now, into: &self.actions)
        var all: [Liveness.Action] = []
        while let action = self.actions.popFirst() { all.append(action) }
        return all
    }

    /// Goes to the next deadline; what it brings and after how many milliseconds.
    mutating func wait() -> (TimeSpan, [Liveness.Action]) {
        let span = self.machine.nextDeadline.since(self.now)
        return (span, self.feed(.deadline, after: span))
    }
}

@Suite struct LivenessTests {
    @Test func `silence for ping-int asks, silence for ping-timeout ends`() {
        var watch = Watch()
        #expect(watch.wait() == (.seconds(10), [.sendPing(number: 1)]))
        #expect(watch.wait() == (.milliseconds(500), [.lost(.pingTimeout)]))
        let deadline = watch.machine.nextDeadline
        #expect(deadline == .distantFuture)
        #expect(watch.feed(.pingWanted) == [])
    }

    @Test func `an answered ping starts the interval again`() {
        var watch = Watch()
        _ = watch.wait()
        #expect(watch.feed(.pingAnswered, after: .milliseconds(499)) == [.pingDone(number: 1)])
        #expect(watch.wait() == (.seconds(10), [.sendPing(number: 2)]))
    }

    @Test func `traffic on either socket makes pings unnecessary`() {
        for event in [Liveness.Event.metaReceived, .dataReceived, .acknowledged] {
            var watch = Watch()
            #expect(watch.feed(event, after: .seconds(9)) == [])
            #expect(watch.wait() == (.seconds(10), [.sendPing(number: 1)]))
        }
    }

    @Test func `anything that comes renews ping-timeout, only the answer ends it`() {
        var watch = Watch()
        _ = watch.wait()
        for _ in 0..<10 {
            #expect(watch.feed(.dataReceived, after: .milliseconds(400)) == [])
        }
        let left = watch.machine.nextDeadline.since(watch.now)
        #expect(left == .milliseconds(500))
        #expect(watch.wait() == (.milliseconds(500), [.lost(.pingTimeout)]))
    }

    @Test func `wanted pings are numbered and answered in order`() {
        var watch = Watch()
        #expect(watch.feed(.pingWanted) == [.sendPing(number: 1)])
        #expect(watch.feed(.pingWanted) == [.sendPing(number: 2)])
        #expect(watch.feed(.pingAnswered) == [.pingDone(number: 1)])
        let waiting = watch.machine.nextDeadline.since(watch.now)
        #expect(waiting == .milliseconds(500))
        #expect(watch.feed(.pingAnswered) == [.pingDone(number: 2)])
        let idle = watch.machine.nextDeadline.since(watch.now)
        #expect(idle == .seconds(10))
        // One answer too many is nobody's.
        #expect(watch.feed(.pingAnswered) == [])
    }

    /// Answers all pings until the connection is lost or `limit` has passed.
    private func survive(
        _ watch: inout Watch,
        until limit: Instant
    ) -> (Instant, Liveness.Loss)? {
        while watch.machine.nextDeadline <= limit {
            for action in watch.wait().1 {
                switch action {
                case .sendPing: _ = watch.feed(.pingAnswered)
                case .pingDone: break
                case .lost(let loss): return (watch.now, loss)
                }
            }
        }
        watch.now = limit
        return nil
    }

    @Test("a request without any ack progress ends it after timeout × ko-count")
    func requestTimeout() throws {
        var watch = Watch()
        _ = watch.feed(.oldestRequest(sentAt: watch.now + .seconds(3)), after: .seconds(3))
        let lost = try #require(self.survive(&watch, until: Instant.zero + .seconds(100)))
        #expect(lost == (Instant.zero + .seconds(45), .requestTimeout))
    }

    @Test func `an old request does not count while others are acknowledged`() throws {
        var watch = Watch()
        _ = watch.feed(.oldestRequest(sentAt: watch.now))
        for second in UInt64(1)...20 {
            #expect(self.survive(&watch, until: Instant.zero + .seconds(second * 20)) == nil)
            _ = watch.feed(.acknowledged)
        }
        let lost = try #require(self.survive(&watch, until: Instant.zero + .seconds(1_000)))
        #expect(lost == (Instant.zero + .seconds(442), .requestTimeout))
    }

    @Test func `no outstanding request, or ko-count 0, is no reason`() {
        var idle = Watch()
        _ = idle.feed(.oldestRequest(sentAt: idle.now))
        _ = idle.feed(.oldestRequest(sentAt: nil))
        #expect(self.survive(&idle, until: Instant.zero + .seconds(1_000)) == nil)
        var endless = Watch(koCount: 0)
        _ = endless.feed(.oldestRequest(sentAt: endless.now))
        _ = endless.feed(.dataSendBlocked)
        #expect(self.survive(&endless, until: Instant.zero + .seconds(1_000)) == nil)
    }

    @Test func `a stuck data socket asks every timeout and ends after ko-count of them`() throws {
        var watch = Watch()
        #expect(watch.feed(.dataSendBlocked) == [])
        #expect(watch.wait() == (.seconds(6), [.sendPing(number: 1)]))
        #expect(watch.feed(.pingAnswered) == [.pingDone(number: 1)])
        let lost = try #require(self.survive(&watch, until: Instant.zero + .seconds(1_000)))
        #expect(lost == (Instant.zero + .seconds(42), .dataSendTimeout))
    }

    @Test func `progress of a stuck data socket, or an ack, starts the count again`() throws {
        for event in [Liveness.Event.dataSendBlocked, .acknowledged] {
            var watch = Watch()
            _ = watch.feed(.dataSendBlocked)
            #expect(self.survive(&watch, until: Instant.zero + .seconds(40)) == nil)
            _ = watch.feed(event)
            let lost = try #require(self.survive(&watch, until: Instant.zero + .seconds(1_000)))
            #expect(lost == (Instant.zero + .seconds(82), .dataSendTimeout))
        }
        var drained = Watch()
        _ = drained.feed(.dataSendBlocked)
        _ = drained.feed(.dataSendDrained, after: .seconds(40))
        #expect(self.survive(&drained, until: Instant.zero + .seconds(1_000)) == nil)
    }

    @Test func `a stuck meta socket ends it after timeout`() throws {
        var watch = Watch()
        _ = watch.feed(.metaSendBlocked)
        _ = watch.feed(.metaSendBlocked, after: .seconds(3))
        let lost = try #require(self.survive(&watch, until: Instant.zero + .seconds(100)))
        #expect(lost == (Instant.zero + .seconds(6), .metaSendTimeout))
        var drained = Watch()
        _ = drained.feed(.metaSendBlocked)
        _ = drained.feed(.metaSendDrained, after: .seconds(5))
        #expect(self.survive(&drained, until: Instant.zero + .seconds(100)) == nil)
    }
}
