// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives

/// What the thread of a link does: waits for sockets and times, and moves what may move.
struct LinkLoop {
    let link: Link
    var clock = LinkClock()
    private var settings: LinkSettings
    /// Towards the far ends.
    var forward: Line
    /// Towards the near ends.
    var backward: Line
    var connections: [LinkConnection] = []
    private var counters = LinkCounters()
    /// The connection that is served first, so that each one's turn comes.
    private var first = 0
    private var memory = [UInt8](repeating: 0, count: Int(LinkLimits.pieceBytes.upperBound))

    init(_ link: Link, _ settings: LinkSettings) {
        self.link = link
        self.settings = settings
        self.forward = Line(settings, seed: 1)
        self.backward = Line(settings, seed: 2)
    }

    /// Carries out a request.
    mutating func perform(_ request: LinkRequest) -> LinkAnswer {
        do throws(LinkError) {
            switch request {
            case .cut: self.clock.cut(at: .now)
            case .heal: self.clock.heal(at: .now)
            case .reset: self.forEach { $0.reset() }
            case .halfOpen(let kept): self.forEach { $0.halfOpen(keeping: kept) }
            case .rate(let text): self.settings.rate = try LinkSettings.rate(text)
            case .delay(let text):
                self.settings.delay = try LinkSettings.milliseconds(text, as: "delay")
            case .jitter(let text):
                self.settings.jitter = try LinkSettings.milliseconds(text, as: "jitter")
            case .counters: break
            }
        } catch { return .refused(error) }
        self.forward.change(to: self.settings)
        self.backward.change(to: self.settings)
        self.connections.removeAll(where: \.isGone)
        return .done(self.report)
    }

    /// Waits until something can be done and does it; returns for requests too.
    mutating func turn() {
        self.wait()
        guard !self.clock.isCut else { return }
        let now = self.clock.time(at: .now)
        self.accept(at: now)
        let count = self.connections.count
        for place in 0..<count {
            let index = (place + self.first) % count
            for end in LinkEnd.allCases { self.serve(index, end, at: now) }
        }
        self.first = count == 0 ? 0 : (self.first + 1) % count
        self.connections.removeAll(where: \.isGone)
    }

    /// Resets every connection.
    mutating func closeAll() { self.forEach { $0.reset() } }

    private var report: LinkReport {
        LinkReport(
            settings: "\(self.settings)",
            isCut: self.clock.isCut,
            connections: self.connections.count,
            counters: self.counters.unshared
        )
    }

    private mutating func forEach(_ body: (inout LinkConnection) -> Void) {
        for index in self.connections.indices { body(&self.connections[index]) }
    }
}

// What moves.
extension LinkLoop {
    private mutating func accept(at now: Instant) {
        for (listener, route) in zip(self.link.listeners, self.link.routes) {
            while self.connections.count < LinkLimits.connections,
                let socket = listener.accepted()
            {
                var connection = LinkConnection(accepted: socket, target: route.target)
                self.forward.send(.open, by: &connection.far.flow, at: now)
                self.connections.append(connection)
            }
        }
    }

    private mutating func serve(_ index: Int, _ end: LinkEnd, at now: Instant) {
        if self.connections[index].kept == end { return self.swallow(index, end) }
        if self.connections[index][end].isConnecting { self.finishConnecting(index, at: now) }
        while !self.connections[index][end].isConnecting,
            let (item, offset) = self.connections[index][end].flow.arrived(at: now)
        {
            guard self.deliver(item, from: offset, to: index, end, at: now) else { break }
        }
        self.read(index, end, at: now)
    }

    /// Whether the next item may follow.
    private mutating func deliver(
        _ item: Flow.Item,
        from offset: Int,
        to index: Int,
        _ end: LinkEnd,
        at now: Instant
    ) -> Bool {
        switch item {
        case .bytes(let bytes):
            return self.write(bytes, from: offset, to: index, end, at: now)
        case .open:
            self.connections[index][end].flow.takeItem()
            self.connect(index, at: now)
            return true
        case .endOfStream:
            self.connections[index][end].flow.takeItem()
            self.connections[index][end].socket?.finishWriting()
            self.connections[index][end].isFinished = true
            if self.connections[index].isComplete { self.connections[index].close() }
            return true
        case .reset:
            self.connections[index].drop(end) { $0.reset() }
            return false
        }
    }

    private mutating func write(
        _ bytes: [UInt8],
        from offset: Int,
        to index: Int,
        _ end: LinkEnd,
        at now: Instant
    ) -> Bool {
        guard let socket = self.connections[index][end].socket else { return false }
        let outcome = bytes.withUnsafeBytes {
            socket.write(UnsafeRawBufferPointer(rebasing: $0[offset...]))
        }
        switch outcome {
        case .done(let count):
            self.connections[index].counter.count(
                bytes.span.bytes.extracting(offset..<offset + count),
                end == .far ? .forward : .backward,
                into: &self.counters
            )
            self.connections[index][end].flow.take(count)
            self.connections[index][end].isBlocked = offset + count < bytes.count
            return !self.connections[index][end].isBlocked
        case .wouldBlock:
            self.connections[index][end].isBlocked = true
            return false
        case .failed:
            self.fail(index, end, at: now)
            return false
        }
    }

    private mutating func read(_ index: Int, _ end: LinkEnd, at now: Instant) {
        let room = self.room(index, end, at: now)
        guard room > 0, let socket = self.connections[index][end].socket else { return }
        let outcome = self.memory.withUnsafeMutableBytes {
            socket.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<room]))
        }
        switch outcome {
        case .done(0):
            self.connections[index][end].hasEnded = true
            self.send(.endOfStream, to: index, end.other, at: now)
        case .done(let count):
            self.send(.bytes(Array(self.memory[..<count])), to: index, end.other, at: now)
        case .wouldBlock: break
        case .failed: self.fail(index, end, at: now)
        }
    }

    /// The size of the piece that may be read from an end; 0 if it has to wait or is at its end.
    private func room(_ index: Int, _ end: LinkEnd, at now: Instant) -> Int {
        guard self.connections[index].canRead(end) else { return 0 }
        let line = end == .near ? self.forward : self.backward
        return line.room(for: self.connections[index][end.other].flow, at: now)
    }

    private mutating func send(
        _ item: Flow.Item,
        to index: Int,
        _ end: LinkEnd,
        at now: Instant
    ) {
        switch end {
        case .near: self.backward.send(item, by: &self.connections[index].near.flow, at: now)
        case .far: self.forward.send(item, by: &self.connections[index].far.flow, at: now)
        }
    }

    private mutating func connect(_ index: Int, at now: Instant) {
        do throws(LinkError) {
            let socket = try TCPSocket.made(for: self.connections[index].target)
            self.connections[index].far.socket = socket
            self.connections[index].far.isConnecting = true
            self.finishConnecting(index, at: now)
        } catch { self.fail(index, .far, at: now) }
    }

    private mutating func finishConnecting(_ index: Int, at now: Instant) {
        guard let socket = self.connections[index].far.socket else { return }
        switch socket.connect(to: self.connections[index].target) {
        case .done: self.connections[index].far.isConnecting = false
        case .wouldBlock: break
        case .failed: self.fail(index, .far, at: now)
        }
    }

    /// An end is gone: the other one learns it by a reset, a delay later.
    private mutating func fail(_ index: Int, _ end: LinkEnd, at now: Instant) {
        self.connections[index].drop(end) { $0.close() }
        self.send(.reset, to: index, end.other, at: now)
    }

    /// Takes what the end that never learns sends, until it gives up.
    private mutating func swallow(_ index: Int, _ end: LinkEnd) {
        guard let socket = self.connections[index][end].socket else { return }
        switch self.memory.withUnsafeMutableBytes({ socket.read(into: $0) }) {
        case .done(0), .failed: self.connections[index].drop(end) { $0.close() }
        case .done, .wouldBlock: break
        }
    }
}

// What is waited for.
extension LinkLoop {
    /// Waits for the sockets, times and requests that allow the next step.
    private func wait() {
        var entries = [pollfd(fd: self.link.wakeup, events: Int16(POLLIN), revents: 0)]
        var deadline = Instant.distantFuture
        let now = self.clock.time(at: .now)
        if !self.clock.isCut {
            self.addListeners(to: &entries)
            for index in self.connections.indices {
                for end in LinkEnd.allCases {
                    self.add(index, end, at: now, to: &entries, until: &deadline)
                }
            }
        }
        _ = poll(&entries, nfds_t(entries.count), Self.milliseconds(from: now, until: deadline))
        guard entries[0].revents != 0 else { return }
        var count: UInt64 = 0
        _ = Glibc.read(self.link.wakeup, &count, MemoryLayout<UInt64>.size)
    }

    private func addListeners(to entries: inout [pollfd]) {
        guard self.connections.count < LinkLimits.connections else { return }
        for listener in self.link.listeners {
            entries.append(
                pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)
            )
        }
    }

    private func add(
        _ index: Int,
        _ end: LinkEnd,
        at now: Instant,
        to entries: inout [pollfd],
        until deadline: inout Instant
    ) {
        let connection = self.connections[index]
        let side = connection[end]
        var events: Int32 = 0
        if side.isConnecting || side.isBlocked {
            events |= POLLOUT
        } else if let arrival = side.flow.nextArrival {
            deadline = min(deadline, arrival)
        }
        if connection.kept == end || self.room(index, end, at: now) > 0 {
            events |= POLLIN
        } else if connection.canRead(end) {
            let takesAt = (end == .near ? self.forward : self.backward).takesAt
            if takesAt > now { deadline = min(deadline, takesAt) }
        }
        // Without a wish it is left out: a socket that is reset reports it unasked, at once.
        guard events != 0, let socket = side.socket else { return }
        entries.append(pollfd(fd: socket.descriptor, events: Int16(events), revents: 0))
    }

    /// Rounded up, so that the time has come when the wait ends; -1 waits for ever.
    private static func milliseconds(from now: Instant, until deadline: Instant) -> Int32 {
        guard deadline != .distantFuture else { return -1 }
        let span = deadline.since(now)
        return Int32(min(span.milliseconds + (span.nanoseconds % 1_000_000 == 0 ? 0 : 1), 60_000))
    }
}

extension Instant {
    /// What the system's clock shows.
    fileprivate static var now: Self {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Self(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
    }
}
