// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Waits until `condition` holds; false if it does not before `time` is over.
///
/// For what cannot wake the test: another process, or a state that is only to be asked for. It is
/// the one place where tests let time pass; what can wake a test, such as a semaphore or an answer,
/// is waited for itself.
///
/// - Parameters:
///   - time: after so long the test gives up.
///   - interval: how often the condition is looked at.
package func waitUntil(
    within time: Duration,
    lookingEvery interval: Duration = .milliseconds(5),
    _ condition: () throws -> Bool
) rethrows -> Bool {
    let end = ContinuousClock.now + time
    while true {
        if try condition() { return true }
        let left = end - .now
        guard left > .zero else { return false }
        let pause = min(interval, left) / .milliseconds(1)
        _ = poll(nil, 0, Int32(pause.rounded(.up)))
    }
}
