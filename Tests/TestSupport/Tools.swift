// SPDX-License-Identifier: Apache-2.0

import Foundation

/// Other people's programs that tests compare with.
///
/// A test that needs one is skipped where it is missing, always in these words, by which
/// `./test --require-tools` knows them:
///
///     @Test(.enabled(if: Tool.qemuIO.isPresent, "needs qemu-io (Debian: qemu-utils)"))
package struct Tool: Sendable {
    /// The name of the program.
    package let command: String
    /// The Debian package that holds it.
    package let package: String

    package static let qemuIO = Tool(command: "qemu-io", package: "qemu-utils")
    package static let qemuImg = Tool(command: "qemu-img", package: "qemu-utils")
    package static let qemuNBD = Tool(command: "qemu-nbd", package: "qemu-utils")
    package static let qemuStorageDaemon = Tool(
        command: "qemu-storage-daemon",
        package: "qemu-utils"
    )
    package static let nbdinfo = Tool(command: "nbdinfo", package: "libnbd-bin")
    package static let nbdcopy = Tool(command: "nbdcopy", package: "libnbd-bin")
    package static let nbdkit = Tool(command: "nbdkit", package: "nbdkit")
    package static let fio = Tool(command: "fio", package: "fio")
    package static let drbdadm = Tool(command: "drbdadm", package: "drbd-utils")
    package static let drbdmeta = Tool(command: "drbdmeta", package: "drbd-utils")
    package static let mkfsExt4 = Tool(command: "mkfs.ext4", package: "e2fsprogs")
    package static let e2fsck = Tool(command: "e2fsck", package: "e2fsprogs")
    package static let mkfsXFS = Tool(command: "mkfs.xfs", package: "xfsprogs")
    package static let valgrind = Tool(command: "valgrind", package: "valgrind")
    package static let losetup = Tool(command: "losetup", package: "mount")
    package static let prlimit = Tool(command: "prlimit", package: "util-linux")
    package static let mandoc = Tool(command: "mandoc", package: "mandoc")
    package static let jq = Tool(command: "jq", package: "jq")

    /// The file of the program, nil if it is not installed.
    ///
    /// Folders of system administration are searched too, whoever runs the tests.
    package var path: String? {
        let search = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let folders = search.split(separator: ":").map(String.init)
        return (folders + ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])
            .map { "\($0)/\(self.command)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Whether the program is installed.
    package var isPresent: Bool { self.path != nil }

    /// Runs the program to its end.
    package func run(_ arguments: [String]) throws -> Program.Output {
        try Program.run(self.path ?? self.command, arguments)
    }
}
