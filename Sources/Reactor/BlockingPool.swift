// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc
import Primitives

/// A few threads for the file operations that would block the loop and that io_uring does not do
/// well: buffered writes, and the discard request of block devices.
///
/// Jobs and results are plain values in two rings behind one lock; neither side allocates. The loop
/// is woken once per run of results. The memory of a job belongs to its thread until its result is
/// taken.
final class BlockingPool {
    /// What a thread is to do.
    struct Job: BitwiseCopyable {
        enum Kind: UInt8 {
            case write
            case durableWrite
            case discard
        }

        let operation: UInt32
        let kind: Kind
        let descriptor: Int32
        let memory: UnsafeRawPointer?
        let byteCount: Int
        let offset: UInt64
    }

    /// What became of it: the bytes written, or a negative error number.
    struct Outcome: BitwiseCopyable {
        let operation: UInt32
        let result: Int
    }

    /// What the loop and the threads share; all of it but the wake-up is touched under `mutex`
    /// only.
    private struct Shared: ~Copyable {
        var mutex = pthread_mutex_t()
        var hasJobs = pthread_cond_t()
        var jobs: ActionQueue<Job>
        var outcomes: ActionQueue<Outcome>
        var isStopping = false
        /// The loop has been woken for outcomes that it has not taken yet.
        var isLoopWoken = false
        let wakeDescriptor: Int32
    }

    private let shared: UnsafeMutablePointer<Shared>
    /// Held for its descriptor.
    private let waker: Waker
    private var threads: [pthread_t] = []

    init(threads count: Int, capacity: Int, waker: Waker) throws(ReactorError) {
        self.waker = waker
        self.shared = .allocate(capacity: 1)
        self.shared.initialize(
            to: Shared(
                jobs: ActionQueue(capacity: capacity),
                outcomes: ActionQueue(capacity: capacity),
                wakeDescriptor: waker.descriptor
            )
        )
        pthread_mutex_init(&self.shared.pointee.mutex, nil)
        pthread_cond_init(&self.shared.pointee.hasJobs, nil)
        // Signals are for the loop's signalfd, so the threads take none.
        var all = sigset_t()
        var previous = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_BLOCK, &all, &previous)
        defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
        for _ in 0..<count {
            var thread = pthread_t()
            let result = pthread_create(
                &thread,
                nil,
                { context in
                    guard let context else { return nil }
                    BlockingPool.run(context.assumingMemoryBound(to: Shared.self))
                    return nil
                },
                self.shared
            )
            guard result == 0 else {
                self.stop()
                throw .systemCall("pthread_create", object: "writer thread", Errno(result))
            }
            self.threads.append(thread)
        }
    }

    deinit {
        self.stop()
        pthread_mutex_destroy(&self.shared.pointee.mutex)
        pthread_cond_destroy(&self.shared.pointee.hasJobs)
        self.shared.deinitialize(count: 1)
        self.shared.deallocate()
    }

    /// Lets the threads finish what is queued, and ends them.
    func stop() {
        pthread_mutex_lock(&self.shared.pointee.mutex)
        self.shared.pointee.isStopping = true
        pthread_cond_broadcast(&self.shared.pointee.hasJobs)
        pthread_mutex_unlock(&self.shared.pointee.mutex)
        for thread in self.threads { pthread_join(thread, nil) }
        self.threads = []
    }

    /// Gives a job to the next free thread.
    func submit(_ job: Job) {
        pthread_mutex_lock(&self.shared.pointee.mutex)
        self.shared.pointee.jobs.append(job)
        pthread_mutex_unlock(&self.shared.pointee.mutex)
        pthread_cond_signal(&self.shared.pointee.hasJobs)
    }

    /// Takes the next outcome; nil when there is none, after which the loop will be woken for the
    /// next.
    func takeOutcome() -> Outcome? {
        pthread_mutex_lock(&self.shared.pointee.mutex)
        defer { pthread_mutex_unlock(&self.shared.pointee.mutex) }
        if let outcome = self.shared.pointee.outcomes.popFirst() { return outcome }
        self.shared.pointee.isLoopWoken = false
        return nil
    }

    private static func run(_ shared: UnsafeMutablePointer<Shared>) {
        pthread_mutex_lock(&shared.pointee.mutex)
        while true {
            guard let job = shared.pointee.jobs.popFirst() else {
                if shared.pointee.isStopping { break }
                pthread_cond_wait(&shared.pointee.hasJobs, &shared.pointee.mutex)
                continue
            }
            pthread_mutex_unlock(&shared.pointee.mutex)
            let result = self.perform(job)
            pthread_mutex_lock(&shared.pointee.mutex)
            shared.pointee.outcomes.append(Outcome(operation: job.operation, result: result))
            if !shared.pointee.isLoopWoken {
                shared.pointee.isLoopWoken = true
                Waker.wake(shared.pointee.wakeDescriptor)
            }
        }
        pthread_mutex_unlock(&shared.pointee.mutex)
    }

    /// Does the job on the calling thread.
    static func perform(_ job: Job) -> Int {
        while true {
            let result = self.performOnce(job)
            if result != -Int(EINTR) { return result }
        }
    }

    private static func performOnce(_ job: Job) -> Int {
        switch job.kind {
        case .write:
            let result = pwrite(job.descriptor, job.memory, job.byteCount, Int(job.offset))
            return result < 0 ? -Int(errno) : result
        case .durableWrite:
            return clinux_write_durably(job.descriptor, job.memory, job.byteCount, job.offset)
        case .discard:
            let length = UInt64(job.byteCount)
            return Int(clinux_device_discard(job.descriptor, job.offset, length))
        }
    }
}
