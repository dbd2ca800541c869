// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Lets through one change of a resource at a time, and changes of several resources at once.
///
/// Checked by hand: the set is touched under the condition's lock only.
final class ResourceLocks: @unchecked Sendable {
    private let condition = NSCondition()
    private var busy: Set<String> = []

    /// Runs `body` when no other change of the resource `name` is under way.
    func withLock(_ name: String, _ body: () -> Void) {
        self.condition.lock()
        while self.busy.contains(name) { self.condition.wait() }
        self.busy.insert(name)
        self.condition.unlock()
        body()
        self.condition.lock()
        self.busy.remove(name)
        self.condition.broadcast()
        self.condition.unlock()
    }
}
