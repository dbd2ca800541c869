// SPDX-License-Identifier: Apache-2.0

import Glibc
import Primitives
import Reactor
import Testing

@Suite struct LoopTests {
    @Test func `delivers watched signals as events`() throws {
        let pair = try LoopPair()
        try pair.reactor.watchSignals([SIGUSR1, SIGUSR2])
        #expect(pthread_kill(pthread_self(), SIGUSR2) == 0)
        try pair.expect(.signal(SIGUSR2))
        #expect(pthread_kill(pthread_self(), SIGUSR1) == 0)
        try pair.expect(.signal(SIGUSR1))
        #expect(pair.leftover() == [])
    }

    @Test func `a turn ends at its limit when nothing happens`() throws {
        let reactor = try Reactor()
        let limit = reactor.now + .milliseconds(20)
        while reactor.now < limit { reactor.turn(until: limit) }
        #expect(reactor.next() == nil)
    }

    @Test func `a batch larger than the submission queue loses nothing`() throws {
        let pair = try LoopPair()
        let count = 3000
        let path = "/proc/self/exe"
        var options = FileOptions()
        options.isWritable = false
        options.isLocked = false
        let file = try pair.reactor.open(path, options)
        for token in 0..<count { #expect(pair.reactor.flush(file, token: UInt64(token))) }
        var seen: Set<UInt64> = []
        while seen.count < count {
            let token = try pair.await { event -> UInt64? in
                if case .fileCompleted(file, let token, _) = event { token } else { nil }
            }
            #expect(seen.insert(token).inserted)
        }
    }

    @Test func `says what is missing when io_uring cannot be had`() async {
        await #expect(processExitsWith: .success) {
            // No descriptor is left for the ring, not even a standard one that is closed.
            var limit = rlimit(rlim_cur: 0, rlim_max: 0)
            _ = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
            do throws(ReactorError) {
                _ = try Reactor()
                exit(1)
            } catch {
                guard case .ringUnavailable(_, let code) = error, code == Errno(EMFILE),
                    error.description.hasPrefix("io_uring is not available: ")
                else { exit(2) }
                exit(0)
            }
        }
    }

    @Test func `errors name the object and what to do`() {
        let forbidden = ReactorError.ringUnavailable(
            missing: "io_uring_setup is forbidden",
            Errno(EPERM)
        )
        #expect(forbidden.description.contains("kernel.io_uring_disabled"))
        #expect(forbidden.description.contains("Operation not permitted (1)"))
        let direct = ReactorError.directUnavailable(
            path: "/x",
            reason: "it needs blocks of 4096 bytes"
        )
        #expect(direct.description.contains("/x") && direct.description.contains("io-mode auto"))
        #expect(ReactorError.inUse(path: "/dev/vdb").description.contains("/dev/vdb is in use"))
    }
}
