// SPDX-License-Identifier: Apache-2.0

package import Administration
import Foundation

/// The folder in which a daemon listens.
package enum RunDirectory {
    /// Makes the folder `path`, if need be, and claims the control socket of a daemon in it.
    ///
    /// Whoever has the claim may use the other sockets of the folder, too.
    /// - Throws: `RunDirectoryError` for the folder, `ControlError` if another daemon has the
    ///   socket.
    package static func claim<Service: ControlService>(
        _ path: String,
        for service: Service.Type
    ) throws -> SocketClaim {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o755]
            )
        } catch {
            throw RunDirectoryError(path: path, reason: error.localizedDescription)
        }
        return try SocketClaim(
            path: Service.socketPath(inRunDirectory: path),
            daemon: Service.daemonName
        )
    }
}

/// Why a run directory cannot be made.
struct RunDirectoryError: Error, CustomStringConvertible {
    let path: String
    let reason: String

    var description: String {
        "cannot make the run directory \(self.path): \(self.reason); "
            + "give another one with --run-dir"
    }
}
