// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Primitives
import Testing
import Wire

/// A harness whose client is in transmission.
func transmitting(
    _ directory: ExportDirectory = .oneVolume,
    content: Int = 1_048_576,
    structured: Bool = true,
    blockStatus: Bool = true
) -> ExportHarness {
    let harness = ExportHarness(directory, content: content)
    harness.receive(.connected)
    harness.feed(ClientBytes.flags())
    if structured { harness.feed(ClientBytes.option(8)) }
    if structured && blockStatus {
        harness.feed(ClientBytes.metaContext(10, "", ["base:allocation"]))
    }
    harness.feed(ClientBytes.info(7, ""))
    _ = harness.takeSent()
    _ = harness.takeActions()
    return harness
}

struct ExportTransmissionTests {
    @Test func `a write takes its payload, is submitted, answered and released`() {
        let harness = transmitting()
        harness.isAutomatic = false
        let payload = [UInt8](repeating: 0xab, count: 1024)
        harness.feed(
            ClientBytes.request(1, offset: 512, count: 1024, flags: 1) + payload.prefix(100)
        )
        #expect(harness.takeActions() == [.readPayload(slot: 0, byteCount: 1024)])
        #expect(harness.input == .payload(slot: 0))
        harness.feed(Array(payload.dropFirst(100)))
        let request = ExportRequest(
            .write,
            offset: 512,
            byteCount: 1024,
            isForcedUnitAccess: true
        )
        #expect(harness.takeActions() == [.submit(slot: 0, request)])
        #expect(request.sectors == SectorRange(start: 1, count: 2))
        harness.complete(0)
        #expect(harness.takeActions() == [.reply(slot: 0, payloadByteCount: 0)])
        #expect(harness.takeSent() == big(UInt32(0x6744_6698)) + big(UInt32(0)) + big(UInt64(1)))
        harness.receive(.replySent(slot: 0))
        #expect(harness.takeActions() == [.release(slot: 0)])
        #expect(Array(harness.content[512..<1536]) == payload)
        #expect(harness.requestCount == 0)
    }

    @Test func `each command becomes its request`() {
        let harness = transmitting()
        harness.isAutomatic = false
        let table: [([UInt8], ExportRequest)] = [
            (
                ClientBytes.request(0, offset: 512, count: 512),
                .init(.read, offset: 512, byteCount: 512)
            ),
            (
                ClientBytes.request(0, offset: 0, count: 1024, flags: 0b101),
                .init(.read, offset: 0, byteCount: 1024, isForcedUnitAccess: true)
            ),
            (ClientBytes.request(3), .init(.flush, offset: 0, byteCount: 0)),
            (
                ClientBytes.request(3, flags: 1),
                .init(.flush, offset: 0, byteCount: 0, isForcedUnitAccess: true)
            ),
            (
                ClientBytes.request(4, offset: 0, count: 1_048_576),
                .init(.trim, offset: 0, byteCount: 1_048_576)
            ),
            (
                ClientBytes.request(6, offset: 4096, count: 512),
                .init(.writeZeroes, offset: 4096, byteCount: 512, mayUnmap: true)
            ),
            (
                ClientBytes.request(6, offset: 4096, count: 512, flags: 0b11),
                .init(.writeZeroes, offset: 4096, byteCount: 512, isForcedUnitAccess: true)
            ),
            (
                ClientBytes.request(7, offset: 0, count: 4096),
                .init(.blockStatus, offset: 0, byteCount: 4096)
            ),
            (
                ClientBytes.request(7, offset: 0, count: 4096, flags: 0b1000),
                .init(.blockStatus, offset: 0, byteCount: 4096, wantsOneExtent: true)
            ),
        ]
        // All of them in one piece, and each in a slot of its own.
        harness.feed(table.flatMap { $0.0 })
        let expected = table.enumerated().map {
            ExportAction.submit(slot: UInt32($0.offset), $0.element.1)
        }
        #expect(harness.takeActions() == expected)
    }

    struct Refused: Sendable {
        var command: UInt16
        var offset: UInt64 = 0
        var count: UInt32 = 512
        var flags: UInt16 = 0
        var error: UInt32 = 22

        static let size: UInt64 = 1_048_576

        static let all: [Self] = [
            // Alignment and length.
            Self(command: 0, offset: 1), Self(command: 0, count: 511), Self(command: 0, count: 0),
            Self(command: 1, offset: 256), Self(command: 1, count: 100),
            Self(command: 1, count: 0), Self(command: 4, offset: 511), Self(command: 4, count: 0),
            Self(command: 6, count: 513), Self(command: 7, count: 1), Self(command: 7, count: 0),
            // Behind the end; writes say ENOSPC.
            Self(command: 0, offset: size), Self(command: 0, offset: size - 512, count: 1024),
            Self(command: 4, offset: size), Self(command: 7, offset: size - 512, count: 1024),
            Self(command: 1, offset: size, error: 28),
            Self(command: 1, offset: size - 512, count: 1024, error: 28),
            Self(command: 6, offset: size, error: 28),
            Self(command: 1, offset: 0 &- 512, error: 28),
            Self(command: 0, offset: 0 &- 512, count: 1024),
            Self(command: 4, offset: 0 &- 512, count: 1024),
            // Too long.
            Self(command: 0, count: 33_554_944), Self(command: 0, count: .max),
            // Flags of other commands, unknown flags, fast zero that was not announced.
            Self(command: 0, flags: 0b10), Self(command: 0, flags: 0b1000),
            Self(command: 1, flags: 0b10), Self(command: 1, flags: 0b100),
            Self(command: 4, flags: 0b10), Self(command: 6, flags: 0b10000),
            Self(command: 7, flags: 0b10), Self(command: 0, flags: 0x8000),
            Self(command: 1, flags: 0b100000),
            // Flush of a range, CACHE, RESIZE, what nobody knows.
            Self(command: 3, offset: 512, count: 0), Self(command: 3),
            Self(command: 5), Self(command: 8), Self(command: .max),
        ]
    }

    @Test(arguments: Refused.all, [true, false])
    func `an invalid request is answered with its error and the stream stays in step`(
        _ refused: Refused,
        structured: Bool
    ) throws {
        let harness = transmitting(structured: structured)
        var bytes = ClientBytes.request(
            refused.command,
            cookie: 0xfeed,
            offset: refused.offset,
            count: refused.count,
            flags: refused.flags
        )
        if refused.command == 1 { bytes += [UInt8](repeating: 1, count: Int(refused.count)) }
        harness.feed(bytes + ClientBytes.request(3, cookie: 2))
        let server = ServerBytes(harness.takeSent())
        let reply = try #require(server.reply())
        #expect(reply.cookie == 0xfeed)
        #expect(reply.error == (refused.command == 7 && !structured ? 22 : refused.error))
        #expect(reply.chunk == (structured ? 0x8001 : nil))
        if structured {
            let length = Int(reply.data[4]) << 8 | Int(reply.data[5])
            #expect(length > 0 && reply.data.count == 6 + length)
        }
        #expect(server.reply() == .init(cookie: 2, chunk: nil, error: 0, data: []))
        #expect(server.isEmpty)
        let flush = ExportRequest(.flush, offset: 0, byteCount: 0)
        for case .submit(_, let request) in harness.takeActions() { #expect(request == flush) }
        #expect(harness.content.allSatisfy { $0 == 0 })
    }

    @Test func `commands that the export cannot do are refused`() {
        let harness = transmitting(.volume(abilities: []), blockStatus: false)
        for command: UInt16 in [4, 6, 7] {
            harness.feed(ClientBytes.request(command, count: 512))
            let server = ServerBytes(harness.takeSent())
            #expect(server.reply()?.error == 22)
        }
    }

    @Test func `DF without structured replies is refused`() {
        let harness = transmitting(structured: false)
        harness.feed(ClientBytes.request(0, count: 512, flags: 0b100))
        let server = ServerBytes(harness.takeSent())
        #expect(server.reply()?.error == 22)
    }

    @Test func `fast zero reaches the storage when it was announced`() {
        let harness = transmitting(.volume(abilities: [.writeZeroes, .fastZero]))
        harness.isAutomatic = false
        harness.feed(ClientBytes.request(6, count: 512, flags: 0b10000))
        let request = ExportRequest(
            .writeZeroes,
            offset: 0,
            byteCount: 512,
            mayUnmap: true,
            mustBeFast: true
        )
        #expect(harness.takeActions() == [.submit(slot: 0, request)])
        harness.complete(0, .notSupported)
        let server = ServerBytes(harness.takeSent())
        #expect(server.reply()?.error == 95)
    }

    @Test func `reads are answered in the form that was negotiated`() {
        for structured in [true, false] {
            let harness = transmitting(structured: structured)
            for index in 512..<1536 { harness.content[index] = UInt8(truncatingIfNeeded: index) }
            let cookie: UInt64 = 0x0102_0304_0506_0708
            harness.feed(ClientBytes.request(0, cookie: cookie, offset: 512, count: 1024))
            let server = ServerBytes(harness.takeSent())
            let reply = server.reply { _ in 1024 }
            let data = Array(harness.content[512..<1536])
            let expected = structured ? big(UInt64(512)) + data : data
            #expect(
                reply
                    == .init(cookie: cookie, chunk: structured ? 1 : nil, error: 0, data: expected)
            )
            #expect(server.isEmpty)
        }
    }

    @Test(arguments: NBDError.allCases)
    func `an error of the storage reaches the client`(_ error: NBDError) throws {
        let harness = transmitting()
        harness.isAutomatic = false
        harness.feed(ClientBytes.request(0, cookie: 9, count: 512))
        harness.complete(0, error)
        #expect(harness.takeActions().last == .reply(slot: 0, payloadByteCount: 0))
        let server = ServerBytes(harness.takeSent())
        let reply = try #require(server.reply())
        #expect(reply.chunk == 0x8001)
        #expect(reply.error == error.rawValue)
        let message = String(decoding: reply.data.dropFirst(6), as: UTF8.self)
        #expect(message == "\(error.message)")
        #expect(server.isEmpty)
    }

    @Test func `block status tells extents, one if asked`() {
        let harness = transmitting()
        for index in 1024..<2048 { harness.content[index] = 1 }
        harness.feed(ClientBytes.request(7, offset: 512, count: 4096))
        harness.feed(ClientBytes.request(7, offset: 512, count: 4096, flags: 0b1000))
        let server = ServerBytes(harness.takeSent())
        let extents: [(UInt32, UInt32)] = [(512, 3), (1024, 0), (2560, 3)]
        let all = extents.flatMap { big($0.0) + big($0.1) }
        #expect(server.reply()?.data == big(UInt32(1)) + all)
        #expect(server.reply()?.data == big(UInt32(1)) + all.prefix(8))
        #expect(server.isEmpty)
    }

    @Test func `a refused write with a huge payload is skipped, a gigantic one ends the session`() {
        let harness = transmitting()
        harness.feed(ClientBytes.request(1, cookie: 3, count: 67_108_864))
        let piece = [UInt8](repeating: 1, count: 1_048_576)
        for _ in 0..<64 { harness.feed(piece) }
        harness.feed(ClientBytes.request(3, cookie: 4))
        let server = ServerBytes(harness.takeSent())
        #expect(server.reply()?.error == 22)
        #expect(server.reply() == .init(cookie: 4, chunk: nil, error: 0, data: []))
        harness.feed(ClientBytes.request(1, count: 67_108_865))
        #expect(harness.closeReason == .payloadTooLong)
        #expect(harness.isFinished)
    }

    @Test func `bytes that are no request end the session`() {
        let harness = transmitting()
        harness.feed(ClientBytes.request(3))
        harness.feed([UInt8](repeating: 0x25, count: 28))
        let server = ServerBytes(harness.takeSent())
        #expect(server.reply()?.error == 0)
        #expect(harness.closeReason == .requestMagic)
        #expect(harness.isFinished)
    }
}
