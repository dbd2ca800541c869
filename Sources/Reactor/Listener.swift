// SPDX-License-Identifier: Apache-2.0

import CUring
import Glibc
import Primitives

/// One listening socket.
///
/// Control path.
final class Listener {
    let generation: UInt32
    let descriptor: Int32
    let address: SocketAddress
    let options: ConnectionOptions
    let timer: UInt32
    var isAcceptInKernel = false
    /// A client that was accepted when no slot was free any more, and waits for one.
    var parked: Int32?
    var isClosing = false

    init(
        generation: UInt32,
        descriptor: Int32,
        address: SocketAddress,
        options: ConnectionOptions,
        timer: UInt32
    ) {
        self.generation = generation
        self.descriptor = descriptor
        self.address = address
        self.options = options
        self.timer = timer
    }
}

extension Reactor {
    /// Listens at `address` and accepts as long as connections are free.
    ///
    /// Port 0 takes a free port, which ``address(of:)`` tells. A unix socket gets mode 0600; a
    /// stale one at its path, which nobody listens on any more, is replaced. Accepted connections
    /// get `options`.
    /// - Throws: ``ReactorError``.
    package func listen(
        on address: SocketAddress,
        backlog: Int32 = 128,
        options: ConnectionOptions = ConnectionOptions()
    ) throws(ReactorError) -> ListenerID {
        guard self.listeners.count < self.limits.listeners else {
            throw .limitReached("listeners", limit: self.limits.listeners)
        }
        let descriptor = try Self.makeSocket(address)
        do throws(ReactorError) {
            try Self.bindListener(descriptor, address, options)
            guard Glibc.listen(descriptor, backlog) == 0 else {
                throw .systemCall("listen", object: address.description, .last)
            }
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        let slot = self.freeListenerSlot()
        guard let timer = self.timers.take(.listener(slot: slot)) else {
            invariantBroken("each listener has a timer")
        }
        self.listenerGeneration &+= 1
        self.listeners[slot] = Listener(
            generation: self.listenerGeneration,
            descriptor: descriptor,
            address: .reading { getsockname(descriptor, $0, $1) } ?? address,
            options: options,
            timer: timer
        )
        self.accept(slot)
        return ListenerID(slot: slot, generation: self.listenerGeneration)
    }

    /// Where the listener listens, with the port that it got; nil for a stale handle.
    package func address(of id: ListenerID) -> SocketAddress? {
        guard let listener = self.listeners[id.slot], listener.generation == id.generation else {
            return nil
        }
        return listener.address
    }

    /// Stops listening and removes the path of a unix socket.
    ///
    /// Accepted connections stay.
    package func close(_ id: ListenerID) {
        guard let listener = self.listeners[id.slot], listener.generation == id.generation else {
            return
        }
        self.closeListener(id.slot)
    }

    private func freeListenerSlot() -> UInt32 {
        var slot: UInt32 = 0
        while self.listeners[slot] != nil { slot += 1 }
        return slot
    }

    private static func bindListener(
        _ descriptor: Int32,
        _ address: SocketAddress,
        _ options: ConnectionOptions
    ) throws(ReactorError) {
        if address.isUnix {
            // Before bind: the mode that the path is created with.
            _ = fchmod(descriptor, 0o600)
        } else {
            _ = ConnectionOptions.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        }
        if address.family == AF_INET6 {
            _ = ConnectionOptions.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1)
        }
        // Before listen: accepted sockets inherit the buffers, and the window scale follows from
        // them.
        options.apply(to: descriptor, isTCP: !address.isUnix)
        if address.withPointer({ bind(descriptor, $0, $1) }) == 0 { return }
        var code = Errno.last
        if code.number == EADDRINUSE, let path = address.path, Self.isStale(address) {
            unlink(path)
            if address.withPointer({ bind(descriptor, $0, $1) }) == 0 { return }
            code = .last
        }
        throw .systemCall("bind", object: address.description, code)
    }

    /// Whether the path is a socket that nobody listens on.
    private static func isStale(_ address: SocketAddress) -> Bool {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let probe = socket(AF_UNIX, type, 0)
        guard probe >= 0 else { return false }
        defer { Glibc.close(probe) }
        return address.withPointer { Glibc.connect(probe, $0, $1) } != 0 && errno == ECONNREFUSED
    }
}

extension Reactor {
    /// Submits an accept unless one is under way or no connection is free.
    func accept(_ slot: UInt32) {
        guard let listener = self.listeners[slot], !listener.isClosing, !listener.isAcceptInKernel
        else { return }
        guard !self.connections.isFull else {
            self.loop.pointee.hasFullTable = true
            return
        }
        if let descriptor = listener.parked {
            listener.parked = nil
            return self.accepted(descriptor, by: listener, slot)
        }
        let entry = self.ring.entry()
        let flags = Int32(SOCK_CLOEXEC.rawValue)
        io_uring_prep_accept(entry, listener.descriptor, nil, nil, flags)
        self.ring.tag(entry, CompletionTag(.accept, slot: slot, generation: listener.generation))
        listener.isAcceptInKernel = true
    }

    func acceptCompleted(_ slot: UInt32, _ result: Int32) {
        guard let listener = self.listeners[slot] else {
            invariantBroken("a listener outlives its accept")
        }
        listener.isAcceptInKernel = false
        if listener.isClosing {
            if result >= 0 { Glibc.close(result) }
            self.removeListener(slot)
        } else if result >= 0 {
            self.accepted(result, by: listener, slot)
        } else {
            self.acceptFailed(Errno(-result), listener, slot)
        }
    }

    private func accepted(_ descriptor: Int32, by listener: Listener, _ slot: UInt32) {
        let isTCP = !listener.address.isUnix
        let options = listener.options
        guard let connection = self.makeConnection(descriptor, isTCP: isTCP, phase: .open, options)
        else {
            listener.parked = descriptor
            self.loop.pointee.hasFullTable = true
            return
        }
        options.apply(to: descriptor, isTCP: isTCP)
        let id = ListenerID(slot: slot, generation: listener.generation)
        self.report(.accepted(self.id(connection), by: id))
        self.accept(slot)
    }

    /// Goes on at once where the error concerns one client that has gone, and rests where trying
    /// again at once would spin.
    private func acceptFailed(_ code: Errno, _ listener: Listener, _ slot: UInt32) {
        switch code.number {
        case ECONNABORTED, EPROTO, EINTR, EAGAIN: self.accept(slot)
        default:
            self.report(
                .acceptFailed(ListenerID(slot: slot, generation: listener.generation), code)
            )
            let pause = TimeSpan.milliseconds(ReactorLimits.acceptPauseMilliseconds)
            self.timers.arm(listener.timer, at: self.now + pause)
        }
    }

    func resumeAccepting(_ slot: UInt32) { self.accept(slot) }

    func closeListener(_ slot: UInt32) {
        guard let listener = self.listeners[slot], !listener.isClosing else { return }
        listener.isClosing = true
        if let path = listener.address.path { unlink(path) }
        guard listener.isAcceptInKernel else { return self.removeListener(slot) }
        let target = CompletionTag(.accept, slot: slot, generation: listener.generation)
        self.ring.cancel(target, as: CompletionTag(.cancel, slot: .max))
    }

    private func removeListener(_ slot: UInt32) {
        guard let listener = self.listeners.removeValue(forKey: slot) else { return }
        if let descriptor = listener.parked { Glibc.close(descriptor) }
        self.timers.disarm(listener.timer)
        self.timers.timers.release(listener.timer)
        Glibc.close(listener.descriptor)
    }
}
