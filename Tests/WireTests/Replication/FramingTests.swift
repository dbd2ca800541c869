// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing
import Wire

@Suite("Framing")
struct FramingTests {
    private let agreement = WireAgreement(version: 101, features: .announced)

    private func header(
        _ text: String,
        on socket: PacketSocket = .data,
        version: UInt32
    ) throws(WireError) -> PacketHeader? {
        let agreement =
            version < 86 ? .none : WireAgreement(version: version, features: .announced)
        return try PacketHeader.decode(packetBytes(text).span.bytes, on: socket, under: agreement)
    }

    @Test func `the sender's header follows the agreed version and the length`() {
        let formats: [(UInt32, UInt32, HeaderFormat)] = [
            (86, 32_792, .h80), (94, 32_792, .h80), (95, 32_768, .h80), (95, 32_769, .h95),
            (99, 131_096, .h95), (99, 0, .h80), (100, 0, .h100), (101, 1_048_600, .h100),
        ]
        for (version, length, format) in formats {
            let agreement = WireAgreement(version: version, features: [])
            #expect(agreement.headerFormat(length: length) == format)
        }
        let write = Packet.data(DataHeader(sector: 0, blockID: .syncer, sequenceNumber: 1))
        let old = WireAgreement(version: 95, features: [])
        let long = encodedPacket(write, trailing: repeatElement(0, count: 65_536), under: old)
        #expect(Array(long[..<8]) == packetBytes("835a 0000 00010018"))
    }

    @Test func `the receiver takes the headers that the version allows`() throws {
        #expect(try self.header("83740267 fffe 0048", version: 80)?.format == .h80)
        #expect(try self.header("83740267 0007 0000", version: 99)?.format == .h80)
        #expect(try self.header("835a 0007 00000000", version: 99)?.format == .h95)
        let h100 = "8620ec20 0005 0007 00000000 00000000"
        #expect(try self.header(h100, version: 101)?.volume == 5)
        #expect(throws: WireError.headerFormat(.h80, version: 101)) {
            try self.header("83740267 0007 0000", version: 101)
        }
        #expect(throws: WireError.headerFormat(.h100, version: 99)) {
            try self.header(h100, version: 99)
        }
        #expect(throws: WireError.headerFormat(.h100, version: 80)) {
            try self.header(h100, version: 80)
        }
        // DRBD 9's early ping.
        let ping = try self.header("83740267 0013 0000", on: .meta, version: 101)
        #expect(ping?.command == .ping)
    }

    @Test func `refuses bad magic, pad, commands, sockets and lengths at the header`() {
        #expect(throws: WireError.magic(0x4745_5420)) {
            try self.header("47455420 2f204854", version: 101)
        }
        #expect(throws: WireError.headerPad(1)) {
            try self.header("8620ec20 0000 0007 00000000 00000001", version: 101)
        }
        for number in ["0005", "0006", "0025", "0026", "0030", "0035", "0040", "00ff", "fffd"] {
            let text = "8620ec20 0000 \(number) 00000000 00000000"
            let value = UInt16(number, radix: 16) ?? 0
            #expect(throws: WireError.unknownCommand(value)) {
                try self.header(text, version: 101)
            }
        }
        #expect(throws: WireError.wrongSocket(.writeAck, on: .data)) {
            try self.header("8620ec20 0000 0016 00000018 00000000", version: 101)
        }
        #expect(throws: WireError.wrongSocket(.data, on: .meta)) {
            try self.header("8620ec20 0000 0000 00000218 00000000", on: .meta, version: 101)
        }
        #expect(throws: WireError.wrongSocket(.features, on: .undecided)) {
            try self.header("83740267 fffe 0048", on: .undecided, version: 80)
        }
        #expect(throws: WireError.notAgreed(.data, version: 80, features: [])) {
            try self.header("83740267 0000 0218", version: 80)
        }
        #expect(throws: WireError.notAgreed(.features, version: 101, features: .announced)) {
            try self.header("8620ec20 0000 fffe 00000048 00000000", version: 101)
        }
        #expect(throws: WireError.length(.features, 71, minimum: 72, maximum: 72)) {
            try self.header("83740267 fffe 0047", version: 80)
        }
        #expect(
            throws: WireError.length(.data, 0xffff_ffff, minimum: 536, maximum: 1_048_600)
        ) {
            try self.header("8620ec20 0000 0000 ffffffff 00000000", version: 101)
        }
    }

    @Test(arguments: PacketCommand.allCases)
    func `enforces each command's lengths`(_ command: PacketCommand) throws {
        for version: UInt32 in [80, 86, 87, 88, 89, 93, 95, 99, 100, 101] {
            let agreement =
                version < 86
                ? WireAgreement.none
                : WireAgreement(version: version, features: .announced, digestByteCount: 4)
            guard command.isAllowed(under: agreement),
                let socket = PacketSocket.allCases.first(where: command.isCarried)
            else { continue }
            let format: HeaderFormat =
                version >= 100 ? .h100 : version >= 95 ? .h95 : .h80
            let lengths = command.lengths(under: agreement, in: format)
            #expect(lengths.upperBound <= (1 << 20) + 64 + 28)
            for length in [
                0, 1, lengths.lowerBound, lengths.upperBound, lengths.upperBound + 1, 65_535,
            ] {
                if format == .h80, length > 65_535 { continue }
                let bytes = rawHeader(command, length, format)
                let accepted = lengths.contains(length)
                let result = try? PacketHeader.decode(
                    bytes.span.bytes,
                    on: socket,
                    under: agreement
                )
                #expect((result?.length == length) == accepted, "\(length) of \(lengths)")
            }
            if lengths.lowerBound > 0 {
                let short = rawHeader(command, lengths.lowerBound - 1, format)
                #expect(throws: WireError.self) {
                    try PacketHeader.decode(short.span.bytes, on: socket, under: agreement)
                }
            }
        }
    }

    @Test func `payload limits follow the version`() {
        let limits: [(UInt32, UInt32)] = [(94, 32 << 10), (95, 128 << 10), (100, 1 << 20)]
        for (version, limit) in limits {
            #expect(WireAgreement(version: version, features: []).payloadLimit == limit)
        }
        #expect(WireAgreement(version: 101, features: []).discardLimit == 4 << 20)
        #expect(WireAgreement(version: 101, features: .writeSame).discardLimit == 128 << 20)
    }

    @Test func `every prefix of a packet is incomplete and asks for what is missing`() throws {
        var random = SeededRandom(seed: 5)
        for command in PacketCommand.allCases {
            let agreement: WireAgreement =
                command.isAllowed(under: self.agreement)
                ? self.agreement
                : command == .syncParameters88 ? WireAgreement(version: 88, features: []) : .none
            let made = try #require(RandomPacket.packet(command, under: agreement, &random))
            let socket = try #require(PacketSocket.allCases.first(where: command.isCarried))
            let bytes = encodedPacket(
                made.packet,
                trailing: repeatElement(0, count: made.trailing),
                under: agreement
            )
            for count in 0..<bytes.count - made.trailing {
                let prefix = bytes.span.bytes.extracting(0..<count)
                let progress = try PacketFrame.decode(prefix, on: socket, under: agreement)
                guard case .incomplete(let needed) = progress else {
                    Issue.record("\(command) was decoded from \(count) bytes")
                    break
                }
                #expect(count < needed && needed <= bytes.count - made.trailing)
            }
        }
    }

    @Test func `the fixed part wants all its bytes`() {
        let header = PacketHeader(command: .uuids, volume: 0, length: 48, format: .h100)
        let bytes = [UInt8](repeating: 0, count: 47)
        #expect(throws: WireError.truncated(.uuids, available: 47, needed: 48)) {
            try Packet.decode(header, bytes.span.bytes, under: self.agreement)
        }
    }

    @Test func `features agree on the highest common version and the common flags`() throws {
        let own = ConnectionFeatures.announced
        let kernel = ConnectionFeatures(versionMinimum: 86, versionMaximum: 101, flags: .announced)
        #expect(try own.agreement(with: kernel) == self.agreement)
        let nine = ConnectionFeatures(
            versionMinimum: 86,
            versionMaximum: 124,
            flags: FeatureFlags(rawValue: 0x3ff)
        )
        #expect(try own.agreement(with: nine) == self.agreement)
        #expect(try kernel.agreement(with: kernel).version == 101)
        let poor = ConnectionFeatures(versionMinimum: 101, versionMaximum: 0, flags: .trim)
        #expect(try own.agreement(with: poor).features == .trim)
        #expect(try own.agreement(with: poor).version == 101)
        let old = ConnectionFeatures(versionMinimum: 86, versionMaximum: 100, flags: [])
        #expect(throws: WireError.noCommonVersion(peerMinimum: 86, peerMaximum: 100)) {
            try own.agreement(with: old)
        }
        let new = ConnectionFeatures(versionMinimum: 110, versionMaximum: 124, flags: [])
        #expect(throws: WireError.noCommonVersion(peerMinimum: 110, peerMaximum: 124)) {
            try own.agreement(with: new)
        }
    }

    @Test func `messages say what, the value and the rule`() {
        let errors: [(WireError, String)] = [
            (.magic(0x4745_5420), "47455420"),
            (.headerPad(3), "must be 0"),
            (.headerFormat(.h80, version: 101), "version 101"),
            (.unknownCommand(0x35), "packet 0x35"),
            (.wrongSocket(.data, on: .meta), "P_DATA on the meta socket"),
            (.notAgreed(.trim, version: 101, features: []), "P_TRIM does not exist"),
            (.length(.uuids, 4, minimum: 48, maximum: 48), "4 bytes, it must be 48"),
            (.length(.bitmap, 9000, minimum: 0, maximum: 4080), "0 to 4080"),
            (.truncated(.uuids, available: 3, needed: 48), "3 of 48"),
            (.field(.state, .stateDisk, value: 9), "a disk state must be 0 to 8"),
            (.range(.data, sector: 7, byteCount: 512), "sector 7"),
            (.noCommonVersion(peerMinimum: 86, peerMaximum: 100), "86 to 100"),
        ]
        for (error, part) in errors { #expect(error.description.contains(part)) }
    }
}

/// A header without regard to any rule.
func rawHeader(_ command: PacketCommand, _ length: UInt32, _ format: HeaderFormat) -> [UInt8] {
    func big(_ value: UInt32, _ count: Int) -> [UInt8] {
        (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> UInt32($0 * 8)) }
    }
    let number = big(UInt32(command.rawValue), 2)
    switch format {
    case .h80: return [0x83, 0x74, 0x02, 0x67] + number + big(length, 2)
    case .h95: return [0x83, 0x5a] + number + big(length, 4)
    case .h100: return [0x86, 0x20, 0xec, 0x20, 0, 0] + number + big(length, 4) + [0, 0, 0, 0]
    }
}
