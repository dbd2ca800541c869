// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing
import Wire

struct ExportNegotiationTests {
    private static let greeting = Array("NBDMAGICIHAVEOPT".utf8) + [0, 3]

    /// A harness that has sent the greeting and received the client's flags.
    private func negotiating(
        _ directory: ExportDirectory = .oneVolume,
        flags: UInt32 = 3
    ) -> ExportHarness {
        let harness = ExportHarness(directory, content: 1_048_576)
        harness.receive(.connected)
        harness.feed(ClientBytes.flags(flags))
        _ = harness.takeSent()
        _ = harness.takeActions()
        return harness
    }

    private func answers(_ harness: ExportHarness, _ bytes: [UInt8]) -> [ServerBytes.OptionReply] {
        harness.feed(bytes)
        let server = ServerBytes(harness.takeSent())
        var replies: [ServerBytes.OptionReply] = []
        while let reply = server.optionReply() { replies.append(reply) }
        #expect(server.isEmpty)
        return replies
    }

    @Test func `greets, and waits for four bytes of flags`() {
        let harness = ExportHarness()
        harness.receive(.connected)
        #expect(harness.takeSent() == Self.greeting)
        #expect(harness.takeActions() == [.sendOutput])
        #expect(harness.input == .bytes(minimum: 4) || harness.input == .bytes(minimum: 1))
    }

    @Test func `GO tells size, flags and block sizes and enters transmission`() {
        let harness = self.negotiating()
        let replies = self.answers(harness, ClientBytes.info(7, "data/0", [0, 1, 2, 3, 99]))
        // HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, CAN_MULTI_CONN; no DF without structured
        // replies.
        let export = big(UInt16(0)) + big(UInt64(1_048_576)) + big(UInt16(0b1_0110_1101))
        let block = big(UInt16(3)) + big(UInt32(512)) + big(UInt32(4096)) + big(UInt32(33_554_432))
        #expect(
            replies == [
                .init(option: 7, type: 3, data: export),
                .init(option: 7, type: 3, data: big(UInt16(1)) + Array("data/0".utf8)),
                .init(option: 7, type: 3, data: big(UInt16(2)) + Array("volume 0 of data".utf8)),
                .init(option: 7, type: 3, data: block),
                .init(option: 7, type: 1, data: []),
            ]
        )
        #expect(harness.takeActions() == [.enterTransmission(export: 7), .sendOutput])
        #expect(harness.grantedExport == 7)
        #expect(harness.input == .bytes(minimum: 28))
        #expect(harness.nextDeadline == .distantFuture)
    }

    @Test func `INFO tells the same and stays in the negotiation`() {
        let harness = self.negotiating()
        let replies = self.answers(harness, ClientBytes.info(6, ""))
        #expect(replies.map(\.type) == [3, 3, 1])
        #expect(harness.grantedExport == nil)
        #expect(self.answers(harness, ClientBytes.info(6, "data/0")).count == 3)
    }

    @Test func `structured replies announce DF, fast zero only if honoured`() {
        let all: ExportAbilities = [.trim, .writeZeroes, .fastZero, .multiConnection]
        let harness = self.negotiating(.volume(abilities: all))
        #expect(self.answers(harness, ClientBytes.option(8)).map(\.type) == [1])
        let replies = self.answers(harness, ClientBytes.info(6, ""))
        #expect(Array(replies[0].data.suffix(2)) == big(UInt16(0b1001_1110_1101)))
        let none = self.negotiating(.volume(abilities: [.fastZero]))
        let fewest = self.answers(none, ClientBytes.info(6, ""))
        #expect(Array(fewest[0].data.suffix(2)) == big(UInt16(0b1101)))
    }

    @Test func `EXPORT_NAME is answered without a header, with zeroes for old clients`() {
        for (flags, count) in [(UInt32(3), 10), (1, 134), (0, 134)] {
            let harness = self.negotiating(flags: flags)
            harness.feed(ClientBytes.option(1, Array("data/0".utf8)))
            let sent = harness.takeSent()
            #expect(sent.count == count)
            #expect(Array(sent.prefix(10)) == big(UInt64(1_048_576)) + big(UInt16(0b1_0110_1101)))
            #expect(sent.dropFirst(10).allSatisfy { $0 == 0 })
            #expect(harness.grantedExport == 7)
        }
    }

    @Test func `LIST names every export, refused ones too`() {
        let exports = (0..<300).map { number in
            ExportDescription(
                identifier: UInt32(number),
                name: "resource-with-a-long-name/\(number)",
                description: String(repeating: "x", count: number * 10),
                byteCount: 4096,
                availability: number % 2 == 0 ? .available : .refused("Secondary"),
                abilities: []
            )
        }
        let harness = self.negotiating(ExportDirectory(exports))
        let replies = self.answers(harness, ClientBytes.option(3))
        #expect(replies.count == 301)
        for (reply, export) in zip(replies, exports) {
            let name = Array(export.name.utf8)
            let data = big(UInt32(name.count)) + name + Array(export.description.utf8)
            #expect(reply == .init(option: 3, type: 2, data: data))
        }
        #expect(replies.last == .init(option: 3, type: 1, data: []))
        // The list came in pieces, one at a time.
        #expect(harness.takeActions().count > 30)
        #expect(self.answers(harness, ClientBytes.option(3, [0])).map(\.type) == [0x8000_0003])
        #expect(self.answers(self.negotiating(.init([])), ClientBytes.option(3)).count == 1)
    }

    @Test func `a refused export answers POLICY with its sentence`() {
        let sentence = "data/0 is Secondary here; make this node Primary first"
        let harness = self.negotiating(.volume(availability: .refused(sentence)))
        for option in [UInt32(6), 7] {
            let replies = self.answers(harness, ClientBytes.info(option, "data/0"))
            #expect(replies.count == 1)
            #expect(replies.first?.type == 0x8000_0002)
            #expect(replies.first?.text == sentence)
        }
        #expect(harness.grantedExport == nil)
        // The role at the moment of the question counts.
        harness.directory = .oneVolume
        #expect(self.answers(harness, ClientBytes.info(7, "data/0")).last?.type == 1)
        #expect(harness.grantedExport == 7)
    }

    @Test func `an unknown name answers UNKNOWN, and there is no default among several`() {
        let two = ExportDirectory(
            (0..<2).map {
                ExportDescription(
                    identifier: $0,
                    name: "data/\($0)",
                    byteCount: 512,
                    availability: .available,
                    abilities: []
                )
            }
        )
        for (directory, name) in [
            (ExportDirectory.oneVolume, "data/00"), (.oneVolume, "DATA/0"), (two, ""),
            (ExportDirectory([]), ""), (.oneVolume, "data/"), (.oneVolume, "data/0\0"),
        ] {
            let harness = self.negotiating(directory)
            #expect(
                self.answers(harness, ClientBytes.info(7, name)).map(\.type) == [0x8000_0006]
            )
        }
    }

    @Test func `options that are not offered answer UNSUP`() {
        let harness = self.negotiating()
        // PEEK_EXPORT, STARTTLS, EXTENDED_HEADERS, some numbers.
        for option in [UInt32(4), 5, 11, 12, 0, 99, .max] {
            let replies = self.answers(harness, ClientBytes.option(option, [1, 2, 3]))
            #expect(replies.map(\.type) == [0x8000_0001])
            #expect(replies.map(\.option) == [option])
        }
    }

    @Test func `metadata contexts need structured replies, a known export and valid data`() {
        let harness = self.negotiating()
        let query = ClientBytes.metaContext(10, "data/0", ["base:allocation"])
        #expect(self.answers(harness, query).map(\.type) == [0x8000_0003])
        _ = self.answers(harness, ClientBytes.option(8))
        let context = Array("base:allocation".utf8)
        #expect(
            self.answers(harness, query) == [
                .init(option: 10, type: 4, data: big(UInt32(1)) + context),
                .init(option: 10, type: 1, data: []),
            ]
        )
        let unknown = ClientBytes.metaContext(10, "data/1", ["base:allocation"])
        #expect(self.answers(harness, unknown).map(\.type) == [0x8000_0006])
        for queries in [[], ["base:"], ["base:allocation"], ["x:y", "base:allocation"]] {
            let list = ClientBytes.metaContext(9, "", queries)
            #expect(
                self.answers(harness, list) == [
                    .init(option: 9, type: 4, data: big(UInt32(0)) + context),
                    .init(option: 9, type: 1, data: []),
                ]
            )
        }
        for (option, queries) in [
            (UInt32(9), ["base:alloc"]), (9, ["qemu:dirty-bitmap:"]), (10, []), (10, ["base:"]),
        ] {
            let none = ClientBytes.metaContext(option, "data/0", queries)
            #expect(self.answers(harness, none).map(\.type) == [1])
        }
    }

    @Test func `malformed option data answers INVALID and the negotiation goes on`() {
        let harness = self.negotiating()
        _ = self.answers(harness, ClientBytes.option(8))
        let longName = String(repeating: "n", count: 4097)
        let malformed: [[UInt8]] = [
            ClientBytes.option(7), ClientBytes.option(7, [0, 0, 0]),
            ClientBytes.option(7, big(UInt32.max) + [1, 2]),
            ClientBytes.option(7, big(UInt32(0)) + [0]),
            ClientBytes.option(7, big(UInt32(0)) + big(UInt16(2)) + [0, 0]),
            ClientBytes.option(7, big(UInt32(0)) + big(UInt16(0)) + [0]),
            ClientBytes.info(6, longName), ClientBytes.option(8, [0]),
            ClientBytes.option(10, big(UInt32(0)) + big(UInt32.max)),
            ClientBytes.option(10, big(UInt32(0)) + big(UInt32(1)) + big(UInt32.max)),
            ClientBytes.option(10, big(UInt32(0)) + big(UInt32(0)) + [0]),
            ClientBytes.option(10, big(UInt32(0))), ClientBytes.metaContext(9, "", [longName]),
        ]
        for bytes in malformed {
            let replies = self.answers(harness, bytes)
            #expect(replies.map(\.type) == [0x8000_0003], "\(bytes.prefix(64))")
            #expect(replies.first?.text.isEmpty == false)
        }
        #expect(self.answers(harness, ClientBytes.info(6, "data/0")).count == 3)
    }

    @Test func `an option that is too long is refused and skipped`() {
        let harness = self.negotiating()
        let long = ClientBytes.option(6, [UInt8](repeating: 7, count: 8193))
        #expect(self.answers(harness, long).map(\.type) == [0x8000_0009])
        #expect(self.answers(harness, ClientBytes.info(6, "data/0")).count == 3)
    }

    @Test func `ABORT is acknowledged, then the connection is closed`() {
        let harness = self.negotiating()
        #expect(self.answers(harness, ClientBytes.option(2)).map(\.type) == [1])
        #expect(harness.takeActions() == [.sendOutput, .close(.aborted), .finished])
        #expect(harness.input == .ended)
    }

    struct Hostile: Sendable {
        var reason: ExportCloseReason
        var bytes: [UInt8]

        init(_ reason: ExportCloseReason, flags: UInt32 = 3, _ bytes: [UInt8] = []) {
            self.reason = reason
            self.bytes = ClientBytes.flags(flags) + bytes
        }

        /// An option of which only the header comes.
        static func announced(_ option: UInt32, _ count: UInt32) -> [UInt8] {
            Array("IHAVEOPT".utf8) + big(option) + big(count)
        }

        static let all = [
            Self(.clientFlagsUnknown, flags: 4),
            Self(.optionMagic, [UInt8](repeating: 0, count: 16)),
            Self(.optionMagic, Array("GET / HTTP/1.1\r\n".utf8)),
            Self(.fixedNewstyleNotSet, flags: 0, ClientBytes.option(3)),
            Self(.exportUnknown, ClientBytes.option(1, Array("x/0".utf8))),
            Self(.optionTooLong, ClientBytes.option(1, [UInt8](repeating: 7, count: 4097))),
            Self(.optionTooLong, Self.announced(99, 65_537)),
            Self(.optionTooLong, Self.announced(3, .max)),
        ]
    }

    @Test(arguments: Hostile.all)
    func `hostile negotiations end with their reason`(_ hostile: Hostile) {
        let harness = ExportHarness()
        harness.receive(.connected)
        harness.feed(hostile.bytes)
        #expect(harness.closeReason == hostile.reason)
        #expect(harness.isFinished)
        #expect(harness.sent == Self.greeting)
    }

    @Test func `EXPORT_NAME of a refused export closes without an answer`() {
        let harness = self.negotiating(.volume(availability: .refused("Secondary")))
        harness.feed(ClientBytes.option(1))
        #expect(harness.takeActions() == [.close(.exportRefused), .finished])
        #expect(harness.takeSent().isEmpty)
    }

    @Test func `a flood of options ends`() {
        let harness = self.negotiating()
        let option = ClientBytes.option(8)
        for _ in 0..<ExportLimits.options { harness.feed(option) }
        #expect(harness.closeReason == nil)
        harness.feed(option)
        #expect(harness.closeReason == .optionsTooMany)
    }

    @Test func `a client that does not read its answers is not served`() {
        let harness = ExportHarness()
        harness.isAutomatic = false
        harness.receive(.connected)
        harness.feed(ClientBytes.flags() + ClientBytes.option(8) + ClientBytes.option(8))
        #expect(harness.input == .paused)
        #expect(harness.staged == 36)
        harness.receive(.outputSent)
        #expect(harness.takeActions() == [.sendOutput, .sendOutput])
        #expect(harness.staged == 16)
        #expect(harness.input == .paused)
        harness.receive(.outputSent)
        harness.receive(.outputSent)
        #expect(harness.staged == 0)
    }

    @Test func `a negotiation that takes too long is closed at its deadline`() {
        let harness = ExportHarness()
        harness.now = .zero + .seconds(5)
        harness.receive(.connected)
        let deadline = Instant.zero + .seconds(35)
        #expect(harness.nextDeadline == deadline)
        harness.now = .zero + .seconds(34)
        harness.receive(.timer)
        #expect(harness.closeReason == nil)
        harness.feed(ClientBytes.flags() + ClientBytes.option(8))
        #expect(harness.nextDeadline == deadline)
        harness.now = deadline
        harness.receive(.timer)
        #expect(harness.closeReason == .negotiationTimedOut)
        #expect(harness.nextDeadline == .distantFuture)
        #expect(harness.isFinished)
    }

    @Test(arguments: [
        (ExportEvent.connectionLost, ExportCloseReason.connectionLost),
        (.forceClose, .forced), (.shutdown, .shutdown),
    ])
    func `the end may come during the negotiation, and waits for the answer being sent`(
        _ event: ExportEvent,
        _ reason: ExportCloseReason
    ) {
        let harness = ExportHarness()
        harness.isAutomatic = false
        harness.receive(.connected)
        harness.receive(event)
        #expect(harness.takeActions() == [.sendOutput, .close(reason)])
        harness.feed(ClientBytes.flags())
        #expect(harness.input == .ended)
        harness.receive(.outputSent)
        #expect(harness.takeActions() == [.finished])
    }

    @Test func `a granted export is in use before the answer is sent, until the connection closes`()
    {
        let harness = ExportHarness()
        harness.receive(.connected)
        harness.feed(ClientBytes.flags())
        harness.isAutomatic = false
        harness.feed(ClientBytes.info(7, ""))
        #expect(harness.grantedExport == 7)
        #expect(harness.input == .paused)
        harness.receive(.forceClose)
        #expect(harness.grantedExport == nil)
        #expect(!harness.isFinished)
        harness.receive(.outputSent)
        #expect(harness.isFinished)
    }
}
