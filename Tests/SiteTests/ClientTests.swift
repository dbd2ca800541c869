// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

/// Other people's NBD clients at a Primary whose peer mirrors every write.
@Suite(
    .serialized,
    .enabled(if: Tool.qemuIO.isPresent, "needs qemu-io (Debian: qemu-utils)"),
    .enabled(if: Tool.nbdcopy.isPresent, "needs nbdcopy (Debian: libnbd-bin)"),
    .enabled(if: Tool.fio.isPresent, "needs fio (Debian: fio)")
)
struct ClientTests {
    /// The tools convert, copy, write, discard and verify; both backing files are equal afterwards.
    @Test(
        "ARC-03 ARC-09 RES-06 every client's writes are mirrored",
        arguments: ["A", "B", "C"]
    )
    func everyClient(_ replicationProtocol: String) throws {
        let sites = try TwoSites(
            TwoSites.Layout(lines: "net { protocol \(replicationProtocol); }")
        )
        try sites.replicate()
        let uri = sites.uri(.alpha)

        let info = try self.succeed(Tool.nbdinfo.run(["--json", uri])).text
        let parsed = try JSONSerialization.jsonObject(with: Data(info.utf8)) as? [String: Any]
        let export = try #require((parsed?["exports"] as? [[String: Any]])?.first)
        let size = try #require(export["export-size"] as? Int)
        #expect(size > 30 << 20 && size < 32 << 20)
        for (key, value) in [
            "is_read_only": false, "can_fua": true, "can_flush": true, "can_trim": true,
            "can_zero": true,
        ] {
            #expect(export[key] as? Bool == value, "\(key)")
        }

        let image = sites.folder.file("image")
        try Self.writeNoise(image, bytes: size)
        try self.succeed(Tool.qemuImg.run(["convert", "-n", "-f", "raw", "-O", "raw", image, uri]))
        let copy = sites.folder.file("copy")
        try self.succeed(Tool.nbdcopy.run([uri, copy]))
        #expect(FileManager.default.contentsEqual(atPath: image, andPath: copy))

        try self.succeed(Tool.nbdcopy.run(["--flush", image, self.tcp(sites)]))
        try self.succeed(
            Tool.qemuIO.run([
                "-f", "raw", "-c", "write -f -P 0x5a 4096 65536", "-c", "discard 8192 16384", "-c",
                "write -z 131072 65536", "-c", "read -P 0x5a 4096 4096", "-c", "flush", uri,
            ])
        )
        try self.succeed(
            Tool.fio.run([
                "--name=mixed", "--ioengine=nbd", "--uri=\(uri)", "--rw=randrw",
                "--bssplit=512/10:4k/50:16k/20:64k/15:1M/5", "--blockalign=512", "--iodepth=32",
                "--size=16m", "--offset=8m", "--io_size=48m", "--verify=crc32c",
                "--verify_fatal=1", "--verify_state_save=0", "--output=/dev/null",
            ])
        )
        try sites.run("bsradm", .alpha, "secondary r0")
        try sites.waitForStatus(.beta, Self.bothSecondary)
        #expect(try sites.areEqual())
    }

    @Test("ROLE-02 ARC-10 a Secondary tells NBD clients why it does not serve them")
    func secondaryRefuses() throws {
        let sites = try TwoSites()
        try sites.bringUp()
        let list = try Tool.nbdinfo.run([
            "--list", "nbd+unix:///?socket=\(sites.runDirectory(.beta))/nbd.sock",
        ])
        #expect(list.everything.contains("r0/0"), "\(list.everything)")
        let open = try Tool.qemuIO.run(["-f", "raw", "-c", "read 0 512", sites.uri(.beta)])
        #expect(open.exitCode != 0)
        #expect(open.everything.contains("Secondary"), "\(open.everything)")
    }

    private static let bothSecondary = """
        r0 role:Secondary
          disk:UpToDate
          alpha role:Secondary
            peer-disk:UpToDate


        """

    private func tcp(_ sites: TwoSites) -> String { "nbd://127.0.0.1:\(sites.nbdPort)/r0/0" }

    @discardableResult
    private func succeed(_ output: Program.Output) throws -> Program.Output {
        try #require(output.exitCode == 0, "\(output.everything)")
        return output
    }

    /// A file without holes and without repetition.
    private static func writeNoise(_ path: String, bytes: Int) throws {
        var random = SystemRandomNumberGenerator()
        let words = (0..<bytes / 8).map { _ in random.next() }
        try words.withUnsafeBytes { Data($0) }.write(to: URL(fileURLWithPath: path))
    }
}
