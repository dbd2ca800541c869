// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// An engine under `ulimit -f`, as services and shells set it.
@Suite(.serialized, .enabled(if: Tool.qemuIO.isPresent, "needs qemu-io (Debian: qemu-utils)"))
struct FileSizeLimitTests {
    @Test("a write beyond ulimit -f detaches the disk, and the engine serves on from its peer")
    func detaches() throws {
        let sites = try TwoSites()
        try self.moveMetadata(sites)
        try sites.startEngine(.alpha, fileBlocks: 16 << 11)
        try sites.startEngine(.beta)
        for node in TwoSites.Node.allCases {
            try sites.run("bsradm", node, "create-md all")
            try sites.run("bsradm", node, "up all")
        }
        try sites.run("bsradm", .alpha, "primary --force r0")
        try sites.waitForStatus(.beta, sites.healthy(.beta))
        let output = try Tool.qemuIO.run([
            "-f", "raw", "-c", "write -P 1 20M 4k", "-c", "read -P 1 20M 4k", sites.uri(.alpha),
        ])
        #expect(output.exitCode == 0, "\(output.everything)")
        try sites.waitForStatus(
            .alpha,
            """
            r0 role:Primary
              disk:Diskless client:no
              beta role:Secondary
                peer-disk:UpToDate


            """
        )
        let log = sites.engine(.alpha).log
        #expect(log.contains("failed on \(sites.disk(.alpha)): File too large"), "\(log)")
        try sites.engine(.alpha).stop()
    }

    /// Gives the metadata files of their own, which end below the limit.
    private func moveMetadata(_ sites: TwoSites) throws {
        var text = try String(contentsOfFile: sites.configuration, encoding: .utf8)
            .replacing("meta-disk internal; ", with: "")
        for node in TwoSites.Node.allCases {
            let disk = sites.disk(node)
            _ = FileManager.default.createFile(atPath: disk + ".md", contents: nil)
            truncate(disk + ".md", 4 << 20)
            text = text.replacing("disk \(disk);", with: "disk \(disk); meta-disk \(disk).md;")
        }
        try text.write(toFile: sites.configuration, atomically: true, encoding: .utf8)
    }
}
