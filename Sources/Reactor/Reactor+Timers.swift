// SPDX-License-Identifier: Apache-2.0

package import Primitives

extension Reactor {
    /// Makes a timer that is off and reports `token` when it fires.
    /// - Throws: ``ReactorError/limitReached(_:limit:)``.
    package func makeTimer(token: UInt64) throws(ReactorError) -> TimerID {
        guard self.loop.pointee.driverTimers < self.limits.timers,
            let slot = self.timers.timers.take(.init(owner: .driver(token: token)))
        else { throw .limitReached("timers", limit: self.limits.timers) }
        self.loop.pointee.driverTimers += 1
        return TimerID(slot: slot, generation: self.timers.timers.generation(slot))
    }

    /// Sets or moves the deadline; a past one fires at the next turn, `distantFuture` turns it off.
    package func arm(_ timer: TimerID, at deadline: Instant) {
        self.check(timer)
        self.timers.arm(timer.slot, at: deadline)
    }

    /// Turns the timer off; an event of it that was not taken yet is not delivered.
    package func disarm(_ timer: TimerID) {
        self.check(timer)
        self.timers.disarm(timer.slot)
    }

    /// Removes the timer for good.
    package func remove(_ timer: TimerID) {
        self.disarm(timer)
        self.timers.timers.release(timer.slot)
        self.loop.pointee.driverTimers -= 1
    }

    func driverTimerExpired(_ slot: UInt32, token: UInt64) {
        self.timers.timers[slot].pointee.hasFired = true
        let generation = self.timers.timers.generation(slot)
        self.report(.timer(TimerID(slot: slot, generation: generation), token: token))
    }

    /// Whether the fired timer was neither disarmed nor armed again meanwhile.
    func takeFired(_ id: TimerID) -> Bool {
        guard let timer = self.timers.timers.find(id.slot, id.generation),
            timer.pointee.hasFired
        else { return false }
        timer.pointee.hasFired = false
        return true
    }

    private func check(_ id: TimerID) {
        invariant(
            self.timers.timers.find(id.slot, id.generation) != nil,
            "use of a timer that was not removed"
        )
    }
}
