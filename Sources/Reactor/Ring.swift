// SPDX-License-Identifier: Apache-2.0

import CUring
import Glibc
import Primitives

/// The thread's io_uring: one issuer, deferred task work.
///
/// A value of pointers, owned by one thread; freed by ``close()``. Counts the operations whose
/// completion is still to come, which a clean end waits for.
struct Ring {
    let ring: UnsafeMutablePointer<io_uring>
    private let completions: UnsafeMutablePointer<curing_completion>
    let outstanding: UnsafeMutablePointer<Int>

    init() throws(ReactorError) {
        self.ring = .allocate(capacity: 1)
        self.ring.initialize(to: io_uring())
        var parameters = io_uring_params()
        parameters.flags = UInt32(
            IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_COOP_TASKRUN
                | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE
        )
        parameters.cq_entries = ReactorLimits.completionEntries
        let result = io_uring_queue_init_params(
            ReactorLimits.submissionEntries,
            self.ring,
            &parameters
        )
        guard result == 0 else {
            self.ring.deallocate()
            throw Self.setupFailure(Errno(-result))
        }
        if let missing = Self.missingFeature(self.ring, parameters) {
            io_uring_queue_exit(self.ring)
            self.ring.deallocate()
            throw .ringUnavailable(missing: missing, Errno(EOPNOTSUPP))
        }
        // Saves a descriptor look-up per call; the loop works without it.
        _ = io_uring_register_ring_fd(self.ring)
        self.completions = .allocate(capacity: ReactorLimits.harvest)
        self.outstanding = .allocate(capacity: 1)
        self.outstanding.initialize(to: 0)
    }

    func close() {
        invariant(self.outstanding.pointee == 0, "a ring closes after its last completion")
        io_uring_queue_exit(self.ring)
        self.ring.deallocate()
        self.completions.deallocate()
        self.outstanding.deallocate()
    }

    private static func setupFailure(_ code: Errno) -> ReactorError {
        switch code.number {
        case ENOSYS: .ringUnavailable(missing: "io_uring_setup is not known", code)
        case EINVAL: .ringUnavailable(missing: "IORING_SETUP_DEFER_TASKRUN is not known", code)
        case EPERM: .ringUnavailable(missing: "io_uring_setup is forbidden", code)
        default: .ringUnavailable(missing: "io_uring_setup failed", code)
        }
    }

    private static func missingFeature(
        _ ring: UnsafeMutablePointer<io_uring>,
        _ parameters: io_uring_params
    ) -> String? {
        if parameters.features & UInt32(IORING_FEAT_EXT_ARG) == 0 { return "IORING_FEAT_EXT_ARG" }
        if parameters.features & UInt32(IORING_FEAT_NODROP) == 0 { return "IORING_FEAT_NODROP" }
        guard let probe = io_uring_get_probe_ring(ring) else { return "IORING_REGISTER_PROBE" }
        defer { io_uring_free_probe(probe) }
        let needed: [(io_uring_op, String)] = [
            (IORING_OP_ACCEPT, "IORING_OP_ACCEPT"), (IORING_OP_CONNECT, "IORING_OP_CONNECT"),
            (IORING_OP_RECV, "IORING_OP_RECV"), (IORING_OP_POLL_ADD, "IORING_OP_POLL_ADD"),
            (IORING_OP_READ, "IORING_OP_READ"), (IORING_OP_WRITE, "IORING_OP_WRITE"),
            (IORING_OP_READ_FIXED, "IORING_OP_READ_FIXED"),
            (IORING_OP_WRITE_FIXED, "IORING_OP_WRITE_FIXED"),
            (IORING_OP_FSYNC, "IORING_OP_FSYNC"), (IORING_OP_FALLOCATE, "IORING_OP_FALLOCATE"),
            (IORING_OP_ASYNC_CANCEL, "IORING_OP_ASYNC_CANCEL"),
        ]
        for (operation, name) in needed
        where io_uring_opcode_supported(probe, Int32(operation.rawValue)) == 0 {
            return name
        }
        return nil
    }

    /// An empty entry, to be prepared by the caller and then tagged by ``tag(_:_:)``.
    func entry() -> UnsafeMutablePointer<io_uring_sqe> {
        if let entry = io_uring_get_sqe(self.ring) { return entry }
        // The batch is full: hand it over early. The kernel takes all of it unless memory is short.
        for _ in 0..<1000 {
            _ = io_uring_submit(self.ring)
            if let entry = io_uring_get_sqe(self.ring) { return entry }
            sched_yield()
        }
        invariantBroken("the kernel takes submissions")
    }

    /// Gives a prepared entry its tag and counts it.
    func tag(_ entry: UnsafeMutablePointer<io_uring_sqe>, _ tag: CompletionTag) {
        io_uring_sqe_set_data64(entry, tag.raw)
        self.outstanding.pointee += 1
    }

    /// Calls off the operation that carries `tag`, if it is still under way.
    func cancel(_ target: CompletionTag, as tag: CompletionTag) {
        let entry = self.entry()
        io_uring_prep_cancel64(entry, target.raw, 0)
        self.tag(entry, tag)
    }

    /// Submits the batch without waiting.
    func submit() { self.check(io_uring_submit_and_get_events(self.ring)) }

    /// Submits the batch and waits for a completion, at most for `span` if one is given.
    func submitAndWait(atMost span: TimeSpan?) {
        guard let span else { return self.check(io_uring_submit_and_wait(self.ring, 1)) }
        var first: UnsafeMutablePointer<io_uring_cqe>?
        var time = __kernel_timespec()
        time.tv_sec = Int64(clamping: span.nanoseconds / 1_000_000_000)
        time.tv_nsec = Int64(span.nanoseconds % 1_000_000_000)
        self.check(io_uring_submit_and_wait_timeout(self.ring, &first, 1, &time, nil))
    }

    /// Passes each completion that is there to `body`.
    ///
    /// Always inlined: a closure that is not would be called, and retained, per completion.
    @inline(__always)
    func harvest(_ body: (CompletionTag, Int32, UInt32) -> Void) {
        while true {
            let count = Int(
                curing_harvest(self.ring, self.completions, UInt32(ReactorLimits.harvest))
            )
            self.outstanding.pointee -= count
            for index in 0..<count {
                let completion = self.completions[index]
                body(CompletionTag(raw: completion.user_data), completion.result, completion.flags)
            }
            if count < ReactorLimits.harvest { return }
        }
    }

    private func check(_ result: Int32) {
        switch -result {
        case ETIME, EINTR, EAGAIN, EBUSY: break  // The next turn tries again.
        default: invariant(result >= 0, "io_uring_enter accepts what the loop submits")
        }
    }
}
