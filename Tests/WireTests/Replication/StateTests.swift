// SPDX-License-Identifier: Apache-2.0

import Primitives
import Testing
import Wire

@Suite("State word")
struct StateTests {
    @Test("ARC-14 P_STATE carries role, disks and connection of its sender")
    func words() throws {
        let words: [(UInt32, StateWord)] = [
            (
                0xc882,
                StateWord(
                    role: .secondary,
                    peer: .unknown,
                    connection: .wfConnection,
                    disk: .inconsistent,
                    peerDisk: .unknown
                )
            ),
            (
                0x88aa,
                StateWord(
                    role: .secondary,
                    peer: .secondary,
                    connection: .connected,
                    disk: .inconsistent,
                    peerDisk: .inconsistent
                )
            ),
            (
                0x90a9,
                StateWord(
                    role: .primary,
                    peer: .secondary,
                    connection: .connected,
                    disk: .upToDate,
                    peerDisk: .inconsistent
                )
            ),
            (
                0x0001_08e6,
                StateWord(
                    role: .secondary,
                    peer: .primary,
                    connection: .wfBitMapT,
                    disk: .inconsistent,
                    peerDisk: .upToDate
                )
            ),
            (
                0x0001_10a6,
                StateWord(
                    role: .secondary,
                    peer: .primary,
                    connection: .connected,
                    disk: .upToDate,
                    peerDisk: .upToDate
                )
            ),
        ]
        for (raw, word) in words {
            #expect(try StateWord(rawValue: raw) == word)
            #expect(word.rawValue == raw)
        }
    }

    @Test func `each flag has its bit`() throws {
        let flags: [(StateFlags, UInt32)] = [
            (.suspended, 17), (.syncPausedByDependency, 18), (.syncPausedByPeer, 19),
            (.syncPausedByUser, 20), (.suspendedNoData, 21), (.suspendedFencing, 22),
            (.quorum, 23),
        ]
        for (flag, bit) in flags {
            #expect(flag.rawValue == 1 << bit)
            #expect(try StateWord(rawValue: 1 << bit).flags == flag)
        }
        #expect(try StateWord(rawValue: 0xff00_0000).rawValue == 0, "the high bits are ignored")
    }

    @Test func `every word decodes to itself or is refused`() {
        var random = SeededRandom(seed: 11)
        var accepted = 0
        for _ in 0..<20_000 {
            let raw = UInt32(truncatingIfNeeded: random.next())
            let roles = raw & 3 != 3 && raw >> 2 & 3 != 3
            let disks = raw >> 9 & 15 <= 8 && raw >> 13 & 15 <= 8
            let isLegal = roles && disks && raw >> 4 & 31 <= 23
            let word = try? StateWord(rawValue: raw)
            #expect((word != nil) == isLegal)
            if let word {
                #expect(word.rawValue == raw & 0x00ff_ffff)
                accepted += 1
            }
        }
        #expect(accepted > 1000)
    }

    @Test func `requests of the recordings have the recorded words`() {
        let requests: [(StateRequest, UInt32, UInt32)] = [
            (StateRequest(role: .primary), 0x3, 0x1),
            (StateRequest(role: .primary, disk: .upToDate), 0x1e03, 0x1001),
            (StateRequest(disk: .failed), 0x1e00, 0x400),
            (StateRequest(connection: .verifyS), 0x1f0, 0x120),
            (StateRequest(connection: .disconnecting), 0x1f0, 0x10),
        ]
        for (request, mask, value) in requests {
            #expect(request.mask == mask)
            #expect(request.value == value)
            #expect(self.decoded(mask, value) == request)
            #expect(self.decoded(mask, value | ~mask) == request, "only the mask counts")
        }
    }

    @Test func `requests with DRBD 9's disk numbers are understood`() {
        #expect(self.decoded(0x1e00, 9 << 9) == StateRequest(disk: .upToDate))
        #expect(self.decoded(0x1e000, 6 << 13) == StateRequest(peerDisk: .outdated))
    }

    @Test func `requests that cut a field or name no state are refused`() {
        #expect(self.refusal(0x1, 0x1) == .stateMask)
        #expect(self.refusal(0x10, 0x10) == .stateMask)
        #expect(self.refusal(0x1f0, 0x1f0) == .stateConnection)
        #expect(self.refusal(0x3, 0x3) == .stateRole)
        #expect(self.refusal(0x1e00, 10 << 9) == .stateDisk)
    }

    @Test func `the responder sees a request from its own side`() {
        let connections: [(ConnectionCode, ConnectionCode)] = [
            (.wfReportParams, .wfReportParams), (.connected, .connected),
            (.startingSyncS, .startingSyncT), (.startingSyncT, .startingSyncS),
            (.disconnecting, .tearDown), (.verifyS, .verifyT),
        ]
        let mapped = Dictionary(uniqueKeysWithValues: connections)
        for connection in ConnectionCode.allCases {
            #expect(
                StateRequest(connection: connection).asSeenByPeer().connection
                    == mapped[connection, default: .standAlone]
            )
        }
        let forced = StateRequest(role: .primary, disk: .upToDate)
        #expect(forced.asSeenByPeer() == StateRequest(peer: .primary, peerDisk: .upToDate))
        let outdate = StateRequest(connection: .disconnecting, peerDisk: .outdated)
        #expect(outdate.asSeenByPeer() == StateRequest(connection: .tearDown, disk: .outdated))

        let pause = StateRequest(flagMask: .syncPausedByUser, flags: .syncPausedByUser)
        let seen = pause.asSeenByPeer()
        #expect(seen.flagMask.contains(.syncPausedByPeer))
        #expect(seen.flags.contains(.syncPausedByPeer))
        let resume = StateRequest(flagMask: .syncPausedByUser)
        #expect(resume.asSeenByPeer().flagMask.contains(.syncPausedByPeer))
        #expect(!resume.asSeenByPeer().flags.contains(.syncPausedByPeer))
    }

    @Test func `a request changes its fields and no others`() {
        var random = SeededRandom(seed: 12)
        for _ in 0..<2000 {
            let state = RandomState.word(&random)
            let request = RandomState.request(&random)
            let raw = request.applied(to: state).rawValue
            #expect(raw == state.rawValue & ~request.mask | request.value)
            #expect(request.value & ~request.mask == 0)
        }
    }

    @Test func `replies of 1 and above are success, unknown ones stay what they are`() {
        for result in StateChangeCode.allCases {
            #expect(StateReply(result).result == result)
            #expect(StateReply(result).isSuccess == result.isSuccess)
            #expect(result.isSuccess == (result.rawValue >= 1))
        }
        let texts = Set(StateChangeCode.allCases.map { String(describing: $0.text) })
        #expect(texts.count == StateChangeCode.allCases.count)
        let agreement = WireAgreement(version: 101, features: .announced)
        let header = PacketHeader(command: .stateChangeReply, volume: 0, length: 4, format: .h100)
        let bytes: [UInt8] = [0xff, 0xff, 0x00, 0x00]
        let packet = try? Packet.decode(header, bytes.span.bytes, under: agreement)
        guard case .stateChangeReply(let reply) = packet else {
            Issue.record("any number is a reply")
            return
        }
        #expect(reply.code == -65_536)
        #expect(reply.result == nil && !reply.isSuccess)
    }

    @Test func `a policy becomes the peer's by exchanging local and remote`() {
        #expect(AfterSplitBrainPolicy.discardLocal.asSeenByPeer == .discardRemote)
        for policy in AfterSplitBrainPolicy.allCases {
            #expect(policy.asSeenByPeer.asSeenByPeer == policy)
        }
    }

    private func packet(_ mask: UInt32, _ value: UInt32) throws(WireError) -> Packet? {
        var bytes = rawHeader(.stateChangeRequest, 8, .h100)
        for word in [mask, value] {
            for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
        }
        return try decodedPacket(bytes, under: WireAgreement(version: 101, features: .announced))
    }

    private func decoded(_ mask: UInt32, _ value: UInt32) -> StateRequest? {
        guard case .stateChangeRequest(let request) = try? self.packet(mask, value) else {
            return nil
        }
        return request
    }

    private func refusal(_ mask: UInt32, _ value: UInt32) -> PacketField? {
        do throws(WireError) {
            _ = try self.packet(mask, value)
            return nil
        } catch {
            guard case .field(.stateChangeRequest, let field, _) = error else { return nil }
            return field
        }
    }
}
