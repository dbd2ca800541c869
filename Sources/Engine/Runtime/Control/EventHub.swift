// SPDX-License-Identifier: Apache-2.0

import Administration
import Foundation
import Locking

/// Hands what has changed to everybody who follows events.
///
/// Filled by the loop, read by clients.
package final class EventHub: Sendable {
    enum Event: Sendable {
        case changed(ResourceSnapshot, EventTime)
        case removed(String, EventTime)
        /// Events that a slow client has missed.
        case skipped(Int)
    }

    private let subscriptions = Guarded<[Subscription]>([])

    /// Events that one client may be behind.
    static let backlogMaximum = 4096

    /// Notes that a resource has changed.
    package func changed(_ snapshot: ResourceSnapshot) { self.post(.changed(snapshot, .now)) }

    func removed(_ name: String) { self.post(.removed(name, .now)) }

    private func post(_ event: Event) {
        self.subscriptions.withLock { for subscription in $0 { subscription.post(event) } }
    }

    /// Whether anybody listens.
    package var hasListeners: Bool { self.subscriptions.withLock { !$0.isEmpty } }

    func subscribe() -> Subscription {
        let subscription = Subscription()
        self.subscriptions.withLock { $0.append(subscription) }
        return subscription
    }

    func unsubscribe(_ subscription: Subscription) {
        self.subscriptions.withLock { $0.removeAll { $0 === subscription } }
    }

    /// The events of one client.
    final class Subscription: @unchecked Sendable {
        // Guarded by `condition`.
        private let condition = NSCondition()
        private var events: [Event] = []
        private var skipped = 0

        func post(_ event: Event) {
            self.condition.lock()
            defer { self.condition.unlock() }
            if self.events.count < EventHub.backlogMaximum {
                self.events.append(event)
            } else {
                self.skipped += 1
            }
            self.condition.signal()
        }

        /// Takes what has come, after waiting for it if there is nothing.
        func next(waitingSeconds: Double) -> [Event] {
            self.condition.lock()
            defer { self.condition.unlock() }
            if self.events.isEmpty {
                _ = self.condition.wait(until: Date(timeIntervalSinceNow: waitingSeconds))
            }
            var taken = self.events
            if self.skipped > 0 { taken.append(.skipped(self.skipped)) }
            self.events = []
            self.skipped = 0
            return taken
        }
    }
}

extension EventTime {
    /// The present.
    static var now: Self {
        Self(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000))
    }
}
