// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A value that threads touch one after the other.
///
/// What `Mutex` of the Synchronization module is, with a lock that the thread sanitizer knows
/// (Swift 6.3's does not know that of `Mutex` and reports every use as a race). Checked by hand: the
/// value is touched under the lock only.
package final class Guarded<Value: ~Copyable>: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    package init(_ value: consuming sending Value) {
        self.lock = .allocate(capacity: 1)
        self.lock.initialize(to: pthread_mutex_t())
        pthread_mutex_init(self.lock, nil)
        self.value = value
    }

    deinit {
        pthread_mutex_destroy(self.lock)
        self.lock.deallocate()
    }

    /// Runs `body` with the value, when no other thread does.
    package func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        pthread_mutex_lock(self.lock)
        defer { pthread_mutex_unlock(self.lock) }
        return try body(&self.value)
    }
}
