// SPDX-License-Identifier: Apache-2.0

import CLinux
import CUring
import Glibc
import Primitives

extension Reactor {
    /// Receives into lent memory until at least `minimum` bytes are there; one receive at a time.
    ///
    /// `minimum` 1 takes what comes; `minimum` equal to the memory's size fills it. The memory
    /// comes back by ``Event/received(_:token:byteCount:)``,
    /// ``Event/endOfStream(_:token:byteCount:)`` or ``Event/receiveAbandoned(_:token:)``. A driver
    /// that does not call this is what pausing is. False if the connection is not open: then the
    /// memory stays the caller's.
    @discardableResult
    package func receive(
        on id: ConnectionID,
        into memory: UnsafeMutableRawBufferPointer,
        atLeast minimum: Int = 1,
        token: UInt64 = 0
    ) -> Bool {
        guard let connection = self.find(id), connection.pointee.phase == .open else {
            return false
        }
        invariant(!connection.pointee.receive.isLent, "one receive at a time on a connection")
        invariant(minimum > 0 && minimum <= memory.count, "minimum of a receive")
        connection.pointee.receive.memory = memory.baseAddress
        connection.pointee.receive.capacity = memory.count
        connection.pointee.receive.minimum = minimum
        connection.pointee.receive.filled = 0
        connection.pointee.receive.token = token
        connection.pointee.receive.isLent = true
        self.submitReceive(id.slot)
        return true
    }

    /// Whether a receive is under way; false for a stale handle.
    package func isReceiving(_ id: ConnectionID) -> Bool {
        self.find(id)?.pointee.receive.isLent ?? false
    }

    /// Queues lent memory, which leaves with the rest of the batch.
    ///
    /// With a token, ``Event/sent(_:token:)`` or ``Event/sendAbandoned(_:token:)`` gives the memory
    /// back; without one it must outlive the connection or a later segment's token. False if the
    /// queue is full, and then ``Event/sendReady(_:)`` follows, or if the connection is neither
    /// open nor connecting: then the memory stays the caller's.
    package func send(
        _ bytes: UnsafeRawBufferPointer,
        on id: ConnectionID,
        token: UInt64?
    ) -> Bool {
        guard let connection = self.sendable(id) else { return false }
        guard connection.pointee.send.append(lent: bytes, token: token) else { return false }
        self.markDirty(id.slot)
        return true
    }

    /// Queues a copy of `bytes`, meant for headers and short messages: at most half of
    /// ``ConnectionOptions/sendCopyByteCount``.
    ///
    /// False as for lent memory.
    package func send(copying bytes: UnsafeRawBufferPointer, on id: ConnectionID) -> Bool {
        guard let connection = self.sendable(id) else { return false }
        guard connection.pointee.send.append(copyOf: bytes) else { return false }
        self.markDirty(id.slot)
        return true
    }

    /// Whether `segments` sends with `byteCount` bytes of copies in all will be accepted now.
    ///
    /// For messages of several parts, none of which may be refused. If not,
    /// ``Event/sendReady(_:)`` follows. True for a connection that takes nothing any more: there
    /// the parts are dropped.
    package func reserve(_ segments: Int, byteCount: Int, on id: ConnectionID) -> Bool {
        guard let connection = self.find(id) else { return true }
        let phase = connection.pointee.phase
        guard phase == .open || phase == .connecting else { return true }
        if connection.pointee.send.reserve(segments: segments, byteCount: byteCount) { return true }
        self.markDirty(id.slot)
        return false
    }

    /// Whether the peer has not ended its stream, even behind bytes that wait; takes none of them.
    package func isAlive(_ id: ConnectionID) -> Bool {
        guard let connection = self.find(id), connection.pointee.phase == .open else {
            return false
        }
        let descriptor = connection.pointee.descriptor
        if connection.pointee.isTCP { return clinux_is_tcp_established(descriptor) == 1 }
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
        return count > 0 || count < 0 && (errno == EAGAIN || errno == EINTR)
    }

    /// Bytes queued and not yet taken by the kernel, and bytes taken so far; zeroes for a stale
    /// handle.
    package func sendCounters(of id: ConnectionID) -> (queued: Int, sent: UInt64) {
        guard let connection = self.find(id) else {
            return (0, 0)
        }
        return (connection.pointee.send.queuedByteCount, connection.pointee.send.sentByteCount)
    }

    private func sendable(_ id: ConnectionID) -> UnsafeMutablePointer<Connection>? {
        guard let connection = self.find(id) else { return nil }
        let phase = connection.pointee.phase
        guard phase == .open || phase == .connecting else { return nil }
        invariant(!connection.pointee.shutsSending, "nothing is sent after the end of our stream")
        return connection
    }
}

extension Reactor {
    func submitReceive(_ slot: UInt32) {
        let connection = self.connections[slot]
        let receive = connection.pointee.receive
        guard let memory = receive.memory else { invariantBroken("a receive has memory") }
        self.submitReceive(
            slot,
            memory + receive.filled,
            receive.capacity - receive.filled,
            waitsForAll: receive.minimum == receive.capacity
        )
    }

    private func submitReceive(
        _ slot: UInt32,
        _ memory: UnsafeMutableRawPointer,
        _ byteCount: Int,
        waitsForAll: Bool
    ) {
        let connection = self.connections[slot]
        let entry = self.ring.entry()
        let flags = waitsForAll ? Int32(MSG_WAITALL) : 0
        io_uring_prep_recv(entry, connection.pointee.descriptor, memory, byteCount, flags)
        if !connection.pointee.hasMoreToReceive {
            entry.pointee.ioprio |= UInt16(IORING_RECVSEND_POLL_FIRST)
        }
        self.ring.tag(entry, self.tag(.receive, slot))
        connection.pointee.receive.isInKernel = true
    }

    func receiveCompleted(_ slot: UInt32, _ result: Int32, _ flags: UInt32) {
        let connection = self.connections[slot]
        connection.pointee.receive.isInKernel = false
        connection.pointee.hasMoreToReceive = flags & UInt32(IORING_CQE_F_SOCK_NONEMPTY) != 0
        switch connection.pointee.phase {
        case .open: self.receiveCompletedOpen(slot, result)
        case .draining:
            if connection.pointee.receive.isLent {
                self.giveBackReceive(slot)
                self.discard(slot)
            } else if result > 0 {
                self.discard(slot)
            } else {
                self.peerEndedWhileDraining(slot, result)
            }
        case .closing:
            if connection.pointee.receive.isLent { self.giveBackReceive(slot) }
            self.settle(slot)
        case .connecting, .closed: invariantBroken("only an open connection receives")
        }
    }

    private func receiveCompletedOpen(_ slot: UInt32, _ result: Int32) {
        let connection = self.connections[slot]
        guard result >= 0 else {
            if -result == EINTR || -result == EAGAIN { return self.submitReceive(slot) }
            self.giveBackReceive(slot)
            return self.fail(slot, Errno(-result))
        }
        connection.pointee.receive.filled += Int(result)
        let receive = connection.pointee.receive
        if result > 0, receive.filled < receive.minimum { return self.submitReceive(slot) }
        if result == 0, self.isReset(slot) {
            self.giveBackReceive(slot)
            return self.fail(slot, .connectionReset)
        }
        connection.pointee.receive.isLent = false
        let id = self.id(slot)
        self.report(
            result == 0
                ? .endOfStream(id, token: receive.token, byteCount: receive.filled)
                : .received(id, token: receive.token, byteCount: receive.filled)
        )
    }

    /// Whether what looks like the end of the stream is a reset: a receive that fills its memory
    /// gets the bytes before it, and the kernel then has forgotten the error.
    private func isReset(_ slot: UInt32) -> Bool {
        let connection = self.connections[slot]
        return connection.pointee.isTCP && !connection.pointee.isSendingShut
            && clinux_is_tcp_closed(connection.pointee.descriptor) == 1
    }

    private func giveBackReceive(_ slot: UInt32) {
        let connection = self.connections[slot]
        connection.pointee.receive.isLent = false
        let token = connection.pointee.receive.token
        self.report(.receiveAbandoned(self.id(slot), token: token))
    }

    /// Receives into the scratch memory: what a draining connection's peer still sends.
    func discard(_ slot: UInt32) {
        let connection = self.connections[slot]
        guard connection.pointee.phase == .draining, !connection.pointee.receive.isInKernel else {
            return
        }
        self.submitReceive(slot, self.scratch, Self.scratchByteCount, waitsForAll: false)
    }

    /// After the peer's end of stream only the rest of our own is missing.
    private func peerEndedWhileDraining(_ slot: UInt32, _ result: Int32) {
        if -result == EINTR || -result == EAGAIN { return self.discard(slot) }
        let connection = self.connections[slot]
        connection.pointee.hasPeerEnded = true
        if result < 0 || connection.pointee.isSendingShut {
            self.abandon(slot, resets: false)
        } else if !connection.pointee.shutsSending {
            connection.pointee.shutsSending = true
            self.markDirty(slot)
        }
    }
}

extension Reactor {
    func markDirty(_ slot: UInt32) {
        guard !self.isDirty[Int(slot)] else { return }
        self.isDirty[Int(slot)] = true
        (self.dirty + self.loop.pointee.dirtyCount).initialize(to: slot)
        self.loop.pointee.dirtyCount += 1
    }

    /// Sends what the batch has queued, one call per connection.
    func flushDirty() {
        let count = self.loop.pointee.dirtyCount
        self.loop.pointee.dirtyCount = 0
        for index in 0..<count {
            let slot = self.dirty[index]
            self.isDirty[Int(slot)] = false
            // The connection may have gone since, and its slot may even have a new owner.
            if self.connections.isInUse(slot) { self.flush(slot) }
        }
    }

    private func flush(_ slot: UInt32) {
        let connection = self.connections[slot]
        let phase = connection.pointee.phase
        guard phase == .open || phase == .draining else { return }
        guard !connection.pointee.isSendReadyInKernel else { return }
        while !connection.pointee.send.isEmpty {
            let sent = connection.pointee.send.send(on: connection.pointee.descriptor)
            guard sent >= 0 else {
                if -sent == Int(EAGAIN) { return self.awaitSendReady(slot) }
                return self.fail(slot, Errno(Int32(-sent)))
            }
            let isPartial = connection.pointee.send.isPartial(sent)
            self.noteSent(slot, sent)
            if isPartial { return self.awaitSendReady(slot) }
        }
        if connection.pointee.shutsSending { self.shutSending(slot) }
    }

    private func noteSent(_ slot: UInt32, _ sent: Int) {
        let connection = self.connections[slot]
        connection.pointee.send.noteSent(sent)
        var budget = sent
        while let segment = connection.pointee.send.popSent(&budget) {
            if segment.hasToken { self.report(.sent(self.id(slot), token: segment.token)) }
        }
        if connection.pointee.send.owesRoom, connection.pointee.send.isHalfFree {
            connection.pointee.send.owesRoom = false
            self.report(.sendReady(self.id(slot)))
        }
    }

    /// Waits until the socket takes data again.
    ///
    /// The kernel gets no pointer, so that an abort need not wait for anything, and what is queued
    /// meanwhile joins the next call.
    private func awaitSendReady(_ slot: UInt32) {
        let connection = self.connections[slot]
        let entry = self.ring.entry()
        io_uring_prep_poll_add(entry, connection.pointee.descriptor, UInt32(POLLOUT))
        self.ring.tag(entry, self.tag(.sendReady, slot))
        connection.pointee.isSendReadyInKernel = true
    }

    func sendReadyCompleted(_ slot: UInt32) {
        let connection = self.connections[slot]
        connection.pointee.isSendReadyInKernel = false
        switch connection.pointee.phase {
        case .open, .draining: self.flush(slot)
        case .closing: self.settle(slot)
        case .connecting, .closed: invariantBroken("only an open connection waits for room")
        }
    }

    private func shutSending(_ slot: UInt32) {
        let connection = self.connections[slot]
        guard !connection.pointee.isSendingShut else { return }
        connection.pointee.isSendingShut = true
        // ENOTCONN: the peer has reset the connection; a receive reports it.
        _ = shutdown(connection.pointee.descriptor, Int32(SHUT_WR))
        if connection.pointee.phase == .draining, connection.pointee.hasPeerEnded {
            self.abandon(slot, resets: false)
        }
    }
}
