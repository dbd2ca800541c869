// SPDX-License-Identifier: Apache-2.0

import CUring
import Glibc
package import Primitives

extension Reactor {
    /// Begins to connect; ``Event/connected(_:)`` or ``Event/failed(_:_:)`` follows, the latter
    /// with ETIMEDOUT if `deadline` passes first.
    /// - Throws: ``ReactorError`` if not even the attempt can be made.
    package func connect(
        to address: SocketAddress,
        from local: SocketAddress? = nil,
        deadline: Instant,
        options: ConnectionOptions = ConnectionOptions()
    ) throws(ReactorError) -> ConnectionID {
        let descriptor = try Self.makeSocket(address)
        options.apply(to: descriptor, isTCP: !address.isUnix)
        if let local {
            _ = ConnectionOptions.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
            guard local.withPointer({ bind(descriptor, $0, $1) }) == 0 else {
                let code = Errno.last
                Glibc.close(descriptor)
                throw .systemCall("bind", object: local.description, code)
            }
        }
        guard
            let slot = self.makeConnection(
                descriptor,
                isTCP: !address.isUnix,
                phase: .connecting,
                options
            )
        else {
            Glibc.close(descriptor)
            throw .limitReached("connections", limit: self.limits.connections)
        }
        (self.connectAddresses + Int(slot)).initialize(to: address.storage)
        let entry = self.ring.entry()
        UnsafeRawPointer(self.connectAddresses + Int(slot))
            .withMemoryRebound(to: sockaddr.self, capacity: 1) {
                io_uring_prep_connect(entry, descriptor, $0, address.length)
            }
        self.ring.tag(entry, self.tag(.connect, slot))
        let connection = self.connections[slot]
        connection.pointee.isConnectInKernel = true
        self.timers.arm(connection.pointee.timer, at: deadline)
        return self.id(slot)
    }

    /// Takes over a connected stream socket, such as one end of a socket pair.
    ///
    /// Closes it on failure.
    /// - Throws: ``ReactorError/limitReached(_:limit:)``.
    package func adopt(
        _ descriptor: Int32,
        options: ConnectionOptions = ConnectionOptions()
    ) throws(ReactorError) -> ConnectionID {
        let domain = ConnectionOptions.get(descriptor, SOL_SOCKET, SO_DOMAIN)
        let isTCP = domain == AF_INET || domain == AF_INET6
        options.apply(to: descriptor, isTCP: isTCP)
        // An operation of the ring waits for a blocking socket, and fails on a non-blocking one.
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        guard let slot = self.makeConnection(descriptor, isTCP: isTCP, phase: .open, options) else {
            Glibc.close(descriptor)
            throw .limitReached("connections", limit: self.limits.connections)
        }
        return self.id(slot)
    }

    /// Closes in order: sends what is queued, ends our stream, and waits for the end of the peer's,
    /// throwing away what it still sends.
    ///
    /// Aborts when `deadline` passes first. With `afterPeer` our stream ends only when the peer's
    /// has ended, or at the deadline.
    ///
    /// Memory comes back by its events, then ``Event/closed(_:)`` follows.
    package func close(_ id: ConnectionID, deadline: Instant, afterPeer: Bool = false) {
        guard let connection = self.record(of: id), !connection.pointee.isReleased else { return }
        connection.pointee.isReleased = true
        switch connection.pointee.phase {
        case .connecting: self.abandon(id.slot, resets: false)
        case .open:
            connection.pointee.phase = .draining
            connection.pointee.shutsSending = connection.pointee.shutsSending || !afterPeer
            self.timers.arm(connection.pointee.timer, at: deadline)
            if connection.pointee.receive.isInKernel {
                self.cancel(.receive, of: id.slot)
            } else {
                self.discard(id.slot)
            }
            self.markDirty(id.slot)
        case .draining, .closing, .closed: break
        }
    }

    /// Drops the connection at once, with a reset if it is TCP.
    ///
    /// Memory comes back by its events, then ``Event/closed(_:)`` follows.
    package func abort(_ id: ConnectionID) {
        guard let connection = self.record(of: id) else { return }
        connection.pointee.isReleased = true
        self.abandon(id.slot, resets: true)
    }

    /// Ends our stream once what is queued has been sent; receiving goes on.
    ///
    /// False if the connection is not open.
    @discardableResult
    package func shutdownSending(_ id: ConnectionID) -> Bool {
        guard let connection = self.find(id), connection.pointee.phase == .open else {
            return false
        }
        connection.pointee.shutsSending = true
        self.markDirty(id.slot)
        return true
    }

    /// Whether data can be sent and received.
    package func isOpen(_ id: ConnectionID) -> Bool { self.find(id)?.pointee.phase == .open }
}

extension Reactor {
    /// The connection, unless its descriptor is closed; nil for a stale handle.
    func find(_ id: ConnectionID) -> UnsafeMutablePointer<Connection>? {
        guard let connection = self.record(of: id), connection.pointee.phase != .closed else {
            return nil
        }
        return connection
    }

    /// What is known of the connection until its last event is taken; nil for a stale handle.
    func record(of id: ConnectionID) -> UnsafeMutablePointer<Connection>? {
        self.connections.find(id.slot, id.generation)
    }

    func id(_ slot: UInt32) -> ConnectionID {
        ConnectionID(slot: slot, generation: self.connections.generation(slot))
    }

    func tag(_ kind: CompletionTag.Kind, _ slot: UInt32) -> CompletionTag {
        CompletionTag(kind, slot: slot, generation: self.connections.generation(slot))
    }

    func isReleased(_ id: ConnectionID) -> Bool { self.record(of: id)?.pointee.isReleased ?? true }

    static func makeSocket(_ address: SocketAddress) throws(ReactorError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else {
            throw .systemCall("socket", object: address.description, .last)
        }
        return descriptor
    }

    /// Puts an open descriptor into a slot; nil if there is none.
    func makeConnection(
        _ descriptor: Int32,
        isTCP: Bool,
        phase: Connection.Phase,
        _ options: ConnectionOptions
    ) -> UInt32? {
        guard !self.connections.isFull else { return nil }
        invariant(options.sendSegments.nonzeroBitCount == 1, "send segments: a power of two")
        invariant(options.sendCopyByteCount.nonzeroBitCount == 1, "copied bytes: a power of two")
        guard let timer = self.timers.take(.connection(slot: 0)) else {
            invariantBroken("each connection has a timer")
        }
        let queue = SendQueue(
            segments: options.sendSegments,
            copiedBytes: options.sendCopyByteCount
        )
        let connection = Connection(
            descriptor: descriptor,
            isTCP: isTCP,
            timer: timer,
            phase: phase,
            send: queue
        )
        guard let slot = self.connections.take(connection) else { return nil }
        self.timers.timers[timer].initialize(to: .init(owner: .connection(slot: slot)))
        return slot
    }

    func connectCompleted(_ slot: UInt32, _ result: Int32) {
        let connection = self.connections[slot]
        connection.pointee.isConnectInKernel = false
        guard connection.pointee.phase == .connecting else { return self.settle(slot) }
        guard result == 0 else { return self.fail(slot, Errno(-result)) }
        connection.pointee.phase = .open
        self.timers.disarm(connection.pointee.timer)
        self.report(.connected(self.id(slot)))
        if !connection.pointee.send.isEmpty { self.markDirty(slot) }
    }

    func connectionExpired(_ slot: UInt32) {
        switch self.connections[slot].pointee.phase {
        case .connecting: self.fail(slot, .timedOut)
        case .draining: self.abandon(slot, resets: self.connections[slot].pointee.shutsSending)
        case .open, .closing, .closed: break
        }
    }

    func cancelCompleted(_ slot: UInt32) {
        guard slot != .max else { return }
        self.connections[slot].pointee.cancelsInKernel -= 1
        self.settle(slot)
    }

    func cancel(_ kind: CompletionTag.Kind, of slot: UInt32) {
        self.connections[slot].pointee.cancelsInKernel += 1
        self.ring.cancel(self.tag(kind, slot), as: self.tag(.cancel, slot))
    }

    /// Reports a failure to a driver that still cares, and abandons the connection.
    func fail(_ slot: UInt32, _ code: Errno) {
        switch self.connections[slot].pointee.phase {
        case .connecting, .open: self.report(.failed(self.id(slot), code))
        case .draining, .closing, .closed: break
        }
        self.abandon(slot, resets: false)
    }

    /// Gives up what is queued, calls off what is under way, and closes once the kernel has let go.
    func abandon(_ slot: UInt32, resets: Bool) {
        let connection = self.connections[slot]
        guard connection.pointee.phase != .closing, connection.pointee.phase != .closed else {
            return
        }
        connection.pointee.phase = .closing
        self.timers.disarm(connection.pointee.timer)
        if resets, connection.pointee.isTCP {
            var rule = linger(l_onoff: 1, l_linger: 0)
            setsockopt(
                connection.pointee.descriptor,
                SOL_SOCKET,
                SO_LINGER,
                &rule,
                socklen_t(MemoryLayout<linger>.size)
            )
        }
        while let segment = connection.pointee.send.popFirst() {
            if segment.hasToken { self.report(.sendAbandoned(self.id(slot), token: segment.token)) }
        }
        if connection.pointee.receive.isInKernel { self.cancel(.receive, of: slot) }
        if connection.pointee.isSendReadyInKernel { self.cancel(.sendReady, of: slot) }
        if connection.pointee.isConnectInKernel { self.cancel(.connect, of: slot) }
        self.settle(slot)
    }

    /// Closes the descriptor of a closing connection that the kernel has let go of.
    func settle(_ slot: UInt32) {
        let connection = self.connections[slot]
        guard connection.pointee.phase == .closing, !connection.pointee.isInKernel else { return }
        connection.pointee.phase = .closed
        Glibc.close(connection.pointee.descriptor)
        connection.pointee.send.deallocate()
        self.timers.timers.release(connection.pointee.timer)
        self.report(.closed(self.id(slot)))
    }

    /// Gives the slot back: the driver takes its last event.
    func release(_ id: ConnectionID) {
        self.connections.release(id.slot)
        guard self.loop.pointee.hasFullTable else { return }
        self.loop.pointee.hasFullTable = false
        for slot in self.listeners.keys.sorted() { self.accept(slot) }
    }
}
