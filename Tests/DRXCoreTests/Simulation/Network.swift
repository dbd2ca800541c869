// SPDX-License-Identifier: Apache-2.0

import Primitives

/// A way for packets, in both directions: constant delay, order kept; what is sent while it is cut
/// arrives after it was mended, as TCP would have it.
final class Link {
    let world: World
    let delay: TimeSpan
    private(set) var isCut = false
    private var held: [() -> Void] = []

    init(_ world: World, delay: TimeSpan) {
        self.world = world
        self.delay = delay
    }

    func carry(_ work: @escaping () -> Void) {
        if self.isCut {
            self.held.append(work)
        } else {
            self.world.after(self.delay, work)
        }
    }

    func cut() { self.isCut = true }

    func mend() {
        self.isCut = false
        let held = self.held
        self.held = []
        for work in held { self.carry(work) }
    }

    /// Dials what `listener` returns when the request arrives there; nil is refusal.
    func connect(
        _ listener: @escaping () -> ((Endpoint) -> Void)?,
        _ completion: @escaping (Endpoint?) -> Void
    ) {
        self.carry {
            guard let accept = listener() else {
                self.carry { completion(nil) }
                return
            }
            let near = Endpoint(self)
            let far = Endpoint(self)
            near.peer = far
            far.peer = near
            accept(far)
            self.carry { completion(near) }
        }
    }
}

/// One end of a TCP connection with a window of 64 KiB.
final class Endpoint {
    private static let window = 65_536

    private let link: Link
    fileprivate var peer: Endpoint?
    private var inbound: [UInt8] = []
    private var inFlight = 0
    private var endArrived = false
    private(set) var isReset = false
    private(set) var isClosed = false
    private var hasVanished = false
    /// Called when something can be read or written, or the connection has ended.
    var onChange: () -> Void = {}

    fileprivate init(_ link: Link) { self.link = link }

    /// Everything was read and the peer has closed, or the connection was reset.
    var hasEnded: Bool { self.isReset || (self.endArrived && self.inbound.isEmpty) }
    var available: Int { self.inbound.count }

    func peek(_ count: Int) -> [UInt8] { Array(self.inbound.prefix(count)) }

    /// Sends as much as the window takes; the number of bytes taken.
    func send(_ bytes: ArraySlice<UInt8>) -> Int {
        guard !self.isClosed, !self.isReset, let peer = self.peer else { return 0 }
        let room = Self.window - self.inFlight - peer.inbound.count
        let taken = bytes.prefix(max(0, room))
        guard !taken.isEmpty else { return 0 }
        self.inFlight += taken.count
        let packet = Array(taken)
        self.link.carry { [self] in
            self.inFlight -= packet.count
            peer.arrived(packet, from: self)
        }
        return packet.count
    }

    func read(_ maximum: Int) -> [UInt8] {
        let bytes = Array(self.inbound.prefix(maximum))
        self.inbound.removeFirst(bytes.count)
        if !bytes.isEmpty, let peer = self.peer { self.link.carry { peer.changed() } }
        return bytes
    }

    /// Ends the connection behind all that was sent.
    func close() {
        guard !self.isClosed else { return }
        self.isClosed = true
        self.inbound = []
        guard let peer = self.peer else { return }
        self.link.carry {
            peer.endArrived = true
            peer.changed()
        }
    }

    func reset() {
        guard !self.isClosed else { return }
        self.isClosed = true
        self.inbound = []
        guard let peer = self.peer else { return }
        self.link.carry { peer.wasReset() }
    }

    /// The machine is gone: nothing is said, and nothing is heard.
    func vanish() {
        self.isClosed = true
        self.hasVanished = true
        self.inbound = []
    }

    private func arrived(_ packet: [UInt8], from sender: Endpoint) {
        if self.hasVanished || self.isReset { return }
        guard !self.isClosed else {
            self.link.carry { sender.wasReset() }
            return
        }
        self.inbound += packet
        self.changed()
    }

    private func wasReset() {
        guard !self.isClosed, !self.isReset else { return }
        self.isReset = true
        self.inbound = []
        self.changed()
    }

    private func changed() {
        if !self.isClosed { self.onChange() }
    }
}
