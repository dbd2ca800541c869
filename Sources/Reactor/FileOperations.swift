// SPDX-License-Identifier: Apache-2.0

import CLinux
import CUring
import Glibc
import Primitives

/// One file operation, in its slot until its event is reported.
struct FileOperation: BitwiseCopyable {
    enum Kind: UInt8 {
        case read
        case write
        case durableWrite
        case flush
        /// Deallocate, reads zeroes afterwards.
        case punchHole
        /// Deallocate, reads anything afterwards.
        case discard
        /// Zero by deallocating; falls back to `zeroRange`.
        case zeroByHole
        /// Zero and keep allocated; falls back to `writeZeroes`.
        case zeroRange
        /// Zero by writing.
        case writeZeroes
    }

    let file: UInt32
    let token: UInt64
    var kind: Kind
    let memory: UnsafeMutableRawPointer?
    let offset: UInt64
    let byteCount: Int
    var done = 0
}

extension Reactor {
    /// Reads `byteCount` bytes at `offset`; fewer only before the end of the file.
    ///
    /// This and the following operations borrow their memory until
    /// ``Event/fileCompleted(_:token:byteCount:)`` or ``Event/fileFailed(_:token:_:)`` carries the
    /// token, and are not ordered among each other. False if the table of operations is full, which
    /// is backpressure, or the handle is stale.
    package func read(
        _ id: FileID,
        at offset: UInt64,
        into memory: UnsafeMutableRawPointer,
        byteCount: Int,
        token: UInt64
    ) -> Bool {
        self.start(id, .read, memory, offset, byteCount, token)
    }

    /// Writes `byteCount` bytes at `offset`; with `isDurable` they are on stable storage before the
    /// event (FUA).
    package func write(
        _ id: FileID,
        at offset: UInt64,
        from memory: UnsafeRawPointer,
        byteCount: Int,
        isDurable: Bool = false,
        token: UInt64
    ) -> Bool {
        let memory = UnsafeMutableRawPointer(mutating: memory)
        return self.start(
            id,
            isDurable ? .durableWrite : .write,
            memory,
            offset,
            byteCount,
            token
        )
    }

    /// Makes all writes stable whose events were reported before (`fdatasync`).
    ///
    /// A failure is final: it says that data is lost, and trying again would wrongly succeed.
    package func flush(_ id: FileID, token: UInt64) -> Bool {
        self.start(id, .flush, nil, 0, 0, token)
    }

    /// Deallocates a range, which then reads as zeroes; fails with EOPNOTSUPP where that is not
    /// possible.
    package func punchHole(
        _ id: FileID,
        at offset: UInt64,
        byteCount: Int,
        token: UInt64
    ) -> Bool {
        self.start(id, .punchHole, nil, offset, byteCount, token)
    }

    /// Tells that a range is not needed; what it reads afterwards is undefined on a block device
    /// and zeroes in a file.
    ///
    /// Fails with EOPNOTSUPP where that is not possible.
    package func discard(_ id: FileID, at offset: UInt64, byteCount: Int, token: UInt64) -> Bool {
        self.start(id, .discard, nil, offset, byteCount, token)
    }

    /// Zeroes a range in the cheapest way that the file system has; unless `keepsAllocation`, it
    /// may deallocate.
    package func zero(
        _ id: FileID,
        at offset: UInt64,
        byteCount: Int,
        keepsAllocation: Bool,
        token: UInt64
    ) -> Bool {
        self.start(id, keepsAllocation ? .zeroRange : .zeroByHole, nil, offset, byteCount, token)
    }

    private func start(
        _ id: FileID,
        _ kind: FileOperation.Kind,
        _ memory: UnsafeMutableRawPointer?,
        _ offset: UInt64,
        _ byteCount: Int,
        _ token: UInt64
    ) -> Bool {
        guard let file = self.find(id), !file.pointee.isClosing else { return false }
        invariant(byteCount >= 0, "length of a file operation")
        invariant(offset <= UInt64(Int64.max) - UInt64(byteCount), "end of a file operation")
        let operation = FileOperation(
            file: id.slot,
            token: token,
            kind: kind,
            memory: memory,
            offset: offset,
            byteCount: byteCount
        )
        guard let slot = self.fileOperations.take(operation) else { return false }
        file.pointee.operations += 1
        if byteCount == 0, kind != .flush {
            self.finish(slot)
        } else {
            self.submitFileOperation(slot)
        }
        return true
    }
}

extension Reactor {
    /// One request to the kernel carries at most this much (a multiple of any block size).
    private static let requestMaximum = 1 << 30

    private func submitFileOperation(_ slot: UInt32) {
        let operation = self.fileOperations[slot]
        let file = self.files[operation.pointee.file]
        switch operation.pointee.kind {
        case .read:
            if file.pointee.readsInline { self.readInline(slot) } else { self.readByRing(slot) }
        case .write, .durableWrite:
            guard let memory = operation.pointee.memory else {
                invariantBroken("a write has memory")
            }
            self.submitWrite(slot, memory + operation.pointee.done, self.remaining(slot))
        case .writeZeroes:
            let count = min(self.remaining(slot), ReactorLimits.zeroChunkByteCount)
            self.submitWrite(slot, self.zeroes, count)
        case .flush:
            let entry = self.ring.entry()
            let flags = UInt32(IORING_FSYNC_DATASYNC)
            io_uring_prep_fsync(entry, file.pointee.descriptor, flags)
            self.ring.tag(entry, CompletionTag(.file, slot: slot))
        case .punchHole, .zeroByHole:
            self.submitAllocation(slot, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
        case .zeroRange: self.submitAllocation(slot, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)
        case .discard:
            if file.pointee.isBlockDevice {
                self.writers.submit(self.job(slot, .discard, nil, operation.pointee.byteCount))
            } else {
                self.submitAllocation(slot, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
            }
        }
    }

    private func remaining(_ slot: UInt32) -> Int {
        let operation = self.fileOperations[slot]
        return min(operation.pointee.byteCount - operation.pointee.done, Self.requestMaximum)
    }

    private func position(_ slot: UInt32) -> UInt64 {
        let operation = self.fileOperations[slot]
        return operation.pointee.offset + UInt64(operation.pointee.done)
    }

    /// Reads what the page cache holds at once, and the rest by the ring.
    private func readInline(_ slot: UInt32) {
        let operation = self.fileOperations[slot]
        let file = self.files[operation.pointee.file]
        guard let memory = operation.pointee.memory else { invariantBroken("a read has memory") }
        let result = clinux_read_cached(
            file.pointee.descriptor,
            memory + operation.pointee.done,
            self.remaining(slot),
            self.position(slot)
        )
        guard result <= 0 else {
            operation.pointee.done += result
            if operation.pointee.done == operation.pointee.byteCount { return self.finish(slot) }
            return self.readByRing(slot)
        }
        if result == -Int(EOPNOTSUPP) { file.pointee.readsInline = false }
        // The end of the file, an error, or nothing cached: the ring tells.
        self.readByRing(slot)
    }

    private func readByRing(_ slot: UInt32) {
        let operation = self.fileOperations[slot]
        let descriptor = self.files[operation.pointee.file].pointee.descriptor
        guard let start = operation.pointee.memory else { invariantBroken("a read has memory") }
        let memory = start + operation.pointee.done
        let count = self.remaining(slot)
        let entry = self.ring.entry()
        if let index = self.buffers.registration(memory, count) {
            let offset = self.position(slot)
            io_uring_prep_read_fixed(entry, descriptor, memory, UInt32(count), offset, index)
        } else {
            io_uring_prep_read(entry, descriptor, memory, UInt32(count), self.position(slot))
        }
        self.ring.tag(entry, CompletionTag(.file, slot: slot))
    }

    private func submitWrite(_ slot: UInt32, _ memory: UnsafeMutableRawPointer, _ count: Int) {
        let operation = self.fileOperations[slot]
        let file = self.files[operation.pointee.file]
        let isDurable = operation.pointee.kind == .durableWrite
        guard file.pointee.isDirect else {
            let job = self.job(slot, isDurable ? .durableWrite : .write, memory, count)
            return self.writesInline(file, job) ? self.writeInline(job) : self.writers.submit(job)
        }
        let entry = self.ring.entry()
        let offset = self.position(slot)
        if let index = self.buffers.registration(memory, count) {
            let descriptor = file.pointee.descriptor
            io_uring_prep_write_fixed(entry, descriptor, memory, UInt32(count), offset, index)
        } else {
            io_uring_prep_write(entry, file.pointee.descriptor, memory, UInt32(count), offset)
        }
        if isDurable { entry.pointee.rw_flags = Int32(clinux_durable_write_flag()) }
        self.ring.tag(entry, CompletionTag(.file, slot: slot))
    }

    private func writesInline(
        _ file: UnsafeMutablePointer<File>,
        _ job: BlockingPool.Job
    ) -> Bool {
        file.pointee.writesInline && job.kind == .write
            && file.pointee.inlineWriting.accepts(
                offset: job.offset,
                byteCount: job.byteCount,
                at: self.now
            )
    }

    private func writeInline(_ job: BlockingPool.Job) {
        let file = self.files[self.fileOperations[job.operation].pointee.file]
        let sleeps = self.sleepsBeforeInlineWrites()
        let start = Self.readClock()
        let result = BlockingPool.perform(job)
        file.pointee.inlineWriting.note(
            from: start,
            to: Self.readClock(),
            hasSlept: clinux_count_sleeps() > sleeps
        )
        self.fileOperationCompleted(job.operation, Int32(result))
    }

    /// How often the thread had slept before the first write of the turn that is made on the loop:
    /// nothing else makes it sleep between two of them.
    private func sleepsBeforeInlineWrites() -> Int64 {
        if self.loop.pointee.sleepsCountedAt != self.now {
            self.loop.pointee.sleepsCountedAt = self.now
            self.loop.pointee.sleeps = clinux_count_sleeps()
        }
        return self.loop.pointee.sleeps
    }

    private func submitAllocation(_ slot: UInt32, _ mode: Int32) {
        let operation = self.fileOperations[slot]
        let entry = self.ring.entry()
        io_uring_prep_fallocate(
            entry,
            self.files[operation.pointee.file].pointee.descriptor,
            mode,
            Int(operation.pointee.offset),
            operation.pointee.byteCount
        )
        self.ring.tag(entry, CompletionTag(.file, slot: slot))
    }

    private func job(
        _ slot: UInt32,
        _ kind: BlockingPool.Job.Kind,
        _ memory: UnsafeRawPointer?,
        _ count: Int
    ) -> BlockingPool.Job {
        BlockingPool.Job(
            operation: slot,
            kind: kind,
            descriptor: self.files[self.fileOperations[slot].pointee.file].pointee.descriptor,
            memory: memory,
            byteCount: count,
            offset: self.position(slot)
        )
    }
}

extension Reactor {
    /// Takes what the writer threads have done.
    func collectWrites() {
        while let outcome = self.writers.takeOutcome() {
            self.fileOperationCompleted(outcome.operation, Int32(clamping: outcome.result))
        }
    }

    func fileOperationCompleted(_ slot: UInt32, _ result: Int32) {
        let operation = self.fileOperations[slot]
        guard result >= 0 else { return self.fileRequestFailed(slot, Errno(-result)) }
        switch operation.pointee.kind {
        case .read:
            operation.pointee.done += Int(result)
            if result == 0 || self.isAtEnd(slot) { return self.finish(slot) }
        case .write, .durableWrite, .writeZeroes:
            // Nothing written and no error: the device is broken, and trying again would never end.
            guard result > 0 else { return self.finish(slot, failure: .inputOutput) }
            operation.pointee.done += Int(result)
            if operation.pointee.done == operation.pointee.byteCount { return self.finish(slot) }
        case .flush: return self.finish(slot)
        case .punchHole, .discard, .zeroByHole, .zeroRange:
            operation.pointee.done = operation.pointee.byteCount
            return self.finish(slot)
        }
        self.resubmit(slot)
    }

    /// Whether a read has all its bytes; a direct one also when it stopped inside a block, which
    /// only the end of the file does.
    private func isAtEnd(_ slot: UInt32) -> Bool {
        let operation = self.fileOperations[slot]
        if operation.pointee.done == operation.pointee.byteCount { return true }
        return self.files[operation.pointee.file].pointee.isDirect
            && operation.pointee.done % 512 != 0
    }

    private func fileRequestFailed(_ slot: UInt32, _ code: Errno) {
        let operation = self.fileOperations[slot]
        switch (operation.pointee.kind, code.number) {
        case (.flush, EINTR): self.finish(slot, failure: code)  // Never a second time.
        case (_, EINTR), (_, EAGAIN): self.resubmit(slot)
        case (.zeroByHole, EOPNOTSUPP), (.zeroByHole, ENODEV):
            operation.pointee.kind = .zeroRange
            self.resubmit(slot)
        case (.zeroRange, EOPNOTSUPP), (.zeroRange, ENODEV):
            operation.pointee.kind = .writeZeroes
            self.resubmit(slot)
        case (.punchHole, ENODEV), (.discard, ENODEV), (.discard, ENOTTY):
            self.finish(slot, failure: .notSupported)
        default: self.finish(slot, failure: code)
        }
    }

    /// Goes on with the rest or the next way, unless the loop is ending.
    private func resubmit(_ slot: UInt32) {
        guard !self.loop.pointee.isEnding else { return self.finish(slot, failure: .cancelled) }
        self.submitFileOperation(slot)
    }

    private func finish(_ slot: UInt32, failure: Errno? = nil) {
        let operation = self.fileOperations[slot].pointee
        let id = self.fileID(operation.file)
        if let failure {
            self.report(.fileFailed(id, token: operation.token, failure))
        } else {
            let count = operation.done
            self.report(.fileCompleted(id, token: operation.token, byteCount: count))
        }
        self.fileOperations.release(slot)
        self.files[operation.file].pointee.operations -= 1
        self.settleFile(operation.file)
    }
}
