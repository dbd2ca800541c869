// SPDX-License-Identifier: Apache-2.0

import Foundation

/// The right to listen at a path: a listening socket with its lock file.
///
/// Two daemons never own the same path. The lock (`<path>.lock`) decides; it goes with the process,
/// however that ends, so a socket file that a killed daemon left is known to be stale and replaced.
/// The end of the claim gives the path back.
package struct SocketClaim: ~Copyable {
    /// The path of the socket.
    package let path: String
    let listener: LocalSocket
    private let lock: Int32

    /// Claims `path` and listens; nobody but the owner of the process may connect.
    ///
    /// - Throws: ``ControlError/alreadyRunning(daemon:path:)`` and other errors of the path.
    package init(path: String, daemon: String) throws(ControlError) {
        let address = try LocalSocket.address(of: path)
        let lock = try Self.lock(path, daemon)
        do throws(ControlError) {
            try Self.removeStaleSocket(path, address, daemon)
            self.listener = try Self.listen(path, address)
        } catch {
            close(lock)
            throw error
        }
        self.path = path
        self.lock = lock
    }

    deinit {
        unlink(self.path)
        close(self.listener.descriptor)
        close(self.lock)
    }

    private static func lock(_ path: String, _ daemon: String) throws(ControlError) -> Int32 {
        let name = path + ".lock"
        let file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .system(operation: "open", object: name, errno: errno) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            let reason = errno
            close(file)
            if reason == EWOULDBLOCK { throw .alreadyRunning(daemon: daemon, path: path) }
            throw .system(operation: "flock", object: name, errno: reason)
        }
        return file
    }

    /// Removes a socket at which nobody answers.
    private static func removeStaleSocket(
        _ path: String,
        _ address: sockaddr_un,
        _ daemon: String
    ) throws(ControlError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
        let probe = try LocalSocket.make()
        defer { close(probe.descriptor) }
        guard probe.connect(to: address) == ECONNREFUSED else {
            throw .alreadyRunning(daemon: daemon, path: path)
        }
        unlink(path)
    }

    private static func listen(_ path: String, _ address: sockaddr_un) throws(ControlError)
        -> LocalSocket
    {
        let listener = try LocalSocket.make()
        var address = address
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener.descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        // Nobody can connect before listen(), so the mode is right when the first client comes.
        guard bound == 0, chmod(path, 0o600) == 0,
            Foundation.listen(listener.descriptor, Int32(AdministrationLimits.clients)) == 0
        else {
            let reason = errno
            close(listener.descriptor)
            throw .system(operation: "listen", object: path, errno: reason)
        }
        return listener
    }
}
