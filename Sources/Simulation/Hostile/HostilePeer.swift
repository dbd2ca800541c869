// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Wire

/// A peer that changes what it sends at random, and sends what nobody has asked for.
///
/// All from one seed. It speaks to both nodes; what decodes reaches the cores.
package final class HostilePeer {
    private var random: SeededRandom
    private let world: World
    /// Heads that have arrived, to be repeated and mixed.
    private var seen: [(socket: PacketSocket, head: [UInt8])] = []
    /// One of this many packets is changed.
    private let rarity: UInt64
    package private(set) var changed = 0
    package private(set) var forged = 0

    init(_ world: World, seed: UInt64) {
        self.world = world
        var random = SeededRandom(seed: seed)
        self.rarity = 2 + random.below(100)
        self.random = random
    }

    /// Starts to change what arrives.
    func start() {
        self.world.corrupting = { [self] _, socket, head in
            if self.seen.count < 256 {
                self.seen.append((socket, head))
            } else {
                self.seen[Int(self.random.below(256))] = (socket, head)
            }
            guard self.random.chance(1, in: self.rarity) else { return }
            self.changed += 1
            self.change(&head)
        }
    }

    /// Lets everything arrive as it was sent.
    func stop() { self.world.corrupting = { _, _, _ in } }

    /// Sends a packet that does not belong there.
    func forge(to number: Int) {
        let node = self.world.nodes[number]
        guard node.isUp, node.hasTransport, self.world.violations.isEmpty else { return }
        self.forged += 1
        if !self.seen.isEmpty, self.random.chance(1, in: 2) {
            var (socket, head) = self.seen[Int(self.random.below(UInt64(self.seen.count)))]
            if self.random.chance(1, in: 2) { self.change(&head) }
            if self.random.chance(1, in: 8) { socket = socket == .data ? .meta : .data }
            node.receiveForged(socket, head)
        } else {
            let commands = PacketCommand.allCases
            let command = commands[Int(self.random.below(UInt64(commands.count)))]
            node.receiveForged(
                command.isOfMetaSocket ? .meta : .data,
                self.head(of: command)
            )
        }
    }

    // MARK: Bytes

    private func head(of command: PacketCommand) -> [UInt8] {
        let fixed = command.fixedByteCount(length: 0, under: self.world.nodes[0].agreement)
        var trailing: UInt64 = 0
        switch command {
        case .data, .dataReply, .resyncDataReply: trailing = 512 * (1 + self.random.below(16))
        case .bitmap, .compressedBitmap: trailing = 8 * self.random.below(64)
        case .authChallenge, .authResponse: trailing = self.random.below(80)
        default: break
        }
        var head: [UInt8] = []
        head.append(contentsOf: Self.bytes(0x8620_EC20, count: 4))
        head.append(contentsOf: Self.bytes(self.random.below(3), count: 2))
        head.append(contentsOf: Self.bytes(UInt64(command.rawValue), count: 2))
        head.append(contentsOf: Self.bytes(UInt64(fixed) + trailing, count: 4))
        head.append(contentsOf: Self.bytes(0, count: 4))
        while head.count < 16 + Int(fixed) {
            head.append(contentsOf: Self.bytes(self.value(in: head), count: 8))
        }
        head.removeLast(head.count - 16 - Int(fixed))
        return head
    }

    private func change(_ head: inout [UInt8]) {
        for _ in 0...self.random.below(3) {
            guard head.count > 16, !self.random.chance(1, in: 6) else {
                self.changeHeader(&head)
                continue
            }
            let width = 1 << Int(self.random.below(4))
            guard head.count >= 16 + width else { continue }
            let places = UInt64((head.count - 16) / width)
            let place = 16 + Int(self.random.below(places)) * width
            let bytes = Self.bytes(self.value(in: head), count: width)
            head.replaceSubrange(place..<place + width, with: bytes)
        }
    }

    /// Another volume, another kind of packet, another length.
    private func changeHeader(_ head: inout [UInt8]) {
        guard head.count >= 16 else { return }
        switch self.random.below(3) {
        case 0: head[5] = UInt8(self.random.below(4))
        case 1:
            let commands = PacketCommand.allCases
            let command = commands[Int(self.random.below(UInt64(commands.count)))]
            head.replaceSubrange(6..<8, with: Self.bytes(UInt64(command.rawValue), count: 2))
        default:
            let length = 512 * self.random.below(20) + UInt64(head.count - 16)
            head.replaceSubrange(8..<12, with: Self.bytes(length, count: 4))
        }
    }

    /// A number that matters, or any.
    private func value(in head: [UInt8]) -> UInt64 {
        let sectors = UInt64(self.world.configuration.volumes[0])
        switch self.random.below(12) {
        case 0: return 0
        case 1: return 1
        case 2: return .max
        case 3: return 1 << self.random.below(64)
        case 4: return sectors &- self.random.below(3)
        case 5: return self.random.below(sectors)
        case 6: return 4096 * self.random.below(300)
        case 7: return 512 * self.random.below(5)
        case 8: return self.random.below(64)
        case 9, 10: return self.number(from: self.seen.isEmpty ? head : self.someHead())
        default: return self.random.next()
        }
    }

    private func someHead() -> [UInt8] {
        self.seen[Int(self.random.below(UInt64(self.seen.count)))].head
    }

    /// A field of a packet that has arrived, such as a sector or a block's identifier.
    private func number(from head: [UInt8]) -> UInt64 {
        guard head.count >= 24 else { return 0 }
        let place = 16 + Int(self.random.below(UInt64((head.count - 16) / 8))) * 8
        return head[place..<place + 8].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func bytes(_ value: UInt64, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64((count - 1 - $0) * 8)) }
    }
}

extension PacketCommand {
    /// Whether an honest peer sends it on the meta socket.
    fileprivate var isOfMetaSocket: Bool {
        switch self {
        case .ping, .pingAck, .receiveAck, .writeAck, .resyncWriteAck, .superseded, .negativeAck,
            .negativeDataReply, .negativeResyncDataReply, .barrierAck, .stateChangeReply,
            .connectionStateChangeReply, .isInSync, .resyncCancel, .retryWrite, .verifyResult:
            true
        default: false
        }
    }
}
