// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing
import Wire

@Suite("Packets")
struct PacketTests {
    @Test func `have the bytes of the reference's trace`() throws {
        let trace = try self.handshake() + self.control + self.blocks + self.rangesAndEpochs
        for (packet, trailing, expected) in trace {
            let agreement: WireAgreement =
                PacketCommand.initialMeta.rawValue <= packet.command.rawValue
                ? .none : WireAgreement(version: 101, features: .announced)
            let bytes = encodedPacket(
                packet,
                trailing: repeatElement(0, count: trailing),
                under: agreement
            )
            let head = Array(bytes.dropLast(trailing))
            #expect(head == packetBytes(expected), "\(packet)")
        }
    }

    private func handshake() throws -> [(packet: Packet, trailing: Int, bytes: String)] {
        let crc32c = try #require(AlgorithmName("crc32c"))
        var sizes = Sizes(
            diskSectors: 0x20_0000,
            userSectors: 0,
            currentSectors: 0x20_0000,
            maximumRequestByteCount: 1 << 20
        )
        sizes.limits = QueueLimits()
        sizes.limits?.discardEnabled = true
        let announced = ConnectionFeatures(
            versionMinimum: 86,
            versionMaximum: 101,
            flags: .announced
        )
        let uuids = UUIDSet(current: 4, bitmap: 0, history0: 0, history1: 0, dirtyBits: 0)
        let zero64 = String(repeating: "00", count: 64)
        return [
            (.initialData, 0, "83740267 fff2 0000"),
            (.initialMeta, 0, "83740267 fff1 0000"),
            (
                .features(announced), 0,
                "83740267 fffe 0048 00000056 0000000f 00000065"
                    + String(repeating: "00", count: 60)
            ),
            (
                .protocolParameters(ProtocolParameters(replicationProtocol: .c)), 0,
                h100("000b", "00000019") + "00000003" + String(repeating: "00", count: 21)
            ),
            (
                .protocolParameters(
                    ProtocolParameters(
                        replicationProtocol: .a,
                        afterSplitBrain0: .discardZeroChanges,
                        afterSplitBrain1: .consensus,
                        afterSplitBrain2: .callPrimaryLost,
                        flags: [.discardMyData, .dryRun],
                        allowTwoPrimaries: true,
                        integrityAlgorithm: crc32c
                    )
                ), 0,
                h100("000b", "0000001f") + "00000001 00000003 00000007 00000009 00000003 00000001"
                    + "637263333263 00"
            ),
            (
                .syncParameters(SyncParameters()), 0,
                h100("0023", "00000094") + "000000fa" + zero64 + zero64
                    + "00000014 0000000a 00000064 00019000"
            ),
            (
                .sizes(sizes), 0,
                h100("000d", "00000038") + "0000000000200000 0000000000000000 0000000000200000"
                    + "00100000 0000 0000"
                    + "00000200 00000200 00000000 00000200 00000000 01 00 00 00"
            ),
            (
                .uuids(uuids), 0,
                h100("000c", "00000030") + "0000000000000004" + String(repeating: "00", count: 40)
            ),
            (
                .state(try StateWord(rawValue: 0xc882)), 0,
                h100("000e", "00000004") + "0000c882"
            ),
        ]
    }

    private var control: [(packet: Packet, trailing: Int, bytes: String)] {
        [
            (
                .stateChangeRequest(StateRequest(role: .primary, disk: .upToDate)), 0,
                h100("0012", "00000008") + "00001e03 00001001"
            ),
            (.stateChangeReply(StateReply(.success)), 0, h100("001d", "00000004") + "00000001"),
            (
                .connectionStateChangeRequest(StateRequest(connection: .disconnecting)), 0,
                h100("002a", "00000008") + "000001f0 00000010"
            ),
            (
                .connectionStateChangeReply(StateReply(.failedByPeer)), 0,
                h100("002b", "00000004") + "fffffff6"
            ),
            (.ping, 0, h100("0013", "00000000")),
            (.pingAck, 0, h100("0014", "00000000")),
            (.unplugRemote, 0, h100("0007", "00000000")),
        ]
    }

    private var blocks: [(packet: Packet, trailing: Int, bytes: String)] {
        [
            (
                .resyncDataRequest(
                    BlockRequest(sector: 0, blockID: .syncer, byteCount: 1 << 20)
                ), 0,
                h100("0009", "00000018") + "0000000000000000 ffffffffffffffff 00100000 00000000"
            ),
            (
                .resyncDataReply(DataHeader(sector: 8, blockID: .syncer, sequenceNumber: 0)),
                1 << 20,
                h100("0002", "00100018") + "0000000000000008 ffffffffffffffff 00000000 00000000"
            ),
            (
                .data(
                    DataHeader(
                        sector: 2048,
                        blockID: BlockID(rawValue: UInt64(0x1122_3344_5566_7788).bigEndian),
                        sequenceNumber: 1,
                        flags: [.sendWriteAck, .synchronous]
                    )
                ), 4096,
                h100("0000", "00001018") + "0000000000000800 1122334455667788 00000001 00000102"
            ),
            (
                .writeAck(
                    BlockAck(
                        sector: 2048,
                        blockID: BlockID(rawValue: UInt64(0x1122_3344_5566_7788).bigEndian),
                        byteCount: 4096,
                        sequenceNumber: 9
                    )
                ), 0,
                h100("0016", "00000018") + "0000000000000800 1122334455667788 00001000 00000009"
            ),
        ]
    }

    private var rangesAndEpochs: [(packet: Packet, trailing: Int, bytes: String)] {
        [
            (
                .barrier(BarrierNumber(rawValue: UInt32(0x0700_0000).bigEndian)), 0,
                h100("0003", "00000008") + "07000000 00000000"
            ),
            (
                .barrierAck(
                    BarrierAck(
                        barrier: BarrierNumber(rawValue: UInt32(0x0700_0000).bigEndian),
                        setSize: 36
                    )
                ), 0,
                h100("001c", "00000008") + "07000000 00000024"
            ),
            (
                .verifyResult(
                    VerifyResult(
                        sector: 16,
                        code: VerifyResult.outOfSync,
                        byteCount: 4096,
                        sequenceNumber: 3
                    )
                ), 0,
                h100("0020", "00000018") + "0000000000000010 0000000000001268 00001000 00000003"
            ),
            (
                .outOfSync(BlockRange(sector: 16, byteCount: 4096)), 0,
                h100("0028", "00000010") + "0000000000000010 00001000 00000000"
            ),
            (
                .zeroes(
                    RangeHeader(
                        data: DataHeader(
                            sector: 0,
                            blockID: BlockID(rawValue: 1),
                            sequenceNumber: 2,
                            flags: [.zeroes, .discard, .sendWriteAck, .synchronous]
                        ),
                        byteCount: 65_536
                    )
                ), 0,
                h100("0036", "0000001c") + "0000000000000000 0100000000000000 00000002 00000542"
                    + "00010000"
            ),
        ]
    }

    @Test func `any value comes back from its bytes, at every version and volume`() throws {
        var random = SeededRandom(seed: 2)
        var seen: Set<PacketCommand> = []
        for round in 0..<20_000 {
            let agreement = RandomPacket.agreement(&random)
            let made = RandomPacket.packet(
                PacketCommand.allCases[round % PacketCommand.allCases.count],
                under: agreement,
                &random
            )
            guard let made else { continue }
            let volume = UInt16(truncatingIfNeeded: random.next())
            let bytes = encodedPacket(
                made.packet,
                volume: volume,
                trailing: repeatElement(7, count: min(made.trailing, 1 << 14)),
                under: agreement
            )
            guard made.trailing <= 1 << 14 else { continue }
            let socket = PacketSocket.allCases.first(where: made.packet.command.isCarried)
            let progress = try PacketFrame.decode(
                bytes.span.bytes,
                on: try #require(socket),
                under: agreement
            )
            guard case .head(let frame) = progress else {
                Issue.record("\(made.packet) is not complete")
                continue
            }
            #expect(frame.packet == made.packet)
            #expect(frame.trailingByteCount == made.trailing)
            #expect(frame.headByteCount + frame.trailingByteCount == bytes.count)
            let hasVolume = made.packet.command.isOfVolume && agreement.version >= 100
            #expect(frame.header.volume == (hasVolume ? volume : 0))
            #expect(made.packet.command.hasSequenceNumber == (made.packet.sequenceNumber != nil))
            seen.insert(made.packet.command)
        }
        #expect(seen == Set(PacketCommand.allCases))
    }

    @Test func `sizes carry queue limits exactly when write-same was agreed`() throws {
        let sizes = Sizes(
            diskSectors: 1,
            userSectors: 2,
            currentSectors: 3,
            maximumRequestByteCount: 1 << 20
        )
        let long = WireAgreement(version: 101, features: .announced)
        let short = WireAgreement(version: 101, features: [.trim])
        #expect(encodedPacket(.sizes(sizes), under: long).count == 16 + 56)
        #expect(encodedPacket(.sizes(sizes), under: short).count == 16 + 32)
        var limited = sizes
        limited.limits = QueueLimits()
        #expect(
            try decodedPacket(encodedPacket(.sizes(sizes), under: long), under: long)
                == .sizes(limited)
        )
        #expect(
            try decodedPacket(encodedPacket(.sizes(limited), under: short), under: short)
                == .sizes(sizes)
        )
    }

    @Test func `sync parameters have the form of the version`() throws {
        var parameters = SyncParameters()
        parameters.verifyAlgorithm = try #require(AlgorithmName("sha1"))
        let sizes: [(UInt32, Packet, Int)] = [
            (86, .syncParameters88(parameters), 8 + 4), (88, .syncParameters88(parameters), 8 + 9),
            (89, .syncParameters(parameters), 8 + 132), (94, .syncParameters(parameters), 8 + 132),
            (95, .syncParameters(parameters), 8 + 148),
            (101, .syncParameters(parameters), 16 + 148),
        ]
        for (version, packet, size) in sizes {
            let agreement = WireAgreement(version: version, features: [])
            #expect(encodedPacket(packet, under: agreement).count == size)
        }
    }

    @Test func `own names keep at most 22 bytes and end at their NUL`() {
        #expect(AlgorithmName(String(repeating: "x", count: 23)) == nil)
        #expect(AlgorithmName("a\0b") == nil)
        let longest = String(repeating: "x", count: 22)
        #expect(AlgorithmName(longest)?.description == longest)
        #expect(AlgorithmName("")?.isEmpty == true)
        #expect(AlgorithmName("sha1") != AlgorithmName("SHA1"))
    }

    @Test func `refuses fields that break their rules`() throws {
        let agreement = WireAgreement(version: 101, features: .announced)
        let base: [(Packet, Int, Int, UInt8, PacketField)] = [
            // packet, offset behind the header, offset from the end of the field, value, field
            (
                .protocolParameters(ProtocolParameters(replicationProtocol: .c)), 3, 0, 4,
                .replicationProtocol
            ),
            (
                .protocolParameters(ProtocolParameters(replicationProtocol: .c)), 3, 0, 0,
                .replicationProtocol
            ),
            (
                .protocolParameters(ProtocolParameters(replicationProtocol: .c)), 15, 0, 11,
                .afterSplitBrainPolicy
            ),
            (
                .protocolParameters(ProtocolParameters(replicationProtocol: .c)), 23, 0, 2,
                .allowTwoPrimaries
            ),
            (
                .protocolParameters(ProtocolParameters(replicationProtocol: .c)), 24, 0, 0x61,
                .algorithmName
            ),
            (
                .compressedBitmap(CompressedBitmapHeader(startsWithSetBits: true, padBits: 0)), 0,
                1, 0x81, .bitmapEncoding
            ),
            (
                .resyncDataRequest(BlockRequest(sector: 0, blockID: .syncer, byteCount: 4096)), 19,
                0, 1, .requestSize
            ),
            (
                .resyncDataRequest(BlockRequest(sector: 0, blockID: .syncer, byteCount: 4096)), 18,
                0, 0, .requestSize
            ),
            (
                .resyncDataRequest(BlockRequest(sector: 0, blockID: .syncer, byteCount: 4096)), 16,
                0, 1, .requestSize
            ),
        ]
        for (packet, offset, trailing, value, field) in base {
            var bytes = encodedPacket(
                packet,
                trailing: repeatElement(1, count: trailing),
                under: agreement
            )
            bytes[16 + offset] = value
            do throws(WireError) {
                _ = try decodedPacket(bytes, under: agreement)
                Issue.record("\(field) must be refused")
            } catch {
                guard case .field(packet.command, field, _) = error else {
                    Issue.record("\(error) where \(field) was meant")
                    continue
                }
                #expect(error.description.contains(String(describing: field.rule)))
            }
        }
    }

    @Test func `refuses payloads and ranges that no device can have`() throws {
        let agreement = WireAgreement(version: 101, features: .announced)
        var write = DataHeader(sector: (1 << 54) - 8, blockID: .syncer, sequenceNumber: 1)
        let good = encodedPacket(
            .data(write),
            trailing: repeatElement(0, count: 4096),
            under: agreement
        )
        #expect(try decodedPacket(good, under: agreement) == .data(write))
        write.sector += 1
        let behind = encodedPacket(
            .data(write),
            trailing: repeatElement(0, count: 4096),
            under: agreement
        )
        #expect(
            throws: WireError.range(.data, sector: (1 << 54) - 7, byteCount: 4096)
        ) { try decodedPacket(behind, under: agreement) }
        write.sector = .max
        let wrapped = encodedPacket(
            .data(write),
            trailing: repeatElement(0, count: 4096),
            under: agreement
        )
        #expect(throws: WireError.self) { try decodedPacket(wrapped, under: agreement) }

        var odd = good
        odd[11] = 0x20
        #expect(throws: WireError.field(.data, .payloadSize, value: 0x1020)) {
            try decodedPacket(odd, under: agreement)
        }
        var digested = agreement
        digested.digestByteCount = 32
        #expect(throws: WireError.field(.data, .payloadSize, value: 0x1018)) {
            try decodedPacket(good, under: digested)
        }
        var digestedGood = good
        digestedGood[11] = 0x38
        #expect(throws: Never.self) { try decodedPacket(digestedGood, under: digested) }
    }
}

/// The packet at the start of `bytes`, on whichever socket carries it.
func decodedPacket(_ bytes: [UInt8], under agreement: WireAgreement) throws(WireError) -> Packet? {
    var refusal: WireError?
    for socket in [PacketSocket.data, .meta, .undecided] {
        do throws(WireError) {
            let progress = try PacketFrame.decode(bytes.span.bytes, on: socket, under: agreement)
            guard case .head(let frame) = progress else { return nil }
            return frame.packet
        } catch .wrongSocket {
            continue
        } catch {
            refusal = error
            break
        }
    }
    if let refusal { throw refusal }
    return nil
}

private func h100(_ command: String, _ length: String) -> String {
    "8620ec20 0000 \(command) \(length) 00000000"
}

/// The bytes that `text` spells, spaces ignored.
func packetBytes(_ text: String) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}
