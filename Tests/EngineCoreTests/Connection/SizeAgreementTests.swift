// SPDX-License-Identifier: Apache-2.0

import EngineCore
import Testing
import Wire

@Suite struct SizeAgreementTests {
    private static let handshake = VolumeState(connection: .wfReportParams, disk: .upToDate)
    private static let connected = VolumeState(
        peerRole: .secondary,
        connection: .connected,
        disk: .upToDate,
        peerDisk: .upToDate
    )

    private func peer(
        _ disk: UInt64,
        user: UInt64 = 0,
        current: UInt64 = 0,
        _ flags: SizesFlags = []
    ) -> Sizes {
        Sizes(
            diskSectors: disk,
            userSectors: user,
            currentSectors: current,
            maximumRequestByteCount: 1_048_576,
            flags: flags
        )
    }

    private func agreed(_ own: SizeSituation, _ peer: Sizes) -> UInt64? {
        switch SizeAgreement(own: own, peer: peer) {
        case .agreed(let result): result.sectors
        case .ignored, .refused: nil
        }
    }

    @Test(
        arguments: [
            // own disk, peer disk, last agreed, forced, result
            (1_000, 800, 0, false, 800), (800, 1_000, 0, false, 800), (1_000, 0, 0, false, 1_000),
            (1_000, 0, 700, false, 700), (600, 0, 700, false, 600), (1_000, 0, 700, true, 1_000),
        ] as [(UInt64, UInt64, UInt64, Bool, UInt64)]
    )
    func `takes the smaller disk, or what was agreed on before`(
        own: UInt64,
        peer: UInt64,
        lastAgreed: UInt64,
        forced: Bool,
        expected: UInt64
    ) {
        let situation = SizeSituation(
            diskSectors: own,
            lastAgreedSectors: lastAgreed,
            state: Self.handshake
        )
        #expect(self.agreed(situation, self.peer(peer, forced ? [.forced] : [])) == expected)
    }

    @Test func `in the handshake both nodes take the smaller size option`() {
        for (one, two, expected) in [(500, 0, 500), (0, 500, 500), (500, 300, 300), (0, 0, 1_000)]
            as [(UInt64, UInt64, UInt64)]
        {
            let own = SizeSituation(
                diskSectors: 1_000,
                userSectors: one,
                state: Self.handshake
            )
            #expect(self.agreed(own, self.peer(1_000, user: two)) == expected)
            let other = SizeSituation(
                diskSectors: 1_000,
                userSectors: two,
                state: Self.handshake
            )
            #expect(self.agreed(other, self.peer(1_000, user: one)) == expected)
        }
    }

    @Test func `a size option above the disks is noted and has no effect`() {
        let own = SizeSituation(diskSectors: 1_000, userSectors: 2_000, state: Self.handshake)
        #expect(
            SizeAgreement(own: own, peer: self.peer(900))
                == .agreed(
                    .init(
                        sectors: 900,
                        userSectors: 2_000,
                        userSizeIsTooLarge: true,
                        mustAnswer: false
                    )
                )
        )
    }

    @Test func `a smaller peer is refused unless it is shrunk on purpose`() {
        var own = SizeSituation(
            diskSectors: 1_000,
            currentSectors: 1_000,
            state: Self.handshake
        )
        #expect(
            SizeAgreement(own: own, peer: self.peer(800))
                == .refused(.wouldShrink(from: 1_000, to: 800))
        )
        own.state.disk = .inconsistent
        #expect(self.agreed(own, self.peer(800)) == 800)
        own.state = Self.connected
        #expect(self.agreed(own, self.peer(1_000, user: 800, current: 1_000)) == 800)
        own.state.peerDisk = .diskless
        #expect(
            SizeAgreement(own: own, peer: self.peer(800))
                == .refused(.wouldShrink(from: 1_000, to: 800))
        )
    }

    @Test func `a node without a disk takes the peer's size`() {
        var own = SizeSituation(diskSectors: 0, state: Self.handshake)
        own.state.disk = .diskless
        #expect(SizeAgreement(own: own, peer: self.peer(0)) == .ignored)
        #expect(self.agreed(own, self.peer(1_000)) == 1_000)
        #expect(self.agreed(own, self.peer(1_000, user: 900)) == 900)
        #expect(self.agreed(own, self.peer(1_000, user: 900, current: 800)) == 800)
        own.currentSectors = 1_000
        #expect(self.agreed(own, self.peer(800)) == 800)
        own.state.role = .primary
        #expect(
            SizeAgreement(own: own, peer: self.peer(800))
                == .refused(.smallerThanInUse(from: 1_000, to: 800))
        )
    }

    @Test func `questions are answered and answers are not`() {
        // A resize of a disk that grew to 1200, from both sides, as in resize.pcap.
        let asker = SizeSituation(
            diskSectors: 1_200,
            currentSectors: 1_000,
            state: Self.connected
        )
        let asked = asker
        let question = self.peer(1_200, current: 0)
        guard case .agreed(let answer) = SizeAgreement(own: asked, peer: question) else {
            Issue.record("no agreement")
            return
        }
        #expect(answer.sectors == 1_200)
        #expect(answer.mustAnswer)
        var settled = asker
        settled.currentSectors = 1_200
        let reply = self.peer(1_200, current: 1_200)
        #expect(
            SizeAgreement(own: settled, peer: reply)
                == .agreed(
                    .init(
                        sectors: 1_200,
                        userSectors: 0,
                        userSizeIsTooLarge: false,
                        mustAnswer: false
                    )
                )
        )
        settled.diskHasGrown = true
        guard case .agreed(let again) = SizeAgreement(own: settled, peer: reply) else {
            Issue.record("no agreement")
            return
        }
        #expect(again.mustAnswer)
    }

    @Test func `both nodes find the same size`() {
        let sizes: [UInt64] = [0, 300, 500, 900]
        for one in sizes where one > 0 {
            for two in sizes where two > 0 {
                for oneUser in sizes {
                    for twoUser in sizes {
                        let own = SizeSituation(
                            diskSectors: one,
                            userSectors: oneUser,
                            state: Self.handshake
                        )
                        let other = SizeSituation(
                            diskSectors: two,
                            userSectors: twoUser,
                            state: Self.handshake
                        )
                        #expect(
                            self.agreed(own, self.peer(two, user: twoUser))
                                == self.agreed(other, self.peer(one, user: oneUser))
                        )
                    }
                }
            }
        }
    }
}
