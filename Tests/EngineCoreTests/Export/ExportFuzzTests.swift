// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing
import Wire

/// Seeded random clients.
///
/// The harness stops the process when the session breaks its contract; the tests look at what is
/// left at the end.
struct ExportFuzzTests {
    private static let volume = ExportDirectory.volume(byteCount: 8192)

    /// One message of a client that mostly knows the protocol.
    private func option(_ random: inout SeededRandom) -> [UInt8] {
        let longName = random.chance(1, in: 16) ? String(repeating: "n", count: 4097) : "data"
        let names = ["", "data/0", "data/1", longName]
        let queries = [["base:allocation"], ["base:"], [], ["x", "base:allocation"]]
        let name = names[Int(random.below(4))]
        switch random.below(12) {
        case 0: return ClientBytes.option(3)
        case 1, 2: return ClientBytes.option(8)
        case 3: return ClientBytes.info(6, name, [3, 1, 2])
        case 4, 5: return ClientBytes.info(7, name, [0])
        case 6: return ClientBytes.metaContext(9, name, queries[Int(random.below(4))])
        case 7: return ClientBytes.metaContext(10, name, queries[Int(random.below(4))])
        case 8: return ClientBytes.option(UInt32(random.below(16)), [1, 2, 3])
        case 9: return ClientBytes.option(1, Array(name.utf8.prefix(40)))
        case 10:
            let count = random.chance(1, in: 16) ? 8200 : 40
            return ClientBytes.option(6, [UInt8](repeating: 0, count: count))
        default: return ClientBytes.option(2)
        }
    }

    private func request(_ random: inout SeededRandom) -> [UInt8] {
        let command = UInt16(random.below(9))
        let isWild = random.chance(1, in: 8)
        let count =
            isWild
            ? UInt32(truncatingIfNeeded: random.next() >> 20) % 5000
            : UInt32(random.below(4)) * 512
        var bytes = ClientBytes.request(
            command,
            cookie: random.next(),
            offset: isWild ? random.next() : random.below(17) * 512,
            count: count,
            flags: UInt16(random.chance(1, in: 4) ? random.below(64) : 0)
        )
        if command == 1 {
            bytes += [UInt8](repeating: UInt8(truncatingIfNeeded: count), count: Int(count))
        }
        return bytes
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
        guard !bytes.isEmpty, random.chance(1, in: 2) else { return }
        for _ in 0...random.below(3) {
            let index = Int(random.below(UInt64(bytes.count)))
            switch random.below(4) {
            case 0: bytes[index] ^= 1 << UInt8(random.below(8))
            case 1: bytes[index] = UInt8(truncatingIfNeeded: random.next())
            case 2: bytes.removeSubrange(index...)
            default: bytes[index] = 0xff
            }
            if bytes.isEmpty { return }
        }
    }

    /// Whether everything sent is a greeting, answers to options and replies, in whole.
    private func isWellFormed(_ sent: [UInt8], granted: Bool) -> Bool {
        let server = ServerBytes(sent)
        guard server.take(16) == Array("NBDMAGICIHAVEOPT".utf8) else { return false }
        _ = server.take(2)
        while !server.isEmpty {
            // Behind the last answer come replies, or the answer to EXPORT_NAME.
            if server.optionReply() == nil { return granted }
        }
        return true
    }

    @Test func `50000 random negotiations end without anything left`() {
        var granted = 0
        for seed in UInt64(0)..<50_000 {
            var random = SeededRandom(seed: seed)
            let harness = ExportHarness(Self.volume, content: 8192)
            harness.receive(.connected)
            var bytes = ClientBytes.flags(UInt32(random.chance(9, in: 10) ? 3 : random.below(5)))
            for _ in 0...random.below(5) { bytes += self.option(&random) }
            self.mutate(&bytes, &random)
            harness.feed(bytes, by: random.chance(1, in: 16) ? 13 : .max)
            if harness.grantedExport != nil { granted += 1 }
            let isGranted = harness.grantedExport != nil
            if !self.isWellFormed(harness.sent, granted: isGranted || harness.closeReason != nil) {
                Issue.record("seed \(seed): not well formed")
            }
            harness.receive(.connectionLost)
            if !harness.isFinished || harness.requestCount != 0 {
                Issue.record("seed \(seed): not finished")
            }
        }
        #expect(granted > 3000)
    }

    @Test func `60000 random transmissions answer each request once`() {
        var answered = 0
        for seed in UInt64(0)..<60_000 {
            var random = SeededRandom(seed: seed)
            let isStructured = random.chance(1, in: 2)
            let harness = transmitting(Self.volume, content: 8192, structured: isStructured)
            var cookies: [UInt64] = []
            var reads: [UInt64: Int] = [:]
            var bytes: [UInt8] = []
            for _ in 0...random.below(6) {
                let request = self.request(&random)
                bytes += request
                let cookie = request[8..<16].reduce(0) { $0 << 8 | UInt64($1) }
                if request[7] == 2 { break }
                cookies.append(cookie)
                let count = request[24..<28].reduce(0) { $0 << 8 | Int($1) }
                if request[7] == 0 { reads[cookie] = count }
            }
            let isValid = random.chance(2, in: 3)
            if !isValid { self.mutate(&bytes, &random) }
            harness.feed(bytes, by: random.chance(1, in: 16) ? 11 : .max)
            harness.receive(.connectionLost)
            if !harness.isFinished || harness.requestCount != 0 {
                Issue.record("seed \(seed): not finished")
            }
            answered += harness.answered
            guard isValid else { continue }
            let server = ServerBytes(harness.takeSent())
            var seen: [UInt64] = []
            while let reply = server.reply(dataCount: { reads[$0] ?? 0 }) {
                seen.append(reply.cookie)
            }
            if seen.sorted() != cookies.sorted() || !server.isEmpty {
                Issue.record("seed \(seed): \(seen.count) replies to \(cookies.count) requests")
            }
        }
        #expect(answered > 60_000)
    }

    /// What the driver owes the session.
    private struct Owed {
        var outputs = 0
        var submitted: [UInt32] = []
        var replies: [UInt32] = []

        var isEmpty: Bool { self.outputs == 0 && self.submitted.isEmpty && self.replies.isEmpty }

        mutating func add(_ actions: [ExportAction]) {
            for action in actions {
                switch action {
                case .sendOutput: self.outputs += 1
                case .submit(let slot, _): self.submitted.append(slot)
                case .reply(let slot, _), .replyBlockStatus(let slot): self.replies.append(slot)
                case .enterTransmission, .readPayload, .release, .close, .finished: break
                }
            }
        }

        /// Answers one thing, in any order.
        mutating func answerOne(of harness: ExportHarness, _ random: inout SeededRandom) {
            if self.outputs > 0 {
                self.outputs -= 1
                harness.receive(.outputSent)
            } else if !self.replies.isEmpty, self.submitted.isEmpty || random.chance(1, in: 2) {
                let index = Int(random.below(UInt64(self.replies.count)))
                harness.receive(.replySent(slot: self.replies.remove(at: index)))
            } else if !self.submitted.isEmpty {
                let index = Int(random.below(UInt64(self.submitted.count)))
                let slot = self.submitted.remove(at: index)
                harness.complete(slot, random.chance(1, in: 8) ? .inputOutput : nil)
            }
            self.add(harness.takeActions())
        }
    }

    @Test func `whatever the order of events, a session ends when all is answered`() {
        for seed in UInt64(0)..<10_000 {
            var random = SeededRandom(seed: seed)
            let harness = ExportHarness(Self.volume, content: 8192)
            harness.isAutomatic = false
            var owed = Owed()
            harness.receive(.connected)
            var bytes = ClientBytes.flags() + ClientBytes.option(8) + ClientBytes.info(7, "")
            for _ in 0..<random.below(300) { bytes += self.request(&random) }
            if random.chance(1, in: 2) { bytes += ClientBytes.request(2) }
            while !bytes.isEmpty, harness.closeReason == nil {
                let count = Int(random.below(2000)) + 1
                harness.feed(Array(bytes.prefix(count)))
                bytes.removeFirst(min(count, bytes.count))
                owed.add(harness.takeActions())
                for _ in 0..<random.below(60) { owed.answerOne(of: harness, &random) }
                if random.chance(1, in: 200) { harness.receive(.shutdown) }
                if random.chance(1, in: 200) { harness.receive(.forceClose) }
                owed.add(harness.takeActions())
            }
            // Then the client goes away, before or after the last answer.
            if random.chance(1, in: 2) { harness.receive(.connectionLost) }
            owed.add(harness.takeActions())
            while !owed.isEmpty { owed.answerOne(of: harness, &random) }
            if harness.closeReason == nil { harness.receive(.connectionLost) }
            if !harness.isFinished || harness.requestCount != 0 {
                Issue.record("seed \(seed): \(harness.requestCount) requests left")
            }
        }
    }
}
