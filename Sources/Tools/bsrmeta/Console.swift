// SPDX-License-Identifier: Apache-2.0

import Glibc
import Metadata

/// Why the tool ends early: a message for people and a status for scripts.
struct Failure: Error {
    let status: Int32
    let message: String

    init(_ status: Int32, _ message: String) {
        self.status = status
        self.message = message
    }

    /// The command line makes no sense.
    static func usage(_ message: String) -> Self { Self(20, message) }

    /// A system call failed.
    static func system(_ what: String, _ path: String, status: Int32 = 10) -> Self {
        Self(status, "\(what)(\(path)) failed: \(String(cString: strerror(errno)))")
    }

    /// A disk cannot be opened.
    static func opening(_ path: String) -> Self {
        let remedy = DiskRemedy.text(errno: errno)
        let failure = Self.system("open", path, status: 20)
        return Self(20, failure.message + (remedy.map { "; \($0)" } ?? ""))
    }

    static let help = Self(0, "help")
    static let version = Self(0, "version")

    /// An answer was not `yes`.
    static func declined(_ status: Int32 = 1, spelling: String = "Operation cancelled.") -> Self {
        Self(status, spelling)
    }
}

/// What people see.
enum Console {
    /// Prints to stdout.
    static func print(_ text: String) { Self.print(Array(text.utf8)) }

    /// Prints bytes to stdout.
    static func print(_ bytes: [UInt8]) { Self.write(bytes, to: STDOUT_FILENO) }

    /// Prints a line to stderr.
    static func error(_ line: String) { Self.write(Array((line + "\n").utf8), to: STDERR_FILENO) }

    /// Asks a question that only `yes` affirms; without a terminal the answer is no.
    static func confirm(_ question: String, force: Bool) -> Bool {
        Self.error("\n" + question)
        if force {
            Self.error("*** confirmation forced via --force option ***")
            return true
        }
        guard isatty(STDIN_FILENO) == 1 else {
            Self.error("stdin not a TTY, not waiting for confirmation")
            return false
        }
        Self.write(Array("[need to type 'yes' to confirm] ".utf8), to: STDERR_FILENO)
        return readLine(strippingNewline: true) == "yes"
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            written += count
        }
    }

    /// The local time, as `2026-11-20 23:03:53 +0000 [1795215833]`.
    static var time: String {
        var seconds = Glibc.time(nil)
        var parts = tm()
        localtime_r(&seconds, &parts)
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = buffer.withUnsafeMutableBytes {
            strftime(
                $0.baseAddress?.assumingMemoryBound(to: CChar.self),
                $0.count,
                "%Y-%m-%d %H:%M:%S %z",
                &parts
            )
        }
        return String(decoding: buffer[..<count], as: UTF8.self) + " [\(seconds)]"
    }

    /// The name of this machine.
    static var host: String {
        var name = utsname()
        guard uname(&name) == 0 else { return "localhost" }
        return withUnsafeBytes(of: name.nodename) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
