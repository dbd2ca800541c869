// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Foundation
import Glibc
import Locking
import TestSupport
import Testing
import Wire

/// Other people's NBD clients, one connection after the other, against the session on a unix
/// socket.
@Suite(.serialized)
struct ExportClientsTests {
    @Test(.enabled(if: Tool.nbdinfo.isPresent, "needs nbdinfo (Debian: libnbd-bin)"))
    func `nbdinfo shows the export with its sizes and abilities`() throws {
        let server = try ExportServer(.oneVolume, content: 1_048_576)
        let result = try Tool.nbdinfo.run(["--json", server.uri("data/0")])
        #expect(result.exitCode == 0, "\(result.everything)")
        let report = try #require(
            JSONSerialization.jsonObject(with: Data(result.text.utf8)) as? [String: Any]
        )
        #expect(report["protocol"] as? String == "newstyle-fixed")
        #expect(report["structured"] as? Bool == true)
        let exports = try #require(report["exports"] as? [[String: Any]])
        let export = try #require(exports.first)
        #expect(export["export-name"] as? String == "data/0")
        #expect(export["export-size"] as? Int == 1_048_576)
        #expect(export["block_size_minimum"] as? Int == 512)
        #expect(export["block_size_preferred"] as? Int == 4096)
        #expect(export["block_size_maximum"] as? Int == 33_554_432)
        #expect(export["contexts"] as? [String] == ["base:allocation"])
        for ability in [
            "can_df", "can_flush", "can_fua", "can_multi_conn", "can_trim", "can_zero",
        ] {
            #expect(export[ability] as? Bool == true, "\(ability)")
        }
        for ability in ["can_cache", "can_fast_zero", "is_read_only", "is_rotational"] {
            #expect(export[ability] as? Bool == false, "\(ability)")
        }
    }

    @Test(.enabled(if: Tool.qemuIO.isPresent, "needs qemu-io (Debian: qemu-utils)"))
    func `qemu-io is told why a Secondary refuses it`() throws {
        let sentence = "data/0 is Secondary on this node; make it Primary first"
        let server = try ExportServer(.volume(availability: .refused(sentence)), content: 0)
        let result = try Tool.qemuIO.run(["-f", "raw", "-c", "read 0 512", server.uri("data/0")])
        #expect(result.exitCode != 0)
        #expect(result.everything.contains(sentence))
    }

    @Test(.enabled(if: Tool.nbdcopy.isPresent, "needs nbdcopy (Debian: libnbd-bin)"))
    func `nbdcopy writes and reads an image`() throws {
        let folder = try TemporaryFolder()
        var image = [UInt8](repeating: 0, count: 3 * 1_048_576)
        for index in 0..<image.count where index / 65_536 % 3 == 1 {
            image[index] = UInt8(truncatingIfNeeded: index &* 31 >> 7)
        }
        try Data(image).write(to: URL(fileURLWithPath: folder.file("in")))
        let server = try ExportServer(
            .volume(byteCount: UInt64(image.count), abilities: [.trim, .writeZeroes]),
            content: image.count
        )
        #expect(try Tool.nbdcopy.run(["--flush", folder.file("in"), server.uri("")]).exitCode == 0)
        #expect(server.content == image)
        let back = try Tool.nbdcopy.run([server.uri(""), folder.file("out")])
        #expect(back.exitCode == 0, "\(back.everything)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.file("out"))) == Data(image))
    }

    @Test(.enabled(if: Tool.qemuIO.isPresent, "needs qemu-io (Debian: qemu-utils)"))
    func `qemu-io writes with FUA, discards, zeroes, flushes and maps`() throws {
        let server = try ExportServer(.oneVolume, content: 1_048_576)
        let commands = [
            "write -f -P 0x5a 4096 8192", "discard 8192 4096", "write -z 65536 65536",
            "write -P 7 131072 4096", "flush", "read -P 0x5a 4096 4096", "read -P 0 8192 4096",
            "read -P 7 131072 512", "map",
        ]
        let result = try Tool.qemuIO.run(
            ["-f", "raw"] + commands.flatMap { ["-c", $0] } + [server.uri("data/0")]
        )
        #expect(result.exitCode == 0, "\(result.everything)")
        #expect(!result.everything.contains("verification failed"))
        var expected = [UInt8](repeating: 0, count: 1_048_576)
        expected.replaceSubrange(4096..<8192, with: repeatElement(0x5a, count: 4096))
        expected.replaceSubrange(131_072..<135_168, with: repeatElement(7, count: 4096))
        #expect(server.content == expected)
    }
}

/// Serves a volume in memory on a unix socket, until it goes away.
private final class ExportServer {
    private let folder: TemporaryFolder
    private let acceptor: Acceptor

    init(_ directory: ExportDirectory, content: Int) throws {
        let folder = try TemporaryFolder()
        let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            path.copyBytes(from: folder.file("nbd.sock").utf8)
        }
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        self.folder = folder
        self.acceptor = Acceptor(listener, directory, content)
        try #require(bound == 0 && listen(listener, 8) == 0)
        let thread = Thread { [acceptor = self.acceptor] in acceptor.serve() }
        thread.start()
    }

    deinit { self.acceptor.stop() }

    /// What the clients have written; exact once they have disconnected.
    var content: [UInt8] { self.acceptor.shared.withLock { $0 } }

    func uri(_ name: String) -> String {
        "nbd+unix:///\(name)?socket=\(self.folder.file("nbd.sock"))"
    }
}

/// The thread's side: one client after the other.
private final class Acceptor: Sendable {
    private let listener: Int32
    private let directory: ExportDirectory
    private let ended = DispatchSemaphore(value: 0)
    let shared: Guarded<[UInt8]>

    init(_ listener: Int32, _ directory: ExportDirectory, _ content: Int) {
        self.listener = listener
        self.directory = directory
        self.shared = Guarded([UInt8](repeating: 0, count: content))
    }

    /// Wakes the thread out of `accept` and waits for its end.
    func stop() {
        shutdown(self.listener, Int32(SHUT_RDWR))
        self.ended.wait()
        close(self.listener)
    }

    func serve() {
        while true {
            let client = accept(self.listener, nil, nil)
            guard client >= 0 else { break }
            self.serve(client)
            close(client)
        }
        self.ended.signal()
    }

    private func serve(_ client: Int32) {
        let harness = ExportHarness(self.directory)
        harness.content = self.shared.withLock { $0 }
        var stage = [UInt8](repeating: 0, count: 262_144)
        harness.receive(.connected)
        while true {
            let answer = harness.takeSent()
            _ = harness.takeActions()
            self.shared.withLock { $0 = harness.content }
            guard answer.isEmpty || sendAll(client, answer), !harness.isFinished else { return }
            let count = recv(client, &stage, stage.count, 0)
            if count > 0 {
                harness.feed(Array(stage[..<count]))
            } else {
                harness.receive(.connectionLost)
            }
        }
    }
}

private func sendAll(_ socket: Int32, _ bytes: [UInt8]) -> Bool {
    var sent = 0
    while sent < bytes.count {
        let count = bytes.withUnsafeBytes {
            send(
                socket,
                $0.baseAddress?.advanced(by: sent),
                $0.count - sent,
                Int32(MSG_NOSIGNAL)
            )
        }
        guard count > 0 else { return false }
        sent += count
    }
    return true
}
