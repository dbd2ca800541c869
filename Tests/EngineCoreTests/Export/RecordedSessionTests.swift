// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing

/// Replays what real clients said to nbdkit and compares our replies with nbdkit's.
struct RecordedSessionTests {
    private static let abilities: ExportAbilities = [
        .trim, .writeZeroes, .fastZero, .multiConnection,
    ]

    /// Feeds the client's side in pieces of `size` bytes and returns everything sent.
    private func replay(_ session: RecordedSession, by size: Int) -> (sent: [UInt8], ExportHarness)
    {
        let harness = ExportHarness(
            .volume(byteCount: 131_072, abilities: Self.abilities),
            content: 131_072
        )
        if session.name != "nbdcopy" { harness.content = Self.copied }
        harness.receive(.connected)
        harness.feed(RecordedSession.bytes(session.client), by: size)
        return (harness.takeSent(), harness)
    }

    /// What nbdcopy wrote before the other sessions were recorded.
    private static let copied = [UInt8](unsafeUninitializedCapacity: 131_072) { buffer, count in
        for index in 0..<131_072 {
            buffer[index] = [0, 0x41, 0, 0x42][index / 32_768]
        }
        count = 131_072
    }

    /// The replies of the transmission; the lengths of reads are told by the session's requests.
    private func replies(_ bytes: [UInt8]) throws -> [ServerBytes.Reply] {
        let server = ServerBytes(bytes)
        _ = server.take(18)
        var isNegotiating = true
        while isNegotiating {
            let reply = try #require(server.optionReply())
            isNegotiating = !(reply.option == 7 && reply.type == 1)
        }
        var replies: [ServerBytes.Reply] = []
        while !server.isEmpty { replies.append(try #require(server.reply())) }
        return replies
    }

    @Test(arguments: RecordedSession.all)
    func `a recorded client gets from us what it got from nbdkit`(
        _ session: RecordedSession
    ) throws {
        let (sent, harness) = self.replay(session, by: .max)
        let ours = try self.replies(sent)
        let theirs = try self.replies(RecordedSession.bytes(session.server))
        #expect(ours == theirs)
        #expect(!ours.isEmpty)
        #expect(harness.closeReason == .disconnected)
        #expect(harness.isFinished)
        if session.name == "nbdcopy" { #expect(harness.content == Self.copied) }
    }

    @Test(arguments: RecordedSession.all)
    func `pieces of any size give the same answers`(_ session: RecordedSession) {
        let whole = self.replay(session, by: .max).sent
        for size in [1, 2, 3, 7, 27, 28, 29, 512, 4099] {
            #expect(self.replay(session, by: size).sent == whole, "pieces of \(size)")
        }
    }

    @Test(arguments: RecordedSession.all)
    func `a session that is cut anywhere ends without anything left`(_ session: RecordedSession) {
        let bytes = RecordedSession.bytes(session.client)
        // Every place in front of and behind messages, few within payload.
        for cut in 0..<bytes.count where cut < 300 || cut % 997 == 0 || cut > bytes.count - 100 {
            let harness = ExportHarness(
                .volume(byteCount: 131_072, abilities: Self.abilities),
                content: 131_072
            )
            harness.receive(.connected)
            harness.feed(Array(bytes[..<cut]))
            #expect(harness.closeReason == nil)
            harness.receive(.connectionLost)
            #expect(harness.closeReason == .connectionLost)
            #expect(harness.isFinished)
            #expect(harness.requestCount == 0)
        }
    }
}
