// SPDX-License-Identifier: Apache-2.0

import CLinux
import CUring
import Glibc
import Locking
import Synchronization

/// Wakes a loop from any thread.
///
/// Control path.
package final class Waker: Sendable {
    let descriptor: Int32
    private let hasMessages = Atomic<Bool>(false)
    private let isStopRequested = Atomic<Bool>(false)

    init() throws(ReactorError) {
        self.descriptor = clinux_make_event_counter()
        guard self.descriptor >= 0 else {
            throw .systemCall("eventfd", object: "the loop's wake-up", Errno(-self.descriptor))
        }
    }

    deinit { close(self.descriptor) }

    /// Asks the loop to report ``Event/stopRequested``.
    package func requestStop() {
        if !self.isStopRequested.exchange(true, ordering: .acquiringAndReleasing) { self.wake() }
    }

    /// Asks the loop to report ``Event/messages``.
    func noteMessages() {
        if !self.hasMessages.exchange(true, ordering: .acquiringAndReleasing) { self.wake() }
    }

    func takeMessages() -> Bool {
        self.hasMessages.exchange(false, ordering: .acquiringAndReleasing)
    }

    func takeStopRequest() -> Bool {
        self.isStopRequested.exchange(false, ordering: .acquiringAndReleasing)
    }

    private func wake() { Self.wake(self.descriptor) }

    static func wake(_ descriptor: Int32) {
        var one: UInt64 = 1
        while write(descriptor, &one, 8) < 0, errno == EINTR {}
    }
}

/// A bounded queue of messages from any thread to one loop.
///
/// Control path.
package final class Mailbox<Message: Sendable>: Sendable {
    private let waker: Waker
    private let capacity: Int
    /// Nil after ``close()``.
    private let messages = Guarded<[Message]?>([])

    /// Creates a mailbox for the loop that `waker` wakes.
    package init(waking waker: Waker, capacity: Int = 1024) {
        self.waker = waker
        self.capacity = capacity
    }

    /// Leaves a message, and wakes the loop; false if the mailbox is full or closed.
    package func post(_ message: sending Message) -> Bool {
        let isLeft = self.messages.withLock { messages in
            guard let count = messages?.count, count < self.capacity else { return false }
            messages?.append(message)
            return true
        }
        if isLeft { self.waker.noteMessages() }
        return isLeft
    }

    /// Takes all messages, in the order of posting.
    ///
    /// For the loop, upon ``Event/messages``.
    package func drain() -> [Message] {
        self.messages.withLock { messages in
            guard let drained = messages else { return [] }
            messages = []
            return drained
        }
    }

    /// Lets go of all messages and takes none any more.
    ///
    /// For a loop that ends.
    package func close() {
        // They go behind the lock: what they hold may do anything when it goes.
        let left = self.messages.withLock { messages in
            defer { messages = nil }
            return messages
        }
        _ = left
    }
}

extension Reactor {
    func armWake() {
        let entry = self.ring.entry()
        let counter = UnsafeMutableRawPointer(self.wakeCounter)
        io_uring_prep_read(entry, self.waker.descriptor, counter, 8, 0)
        self.ring.tag(entry, CompletionTag(.wake))
    }

    func wakeCompleted(_ result: Int32) {
        if self.loop.pointee.isEnding { return }
        self.armWake()
        self.collectWrites()
        if self.waker.takeMessages() { self.report(.messages) }
        if self.waker.takeStopRequest() { self.report(.stopRequested) }
    }
}
