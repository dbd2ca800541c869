// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Lets through one change of a resource at a time, and changes of several resources at once.
///
/// Checked by hand: the set is touched under the condition's lock only.
final class ResourceLocks: @unchecked Sendable {
    private let condition = NSCondition()
    private var busy: Set<String> = []

    /// Runs `body` when no other change of the resource `name` is under way.
    ///
    /// Not at all if `isWanted`, asked once a second, is false before that.
    func withLock(_ name: String, while isWanted: () -> Bool, _ body: () -> Void) {
        self.condition.lock()
        while self.busy.contains(name) {
            let isSignalled = self.condition.wait(until: Date() + 1)
            guard isSignalled || isWanted() else { return self.condition.unlock() }
        }
        self.busy.insert(name)
        self.condition.unlock()
        body()
        self.condition.lock()
        self.busy.remove(name)
        self.condition.broadcast()
        self.condition.unlock()
    }
}
