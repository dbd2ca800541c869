// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing
import Wire

struct NBDCodecTests {
    /// What one encoder writes.
    private func encoded(_ encode: (UnsafeMutableRawBufferPointer) -> Int) -> [UInt8] {
        withUnsafeTemporaryAllocation(byteCount: 8192, alignment: 8) { memory in
            Array(memory[..<encode(memory)])
        }
    }

    /// The bytes of hexadecimal text with spaces anywhere.
    private func bytes(_ text: String) -> [UInt8] {
        let digits = Array(text.utf8.filter { $0 != UInt8(ascii: " ") })
        return stride(from: 0, to: digits.count, by: 2).compactMap {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
        }
    }

    @Test func `limits agree with each other`() {
        #expect(NBDLimits.replyHeadByteCountMaximum == 536)
        #expect(NBDLimits.optionDataMaximum == 8192)
        for error in NBDError.allCases {
            let head = NBDLimits.structuredReplyByteCount + 14 + error.message.utf8CodeUnitCount
            #expect(head <= NBDLimits.replyHeadByteCountMaximum)
        }
    }

    @Test func `greeting and EXPORT_NAME have the protocol's bytes`() {
        let greeting = self.encoded {
            NBDOptionReply.encodeGreeting([.fixedNewstyle, .noZeroes], into: $0)
        }
        #expect(greeting == self.bytes("4e42444d41474943 49484156454f5054 0003"))
        #expect(greeting.count == 18)
        for zeroes in [true, false] {
            let answer = self.encoded {
                NBDOptionReply.encodeExportName(
                    byteCount: 0x0102_0304_0506_0708,
                    flags: [.hasFlags, .sendFlush],
                    withZeroes: zeroes,
                    into: $0
                )
            }
            #expect(
                answer == self.bytes("0102030405060708 0005")
                    + [UInt8](repeating: 0, count: zeroes ? 124 : 0)
            )
        }
    }

    @Test func `answers to options have the protocol's bytes`() {
        let magic = "0003e889045565a9"
        #expect(
            self.encoded { NBDOptionReply.encodeAcknowledge(8, into: $0) }
                == self.bytes("\(magic) 00000008 00000001 00000000")
        )
        #expect(
            self.encoded { NBDOptionReply.encodeServer(name: "a/0", description: "d", into: $0) }
                == self.bytes("\(magic) 00000003 00000002 00000008 00000003 612f30 64")
        )
        #expect(
            self.encoded { NBDOptionReply.encodeError(7, .policy, "no" as String, into: $0) }
                == self.bytes("\(magic) 00000007 80000002 00000002 6e6f")
        )
        #expect(
            self.encoded { NBDOptionReply.encodeError(7, .tooBig, "no" as StaticString, into: $0) }
                == self.bytes("\(magic) 00000007 80000009 00000002 6e6f")
        )
        #expect(
            self.encoded {
                NBDOptionReply.encodeExport(7, byteCount: 4096, flags: .hasFlags, into: $0)
            } == self.bytes("\(magic) 00000007 00000003 0000000c 0000 0000000000001000 0001")
        )
        #expect(
            self.encoded { NBDOptionReply.encodeText(6, .description, "xy", into: $0) }
                == self.bytes("\(magic) 00000006 00000003 00000004 0002 7879")
        )
        #expect(
            self.encoded { NBDOptionReply.encodeBlockSize(7, into: $0) }
                == self.bytes(
                    "\(magic) 00000007 00000003 0000000e 0003 00000200 00001000 02000000"
                )
        )
        #expect(
            self.encoded { NBDOptionReply.encodeBaseAllocation(10, identifier: 1, into: $0) }
                == self.bytes(
                    "\(magic) 0000000a 00000004 00000013 00000001 626173653a616c6c6f636174696f6e"
                )
        )
    }

    @Test func `replies have the protocol's bytes`() {
        // An order of bytes that swapping would show.
        let cookie = UInt64(bigEndian: 0x0102_0304_0506_0708)
        let echoed = "0102030405060708"
        #expect(
            self.encoded { NBDReply.encodeSimple(cookie: cookie, .noSpace, into: $0) }
                == self.bytes("67446698 0000001c \(echoed)")
        )
        #expect(
            self.encoded {
                NBDReply.encodeData(cookie: cookie, offset: 0x1000, byteCount: 512, into: $0)
            } == self.bytes("668e33ef 0001 0001 \(echoed) 00000208 0000000000001000")
        )
        #expect(
            self.encoded { NBDReply.encodeError(cookie: cookie, .invalid, "no", into: $0) }
                == self.bytes("668e33ef 0001 8001 \(echoed) 00000008 00000016 0002 6e6f")
        )
        #expect(
            self.encoded { NBDReply.encodeError(cookie: cookie, .invalid, "n", at: 9, into: $0) }
                == self.bytes(
                    "668e33ef 0001 8002 \(echoed) 0000000f 00000016 0001 6e 0000000000000009"
                )
        )
    }

    @Test func `a request's fields are where the protocol puts them`() throws {
        let bytes = self.bytes(
            "25609513 0015 0006 0102030405060708 1112131415161718 21222324 ff"
        )
        let request = try NBDRequest.decode(bytes.span.bytes)
        #expect(
            request
                == NBDRequest(
                    flags: [.forcedUnitAccess, .doNotFragment, .fastZero],
                    command: 6,
                    cookie: UInt64(bigEndian: 0x0102_0304_0506_0708),
                    offset: 0x1112_1314_1516_1718,
                    byteCount: 0x2122_2324
                )
        )
    }

    @Test func `headers that are cut are not complete, and each bit of the magic counts`() throws {
        let request = self.bytes("25609513 0000 0000 0000000000000001 0000000000000000 00000200")
        let option = self.bytes("49484156454f5054 00000007 00000006")
        for count in 0..<28 {
            let cut = Array(request.prefix(count))
            let decoded = try NBDRequest.decode(cut.span.bytes)
            #expect(decoded == nil)
        }
        for count in 0..<16 {
            let cut = Array(option.prefix(count))
            let decoded = try NBDOptionHeader.decode(cut.span.bytes)
            #expect(decoded == nil)
        }
        for bit in 0..<28 * 8 {
            var changed = request
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            let isDecoded = (try? NBDRequest.decode(changed.span.bytes)) ?? nil != nil
            #expect(isDecoded == (bit >= 32))
        }
        for bit in 0..<16 * 8 {
            var changed = option
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            let isDecoded = (try? NBDOptionHeader.decode(changed.span.bytes)) ?? nil != nil
            #expect(isDecoded == (bit >= 64))
        }
        for count in 0..<4 {
            let cut = [UInt8](repeating: 0, count: count)
            let flags = NBDClientFlags.decode(cut.span.bytes)
            #expect(flags == nil)
        }
    }

    private func fault(info data: [UInt8]) -> NBDOptionFault? {
        do throws(NBDOptionFault) {
            _ = try NBDInfoRequest(data.span.bytes)
            return nil
        } catch {
            return error
        }
    }

    private func fault(metaContext data: [UInt8]) -> NBDOptionFault? {
        do throws(NBDOptionFault) {
            _ = try NBDMetaContextRequest(data.span.bytes)
            return nil
        } catch {
            return error
        }
    }

    @Test func `option data that is cut or too long is refused`() {
        let info = self.bytes("00000003 612f30 0002 0003 0001")
        let context = self.bytes("00000003 612f30 00000002 00000002 613a 00000001 62")
        #expect(self.fault(info: info) == nil)
        #expect(self.fault(metaContext: context) == nil)
        for count in 0..<info.count {
            #expect(self.fault(info: Array(info.prefix(count))) == .truncated)
        }
        for count in 0..<context.count {
            #expect(self.fault(metaContext: Array(context.prefix(count))) == .truncated)
        }
        #expect(self.fault(info: info + [0]) == .trailingBytes)
        #expect(self.fault(metaContext: context + [0]) == .trailingBytes)
        #expect(self.fault(info: self.bytes("00001001")) == .nameTooLong)
        #expect(self.fault(metaContext: self.bytes("ffffffff")) == .nameTooLong)
        #expect(self.fault(metaContext: self.bytes("00000000 00000001 00001001")) == .queryTooLong)
    }

    @Test func `100000 random option data are decoded or refused`() {
        var random = SeededRandom(seed: 7)
        var accepted = 0
        for _ in 0..<100_000 {
            var data = self.seeds[Int(random.below(UInt64(self.seeds.count)))]
            for _ in 0..<random.below(4) {
                let index = Int(random.below(UInt64(data.count)))
                data[index] =
                    random.chance(1, in: 4)
                    ? UInt8(truncatingIfNeeded: random.next())
                    : data[index] ^ (1 << UInt8(random.below(8)))
            }
            data = Array(data.prefix(Int(random.below(UInt64(data.count) * 2)) + 1))
            if self.fault(info: data) == nil { accepted += 1 }
            if self.fault(metaContext: data) == nil { accepted += 1 }
            _ = try? NBDRequest.decode(data.span.bytes)
            _ = try? NBDOptionHeader.decode(data.span.bytes)
        }
        #expect(accepted > 10_000)
    }

    private var seeds: [[UInt8]] {
        [
            self.bytes("00000003 612f30 0002 0003 0001"),
            self.bytes("00000003 612f30 00000002 00000002 613a 00000001 62"),
            self.bytes("00000000 00000001 0000000f 626173653a616c6c6f636174696f6e"),
            self.bytes("25609513 0000 0000 0000000000000001 0000000000000000 00000200"),
        ]
    }
}
