// SPDX-License-Identifier: Apache-2.0

/// A loop as other threads see it; outlives the loop safely.
package struct LoopHandle<Loop>: Sendable {
    private let mailbox: Mailbox<LoopTask<Loop>>
    private let waker: Waker

    /// Creates a handle of the loop that drains `mailbox` and is woken by `waker`.
    package init(mailbox: Mailbox<LoopTask<Loop>>, waker: Waker) {
        self.mailbox = mailbox
        self.waker = waker
    }

    /// Has `task` carried out on the loop's thread; false if too many tasks wait, or
    /// the loop has ended.
    package func perform(_ task: @escaping @Sendable (Loop) -> Void) -> Bool {
        self.mailbox.post(LoopTask(body: task))
    }

    /// Has the loop end in good order.
    package func stop() { self.waker.requestStop() }
}

/// A piece of control work for a loop's thread.
package struct LoopTask<Loop>: Sendable {
    /// The work.
    package let body: @Sendable (Loop) -> Void

    /// Creates a task.
    package init(body: @escaping @Sendable (Loop) -> Void) { self.body = body }
}

/// Where a loop's messages go; carried out on the control path.
package struct LoopLog: Sendable {
    /// Takes what is worth knowing.
    package var note: @Sendable (String) -> Void
    /// Takes what somebody has to look at.
    package var warn: @Sendable (String) -> Void

    /// Creates a log of two levels.
    package init(
        note: @escaping @Sendable (String) -> Void,
        warn: @escaping @Sendable (String) -> Void
    ) {
        self.note = note
        self.warn = warn
    }
}
