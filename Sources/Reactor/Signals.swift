// SPDX-License-Identifier: Apache-2.0

import CLinux
import CUring
import Glibc
import Primitives

/// Where the process's signals arrive as data.
struct SignalSource {
    let descriptor: Int32
}

extension Reactor {
    /// Receives `numbers`, such as SIGTERM, as ``Event/signal(_:)`` from now on.
    ///
    /// They are blocked in the calling thread, so call it on the main thread before others begin;
    /// once per reactor.
    /// - Throws: ``ReactorError/systemCall(_:object:_:)``.
    package func watchSignals(_ numbers: [Int32]) throws(ReactorError) {
        invariant(self.signals == nil, "signals are watched once")
        let descriptor = clinux_watch_signals(numbers, numbers.count)
        guard descriptor >= 0 else {
            throw .systemCall("signalfd", object: "signals \(numbers)", Errno(-descriptor))
        }
        self.signals = SignalSource(descriptor: descriptor)
        self.armSignals()
    }

    private func armSignals() {
        guard let source = self.signals else { return }
        let entry = self.ring.entry()
        io_uring_prep_poll_add(entry, source.descriptor, UInt32(POLLIN))
        self.ring.tag(entry, CompletionTag(.signal))
    }

    func signalCompleted() {
        guard !self.loop.pointee.isEnding, let source = self.signals else { return }
        while true {
            let number = clinux_next_signal(source.descriptor)
            guard number > 0 else { break }
            self.report(.signal(number))
        }
        self.armSignals()
    }
}
