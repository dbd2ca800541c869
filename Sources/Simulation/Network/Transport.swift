// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// What follows the fixed part of a packet.
enum Trailing {
    case none
    case payload([Content])
    case bytes([UInt8])

    var byteCount: Int {
        switch self {
        case .none: 0
        case .payload(let content): content.count * 512
        case .bytes(let bytes): bytes.count
        }
    }
}

/// Two sockets between the nodes: each direction of each is a stream that keeps its order.
///
/// Packets travel as the bytes of their heads, so that both codecs are passed; the payload beside
/// them.
package final class Transport {
    private enum Frame {
        case packet([UInt8], Trailing)
        case end
    }

    private struct Stream {
        var frames: [(at: Instant, frame: Frame)] = []
        var lastArrival = Instant.zero
        var isPumping = false
        /// Nothing arrives before this.
        var stallsUntil = Instant.zero
    }

    private unowned let world: World
    let number: Int
    /// By receiving node, then socket (data, meta).
    private var streams: [[Stream]]
    /// Whether the node still has its sockets.
    private(set) var isOpen = [true, true]
    private var isEstablished = [false, false]
    /// Whether the network drops everything.
    private(set) var isCut = false
    /// By receiving node: the next packet is garbled.
    private var isGarbling = [false, false]

    init(_ world: World, number: Int) {
        self.world = world
        self.number = number
        self.streams = Array(repeating: [Stream(), Stream()], count: 2)
    }

    private static func index(_ socket: PacketSocket) -> Int { socket == .data ? 0 : 1 }

    /// A node has its sockets: it reads from now on.
    func established(_ node: Int) {
        self.isEstablished[node] = true
        self.pump(node, .data)
        self.pump(node, .meta)
    }

    // MARK: Sending

    func send(from node: Int, _ socket: PacketSocket, _ head: [UInt8], _ trailing: Trailing) {
        guard self.isOpen[node] else { return }
        self.enqueue(.packet(head, trailing), to: 1 - node, socket)
    }

    private func enqueue(_ frame: Frame, to receiver: Int, _ socket: PacketSocket) {
        guard !self.isCut, self.isOpen[receiver] else { return }
        let index = Self.index(socket)
        let last = self.streams[receiver][index].lastArrival
        var delay = self.world.networkDelay()
        if socket == .meta {
            delay = delay + .microseconds(self.world.configuration.metaDelayMicroseconds)
        }
        let arrival = max(last, self.world.now + delay)
        self.streams[receiver][index].lastArrival = arrival
        self.streams[receiver][index].frames.append((arrival, frame))
        self.pump(receiver, socket)
    }

    private func pump(_ receiver: Int, _ socket: PacketSocket, after pause: TimeSpan = .zero) {
        let index = Self.index(socket)
        guard self.isEstablished[receiver], !self.streams[receiver][index].isPumping,
            let first = self.streams[receiver][index].frames.first
        else { return }
        self.streams[receiver][index].isPumping = true
        let earliest = max(first.at, self.streams[receiver][index].stallsUntil)
        self.world.schedule(at: max(earliest, self.world.now + pause)) { [self] in
            self.streams[receiver][index].isPumping = false
            self.deliver(receiver, socket)
        }
    }

    private func deliver(_ receiver: Int, _ socket: PacketSocket) {
        let index = Self.index(socket)
        guard self.isOpen[receiver], !self.streams[receiver][index].frames.isEmpty else { return }
        guard self.streams[receiver][index].stallsUntil <= self.world.now else {
            return self.pump(receiver, socket)
        }
        let node = self.world.nodes[receiver]
        if socket == .data, !node.acceptsPackets {
            return self.pump(receiver, socket, after: .milliseconds(1))
        }
        switch self.streams[receiver][index].frames.removeFirst().frame {
        case .packet(let head, _) where self.isGarbling[receiver]:
            self.isGarbling[receiver] = false
            self.lose(receiver, node.lossOfGarbled(socket, head))
        case .packet(let head, let trailing): node.receive(socket, head, trailing)
        case .end: self.ended(receiver, socket)
        }
        self.pump(receiver, socket)
    }

    // MARK: Trouble

    /// Has a socket carry nothing to `receiver` until then.
    func stall(_ socket: PacketSocket, to receiver: Int, until: Instant) {
        self.streams[receiver][Self.index(socket)].stallsUntil = until
    }

    /// Garbles the next packet to `receiver`.
    func garble(to receiver: Int) { self.isGarbling[receiver] = true }

    // MARK: The end

    /// The peer has closed the socket.
    ///
    /// The data socket's last words are awaited for a while.
    private func ended(_ receiver: Int, _ socket: PacketSocket) {
        if socket == .data { return self.lose(receiver, .brokenPipe(.closed)) }
        self.world.schedule(after: .milliseconds(300)) { [self] in
            if self.isOpen[receiver] { self.lose(receiver, .networkFailure(.socket(.closed))) }
        }
    }

    func lose(_ node: Int, _ loss: ConnectionLoss) {
        guard self.isOpen[node] else { return }
        self.isOpen[node] = false
        self.world.nodes[node].transport = nil
        self.world.nodes[node].deliver(.transportLost(loss))
        self.hangUp(node)
    }

    /// A node closes its sockets: what it has sent before still arrives.
    func close(_ node: Int) {
        guard self.isOpen[node] else { return }
        self.isOpen[node] = false
        self.hangUp(node)
    }

    private func hangUp(_ node: Int) {
        self.enqueue(.end, to: 1 - node, .data)
        self.enqueue(.end, to: 1 - node, .meta)
    }

    /// A node dies: some of what it has sent arrives, then the end, unless the whole machine is
    /// gone.
    func abort(_ node: Int, silently: Bool) {
        guard self.isOpen[node] else { return }
        self.truncate(1 - node)
        if silently {
            self.isOpen[node] = false
        } else {
            self.close(node)
        }
    }

    /// The network breaks: nothing arrives any more, and each node learns it when it learns it.
    func cut(tellsNodes: Bool) {
        guard !self.isCut else { return }
        for node in 0...1 { self.truncate(node) }
        self.isCut = true
        guard tellsNodes else { return }
        for node in 0...1 {
            let loss: ConnectionLoss =
                self.world.random.chance(1, in: 2)
                ? .brokenPipe(.closed) : .networkFailure(.socket(.closed))
            self.world.schedule(after: self.world.networkDelay() * 10) { [self] in
                self.lose(node, loss)
            }
        }
    }

    private func truncate(_ receiver: Int) {
        for index in 0...1 {
            let count = self.streams[receiver][index].frames.count
            let kept = Int(self.world.random.below(UInt64(count + 1)))
            self.streams[receiver][index].frames.removeLast(count - kept)
        }
    }
}
