// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives

/// A value that threads touch one after the other.
///
/// What `Mutex` of the Synchronization module is, with a lock that the thread sanitizer knows: that
/// of Swift 6.3 takes every use of a `Mutex` for a race. Unchecked, as the value is stored in a
/// variable; it is touched under the lock only, and nothing but what is sent leaves `withLock`.
///
/// What leaves of a collection should be its elements (`map(\.self)`), not a copy that shares its
/// memory: the sanitizer does not see the run time count references, by which a thread that has
/// read such a copy comes before one that then changes the memory in place.
///
/// Control path.
package final class Guarded<Value: ~Copyable>: @unchecked Sendable {
    private let lock: UnsafeMutablePointer<pthread_mutex_t>
    private var value: Value

    /// Creates a lock that is free, and its value.
    package init(_ value: consuming sending Value) {
        self.lock = .allocate(capacity: 1)
        self.lock.initialize(to: pthread_mutex_t())
        self.value = value
        let result = pthread_mutex_init(self.lock, nil)
        invariant(result == 0, "a lock can be made")
    }

    deinit {
        pthread_mutex_destroy(self.lock)
        self.lock.deallocate()
    }

    /// Runs `body` with the value while no other thread does.
    ///
    /// Not to be nested: a thread that holds the lock would wait for itself.
    package func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        pthread_mutex_lock(self.lock)
        defer { pthread_mutex_unlock(self.lock) }
        return try body(&self.value)
    }
}
