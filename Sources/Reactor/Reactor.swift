// SPDX-License-Identifier: Apache-2.0

import CUring
import Glibc
package import Primitives

/// One thread's event loop on one io_uring: sockets, files, timers, signals and messages.
///
/// The driver pulls; nothing calls it back:
///
///     while running {
///         reactor.turn()  // sends, submits, waits, collects
///         while let event = reactor.next() { driver.handle(event) }
///     }
///
/// Events and handles are plain values. After warm-up neither a turn nor an operation allocates,
/// retains or locks; buffered writes lock briefly to reach their threads. Everything that `handle`
/// sends on a connection leaves in one vectored call at the next turn.
///
/// Created, used and released on one thread; only ``waker`` may be used from others. Releasing it
/// aborts what is open and waits until the kernel has let go of all memory.
package final class Reactor {
    /// The bounds it was created with.
    package let limits: ReactorLimits
    /// The payload memory.
    package let buffers: BufferPool
    /// Why not all buffers are registered with the ring, for the log; nil if they are.
    package let bufferNotice: String?
    /// Wakes the loop from other threads.
    package let waker: Waker

    let ring: Ring
    let connections: HandleTable<Connection>
    let connectAddresses: UnsafeMutablePointer<sockaddr_storage>
    /// The connections with something to flush, each once.
    let dirty: UnsafeMutablePointer<UInt32>
    let isDirty: UnsafeMutablePointer<Bool>
    let files: HandleTable<File>
    let fileOperations: HandleTable<FileOperation>
    let timers: TimerHeap
    let writers: BlockingPool
    /// Where what a closing connection still receives is thrown away.
    let scratch: UnsafeMutableRawPointer
    static let scratchByteCount = 65536
    /// What ranges are zeroed with; never written.
    let zeroes: UnsafeMutableRawPointer
    /// Where the kernel writes how often the loop was woken.
    let wakeCounter: UnsafeMutablePointer<UInt64>
    let loop: UnsafeMutablePointer<LoopState>
    /// Control path only.
    var listeners: [UInt32: Listener] = [:]
    var listenerGeneration: UInt32 = 0
    var signals: SignalSource?

    /// The part that changes with each turn, out of reach of run-time exclusivity checks.
    struct LoopState: ~Copyable {
        var events = ActionQueue<Event>(capacity: 1024)
        var now: Instant
        var dirtyCount = 0
        var hasSkippedWait = false
        var isEnding = false
        /// A listener waits for a free connection.
        var hasFullTable = false
        /// How often the thread had slept when the turn of this time made its first buffered write.
        var sleeps: Int64 = 0
        var sleepsCountedAt = Instant.zero
    }

    /// Sets up the ring, the memory and the writer threads.
    /// - Throws: ``ReactorError``, above all when io_uring is not available.
    package init(_ limits: ReactorLimits = ReactorLimits()) throws(ReactorError) {
        let ring = try Ring()
        do throws(ReactorError) {
            self.waker = try Waker()
            self.writers = try BlockingPool(
                threads: limits.writerThreads,
                capacity: limits.fileOperations,
                waker: self.waker
            )
            self.buffers = try BufferPool(limits.buffers)
        } catch {
            ring.close()
            throw error
        }
        self.limits = limits
        self.ring = ring
        self.connections = HandleTable(capacity: limits.connections)
        self.connectAddresses = .allocate(capacity: limits.connections)
        self.dirty = .allocate(capacity: limits.connections)
        self.isDirty = .allocate(capacity: limits.connections)
        self.isDirty.initialize(repeating: false, count: limits.connections)
        self.files = HandleTable(capacity: limits.files)
        self.fileOperations = HandleTable(capacity: limits.fileOperations)
        self.timers = TimerHeap(
            capacity: limits.connections + limits.listeners
        )
        self.scratch = .allocate(byteCount: Self.scratchByteCount, alignment: 4096)
        self.zeroes = .allocate(byteCount: ReactorLimits.zeroChunkByteCount, alignment: 4096)
        memset(self.zeroes, 0, ReactorLimits.zeroChunkByteCount)
        self.wakeCounter = .allocate(capacity: 1)
        self.wakeCounter.initialize(to: 0)
        self.loop = .allocate(capacity: 1)
        self.loop.initialize(to: LoopState(now: Self.readClock()))
        self.bufferNotice = limits.registersBuffers ? self.buffers.register(with: ring) : nil
        self.armWake()
    }

    deinit {
        self.end()
        self.ring.close()
        self.buffers.deallocate()
        self.connections.deallocate()
        self.connectAddresses.deallocate()
        self.dirty.deallocate()
        self.isDirty.deallocate()
        self.files.deallocate()
        self.fileOperations.deallocate()
        self.timers.deallocate()
        self.scratch.deallocate()
        self.zeroes.deallocate()
        self.wakeCounter.deallocate()
        self.loop.deinitialize(count: 1)
        self.loop.deallocate()
    }

    /// The time of the current turn; a core's `now`.
    package var now: Instant { self.loop.pointee.now }

    /// Sends what is queued, submits what is prepared, and collects what has happened.
    ///
    /// Waits until there is an event, at most until `limit`.
    package func turn(until limit: Instant = .distantFuture) {
        self.flushDirty()
        // What the flush has completed goes to the driver before the kernel is entered again; but
        // only once, so that a driver that answers each completion with a send cannot starve the
        // rest.
        if !self.loop.pointee.events.isEmpty, !self.loop.pointee.hasSkippedWait {
            self.loop.pointee.hasSkippedWait = true
            return
        }
        self.loop.pointee.hasSkippedWait = false
        self.enter(until: limit)
        self.loop.pointee.now = Self.readClock()
        self.ring.harvest { tag, result, flags in self.complete(tag, result, flags) }
        while let timer = self.timers.popExpired(at: self.now) { self.expire(timer) }
    }

    /// Takes the next event of the turn; nil when the turn is through.
    package func next() -> Event? {
        while let event = self.loop.pointee.events.popFirst() {
            if let event = self.current(event) { return event }
        }
        return nil
    }

    func report(_ event: Event) { self.loop.pointee.events.append(event) }

    private func enter(until limit: Instant) {
        guard self.loop.pointee.events.isEmpty else { return self.ring.submit() }
        let deadline = min(limit, self.timers.nextDeadline)
        guard deadline < .distantFuture else { return self.ring.submitAndWait(atMost: nil) }
        let span = deadline.since(Self.readClock())
        if span == .zero { self.ring.submit() } else { self.ring.submitAndWait(atMost: span) }
    }

    private func complete(_ tag: CompletionTag, _ result: Int32, _ flags: UInt32) {
        switch tag.kind {
        case .receive: self.receiveCompleted(tag.slot, result, flags)
        case .file: self.fileOperationCompleted(tag.slot, result)
        case .sendReady: self.sendReadyCompleted(tag.slot)
        case .wake: self.wakeCompleted(result)
        case .connect: self.connectCompleted(tag.slot, result)
        case .accept: self.acceptCompleted(tag.slot, result)
        case .signal: self.signalCompleted()
        case .cancel: self.cancelCompleted(tag.slot)
        }
    }

    private func expire(_ timer: UInt32) {
        switch self.timers.timers[timer].pointee.owner {
        case .connection(let slot): self.connectionExpired(slot)
        case .listener(let slot): self.resumeAccepting(slot)
        }
    }

    /// The event as it is now: a driver that has let go of something hears no more of it, except
    /// that its memory comes back.
    private func current(_ event: Event) -> Event? {
        switch event {
        case .received(let id, let token, _), .endOfStream(let id, let token, _):
            return self.isReleased(id) ? .receiveAbandoned(id, token: token) : event
        case .connected(let id), .failed(let id, _), .sendReady(let id):
            return self.isReleased(id) ? nil : event
        case .closed(let id):
            self.release(id)
            return event
        case .acceptFailed(let id, _):
            return self.isListening(id) ? event : nil
        case .accepted, .receiveAbandoned, .sent, .sendAbandoned, .fileCompleted, .fileFailed,
            .fileClosed, .messages, .stopRequested, .signal:
            return event
        }
    }

    /// Not inlined: a look at a variable of this class costs an exclusivity check per event.
    @inline(never)
    private func isListening(_ id: ListenerID) -> Bool {
        self.listeners[id.slot]?.generation == id.generation
    }

    static func readClock() -> Instant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }
}

extension Reactor {
    /// Aborts what is open and waits until the kernel has let go of all memory.
    private func end() {
        self.loop.pointee.isEnding = true
        for slot in 0..<UInt32(self.limits.connections) where self.connections.isInUse(slot) {
            self.abandon(slot, resets: true)
        }
        for slot in self.listeners.keys { self.closeListener(slot) }
        self.ring.cancel(CompletionTag(.wake), as: CompletionTag(.cancel, slot: .max))
        if self.signals != nil {
            self.ring.cancel(CompletionTag(.signal), as: CompletionTag(.cancel, slot: .max))
        }
        while self.ring.outstanding.pointee > 0 {
            self.ring.submitAndWait(atMost: nil)
            self.ring.harvest { tag, result, flags in self.complete(tag, result, flags) }
        }
        self.writers.stop()
        self.collectWrites()
        invariant(self.fileOperations.isEmpty, "no file operation is under way at the end")
        for slot in 0..<UInt32(self.limits.files) where self.files.isInUse(slot) {
            Glibc.close(self.files[slot].pointee.descriptor)
        }
        if let source = self.signals { Glibc.close(source.descriptor) }
    }
}
