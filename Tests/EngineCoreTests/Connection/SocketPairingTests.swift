// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

/// One machine and the clock, to be fed by hand.
private struct Trace: ~Copyable {
    var machine: SocketPairing
    var now = Instant(nanoseconds: 1_000_000_000)
    private var actions = SocketPairing.Actions()

    init(socketCheckTimeout: TimeSpan = .zero) {
        let timing = SocketPairing.Timing(
            connectInterval: .seconds(7),
            pingTimeout: .milliseconds(500),
            socketCheckTimeout: socketCheckTimeout
        )
        self.machine = SocketPairing(timing: timing, start: self.now)
    }

    /// Feeds one event; `coin` false means to wait after a crossing.
    mutating func feed(_ event: SocketPairing.Event, coin: Bool = false) -> [SocketPairing.Action] {
        // Half of the jitter's range: no jitter.
        let random: UInt64 = (1_000_000_000 << 1) | (coin ? 1 : 0)
        self.machine.receive(event, random: random, at: self.now, into: &self.actions)
        var all: [SocketPairing.Action] = []
        while let action = self.actions.popFirst() { all.append(action) }
        return all
    }

    /// Goes to the next deadline and reports it.
    mutating func waitForDeadline(coin: Bool = false) -> [SocketPairing.Action] {
        self.now = self.machine.nextDeadline
        return self.feed(.deadline, coin: coin)
    }
}

@Suite struct SocketPairingTests {
    @Test("CONN-03 the usual way: one socket of each direction")
    func usual() {
        var node = Trace()
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.dialled(1)) == [.sendFirstPacket(1, .data)])
        #expect(node.feed(.accepted(2)) == [.readFirstPacket(2)])
        #expect(node.feed(.firstPacket(2, .meta)) == [])
        let settled = node.now + .milliseconds(500)
        #expect(node.waitForDeadline() == [.probe(data: 1, meta: 2)])
        let now = node.now
        #expect(now == settled)
        #expect(
            node.feed(.probed(dataIsAlive: true, metaIsAlive: true))
                == [.established(data: 1, meta: 2, resolveConflicts: true)]
        )
        let deadline = node.machine.nextDeadline
        #expect(deadline == .distantFuture)
        #expect(node.feed(.accepted(3)) == [.close(3)])
    }

    @Test func `a node that has to dial both sockets leaves the flag to the peer`() {
        var node = Trace(socketCheckTimeout: .seconds(2))
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.dialled(1)) == [.sendFirstPacket(1, .data)])
        let pause = node.machine.nextDeadline.since(node.now)
        #expect(pause == .seconds(7))
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.dialled(2)) == [.sendFirstPacket(2, .meta)])
        let settle = node.machine.nextDeadline.since(node.now)
        #expect(settle == .seconds(2))
        #expect(node.waitForDeadline() == [.probe(data: 1, meta: 2)])
        #expect(
            node.feed(.probed(dataIsAlive: true, metaIsAlive: true))
                == [.established(data: 1, meta: 2, resolveConflicts: false)]
        )
    }

    @Test func `a node that accepts both has the flag, in whatever order they come`() {
        var node = Trace()
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.accepted(1)) == [.readFirstPacket(1)])
        #expect(node.feed(.accepted(2)) == [.readFirstPacket(2)])
        #expect(node.feed(.firstPacket(2, .meta)) == [])
        #expect(node.feed(.firstPacket(1, .data)) == [])
        #expect(node.feed(.dialled(3)) == [.close(3)])
        #expect(node.waitForDeadline() == [.probe(data: 1, meta: 2)])
        #expect(
            node.feed(.probed(dataIsAlive: true, metaIsAlive: true))
                == [.established(data: 1, meta: 2, resolveConflicts: true)]
        )
    }

    @Test(arguments: [false, true])
    func `crossed data sockets: the accepted one stays, a coin decides who dials`(coin: Bool) {
        var node = Trace()
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.dialled(1)) == [.sendFirstPacket(1, .data)])
        #expect(node.feed(.accepted(2)) == [.readFirstPacket(2)])
        #expect(node.feed(.firstPacket(2, .data), coin: coin) == [.close(1)])
        let pause = node.machine.nextDeadline.since(node.now)
        #expect(pause == (coin ? .zero : .seconds(7)))
        // The peer has closed it for the same reason.
        #expect(node.feed(.closed(2)) == [.close(2)])
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.dialled(3)) == [.sendFirstPacket(3, .data)])
    }

    @Test func `a pair that loses a socket while it settles is searched again`() {
        var node = Trace()
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.dialled(1)) == [.sendFirstPacket(1, .data)])
        #expect(node.feed(.accepted(2)) == [.readFirstPacket(2)])
        #expect(node.feed(.firstPacket(2, .meta)) == [])
        #expect(node.feed(.closed(1)) == [.close(1)])
        #expect(node.feed(.accepted(3)) == [.readFirstPacket(3)])
        #expect(node.feed(.firstPacket(3, .data)) == [])
        #expect(node.waitForDeadline() == [.probe(data: 3, meta: 2)])
        #expect(node.feed(.probed(dataIsAlive: true, metaIsAlive: false)) == [.close(2)])
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.dialled(4)) == [.sendFirstPacket(4, .meta)])
        #expect(node.waitForDeadline() == [.probe(data: 3, meta: 4)])
    }

    @Test("CONN-03 dials again after 1/8, 1/4, 1/2 and then every connect-int")
    func backOff() {
        var node = Trace()
        #expect(node.waitForDeadline() == [.dial])
        for fraction: UInt64 in [8, 4, 2, 1, 1, 1] {
            #expect(node.feed(.dialFailed) == [])
            let pause = node.machine.nextDeadline.since(node.now)
            let nominal = 7_000_000_000 / fraction
            #expect(pause.nanoseconds >= nominal - nominal / 7)
            #expect(pause.nanoseconds <= nominal + nominal / 7)
            #expect(node.waitForDeadline() == [.dial])
        }
    }

    @Test func `a dial without an answer ends after connect-int`() {
        var node = Trace()
        #expect(node.waitForDeadline() == [.dial])
        let limit = node.machine.nextDeadline.since(node.now)
        #expect(limit == .seconds(7))
        #expect(node.waitForDeadline() == [.cancelDial])
        #expect(node.waitForDeadline() == [.dial])
    }

    @Test func `accepted sockets have to say what they are for, in time and few at once`() {
        var node = Trace()
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.accepted(1)) == [.readFirstPacket(1)])
        let limit = node.machine.nextDeadline.since(node.now)
        #expect(limit == .seconds(2))
        #expect(node.waitForDeadline() == [.close(1)])
        for socket in UInt32(10)..<18 {
            node.now = node.now + .milliseconds(1)
            #expect(node.feed(.accepted(socket)) == [.readFirstPacket(socket)])
        }
        #expect(node.feed(.badFirstPacket(12)) == [.close(12)])
        #expect(node.feed(.closed(13)) == [.close(13)])
        #expect(node.feed(.accepted(20)) == [.readFirstPacket(20)])
        #expect(node.feed(.accepted(21)) == [.readFirstPacket(21)])
        #expect(node.feed(.accepted(22)) == [.close(10), .readFirstPacket(22)])
        // A first packet that is read after its socket was given up is nobody's.
        #expect(node.feed(.firstPacket(10, .data)) == [])
    }

    @Test func `stopping closes everything and ends`() {
        var node = Trace()
        #expect(node.waitForDeadline() == [.dial])
        #expect(node.feed(.accepted(1)) == [.readFirstPacket(1)])
        #expect(node.feed(.firstPacket(1, .data)) == [])
        #expect(node.feed(.accepted(2)) == [.readFirstPacket(2)])
        #expect(node.feed(.stop) == [.cancelDial, .close(1), .close(2)])
        #expect(node.feed(.dialled(3)) == [.close(3)])
        let deadline = node.machine.nextDeadline
        #expect(deadline == .distantFuture)
    }
}
