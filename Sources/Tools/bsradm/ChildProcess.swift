// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Starts a program in the foreground and waits for it.
///
/// The child stays in our process group, so that it can ask on the terminal and Ctrl-C ends both.
enum ChildProcess {
    /// What is read instead of passed through.
    enum Collection {
        case nothing
        case output
        case errors
        case everything
    }

    /// How a program ended.
    struct Result {
        /// Its exit code; 20 if it could not be started or was killed.
        var exitCode: Int32
        /// What was collected.
        var text: [UInt8]
    }

    /// Runs `arguments`, of which the first is a path or a name to look up in `PATH`.
    ///
    /// `environment` is added to ours.
    static func run(
        _ arguments: [String],
        collecting: Collection,
        environment: [String: String] = [:]
    ) -> Result {
        for (name, value) in environment { setenv(name, value, 1) }
        var ends: [Int32] = [-1, -1]
        if collecting != .nothing {
            guard pipe(&ends) == 0 else { return Self.failure(arguments, errno) }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (stream, isCollected) in [
            (Int32(1), collecting == .output || collecting == .everything),
            (Int32(2), collecting == .errors || collecting == .everything),
        ] where isCollected {
            posix_spawn_file_actions_adddup2(&actions, ends[1], stream)
        }
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        fflush(nil)
        var child = pid_t()
        let status = posix_spawnp(&child, arguments[0], &actions, nil, words, environ)
        if collecting != .nothing { close(ends[1]) }
        guard status == 0 else {
            if collecting != .nothing { close(ends[0]) }
            return Self.failure(arguments, status)
        }
        var text: [UInt8] = []
        if collecting != .nothing {
            text = Self.readAll(ends[0])
            close(ends[0])
        }
        return Result(exitCode: Self.wait(for: child), text: text)
    }

    private static func failure(_ arguments: [String], _ code: Int32) -> Result {
        let message = "Can not exec '\(arguments[0])': \(String(cString: strerror(code)))\n"
        return Result(exitCode: 20, text: Array(message.utf8))
    }

    private static func readAll(_ descriptor: Int32) -> [UInt8] {
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count <= 0 { return text }
            text += chunk[..<count]
        }
    }

    private static func wait(for child: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 {
            if errno != EINTR { return 20 }
        }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : 20
    }
}
